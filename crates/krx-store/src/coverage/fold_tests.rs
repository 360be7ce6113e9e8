//! The fold: one day of it, and any journal at all.

use chrono::NaiveDate;
use proptest::prelude::*;

use super::super::slice::Slice;
use super::*;

const SECOND: i64 = 1_000_000;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// Seconds after midnight.
fn at(seconds: i64) -> Moment {
    Moment(bounds(date()).0.0 + seconds * SECOND)
}

fn hours(from: i64, to: i64) -> Option<(i64, i64)> {
    Some((at(from).0, at(to).0))
}

fn date_event(expected: Option<(i64, i64)>, continues: bool) -> Event {
    Event::Date {
        expected,
        rotate_us: 300 * SECOND,
        rows_max: 1000,
        continues,
    }
}

fn start() -> Event {
    Event::Start {
        version: "test".into(),
    }
}

fn connected() -> Event {
    Event::Connected {
        url: "ws://127.0.0.1/".into(),
    }
}

fn disconnected(reason: GapReason) -> Event {
    Event::Disconnected {
        reason,
        detail: String::new(),
    }
}

fn failed(reason: GapReason, detail: &str) -> Event {
    Event::ConnectFailed {
        reason,
        detail: detail.into(),
    }
}

/// Rows as (from, to, state, reason), in seconds after midnight.
fn rows(intervals: &[Interval]) -> Vec<(i64, i64, &'static str, &'static str)> {
    let seconds = |moment: Moment| (moment.0 - at(0).0) / SECOND;
    intervals
        .iter()
        .map(|row| {
            (
                seconds(row.from),
                seconds(row.to),
                row.state.as_str(),
                row.reason.as_str(),
            )
        })
        .collect()
}

#[test]
fn i4_a_day_with_everything_in_it() {
    let mut ledger = Ledger::new(date());
    let event = |ledger: &mut Ledger, seconds, session, frame, event: Event| {
        ledger.event(at(seconds), session, frame, &event);
    };
    event(&mut ledger, 1500, 0, 0, date_event(hours(1000, 9000), false));
    event(&mut ledger, 1500, 0, 0, start());
    event(
        &mut ledger,
        1510,
        0,
        0,
        failed(GapReason::Unreachable, "no route"),
    );
    event(&mut ledger, 1520, 0, 0, failed(GapReason::Unreachable, "timeout"));
    event(&mut ledger, 1530, 1, 0, connected());
    ledger.frame(at(1540), 1, 1, 50);
    ledger.frame(at(1550), 1, 2, 50);
    // Nothing came from 1550 on, which was noticed half a minute later.
    event(&mut ledger, 1580, 1, 2, disconnected(GapReason::Stalled));
    event(&mut ledger, 1590, 2, 2, connected());
    ledger.frame(at(1600), 2, 3, 50);
    event(&mut ledger, 1650, 2, 3, Event::Paused { since_us: at(1610).0 });
    ledger.frame(at(1660), 2, 4, 50);
    event(&mut ledger, 1700, 2, 4, Event::DiskWait { since_us: at(1660).0 });
    ledger.frame(at(1710), 2, 5, 50);
    // Killed, and started again a minute later.
    event(&mut ledger, 1770, 2, 5, date_event(hours(1000, 9000), false));
    event(&mut ledger, 1770, 2, 5, start());
    event(&mut ledger, 1771, 2, 5, failed(GapReason::Refused, "HTTP 401"));
    event(&mut ledger, 1780, 3, 5, connected());
    ledger.frame(at(1790), 3, 6, 50);
    ledger.damage("bytes 5 to 9".into());
    ledger.frame(at(1800), 3, 9, 50);
    event(&mut ledger, 9000, 3, 9, disconnected(GapReason::Shutdown));
    event(&mut ledger, 9000, 3, 9, Event::SessionEnd);
    event(&mut ledger, 9100, 3, 9, Event::Stop);
    ledger.end_date();
    let all = ledger.intervals();
    let all = if all.last().unwrap().to < bounds(date()).1 {
        ledger.until(bounds(date()).1)
    } else {
        all
    };
    assert_eq!(
        rows(&all),
        [
            (0, 1000, "idle", "not_running"),
            (1000, 1500, "gap", "not_running"),
            (1500, 1530, "gap", "start"),
            (1530, 1550, "live", "connected"),
            (1550, 1590, "gap", "stalled"),
            (1590, 1610, "live", "connected"),
            (1610, 1650, "gap", "paused"),
            (1650, 1660, "live", "resumed"),
            (1660, 1700, "gap", "disk"),
            (1700, 1710, "live", "resumed"),
            (1710, 1770, "gap", "crash"),
            (1770, 1771, "gap", "start"),
            (1771, 1780, "gap", "refused"),
            (1780, 1790, "live", "connected"),
            // The frame after it is in what follows.
            (1790, 1799, "gap", "damage"),
            (1799, 9000, "live", "resumed"),
            (9000, 9100, "idle", "session_end"),
            (9100, 86_400, "idle", "shutdown"),
        ]
    );
    let details: Vec<_> = all.iter().filter_map(|row| row.detail.as_deref()).collect();
    assert_eq!(
        details,
        [
            "2 attempts to connect failed, the last: unreachable: timeout",
            "1 attempt to connect failed, the last: refused: HTTP 401",
            "bytes 5 to 9; frames 7 to 8 are missing"
        ]
    );
    let frames: Vec<_> = all
        .iter()
        .filter(|row| row.state == State::Live)
        .map(|row| (row.session.unwrap(), row.frames, row.rows))
        .collect();
    assert_eq!(
        frames,
        [
            (1, 2, 100),
            (2, 1, 50),
            (2, 1, 50),
            (2, 1, 50),
            (3, 1, 50),
            (3, 1, 50)
        ]
    );
    assert_eq!(ledger.last_session(), 3);
}

