//! Coverage and the committed files: it never says more than they hold, whatever is restored, damaged or set back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::{
    self, HEADER, NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, copy_tree, coverage, date, event,
    export, feed, frame, journal, quarantine, segments, trades,
};
use chrono::NaiveDate;
use krx_store::absence::{absent, record_absent};
use krx_store::coverage::{Interval, State, view};
use krx_store::day::{Layout, Sealing, Watch, seal};
use krx_store::journal::What;
use krx_store::rebuild::{Access, rebuild};
use krx_store::verify::{Kind, verify};
use krx_store::{DataDir, DateRules, Entry, Event, Moment};
use proptest::prelude::*;

fn start(at: i64) -> Entry<Vec<u8>> {
    event(at, Event::Start { version: "0".into() })
}

/// The intervals from the first session on, in seconds after nine o'clock, with their frames.
fn rows(intervals: &[Interval]) -> Vec<(i64, i64, &'static str, u64)> {
    let seconds = |moment: Moment| (moment.0 - NINE).div_euclid(SECOND);
    intervals
        .iter()
        .skip_while(|row| row.state != State::Live)
        .map(|row| {
            (
                seconds(row.from),
                seconds(row.to),
                row.reason.as_str(),
                row.frames,
            )
        })
        .collect()
}

/// Appends entries to the journal as a recorder does that rules each date: data is expected all day.
fn record(dir: &Path, entries: &[Entry<Vec<u8>>]) {
    let rules = |date: NaiveDate| DateRules {
        expected: Some((
            Moment::midnight(date),
            Moment(Moment::midnight(date).0 + 86_400 * SECOND),
        )),
        rotate_us: 60 * SECOND,
        rows_max: 1000,
    };
    let writer = krx_store::open_writer(&DataDir::new(dir), &feed(), SMALL_SEGMENTS, Arc::default());
    let mut writer = writer.unwrap().with_rules(Box::new(rules));
    for entry in entries {
        writer.append(std::slice::from_ref(entry)).unwrap();
    }
    writer.close().unwrap();
}

/// Each frame that was received at an instant that coverage calls live is in a committed file (I8).
fn assert_i8(dir: &Path, received: &[(i64, usize)]) {
    let committed: BTreeSet<i64> = trades(dir).iter().map(|row| row.4).collect();
    let rejected = quarantine(dir).len();
    for row in coverage(dir).iter().filter(|row| row.state == State::Live) {
        for (at, records) in received {
            let is_live = *at > row.from.0 && *at <= row.to.0;
            assert!(
                !is_live || *records == 0 || committed.contains(at),
                "{at} is live by {row:?}, and in no file ({rejected} rejected)"
            );
        }
    }
}

/// Coverage and files agree. A list of checksums naming files that were not restored is another matter.
fn assert_agreement(dir: &Path) {
    let report = verify(&DataDir::new(dir), &BTreeSet::from([date()]), &|_| ()).unwrap();
    let found: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !matches!(finding.kind, Kind::Missing | Kind::Hole))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

fn assert_sound(dir: &Path) {
    let report = verify(&DataDir::new(dir), &BTreeSet::from([date()]), &|_| ()).unwrap();
    assert!(report.ok, "{:#?}", report.findings);
}

#[test]
fn i8_a_session_that_ends_within_a_partition_is_live_up_to_what_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = vec![start(NINE), connected(NINE)];
    entries.extend((1..=8).map(|minute| frame(NINE + minute * 60 * SECOND, &batch(1, 1))));
    let lost = Event::Disconnected {
        reason: krx_store::journal::GapReason::ServerClosed,
        detail: String::new(),
    };
    entries.push(event(NINE + 490 * SECOND, lost));
    record(dir.path(), &entries);
    export(dir.path(), config(300, 1000));
    // The frame of 9:08 opens no file that is committed: with rules of a minute each, the one of 9:07 is the last.
    assert_eq!(rows(&coverage(dir.path())), [(0, 420, "connected", 7)]);
    let seen = view(
        &DataDir::new(dir.path()),
        &feed(),
        date(),
        Moment(NINE + 500 * SECOND),
    )
    .unwrap();
    assert_eq!(
        rows(&seen),
        [(0, 490, "connected", 8), (490, 500, "crash", 0)],
        "asking now includes the journal"
    );
    record(dir.path(), &[event(NINE + 600 * SECOND, Event::Stop)]);
    export(dir.path(), config(300, 1000));
    assert_eq!(rows(&coverage(dir.path()))[..1], [(0, 490, "connected", 8)]);
    assert_sound(dir.path());
}

