use super::*;
use crate::coverage::Ledger;
use crate::event::{Event, GapReason};
use crate::journal::Position;
use crate::layout::SegmentName;
use crate::whole::changed::assert_no_change_is_believed;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// A date on which a pair was accepted and another one was refused, until the session was lost.
fn log() -> RegistrationLog {
    let texts = [
        r#"{"event":"registration","registration":"wanted","wishes":[{"preset":"tick10","code":"005930"},{"preset":"change","code":"1","items":["trdPrc"]}]}"#,
        r#"{"event":"connected","url":"ws://127.0.0.1/"}"#,
        r#"{"event":"registration","registration":"state","id":2,"preset":"tick10","code":"005930","state":"active"}"#,
        r#"{"event":"registration","registration":"state","id":3,"preset":"change","code":"1","state":"refused","detail":"error 10040"}"#,
    ];
    let mut events: Vec<Event> = texts.map(|text| serde_json::from_str(text).unwrap()).into();
    events.push(Event::Disconnected {
        reason: GapReason::Reset,
        detail: String::new(),
    });
    events.push(Event::Stop);
    let (mut ledger, mut log) = (Ledger::new(date()), RegistrationLog::new(date()));
    let segment = SegmentName {
        number: 1,
        date: date(),
        first_frame: 1,
    };
    for (place, event) in (1_u8..).zip(&events) {
        let at = Moment(bounds(date()).0.0 + i64::from(place) * 1_000_000);
        let position = Position {
            segment,
            offset: u64::from(place),
        };
        ledger.event(at, 1, 0, event);
        ledger.fold_to(position);
        log.fold(position, &ledger, Some((at, event)));
    }
    log
}

#[test]
fn a_log_continues_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let (data, feed) = (DataDir::new(dir.path()), "ISSUES".parse().unwrap());
    assert!(load(&data, &feed, date()).unwrap().is_none());
    let path = store(&data, &feed, &log()).unwrap();
    let loaded = load(&data, &feed, date()).unwrap().unwrap();
    assert_eq!(loaded.parts(), log().parts());
    assert_eq!(loaded.stretches(), log().stretches());
    assert!(loaded.stretches().len() > 5, "{:?}", loaded.stretches());
    assert!(have_same_rows(&path, &path, date()));
    let name = "registrations/date=2026-11-20/feed=ISSUES/registrations-20261120T000000-000000000001-999999999999.parquet";
    assert_eq!(path, dir.path().join(name));
}

#[test]
fn a_file_in_which_anything_was_changed_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, feed) = (DataDir::new(dir.path()), "ISSUES".parse().unwrap());
    let path = store(&data, &feed, &log()).unwrap();
    let edit = ("\"requested\"", "\"active\"");
    assert_no_change_is_believed(&FILE, &path, edit, || match load(&data, &feed, date()) {
        Ok(found) => found.is_some(),
        Err(StoreError::ReadBack { .. }) => false,
        Err(error) => panic!("{error}"),
    });
}