#[test]
fn i4_right_after_a_crash_the_gap_begins_with_the_last_frame() {
    let mut ledger = Ledger::new(date());
    ledger.event(at(0), 0, 0, &date_event(hours(0, 86_400), false));
    ledger.event(at(100), 0, 0, &start());
    ledger.event(at(101), 1, 0, &connected());
    ledger.frame(at(110), 1, 1, 5);
    ledger.event(at(120), 1, 1, &Event::TimeMark);
    let crashed = ledger.without_recorder(at(150));
    assert_eq!(
        rows(&crashed)[1..],
        [
            (100, 101, "gap", "start"),
            (101, 110, "live", "connected"),
            (110, 150, "gap", "crash")
        ]
    );
    // While a recorder is running, the session is still open.
    assert_eq!(rows(&ledger.until(at(150)))[2], (101, 150, "live", "connected"));
}

#[test]
fn a_session_over_midnight_is_live_on_both_dates() {
    let mut before = Ledger::new(date());
    before.event(at(100), 0, 0, &date_event(hours(0, 86_400), false));
    before.event(at(100), 0, 0, &start());
    before.event(at(100), 1, 0, &connected());
    before.frame(at(200), 1, 1, 5);
    before.event(at(86_100), 1, 1, &Event::TimeMark);
    before.event(at(86_400), 1, 1, &Event::DateEnd);
    before.end_date();
    assert_eq!(
        rows(&before.intervals()),
        [
            (0, 100, "idle", "not_running"),
            (100, 86_400, "live", "connected")
        ]
    );
    let mut after = Ledger::new(date());
    after.event(at(50), 0, 0, &date_event(hours(0, 86_400), true));
    after.event(at(50), 1, 0, &Event::Continued);
    after.frame(at(60), 1, 1, 5);
    assert_eq!(rows(&after.intervals()), [(0, 60, "live", "continued")]);
    // One that is not connected at midnight has a gap from then on.
    let mut seeking = Ledger::new(date());
    seeking.event(at(50), 0, 0, &date_event(hours(0, 86_400), true));
    seeking.event(at(50), 0, 0, &failed(GapReason::Reset, "x"));
    seeking.event(at(60), 1, 0, &connected());
    assert_eq!(rows(&seeking.until(at(61)))[0], (0, 60, "gap", "not_connected"));
}