/// A recorder is killed, and restarted on another date: nothing in the journal says that the first date is over.
#[test]
fn i4_a_crash_is_on_record_also_when_the_next_start_is_on_another_date() {
    let dir = tempfile::tempdir().unwrap();
    let next = NINE + 86_400 * SECOND;
    let day = |at: i64| [start(at), connected(at), frame(at + SECOND, &batch(1, 1))];
    record(dir.path(), &day(NINE));
    record(
        dir.path(),
        &[&day(next)[..], &[event(next + 2 * SECOND, Event::Stop)]].concat(),
    );
    export(dir.path(), config(60, 1000));
    let all: Vec<_> = coverage(dir.path())
        .into_iter()
        .filter(|row| row.from.0 < next - 9 * 3600 * SECOND)
        .collect();
    assert_eq!(rows(&all), [(0, 1, "connected", 1), (1, 15 * 3600, "crash", 0)]);
    assert_sound(dir.path());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is received, and wherever the exporter is stopped: no coverage file calls an instant live if the
    /// committed files lack a record of it.
    #[test]
    fn i8_no_instant_is_live_with_a_record_missing(
        steps in prop::collection::vec((0..40_i64, 0..12_u8), 1..40), rows_max in 2..9_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut at, mut received, mut is_live) = (NINE, Vec::new(), true);
        let mut entries = vec![start(at), connected(at)];
        for (wait, what) in steps {
            // Frames often come in the same microsecond, events at times of their own; seldom in another partition.
            at += if wait < 25 { i64::from(what >= 7 || wait > 20) } else { wait * SECOND };
            is_live = what == 10 || (is_live && what < 9);
            entries.push(match what {
                0..7 if !is_live => event(at, Event::TimeMark),
                0..7 => {
                    received.push((at, 2));
                    frame(at, &batch(2, 1))
                }
                7 => event(at, Event::CommitNow),
                8 => event(at, Event::TimeMark),
                9 => event(at, Event::Disconnected { reason: krx_store::journal::GapReason::Stalled, detail: String::new() }),
                10 => connected(at),
                _ => start(at),
            });
            at += i64::from(what >= 7);
            // The recorder is stopped, and the exporter with it.
            if what >= 10 {
                journal(dir.path(), SMALL_SEGMENTS, &std::mem::take(&mut entries));
                export(dir.path(), config(60, rows_max));
                assert_i8(dir.path(), &received);
            }
        }
        entries.push(event(at, Event::Stop));
        journal(dir.path(), SMALL_SEGMENTS, &entries);
        export(dir.path(), config(60, rows_max));
        assert_i8(dir.path(), &received);
        assert_eq!(trades(dir.path()).len(), received.len() * 2);
        assert_sound(dir.path());
    }
}

/// A day until 9:05, and until 9:10; the journal of the second continues where that of the first ends.
fn two_stages() -> (tempfile::TempDir, tempfile::TempDir) {
    let (early, late) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let minute = |minute: i64| frame(NINE + minute * 60 * SECOND, &batch(3, 1));
    let mut entries = vec![start(NINE), connected(NINE)];
    entries.extend((1..=5).map(minute));
    record(early.path(), &entries);
    export(early.path(), config(60, 1000));
    copy_tree(early.path(), late.path());
    record(late.path(), &(6..=10).map(minute).collect::<Vec<_>>());
    export(late.path(), config(60, 1000));
    (early, late)
}

