use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::overlap;
use super::*;
use crate::event::GapReason;
use crate::layout::SegmentName;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// A feed's journal of one date, folded record by record as the exporter does.
#[derive(Clone)]
struct Folding {
    ledger: Ledger,
    log: RegistrationLog,
    position: u64,
    session: u32,
    frame: u64,
}

impl Folding {
    fn new() -> Self {
        Self {
            ledger: Ledger::new(date()),
            log: RegistrationLog::new(date()),
            position: 0,
            session: 0,
            frame: 0,
        }
    }

    fn next(&mut self) -> Position {
        self.position += 1;
        Position {
            segment: SegmentName {
                number: 1,
                date: date(),
                first_frame: 1,
            },
            offset: self.position,
        }
    }

    fn event(&mut self, second: i64, event: &Event) {
        let (at, position) = (at(second), self.next());
        if matches!(event, Event::Connected { .. } | Event::Continued) {
            self.session += 1;
        }
        self.ledger.event(at, self.session, self.frame, event);
        self.ledger.fold_to(position);
        self.log.fold(position, &self.ledger, Some((at, event)));
    }

    fn frame(&mut self, second: i64) {
        let position = self.next();
        self.frame += 1;
        self.ledger.frame(at(second), self.session, self.frame, 1);
        self.ledger.fold_to(position);
        self.log.fold(position, &self.ledger, None);
    }

    /// `preset:code from-to state session detail`, with times in seconds.
    fn told(&self) -> Vec<String> {
        let mut rows = self.log.stretches();
        rows.sort_by_key(|row| (row.pair.clone(), row.from));
        let rows = rows.iter().map(|row| {
            let seconds = |moment: Moment| (moment.0 - at(0).0) / 1_000_000;
            let session = row.session.map_or("-".to_owned(), |session| session.to_string());
            let detail = row
                .detail
                .as_deref()
                .map_or(String::new(), |detail| format!(" {detail}"));
            let (from, to) = (seconds(row.from), seconds(row.to));
            format!("{} {from}-{to} {} {session}{detail}", row.pair, row.state)
        });
        rows.collect()
    }
}

fn at(second: i64) -> Moment {
    Moment(bounds(date()).0.0 + second * 1_000_000)
}