#[test]
fn i4_a_clock_that_leaps_over_midnight_makes_nothing_live() {
    let mut ledger = Ledger::new(date());
    ledger.event(at(100), 0, 0, &date_event(hours(0, 86_400), false));
    ledger.event(at(100), 0, 0, &start());
    ledger.event(at(100), 1, 0, &connected());
    ledger.frame(at(36_000), 1, 1, 5);
    ledger.event(at(86_400), 1, 1, &Event::DateEnd);
    let leapt = [
        (100, 36_000, "live", "connected"),
        (36_000, 86_400, "gap", "clock"),
    ];
    assert_eq!(rows(&ledger.intervals())[1..], leapt);
    ledger.end_date();
    assert_eq!(rows(&ledger.intervals())[1..], leapt);
    // It is corrected two seconds later, and the recorder is killed; another one continues.
    let mut killed = ledger.clone();
    killed.event(at(36_300), 1, 1, &date_event(hours(0, 86_400), false));
    killed.event(at(36_300), 1, 1, &start());
    killed.event(at(36_310), 2, 1, &connected());
    killed.frame(at(36_320), 2, 2, 5);
    assert_eq!(
        rows(&killed.intervals())[1..],
        [
            (100, 36_000, "live", "connected"),
            (36_000, 36_300, "gap", "clock"),
            (36_300, 36_310, "gap", "start"),
            (36_310, 36_320, "live", "connected"),
        ]
    );
    // Or the same recorder continues.
    ledger.event(at(36_002), 2, 1, &date_event(hours(0, 86_400), true));
    ledger.event(at(36_002), 2, 1, &Event::Continued);
    ledger.frame(at(36_003), 2, 2, 5);
    let back = [
        (100, 36_000, "live", "connected"),
        // A frame that comes with it lies in it.
        (36_000, 36_001, "gap", "clock"),
        (36_001, 36_003, "live", "continued"),
    ];
    assert_eq!(rows(&ledger.intervals())[1..], back);
    // Shortly before midnight a jump looks like the end of the date, until the clock comes back.
    let mut late = Ledger::new(date());
    late.event(at(86_000), 0, 0, &date_event(hours(0, 86_400), false));
    late.event(at(86_000), 1, 0, &connected());
    late.frame(at(86_200), 1, 1, 5);
    late.event(at(86_400), 1, 1, &Event::DateEnd);
    assert_eq!(
        rows(&late.intervals()).last(),
        Some(&(86_000, 86_400, "live", "connected"))
    );
    late.event(at(86_210), 2, 1, &date_event(hours(0, 86_400), true));
    late.event(at(86_210), 2, 1, &Event::Continued);
    late.frame(at(86_220), 2, 2, 5);
    assert_eq!(
        rows(&late.intervals())[1..],
        [
            (86_000, 86_200, "live", "connected"),
            (86_200, 86_209, "gap", "clock"),
            (86_209, 86_220, "live", "continued"),
        ]
    );
    // The date to which the clock had jumped is left again.
    let mut left = Ledger::new(date());
    left.event(at(5), 0, 0, &date_event(hours(0, 86_400), true));
    left.event(at(5), 1, 0, &Event::Continued);
    left.frame(at(6), 1, 1, 5);
    left.event(at(-40_000), 1, 1, &Event::DateLeft);
    left.end_date();
    assert_eq!(
        rows(&left.intervals()),
        [(0, 6, "live", "continued"), (6, 86_400, "gap", "clock")]
    );
}

