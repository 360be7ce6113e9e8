use std::fs::{self, File};

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

use super::*;
use crate::coverage::Ledger;
use crate::event::{Event, GapReason};
use crate::journal::Position;
use crate::layout::SegmentName;

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

fn write_again(path: &Path, columns: Vec<ArrayRef>, pairs: &[KeyValue]) {
    let batch = RecordBatch::try_new(REGISTRATIONS.schema(), columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), REGISTRATIONS.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    for pair in pairs.iter().filter(|pair| pair.key.starts_with("krx.")) {
        writer.append_key_value_metadata(pair.clone());
    }
    writer.close().unwrap();
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
    assert!(has_rows_of(&path, &path, date()));
    let name = "registrations/date=2026-11-20/feed=ISSUES/registrations-20261120T000000-000000000001-999999999999.parquet";
    assert_eq!(path, dir.path().join(name));
}

#[test]
fn a_file_in_which_anything_was_changed_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, feed) = (DataDir::new(dir.path()), "ISSUES".parse().unwrap());
    let path = store(&data, &feed, &log()).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let pairs = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .clone();
    let rows = builder.build().unwrap().next().unwrap().unwrap();
    let is_believed = || match load(&data, &feed, date()) {
        Ok(found) => found.is_some(),
        Err(StoreError::ReadBack { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    write_again(&path, rows.columns().to_vec(), &pairs);
    assert!(is_believed(), "nothing was changed");
    let last = rows.num_rows() - 1;
    for (index, field) in REGISTRATIONS.schema().fields().iter().enumerate() {
        let other = (0..last).find(|row| {
            rows.column(index).slice(*row, 1).to_data() != rows.column(index).slice(last, 1).to_data()
        });
        let other = other.unwrap_or_else(|| panic!("all rows have the same {}", field.name()));
        let mut columns = rows.columns().to_vec();
        let pieces = [
            rows.column(index).slice(0, last),
            rows.column(index).slice(other, 1),
        ];
        columns[index] = arrow_select::concat::concat(&[&*pieces[0], &*pieces[1]]).unwrap();
        write_again(&path, columns, &pairs);
        assert!(!is_believed(), "{} was changed", field.name());
    }
    let shorter = rows.slice(0, last);
    write_again(&path, shorter.columns().to_vec(), &pairs);
    assert!(!is_believed(), "a row is gone");
    let mut edited = pairs;
    let state = edited.iter_mut().find(|pair| pair.key == "krx.log").unwrap();
    let text = state.value.take().unwrap();
    state.value = Some(text.replace("\"requested\"", "\"active\""));
    assert_ne!(state.value.as_ref(), Some(&text));
    write_again(&path, rows.columns().to_vec(), &edited);
    assert!(!is_believed(), "the state was changed");
    fs::write(&path, "PAR1").unwrap();
    assert!(!is_believed(), "it is no Parquet");
}