fn registration(text: &str) -> Event {
    serde_json::from_str(&format!(r#"{{"event":"registration","registration":{text}}}"#)).unwrap()
}

fn wanted(codes: &[&str]) -> Event {
    let wishes: Vec<_> = codes
        .iter()
        .map(|code| format!(r#"{{"preset":"tick","code":"{code}"}}"#))
        .collect();
    registration(&format!(r#""wanted","wishes":[{}]"#, wishes.join(",")))
}

fn state(code: &str, state: &str, detail: &str) -> Event {
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!(r#","detail":"{detail}""#)
    };
    registration(&format!(
        r#""state","id":2,"preset":"tick","code":"{code}","state":"{state}"{detail}"#
    ))
}

fn start() -> Event {
    Event::Start {
        version: String::new(),
    }
}

fn connected() -> Event {
    Event::Connected { url: String::new() }
}

fn lost(reason: GapReason) -> Event {
    Event::Disconnected {
        reason,
        detail: String::new(),
    }
}

fn rules(continues: bool) -> Event {
    Event::Date {
        expected: Some((at(8 * 3600).0, at(18 * 3600).0)),
        rotate_us: 300_000_000,
        rows_max: 1000,
        continues,
    }
}

#[test]
fn each_state_has_a_row_and_sessions_end_and_begin_as_in_coverage() {
    let mut day = Folding::new();
    for (second, event) in [
        (100, rules(false)),
        (100, start()),
        (101, wanted(&["a", "b"])),
        (103, connected()),
        (
            104,
            registration(r#""subscribe","id":2,"preset":"tick","code":"a""#),
        ),
        (105, state("a", "active", "")),
        (106, state("b", "refused", "error 10040")),
        (107, wanted(&["a", "b", "c"])),
        (120, lost(GapReason::Reset)),
        (
            130,
            Event::ConnectFailed {
                reason: GapReason::Unreachable,
                detail: String::new(),
            },
        ),
        (140, connected()),
        (141, state("a", "unanswered", "no answer")),
        (
            151,
            registration(r#""subscribe","id":5,"preset":"tick","code":"a""#),
        ),
        (152, state("a", "active", "")),
        (153, wanted(&["b", "c"])),
        (160, Event::Stop),
    ] {
        day.event(second, &event);
    }
    assert_eq!(
        day.told(),
        [
            "tick:a 101-103 requested - start",
            "tick:a 103-105 requested 1",
            "tick:a 105-120 active 1",
            "tick:a 120-140 requested - reset",
            "tick:a 140-141 requested 2",
            "tick:a 141-151 unanswered 2 no answer",
            "tick:a 151-152 requested 2",
            "tick:a 152-153 active 2",
            "tick:b 101-103 requested - start",
            "tick:b 103-106 requested 1",
            "tick:b 106-120 refused 1 error 10040",
            "tick:b 120-140 requested - reset",
            "tick:b 140-160 requested 2",
            "tick:c 107-120 requested 1",
            "tick:c 120-140 requested - reset",
            "tick:c 140-160 requested 2",
        ]
    );
    // Nothing was said after the stop, until the date is over.
    day.ledger.end_date();
    day.log.follow(&day.ledger);
    let told = day.told();
    assert_eq!(told.last().unwrap(), "tick:c 160-86400 requested - shutdown");
    assert_eq!(overlap(&day.log.stretches()), None, "I11");
}

#[test]
fn a_crash_ends_a_state_with_the_last_frame_and_what_is_wanted_stays_on_record() {
    let mut day = Folding::new();
    day.event(100, &start());
    day.event(100, &wanted(&["a"]));
    day.event(101, &connected());
    day.event(102, &state("a", "active", ""));
    day.frame(110);
    // A new process: it does not know yet what is wanted.
    let segment = Event::Segment {
        service: "per_issue".to_owned(),
        registrations: Vec::new(),
    };
    day.event(200, &segment);
    day.event(200, &start());
    day.event(201, &wanted(&["a", "b"]));
    day.event(203, &Event::Stop);
    assert_eq!(
        day.told(),
        [
            "tick:a 100-101 requested - start",
            "tick:a 101-102 requested 1",
            "tick:a 102-110 active 1",
            "tick:a 110-200 requested - crash",
            "tick:a 200-203 requested - start",
            "tick:b 201-203 requested - start",
        ]
    );
}

#[test]
fn what_interrupts_the_recording_does_not_end_a_registration() {
    let mut day = Folding::new();
    day.event(100, &wanted(&["a"]));
    day.event(101, &connected());
    day.event(102, &state("a", "active", ""));
    day.frame(103);
    day.event(120, &Event::Paused { since_us: at(110).0 });
    day.event(130, &Event::DiskWait { since_us: at(125).0 });
    day.ledger.damage("bytes are damaged".to_owned());
    day.frame(140);
    assert_eq!(
        day.told(),
        [
            "tick:a 100-101 requested - not_running",
            "tick:a 101-102 requested 1",
            "tick:a 102-140 active 1"
        ]
    );
}

#[test]
fn a_date_that_continues_has_its_states_since_midnight() {
    let mut day = Folding::new();
    let segment: Event = serde_json::from_str(
        r#"{"event":"segment","service":"per_issue","registrations":[
            {"registration":"wanted","wishes":[{"preset":"tick","code":"a"},{"preset":"tick","code":"b"}]},
            {"registration":"state","id":2,"preset":"tick","code":"a","state":"active"},
            {"registration":"state","id":3,"preset":"tick","code":"b","state":"refused","detail":"error 10040"}]}"#,
    )
    .unwrap();
    day.event(2, &segment);
    day.event(2, &rules(true));
    day.event(2, &Event::Continued);
    day.frame(10);
    // What each file of the journal repeats is nothing new.
    day.event(20, &segment);
    day.frame(30);
    assert_eq!(
        day.told(),
        ["tick:a 0-30 active 1", "tick:b 0-30 refused 1 error 10040"]
    );

    // Not connected at midnight.
    let mut day = Folding::new();
    day.event(2, &segment);
    day.event(2, &rules(true));
    day.event(5, &connected());
    day.frame(9);
    assert!(day.told()[0].starts_with("tick:a 0-5"), "{:?}", day.told());
}

#[test]
fn a_log_that_was_lost_begins_again_and_says_so() {
    let mut day = Folding::new();
    day.event(100, &wanted(&["a"]));
    day.event(101, &connected());
    day.event(102, &state("a", "active", ""));
    day.frame(110);
    let mut again = day.clone();
    again.log = RegistrationLog::new(date()).at(&again.ledger);
    // The rest of the journal is read again from the beginning of a file.
    for event in [wanted(&["a", "b"]), connected(), state("a", "active", "")] {
        again.log.catch_up(&event);
    }
    assert!(!again.log.is_to_be_saved(), "nothing is known yet");
    again.frame(120);
    again.event(130, &state("b", "active", ""));
    again.event(140, &lost(GapReason::Reset));
    assert_eq!(
        again.told(),
        [
            "tick:a 120-140 active 1 earlier states are unknown: the registrations file was lost",
            "tick:b 120-130 requested 1 earlier states are unknown: the registrations file was lost",
            "tick:b 130-140 active 1",
        ]
    );
}

#[test]
fn a_log_that_is_ahead_of_the_ledger_waits_for_it() {
    let mut day = Folding::new();
    let events = [
        (100, wanted(&["a"])),
        (101, connected()),
        (102, state("a", "active", "")),
        (110, lost(GapReason::Reset)),
        (120, connected()),
        (121, state("a", "active", "")),
        (130, Event::Stop),
    ];
    for (second, event) in &events {
        day.event(*second, event);
    }
    for ahead in 0..events.len() {
        let mut again = Folding::new();
        for (second, event) in &events[..ahead] {
            again.event(*second, event);
        }
        // Killed after the file was written: the ledger begins again, and the journal with it.
        let (closed, state) = again.log.parts();
        let log = RegistrationLog::of_parts(date(), closed.to_vec(), state);
        let mut again = Folding {
            log: log.at(&Ledger::new(date())),
            ..Folding::new()
        };
        for (second, event) in &events {
            again.event(*second, event);
        }
        assert_eq!(again.told(), day.told(), "ahead by {ahead}");
        assert_eq!(again.log.parts(), day.log.parts());
    }
}

#[test]
fn a_date_with_too_many_changes_says_where_they_stop() {
    let mut day = Folding::new();
    day.event(1, &wanted(&["a", "b"]));
    day.event(2, &connected());
    let words = ["active", "requested"];
    for second in 3_i64.. {
        if day.log.is_full() {
            break;
        }
        let millis = second * 10;
        let position = day.next();
        let event = state("a", words[usize::try_from(second % 2).unwrap()], "");
        let at = Moment(at(3).0 + millis * 1000);
        day.ledger.event(at, 1, 0, &event);
        day.ledger.fold_to(position);
        day.log.fold(position, &day.ledger, Some((at, &event)));
    }
    let rows = day.log.stretches();
    assert!(rows.len() <= STRETCHES_MAX + 2, "{}", rows.len());
    for code in ["a", "b"] {
        let last = rows.iter().rfind(|row| row.pair.code == code).unwrap();
        assert_eq!(last.detail.as_deref(), Some(FULL));
    }
    assert_eq!(overlap(&rows), None);
    // Nothing is added to it, now or after a restart.
    day.frame(80_000);
    day.event(80_001, &state("b", "active", ""));
    let (closed, parts) = day.log.parts();
    let mut again = RegistrationLog::of_parts(date(), closed.to_vec(), parts).at(&day.ledger);
    again.follow(&day.ledger);
    assert_eq!((day.log.stretches(), again.stretches()), (rows.clone(), rows));
}

/// Something that may happen to a feed.
fn happening() -> impl Strategy<Value = Option<Event>> {
    let codes = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let states = prop::sample::select(vec!["requested", "active", "refused", "unanswered", "silent"]);
    prop_oneof![
        4 => Just(None),
        2 => codes.prop_map(|codes| Some(wanted(&codes))),
        4 => (prop::sample::select(vec!["a", "b", "c"]), states).prop_map(|(code, word)| Some(state(code, word, ""))),
        2 => Just(Some(connected())),
        2 => prop::sample::select(vec![GapReason::Reset, GapReason::Stalled, GapReason::Shutdown])
            .prop_map(|reason| Some(lost(reason))),
        1 => Just(Some(start())),
        1 => Just(Some(Event::Stop)),
        1 => Just(Some(Event::SessionEnd)),
        1 => (0_i64..50).prop_map(|back| Some(Event::Paused { since_us: at(back).0 })),
        1 => Just(Some(Event::ConnectFailed { reason: GapReason::Refused, detail: String::new() })),
    ]
}

proptest! {
    /// I11: whatever happens, each wanted pair is in exactly one state, at each instant.
    #[test]
    fn i11_no_hole_and_no_overlap(steps in prop::collection::vec((0_i64..5, happening()), 1..60)) {
        let mut day = Folding::new();
        let mut second = 50;
        // Since when each pair is wanted, and what was wanted before.
        let mut wanted_since: BTreeMap<String, i64> = BTreeMap::new();
        let mut spans: Vec<(String, i64, i64)> = Vec::new();
        for (gap, happening) in &steps {
            second += gap;
            match happening {
                Some(event) => {
                    if let Event::Registration(RegistrationEvent::Wanted { wishes }) = event {
                        let now: BTreeSet<_> = wishes.iter().map(|wish| wish.pair.code.clone()).collect();
                        for code in wanted_since.keys().filter(|code| !now.contains(*code)).cloned().collect::<Vec<_>>() {
                            let since = wanted_since.remove(&code).unwrap();
                            spans.push((code, since, second));
                        }
                        for code in now {
                            wanted_since.entry(code).or_insert(second);
                        }
                    }
                    day.event(second, event);
                }
                None if day.session > 0 => day.frame(second),
                None => {}
            }
        }
        let until = (day.ledger.known_until().0 - at(0).0 + 999_999) / 1_000_000;
        spans.extend(wanted_since.into_iter().map(|(code, since)| (code, since, until)));
        let stretches = day.log.stretches();
        prop_assert_eq!(overlap(&stretches), None);
        let mut expected = BTreeMap::new();
        for (code, since, to) in spans.into_iter().filter(|(_, since, to)| since < to) {
            *expected.entry(code).or_insert(0) += to - since;
        }
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        for row in &stretches {
            prop_assert!(row.session.is_some() || row.detail.is_some());
            *found.entry(row.pair.code.clone()).or_default() += row.to.0 - row.from.0;
        }
        // To the second: the last microsecond may still bring a frame.
        let found: BTreeMap<_, _> = found.into_iter().map(|(code, us)| (code, (us + 999_999) / 1_000_000)).collect();
        prop_assert_eq!(found, expected);
    }
}