/// Continues from what was restored: an hour later another session brings two more frames.
fn go_on(dir: &Path) {
    let at = NINE + 3600 * SECOND;
    record(
        dir,
        &[
            start(at),
            connected(at + SECOND),
            frame(at + 2 * SECOND, &batch(3, 2)),
            frame(at + 3 * SECOND, &batch(3, 2)),
            event(at + 4 * SECOND, Event::Stop),
        ],
    );
    export(dir, config(60, 1000));
}

fn replace(from: &Path, to: &Path, what: &str) {
    let target = to.join(what);
    if target.exists() {
        fs::remove_dir_all(&target).unwrap();
    }
    if from.join(what).exists() {
        copy_tree(&from.join(what), &target);
    }
}

#[test]
fn i8_a_restore_in_mid_day_has_a_gap_and_goes_on() {
    for (what, restore) in [
        (".krx is older", &[".krx"][..]),
        (".krx and coverage are older", &[".krx", "coverage"]),
        ("trades are older", &["trades"]),
        ("trades and .krx are older, coverage is not", &["trades", ".krx"]),
        ("coverage is older", &["coverage"]),
    ] {
        let (early, late) = two_stages();
        for part in restore {
            replace(early.path(), late.path(), part);
        }
        check_restored(late.path(), what);
    }
    for (what, lost) in [
        (".krx is lost", &[".krx"][..]),
        ("the journal is lost", &[".krx/journal"]),
        (
            "the journal's directory of the feed is lost",
            &[".krx/journal/KOSPI"],
        ),
        (".krx and coverage are lost", &[".krx", "coverage"]),
        ("coverage is lost", &["coverage"]),
        ("all but trades is lost", &[".krx", "coverage", "quarantine"]),
    ] {
        let (_, late) = two_stages();
        for part in lost {
            let _ = fs::remove_dir_all(late.path().join(part));
        }
        check_restored(late.path(), what);
    }
}

fn check_restored(dir: &Path, what: &str) {
    let before: BTreeSet<i64> = trades(dir).iter().map(|row| row.0).collect();
    go_on(dir);
    let held: BTreeSet<i64> = trades(dir).iter().map(|row| row.0).collect();
    assert_eq!(held.len(), trades(dir).len() / 3, "{what}: no frame twice");
    assert!(
        held.is_superset(&before) && held.len() >= before.len() + 2,
        "{what}: {held:?}"
    );
    let all = coverage(dir);
    let frames: u64 = all.iter().map(|row| row.frames).sum();
    assert_eq!(frames, held.len() as u64, "{what}: {:?}", rows(&all));
    let live: Vec<_> = all.iter().filter(|row| row.state == State::Live).collect();
    assert!(live.len() >= 2, "{what}: {:?}", rows(&all));
    // Coverage may know numbers of frames that no longer exist anywhere.
    let gap = all
        .iter()
        .rfind(|row| matches!(row.reason.as_str(), "crash" | "damage"));
    let gap = gap.unwrap_or_else(|| panic!("{what}: {:?}", rows(&all)));
    assert_eq!(gap.to.0, NINE + 3600 * SECOND, "{what}");
    assert!(gap.from.0 <= NINE + 600 * SECOND, "{what}");
    assert!(all.windows(2).all(|pair| pair[0].to == pair[1].from), "{what}");
    assert_agreement(dir);
}

/// Trades are restored from an older copy, the recorder continues, and only then are the files found again.
#[test]
fn files_that_come_back_behind_a_later_start_are_live_again() {
    let (early, late) = two_stages();
    let whole = support::tree(late.path());
    replace(early.path(), late.path(), "trades");
    go_on(late.path());
    let gap = |dir: &Path| coverage(dir).iter().any(|row| row.reason.as_str() == "damage");
    assert!(gap(late.path()), "{:?}", rows(&coverage(late.path())));
    let lost = |path: &Path| path.starts_with("trades") && !late.path().join(path).exists();
    for (path, bytes) in whole.iter().filter(|(path, _)| lost(path)) {
        fs::write(late.path().join(path), bytes).unwrap();
    }
    let data = DataDir::new(late.path());
    let access = Access::take(&data, date()).unwrap();
    rebuild(&data, &feed(), date(), config(60, 1000), &access, false).unwrap();
    drop(access);
    let all = coverage(late.path());
    assert!(
        all.windows(2).all(|pair| pair[0].to == pair[1].from),
        "{:?}",
        rows(&all)
    );
    let frames: u64 = all.iter().map(|row| row.frames).sum();
    assert_eq!(frames, trades(late.path()).len() as u64 / 3);
    // Each row lies in a live interval again.
    for (_, _, _, _, recv) in trades(late.path()) {
        let is_live = |row: &Interval| row.state == State::Live && row.from.0 <= recv && recv <= row.to.0;
        assert!(all.iter().any(is_live), "{recv}: {:?}", rows(&all));
    }
    assert_agreement(late.path());
}