#[test]
fn i4_a_recorder_that_said_nothing_before_its_date_ended_has_crashed() {
    let hours = || hours(0, 9000);
    let mut live = Ledger::new(date());
    live.event(at(100), 0, 0, &date_event(hours(), false));
    live.event(at(100), 0, 0, &start());
    live.event(at(101), 1, 0, &connected());
    live.frame(at(200), 1, 1, 5);
    live.event(at(300), 1, 1, &Event::TimeMark);
    let mut seeking = Ledger::new(date());
    seeking.event(at(100), 0, 0, &date_event(hours(), false));
    seeking.event(at(100), 0, 0, &start());
    seeking.event(at(200), 0, 0, &failed(GapReason::Reset, "x"));
    for (ledger, state, since) in [(&live, "live", "connected"), (&seeking, "gap", "start")] {
        let mut ended = ledger.clone();
        ended.end_date();
        let all = rows(&ended.intervals());
        let expected = [(200, 9000, "gap", "crash"), (9000, 86_400, "idle", "crash")];
        assert_eq!(all[all.len() - 2..], expected);
        let before = all[all.len() - 3];
        assert_eq!((before.1, before.2, before.3), (200, state, since));
        assert!(!ended.running());
        // One that said so has not.
        let mut stopped = ledger.clone();
        stopped.event(at(400), 1, stopped.last_frame(), &Event::Stop);
        stopped.end_date();
        assert!(rows(&stopped.intervals()).iter().all(|row| row.3 != "crash"));
        assert_eq!(rows(&stopped.intervals()).last().unwrap().3, "shutdown");
    }
}

/// A gap over an opening is in two pieces, both of which count the attempts; files are committed in between.
#[test]
fn i8_attempts_behind_a_commit_count_in_every_piece_of_their_gap() {
    for (lost, attempts, opening) in [
        (990, [995, 1100], 1000),
        (990, [995, 995], 1000),
        (1010, [1020, 1020], 1000),
    ] {
        let mut ledger = Ledger::new(date());
        ledger.event(at(100), 0, 0, &date_event(hours(opening, 9000), false));
        ledger.event(at(100), 0, 0, &start());
        ledger.event(at(900), 1, 0, &connected());
        ledger.frame(at(950), 1, 1, 5);
        ledger.event(at(lost), 1, 1, &disconnected(GapReason::Reset));
        ledger.event(at(attempts[0]), 1, 1, &failed(GapReason::Reset, "x"));
        if attempts[1] > opening && attempts[0] < opening {
            ledger.event(at(opening + 1), 1, 1, &Event::TimeMark);
        }
        let mut slices = vec![ledger.commit()];
        ledger.event(at(attempts[1]), 1, 1, &failed(GapReason::Reset, "x"));
        ledger.event(at(1200), 2, 1, &connected());
        ledger.frame(at(1300), 2, 2, 5);
        slices.push(ledger.commit());
        let gaps = ledger.intervals();
        let gaps = gaps
            .iter()
            .filter(|row| row.reason == Reason::Lost(GapReason::Reset));
        for row in gaps {
            let detail = row.detail.as_deref().unwrap();
            assert!(detail.starts_with("2 attempts"), "{detail}");
        }
        let of_files = Ledger::of_slices(date(), &slices).unwrap();
        assert_eq!(of_files.intervals(), ledger.intervals());
        assert_eq!(of_files, ledger);
        let merged = Slice::merge(date(), &slices).unwrap();
        assert_eq!(Ledger::of_slices(date(), &[merged]).unwrap(), ledger);
    }
}

#[test]
fn i4_damage_at_the_end_of_a_date_is_on_record() {
    let mut ledger = Ledger::new(date());
    ledger.event(at(100), 0, 0, &date_event(hours(0, 9000), false));
    ledger.event(at(100), 1, 0, &connected());
    ledger.frame(at(200), 1, 1, 5);
    ledger.damage("bytes 5 to 9".into());
    assert_eq!(
        rows(&ledger.without_recorder(at(300))).last(),
        Some(&(200, 300, "gap", "damage"))
    );
    ledger.end_date();
    let all = ledger.intervals();
    assert_eq!(
        rows(&all)[2..],
        [(200, 9000, "gap", "damage"), (9000, 86_400, "idle", "damage")]
    );
    assert_eq!(
        all[2].detail.as_deref(),
        Some("bytes 5 to 9; what followed is not known")
    );
}

