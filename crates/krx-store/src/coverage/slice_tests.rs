//! What files add to the ledger, when some of them are lost or know less than others.

use super::*;
use crate::journal::{Event, GapReason};

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// Seconds after midnight.
fn at(seconds: i64) -> Moment {
    Moment(bounds(date()).0.0 + seconds * 1_000_000)
}

/// Rows as (from, to, reason), in seconds after midnight.
fn rows(ledger: &Ledger) -> Vec<(i64, i64, &'static str)> {
    let seconds = |moment: Moment| (moment.0 - at(0).0) / 1_000_000;
    let all = ledger.intervals();
    all.iter()
        .map(|row| (seconds(row.from), seconds(row.to), row.reason.as_str()))
        .collect()
}

fn connected(ledger: &mut Ledger, seconds: i64, session: u32, frame: u64) {
    let url = "ws://127.0.0.1/".to_owned();
    ledger.event(at(seconds), session, frame, &Event::Connected { url });
}

fn lost(ledger: &mut Ledger, seconds: i64, session: u32, frame: u64) {
    let (reason, detail) = (GapReason::Reset, String::new());
    ledger.event(
        at(seconds),
        session,
        frame,
        &Event::Disconnected { reason, detail },
    );
}

/// A session up to its third frame, each of which ends a file; and a gap, whose first part is in the third.
fn day() -> (Ledger, Vec<Slice>) {
    let mut ledger = Ledger::new(date());
    let expected = Some((at(0).0, at(9000).0));
    let rules = Event::Date {
        expected,
        rotate_us: 0,
        rows_max: 1,
        continues: false,
    };
    ledger.event(at(10), 0, 0, &rules);
    connected(&mut ledger, 10, 1, 0);
    let mut slices = Vec::new();
    for (frame, seconds) in [(1, 20), (2, 30), (3, 40)] {
        ledger.frame(at(seconds), 1, frame, 5);
        if frame == 3 {
            lost(&mut ledger, 50, 1, 3);
            ledger.event(at(60), 1, 3, &Event::TimeMark);
        }
        slices.push(ledger.commit());
    }
    (ledger, slices)
}

#[test]
fn a_slice_of_another_version_is_not_read() {
    let (_, slices) = day();
    let json = slices[0].to_json();
    assert_eq!(Slice::parse(&json).as_ref(), Some(&slices[0]));
    let other = json.replace("\"version\":1", "\"version\":2");
    assert_ne!(other, json);
    assert_eq!(Slice::parse(&other), None);
    assert_eq!(Slice::parse(&json[1..]), None);
}

/// The exporter found no readable file, and called everything before it unknown; then one was restored.
#[test]
fn what_one_file_knows_stands_above_what_another_calls_unknown() {
    let (_, slices) = day();
    let mut without = Ledger::lost(date(), 3, "lost".to_owned());
    connected(&mut without, 100, 2, 3);
    without.frame(at(110), 2, 4, 5);
    let late = without.commit();
    assert_eq!(rows(&without), [(0, 100, "unknown"), (100, 110, "connected")]);
    let known = [&slices[..], std::slice::from_ref(&late)].concat();
    assert_eq!(
        rows(&Ledger::of_slices(date(), &known).unwrap()),
        [
            (0, 10, "not_running"),
            (10, 50, "connected"),
            (50, 60, "reset"),
            (60, 100, "unknown"),
            (100, 110, "connected"),
        ]
    );
    // A file that knows all of that time leaves none of it unknown.
    let mut whole = Ledger::of_slices(date(), &slices).unwrap();
    connected(&mut whole, 200, 2, 3);
    whole.frame(at(210), 2, 4, 5);
    let of_whole = [&slices[..], &[whole.commit(), late]].concat();
    let all = rows(&Ledger::of_slices(date(), &of_whole).unwrap());
    assert_eq!(all[2], (50, 200, "reset"), "{all:?}");
}

/// The open interval is in two pieces, the first of which is in a file that is lost: what that held stays unknown, also
/// when the day goes on.
#[test]
fn a_hole_is_never_taken_for_the_beginning_of_the_open_interval() {
    let (mut ledger, mut slices) = day();
    connected(&mut ledger, 100, 2, 3);
    ledger.frame(at(110), 2, 4, 5);
    lost(&mut ledger, 8000, 2, 4);
    // The gap continues past the end of the hours, at 9000.
    for seconds in [8100, 9050, 9100] {
        ledger.event(at(seconds), 2, 4, &Event::TimeMark);
        slices.push(ledger.commit());
    }
    assert_eq!((slices[5].open_rows, slices[5].rows.len()), (2, 1));
    slices.remove(4);
    let mut of_files = Ledger::of_slices(date(), &slices).unwrap();
    let expected = [
        (100, 8000, "connected"),
        (8000, 8100, "reset"),
        (8100, 9050, "unknown"),
        (9050, 9100, "reset"),
    ];
    assert_eq!(rows(&of_files)[3..], expected);
    connected(&mut of_files, 9200, 3, 4);
    of_files.frame(at(9210), 3, 5, 5);
    assert_eq!(rows(&of_files)[3..6], expected[..3]);
    assert_eq!(rows(&of_files)[6], (9050, 9200, "reset"));
}

/// Coverage is of the same last frame, and was told otherwise what lies before: the next file adds what is new, no more.
#[test]
fn behind_what_was_grafted_the_next_file_adds_what_no_file_has() {
    let (mut stored, mut slices) = day();
    // After the last file, so only in coverage.
    stored.event(at(70), 1, 3, &Event::Stop);
    slices.remove(1);
    let mut ledger = Ledger::of_slices(date(), &slices).unwrap();
    ledger.graft(&stored);
    let grafted = rows(&ledger);
    assert!(
        grafted.contains(&(20, 30, "unknown")) && grafted.contains(&(50, 70, "reset")),
        "{grafted:?}"
    );
    connected(&mut ledger, 100, 2, 3);
    ledger.frame(at(110), 2, 4, 5);
    slices.push(ledger.commit());
    let of_files = Ledger::of_slices(date(), &slices).unwrap();
    assert_eq!(rows(&of_files), rows(&ledger));
}