/// Files from before a day was sealed, restored beside it: readers find each row twice, but coverage counts it once.
#[test]
fn files_that_others_hold_already_count_once() {
    let (_, late) = two_stages();
    go_on(late.path());
    let data = DataDir::new(late.path());
    let before = support::tree(late.path());
    let frames = |dir: &Path| coverage(dir).iter().map(|row| row.frames).sum::<u64>();
    let count = frames(late.path());
    let sealing = Sealing::take(&data, 0).unwrap();
    let watch = Watch::nobody();
    seal(
        &sealing,
        &krx_store::service::TRADES,
        &feed(),
        date(),
        &Layout::default(),
        watch,
    )
    .unwrap();
    sealing.finish().unwrap();
    for (path, bytes) in before.iter().filter(|(path, _)| path.starts_with("trades")) {
        fs::write(late.path().join(path), bytes).unwrap();
    }
    go_on(late.path());
    assert_eq!(
        frames(late.path()),
        count + 2,
        "the second time brought two frames more"
    );
}

#[test]
fn a_file_that_is_lost_is_a_gap_in_coverage_from_the_next_start_on() {
    let (_, late) = two_stages();
    let middle = support::files(&late.path().join("trades"), "parquet").remove(6);
    fs::remove_file(&middle).unwrap();
    let list = DataDir::new(late.path()).checksum_list(date());
    fs::remove_file(list).unwrap();
    go_on(late.path());
    let all = coverage(late.path());
    let gap = all.iter().find(|row| row.reason.as_str() == "unknown").unwrap();
    assert_eq!((gap.from.0, gap.to.0), (NINE + 360 * SECOND, NINE + 420 * SECOND));
    assert_eq!(gap.state, State::Gap);
    let frames: u64 = all.iter().map(|row| row.frames).sum();
    assert_eq!(frames, trades(late.path()).len() as u64 / 3);
}

/// What retention has removed of the trades is known only to coverage, even when a recorder with a wrong clock
/// continues the date.
#[test]
fn coverage_of_trades_that_retention_has_removed_stays() {
    let (_, late) = two_stages();
    let dir = late.path();
    for gone in ["trades", "quarantine", ".krx/journal"] {
        let _ = fs::remove_dir_all(dir.join(gone));
    }
    fs::create_dir_all(dir.join(".krx/expired")).unwrap();
    fs::write(DataDir::new(dir).expired(&krx_store::service::TRADES, date()), "").unwrap();
    let before = coverage(dir);
    let frames = |rows: &[Interval]| rows.iter().map(|row| row.frames).sum::<u64>();
    assert!(frames(&before) >= 9);
    go_on(dir);
    let after = coverage(dir);
    assert_eq!(frames(&after), frames(&before) + 2);
    assert_eq!(rows(&after)[0], rows(&before)[0]);
    // Without a note by retention they are lost, and coverage says so.
    let (_, late) = two_stages();
    let dir = late.path();
    for gone in ["trades", "quarantine", ".krx/journal"] {
        let _ = fs::remove_dir_all(dir.join(gone));
    }
    go_on(dir);
    assert_eq!(frames(&coverage(dir)), 2);
}