#[test]
fn i4_hours_that_change_during_the_date_count_for_what_is_not_closed_yet() {
    let mut ledger = Ledger::new(date());
    let hours_event = |date, expected| Event::Hours { date, expected };
    ledger.event(at(500), 0, 0, &date_event(None, false));
    ledger.event(at(500), 0, 0, &start());
    // For another date: the change came around midnight.
    let tomorrow = date().succ_opt().unwrap();
    ledger.event(at(600), 0, 0, &hours_event(tomorrow, hours(550, 9000)));
    assert_eq!(rows(&ledger.until(at(700))).last().unwrap().2, "idle");
    ledger.event(at(1000), 0, 0, &hours_event(date(), hours(800, 9000)));
    ledger.event(at(1100), 1, 0, &connected());
    ledger.event(at(2000), 1, 0, &hours_event(date(), None));
    ledger.event(at(2000), 1, 0, &disconnected(GapReason::Shutdown));
    assert_eq!(
        rows(&ledger.until(at(3000))),
        [
            (0, 500, "idle", "not_running"),
            (500, 800, "idle", "start"),
            (800, 1100, "gap", "start"),
            (1100, 2000, "live", "connected"),
            (2000, 3000, "idle", "shutdown"),
        ]
    );
}

/// Damage can take away what was between: the clock came back, or the session began within the date.
#[test]
fn i8_a_session_that_goes_on_behind_frames_of_the_date_does_so_from_then_on() {
    let mut ledger = Ledger::new(date());
    ledger.frame(at(0), 0, 1, 7);
    ledger.frame(at(10), 0, 2, 7);
    let first = ledger.commit();
    ledger.event(at(20), 0, 2, &Event::Continued);
    ledger.frame(at(30), 0, 3, 7);
    assert_eq!(
        rows(&ledger.intervals()),
        [(0, 19, "live", "connected"), (19, 30, "live", "continued")],
        "the microsecond of the event itself may have a frame"
    );
    let second = ledger.commit();
    let restored = Ledger::of_slices(date(), &[first, second]).unwrap();
    assert_eq!(restored, ledger);
}

#[test]
fn words_are_read_back() {
    for reason in Reason::OWN.into_iter().chain(GapReason::ALL.map(Reason::Lost)) {
        assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        let json = serde_json::to_string(&reason).unwrap();
        assert_eq!(json, format!("{:?}", reason.as_str()), "one word everywhere");
        assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
    }
    for state in [State::Live, State::Gap, State::Idle] {
        assert_eq!(State::parse(state.as_str()), Some(state));
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<bool>().prop_map(|continues| date_event(hours(1000, 9000), continues)),
        Just(start()),
        any::<bool>().prop_map(|open| Event::Hours {
            date: date(),
            expected: hours(2000, 5000).filter(|_| open)
        }),
        Just(connected()),
        Just(Event::Continued),
        Just(failed(GapReason::Refused, "x")),
        Just(failed(GapReason::Unreachable, "x")),
        Just(disconnected(GapReason::Stalled)),
        Just(disconnected(GapReason::Shutdown)),
        (-100..90_000_i64).prop_map(|seconds| Event::Paused {
            since_us: at(seconds).0
        }),
        (-100..90_000_i64).prop_map(|seconds| Event::DiskWait {
            since_us: at(seconds).0
        }),
        Just(Event::SessionEnd),
        Just(Event::Stop),
        Just(Event::TimeMark),
    ]
}

