//! Files of a newer recorder: named as such by everything that reads them, and never taken for damage.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use krx_store::coverage::view;
use krx_store::day::{Layout, Sealing, Watch, seal};
use krx_store::read::Trades;
use krx_store::rebuild::{Access, rebuild};
use krx_store::service::TRADES;
use krx_store::verify::{Kind, verify};
use krx_store::{Checksums, DataDir, Event, ExportConfig, Moment, StoreError, catalog};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

use crate::support::{
    NINE, SMALL_SEGMENTS, batch, config, connected, date, event, export, feed, frame, journal,
};

/// The file with another column and version 2 of its columns, as a recorder of next year would have written it.
fn make_newer(path: &Path) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .clone();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    let mut fields: Vec<_> = batches[0].schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("venue", DataType::Int64, true)));
    let schema = Arc::new(Schema::new(fields));
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), Arc::clone(&schema), None).unwrap();
    for batch in batches {
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(Int64Array::new_null(batch.num_rows())) as ArrayRef);
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
            .unwrap();
    }
    for pair in pairs.iter().filter(|pair| pair.key.starts_with("krx.")) {
        let version = (pair.key == "krx.schema_version").then(|| "2".to_owned());
        writer.append_key_value_metadata(KeyValue::new(pair.key.clone(), version.or(pair.value.clone())));
    }
    writer.close().unwrap();
}

fn paths(data: &DataDir) -> Vec<PathBuf> {
    let names = catalog::files(data, &TRADES, &feed(), date()).unwrap();
    let dir = data.partition(&TRADES, date(), &feed());
    names.iter().map(|name| dir.join(name.to_string())).collect()
}

fn is_newer<T>(result: Result<T, StoreError>) -> bool {
    match result {
        Err(
            error @ StoreError::NewerSchema {
                version: 2, ours: 1, ..
            },
        ) => {
            let words = error.to_string();
            words.contains("newer krx-recorder") && words.contains("trades")
        }
        _ => false,
    }
}

#[test]
fn a_file_of_a_newer_recorder_is_named_as_such_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let keep = ExportConfig {
        keep_days: 36_500,
        ..config(60, 1000)
    };
    let entries = [
        connected(NINE),
        frame(NINE + 1, &batch(3, 1)),
        event(NINE + 2, Event::CommitNow),
        frame(NINE + 3, &batch(2, 1)),
        event(NINE + 4, Event::Stop),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), keep);
    let newer = paths(&data).remove(0);
    make_newer(&newer);
    let relative = newer.strip_prefix(dir.path()).unwrap().to_str().unwrap();
    Checksums::of(&data, date())
        .record_files(&[data.parse(relative).unwrap()])
        .unwrap();
    let bytes = fs::read(&newer).unwrap();

    let report = verify(&data, &[date()].into(), &|_| ()).unwrap();
    let kinds: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.path.as_str()))
        .collect();
    assert_eq!(kinds, [(Kind::Newer, relative)]);
    assert!(
        report.findings[0].detail.contains("newer krx-recorder"),
        "{}",
        report.findings[0].detail
    );

    let mut trades = Trades::open(&data, &feed(), date()).unwrap();
    assert!(is_newer(trades.next_batch()));
    {
        let sealing = Sealing::take(&data, 0).unwrap();
        let watch = Watch::nobody();
        assert!(is_newer(seal(
            &sealing,
            &TRADES,
            &feed(),
            date(),
            &Layout::default(),
            watch
        )));
    }
    let access = Access::take(&data, date()).unwrap();
    let rebuilt = rebuild(&data, &feed(), date(), keep, &access, false).unwrap();
    assert_eq!(
        (rebuilt.unchecked, rebuilt.restored.len(), rebuilt.lost.len()),
        (1, 0, 0),
        "{rebuilt:?}"
    );
    drop(access);
    assert_eq!(fs::read(&newer).unwrap(), bytes, "it is left alone");

    // Recording goes on: what a footer says of frames, sessions and the ledger has no columns.
    let before = view(&data, &feed(), date(), Moment(NINE + 10)).unwrap();
    assert_eq!(before.iter().map(|interval| interval.rows).sum::<u64>(), 5);
    let more = [
        connected(NINE + 20),
        frame(NINE + 21, &batch(1, 7)),
        event(NINE + 22, Event::Stop),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &more);
    export(dir.path(), keep);
    assert_eq!(paths(&data).len(), 3);
    let after = view(&data, &feed(), date(), Moment(NINE + 30)).unwrap();
    assert_eq!(after.iter().map(|interval| interval.rows).sum::<u64>(), 6);
    let sessions: Vec<_> = after.iter().filter_map(|interval| interval.session).collect();
    assert_eq!(sessions, [1, 2], "numbers go on behind those of the newer file");
}
