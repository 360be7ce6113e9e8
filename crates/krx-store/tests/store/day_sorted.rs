//! A sealed day of a per-issue dataset: runs that are sorted by code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::{NINE, SMALL_SEGMENTS, batches, config, connected, date, event, feed, files, frame};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int64Type};
use krx_store::day::{Layout, Outcome, Sealing, Watch, seal};
use krx_store::service::{BOOKS, PER_ISSUE};
use krx_store::verify::verify;
use krx_store::{DataDir, Event, Exporter};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const CODES: [&str; 5] = ["005930", "000660", "0000D0", "005935", "Q500001"];
const FRAMES: usize = 400;
const GROUP_ROWS: usize = 30;

/// A day of books of a few issues, in files of some fifty rows.
fn recorded(dir: &Path) -> DataDir {
    let wish = |code: &&str| format!(r#"{{"preset":"quote10","code":"{code}"}}"#);
    let wishes: Vec<_> = CODES.iter().map(wish).collect();
    let wanted = format!(
        r#"{{"event":"registration","registration":"wanted","wishes":[{}]}}"#,
        wishes.join(",")
    );
    let mut entries = vec![
        event(NINE, serde_json::from_str(&wanted).unwrap()),
        connected(NINE),
    ];
    for (place, code) in CODES.iter().enumerate() {
        let subscribe = format!(
            r#"{{"event":"registration","registration":"subscribe","id":{},"preset":"quote10","code":"{code}"}}"#,
            place + 2
        );
        entries.push(event(NINE, serde_json::from_str(&subscribe).unwrap()));
    }
    for number in 0..FRAMES {
        let code = CODES[number * 7 % 11 % CODES.len()];
        let push = format!(
            r#"{{"jsonrpc":"2.0","method":"push","params":{{"preset":"quote10","isuSrtCd":"{code}","askStep1BstordRqty":{number}}}}}"#
        );
        entries.push(frame(NINE + 1000 * i64::try_from(number + 1).unwrap(), &push));
    }
    entries.push(event(NINE + 10_000_000, Event::Stop));
    let data = DataDir::new(dir);
    let writer = krx_store::open_writer(&data, &feed(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    writer.append(&entries).unwrap();
    writer.close().unwrap();
    Exporter::new(&data, &feed(), config(3600, 50), None, Arc::default())
        .run()
        .unwrap();
    data
}

/// (code, frame, item, size) of each row, as the file has them.
fn rows(path: &Path) -> Vec<(String, i64, i16, i64)> {
    let mut rows = Vec::new();
    for batch in batches(path) {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let codes = column("code").as_string::<i32>();
        let frames = column("frame").as_primitive::<Int64Type>();
        let items = column("item").as_primitive::<Int16Type>();
        let sizes = column("ask_size_01").as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            rows.push((
                codes.value(row).to_owned(),
                frames.value(row),
                items.value(row),
                sizes.value(row),
            ));
        }
    }
    rows
}

#[test]
fn each_run_is_sorted_by_code_and_has_the_rows_that_were_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let data = recorded(dir.path());
    let books = || files(&dir.path().join("books"), "parquet");
    assert!(books().len() > 4, "{:?}", books());
    let mut before: Vec<_> = books().iter().flat_map(|path| rows(path)).collect();
    assert_eq!(before.len(), FRAMES);

    let sealing = Sealing::take(&data, 0).unwrap();
    let layout = Layout {
        run_rows: 150,
        row_group_rows: GROUP_ROWS,
        ..Layout::default()
    };
    let watch = Watch::nobody();
    let outcome = seal(&sealing, &BOOKS, &feed(), date(), &layout, watch).unwrap();
    assert!(matches!(outcome, Outcome::Sealed(_)), "{outcome:?}");
    sealing.finish().unwrap();
    let report = verify(&data, &BTreeSet::from([date()]), &|_| ()).unwrap();
    assert!(report.ok, "{:?}", report.findings);

    let path = books().remove(0);
    let mut after = rows(&path);
    let file = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap();
    let pairs = file.metadata().file_metadata().key_value_metadata().unwrap();
    let runs = pairs.iter().find(|pair| pair.key == "krx.runs").unwrap();
    assert_eq!(runs.value.as_deref(), Some("150,150,100"));
    for run in after.chunks(150) {
        assert!(run.is_sorted(), "{run:?}");
        assert!(run[0].0 < run[run.len() - 1].0, "it has several codes");
    }
    let place = |name: &str| i32::try_from(BOOKS.index_of(name).unwrap()).unwrap();
    for group in file.metadata().row_groups() {
        assert!(usize::try_from(group.num_rows()).unwrap() <= GROUP_ROWS);
        let sorting = group.sorting_columns().unwrap();
        let sorting: Vec<_> = sorting.iter().map(|column| column.column_idx).collect();
        assert_eq!(sorting, ["code", "frame", "item"].map(place));
    }
    before.sort();
    after.sort();
    assert_eq!(after, before);
}