/// One bit of a frame that coverage once counted, and that no file has.
#[test]
fn i8_what_is_missing_comes_from_what_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = [start(NINE), connected(NINE)]
        .into_iter()
        .chain((1..=3).map(|second| frame(NINE + second * SECOND, &batch(1, 1))))
        .collect();
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    // The exporter has seen them all; nothing ends the file.
    export(dir.path(), config(60, 1000));
    let segment = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let text = batch(1, 1);
    let at = bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| *window == text.as_bytes())
        .nth(1)
        .unwrap()
        .0;
    assert!(at as u64 > HEADER);
    bytes[at + 5] ^= 1;
    fs::write(&segment, bytes).unwrap();
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[event(NINE + 10 * SECOND, Event::Stop)],
    );
    export(dir.path(), config(60, 1000));
    assert_eq!(
        trades(dir.path()).iter().map(|row| row.0).collect::<Vec<_>>(),
        [1, 3]
    );
    let all = coverage(dir.path());
    let gap = all.iter().find(|row| row.reason.as_str() == "damage").unwrap();
    assert!(
        gap.detail
            .as_deref()
            .unwrap()
            .contains("frames 2 to 2 are missing"),
        "{gap:?}"
    );
    assert_eq!((gap.from.0, gap.to.0), (NINE + SECOND, NINE + 3 * SECOND - 1));
    assert_sound_but_known(dir.path());
}

fn assert_sound_but_known(dir: &Path) {
    let report = verify(&DataDir::new(dir), &BTreeSet::from([date()]), &|_| ()).unwrap();
    let journal = |finding: &&krx_store::verify::Finding| !finding.path.starts_with(".krx/journal");
    assert_eq!(
        report.findings.iter().filter(journal).count(),
        0,
        "{:#?}",
        report.findings
    );
    assert_eq!(report.known.len(), 1);
}

/// Damage in what is already exported costs nothing, and is not a gap.
#[test]
fn damage_in_exported_journal_is_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        connected(NINE),
        frame(NINE + SECOND, &batch(1, 1)),
        frame(NINE + 2 * SECOND, &batch(1, 1)),
        event(NINE + 3 * SECOND, Event::CommitNow),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(60, 1000));
    let segment = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let first = bytes
        .windows(9)
        .position(|window| window == b"\"isuSrtCd")
        .unwrap();
    bytes[first] ^= 1;
    fs::write(&segment, bytes).unwrap();
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            frame(NINE + 4 * SECOND, &batch(1, 2)),
            event(NINE + 5 * SECOND, Event::Stop),
        ],
    );
    export(dir.path(), config(60, 1000));
    assert_eq!(rows(&coverage(dir.path()))[0], (0, 5, "connected", 3));
    assert_eq!(trades(dir.path()).len(), 3);
}

#[test]
fn i4_a_clock_that_leaps_over_midnight_and_back_costs_the_day_nothing_but_the_leap() {
    let dir = tempfile::tempdir().unwrap();
    let midnight = NINE + 15 * 3600 * SECOND;
    let lines =
        |from: i64, count: i64| (0..count).map(move |second| frame(from + second * SECOND, &batch(1, 1)));
    let mut entries = vec![start(NINE), connected(NINE)];
    entries.extend(lines(NINE + SECOND, 5));
    // Two seconds of tomorrow.
    entries.extend(lines(midnight + SECOND, 2));
    entries.extend(lines(NINE + 10 * SECOND, 5));
    record(dir.path(), &entries);
    // Killed, and started again five minutes later.
    record(
        dir.path(),
        &[
            start(NINE + 300 * SECOND),
            connected(NINE + 301 * SECOND),
            frame(NINE + 302 * SECOND, &batch(1, 1)),
            event(NINE + 303 * SECOND, Event::Stop),
        ],
    );
    export(dir.path(), config(60, 1000));
    let data = DataDir::new(dir.path());
    let today = view(&data, &feed(), date(), Moment(NINE + 400 * SECOND)).unwrap();
    assert_eq!(
        rows(&today),
        [
            (0, 5, "connected", 5),
            (5, 9, "clock", 0),
            (9, 14, "continued", 5),
            (14, 300, "crash", 0),
            (300, 301, "start", 0),
            (301, 303, "connected", 1),
            (303, 400, "shutdown", 0),
        ]
    );
    let tomorrow = date().succ_opt().unwrap();
    let next = view(&data, &feed(), tomorrow, Moment(NINE + 400 * SECOND)).unwrap();
    let live: u64 = next
        .iter()
        .filter(|row| row.state == State::Live)
        .map(|row| row.frames)
        .sum();
    assert_eq!(live, 2, "they are where the clock was: {next:?}");
    assert_sound(dir.path());
}