proptest! {
    #[test]
    fn i4_no_journal_makes_holes_overlaps_or_loses_frames(
        records in prop::collection::vec((-500..2000_i64, 0..3_u32, prop::option::of(any_event()), any::<bool>()), 0..60),
        now in -10..100_000_i64,
    ) {
        let mut ledger = Ledger::new(date());
        let (mut clock, mut frame, mut rows) = (0, 0, 0);
        for (step, session, event, damaged) in records {
            clock += step;
            if damaged {
                ledger.damage("test".into());
            }
            match event {
                Some(event) => ledger.event(at(clock), session, frame, &event),
                None => {
                    frame += 1;
                    rows += 7;
                    ledger.frame(at(clock), session, frame, 7);
                }
            }
        }
        for all in [ledger.intervals(), ledger.until(at(now)), ledger.without_recorder(at(now))] {
            let mut expected_from = bounds(date()).0;
            for row in &all {
                prop_assert_eq!(row.from, expected_from, "no hole, no overlap");
                prop_assert!(row.to > row.from || row.frames > 0);
                prop_assert_eq!(row.state == State::Live, row.session.is_some());
                prop_assert!(row.state == State::Live || row.frames == 0);
                expected_from = row.to;
            }
            prop_assert!(expected_from <= bounds(date()).1);
            prop_assert_eq!(all.iter().map(|row| row.frames).sum::<u64>(), frame);
            prop_assert_eq!(all.iter().map(|row| row.rows).sum::<u64>(), rows);
        }
    }

    #[test]
    fn i8_what_committed_files_say_makes_the_ledger_again(
        records in prop::collection::vec(
            (-500..2000_i64, 0..3_u32, prop::option::of(any_event()), any::<bool>(), 0..4_u8), 0..60),
        lost in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut ledger = Ledger::new(date());
        let mut slices = Vec::new();
        let (mut clock, mut frame, mut committed) = (0, 0, 0);
        for (step, session, event, damaged, cut) in records {
            clock += step;
            if damaged {
                ledger.damage("test".into());
            }
            match event {
                Some(event) => ledger.event(at(clock), session, frame, &event),
                None => {
                    frame += 1;
                    ledger.frame(at(clock), session, frame, 7);
                }
            }
            // A file has a frame.
            if cut == 0 && frame > committed {
                committed = frame;
                let slice = ledger.commit();
                let read = Slice::parse(&slice.to_json());
                prop_assert_eq!(read.as_ref(), Some(&slice));
                slices.push(slice);
                let restored = Ledger::of_slices(date(), &slices).unwrap();
                prop_assert_eq!(&restored, &ledger);
                let merged = Slice::merge(date(), &slices).unwrap();
                prop_assert_eq!(&Ledger::of_slices(date(), &[merged]).unwrap(), &ledger);
            }
        }
        // The coverage file adds what came after the last file.
        if let Some(mut restored) = Ledger::of_slices(date(), &slices)
            && restored.last_held() == ledger.last_held()
        {
            restored.graft(&ledger);
            prop_assert_eq!(&restored, &ledger);
        }
        // A lost file costs its own frames, and no other file calls its time live.
        if let Some(lost) = lost.filter(|_| slices.len() > 1) {
            let lost = slices.remove(lost.index(slices.len() - 1));
            let restored = Ledger::of_slices(date(), &slices).unwrap();
            let kept: u64 = slices.iter().flat_map(Slice::intervals).map(|row| row.frames).sum();
            prop_assert_eq!(restored.frames(), kept);
            let all = restored.intervals();
            for row in lost.intervals().filter(|row| row.state == State::Live && row.frames > 0 && row.to > row.from) {
                let is_inside = |other: &&Interval| other.state == State::Live && other.from <= row.from && other.to >= row.to;
                prop_assert!(!all.iter().any(|other| is_inside(&other)), "{row:?} in {all:?}");
            }
            prop_assert!(all.windows(2).all(|pair| pair[0].to == pair[1].from), "{all:?}");
        }
    }
}