#[test]
fn i9_a_trading_day_on_which_nothing_ran_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let day = |number: u32| NaiveDate::from_ymd_opt(2026, 11, number).unwrap();
    let at = |number: u32| Moment::midnight(day(number)).0 + 9 * 3600 * SECOND;
    // Weekdays trade, from nine to half past three.
    let hours = |date: NaiveDate| {
        use chrono::Datelike;
        let nine = Moment::midnight(date).0 + 9 * 3600 * SECOND;
        (date.weekday().number_from_monday() <= 5).then_some((Moment(nine), Moment(nine + 23_400 * SECOND)))
    };
    let ask = |last: u32, today: u32| {
        let absent = absent(&data, &feed(), day(last), day(today), &hours).unwrap();
        assert!(absent.days.is_empty() || absent.believed);
        absent.days
    };
    assert_eq!(ask(30, 30), [], "nothing was ever recorded");
    // The 5th and the 10th are missing; the 7th and 8th are a weekend.
    for number in [2, 3, 4, 6, 9, 11] {
        record(
            dir.path(),
            &[
                start(at(number)),
                connected(at(number)),
                frame(at(number) + 1, &batch(1, 1)),
                event(at(number) + 2, Event::Stop),
            ],
        );
        export(dir.path(), config(60, 1000));
    }
    assert_eq!(ask(11, 12), [day(5), day(10)]);
    assert_eq!(ask(9, 12), [day(5)]);
    assert_eq!(ask(11, 12).len(), 2);
    let ahead = day(11) + chrono::Days::new(365);
    let doubtful = absent(&data, &feed(), day(11), ahead, &hours).unwrap();
    assert_eq!(doubtful.days, [day(5), day(10)]);
    assert!(!doubtful.believed, "a clock that is a year ahead is not believed");
    // What retention removed stays removed.
    fs::create_dir_all(dir.path().join(".krx/expired")).unwrap();
    let mark = dir.path().join(".krx/expired/coverage-2026-11-05");
    fs::write(&mark, "").unwrap();
    assert_eq!(ask(11, 12), [day(10)]);
    fs::remove_file(&mark).unwrap();
    for date in ask(11, 12) {
        record_absent(&data, &feed(), date, hours(date).unwrap()).unwrap();
    }
    assert_eq!(ask(11, 12), []);
    let all = view(&data, &feed(), day(5), Moment(at(12))).unwrap();
    let states: Vec<_> = all
        .iter()
        .map(|row| {
            (
                row.state.as_str(),
                row.reason.as_str(),
                row.frames,
                (row.to.0 - row.from.0) / SECOND,
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("idle", "not_running", 0, 32_400),
            ("gap", "not_running", 0, 23_400),
            ("idle", "not_running", 0, 30_600)
        ]
    );
    let dates = (2..=11).map(day).collect();
    let report = verify(&data, &dates, &|_| ()).unwrap();
    assert!(report.ok, "{:#?}", report.findings);
    // A recorder whose clock was wrong may record on that date all the same.
    let late = at(5) + 3600 * SECOND;
    record(
        dir.path(),
        &[
            start(late),
            connected(late),
            frame(late + 1, &batch(1, 1)),
            event(late + 2, Event::Stop),
        ],
    );
    export(dir.path(), config(60, 1000));
    let report = verify(&data, &BTreeSet::from([day(5)]), &|_| ()).unwrap();
    assert!(report.ok, "{:#?}", report.findings);
    let _ = What::<Vec<u8>>::Event(Event::Stop);
}
