//! Coverage is compared with the files: a differing interval is found even beside a journal, and so is a file whose
//! footer contradicts its rows about sessions and frames.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{
    NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, date, event, export, files, frame, journal,
    segments,
};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Int32Array, RecordBatch};
use krx_store::checksums::digest;
use krx_store::journal::GapReason;
use krx_store::verify::{Kind, verify};
use krx_store::{Checksums, DataDir, Event};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

/// Two files with one session each; the second session begins this many seconds after nine.
fn recorded(second_session: i64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (reason, detail) = (GapReason::Reset, String::new());
    let entries = [
        connected(NINE),
        frame(NINE + SECOND, &batch(3, 1)),
        event(NINE + 2 * SECOND, Event::CommitNow),
        event(NINE + 3 * SECOND, Event::Disconnected { reason, detail }),
        connected(NINE + second_session * SECOND),
        frame(NINE + 20 * SECOND, &batch(3, 1)),
        frame(NINE + 21 * SECOND, &batch(3, 1)),
        event(NINE + 30 * SECOND, Event::Stop),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(60, 1000));
    assert_eq!(found(dir.path()), []);
    dir
}

/// What is found, by the dataset of its path.
fn found(dir: &Path) -> Vec<(String, Kind)> {
    let report = verify(&DataDir::new(dir), &BTreeSet::from([date()]), &|_| ()).unwrap();
    let dataset = |path: &str| path.split('/').next().unwrap().to_owned();
    let findings = report.findings.iter();
    findings
        .map(|finding| (dataset(&finding.path), finding.kind))
        .collect()
}

fn relist(dir: &Path, path: &Path) {
    let committed = DataDir::new("/")
        .parse(path.strip_prefix(dir).unwrap().to_str().unwrap())
        .unwrap();
    let list = Checksums::of(&DataDir::new(dir), date());
    list.record(&[(committed, digest(path).unwrap())], &[]).unwrap();
}

fn file_of(dir: &Path, dataset: &str) -> PathBuf {
    files(&dir.join(dataset), "parquet").pop().unwrap()
}

#[test]
fn i8_a_row_that_differs_is_found_beside_the_journal_and_without_it() {
    let (dir, other) = (recorded(10), recorded(12));
    let coverage = file_of(dir.path(), "coverage");
    // As many frames and rows, in sessions with the same numbers: one began two seconds later.
    fs::copy(file_of(other.path(), "coverage"), &coverage).unwrap();
    relist(dir.path(), &coverage);
    let expected = [("coverage".to_owned(), Kind::Coverage)];
    assert!(!segments(dir.path()).is_empty());
    assert_eq!(found(dir.path()), expected);
    fs::remove_dir_all(dir.path().join(".krx/journal")).unwrap();
    assert_eq!(found(dir.path()), expected);
    fs::remove_file(&coverage).unwrap();
    let list = DataDir::new(dir.path()).checksum_list(date());
    let lines = fs::read_to_string(&list).unwrap();
    let others: String = lines
        .split_inclusive('\n')
        .filter(|line| !line.contains("coverage/"))
        .collect();
    fs::write(&list, others).unwrap();
    assert_eq!(found(dir.path()), expected, "nor may it be gone");
}

/// Rewrites a trades file with other sessions, or other text in its footer.
fn write_again(path: &Path, by: i32, text: impl Fn(&str, String) -> String) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let pairs = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let index = schema.index_of("session").unwrap();
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::ZSTD(
            parquet::basic::ZstdLevel::default(),
        ))
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), Arc::clone(&schema), Some(properties)).unwrap();
    for batch in batches {
        let mut columns = batch.columns().to_vec();
        let sessions = columns[index].as_primitive::<Int32Type>();
        columns[index] = Arc::new(
            sessions
                .iter()
                .map(|session| session.map(|session| session + by))
                .collect::<Int32Array>(),
        );
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
            .unwrap();
    }
    for KeyValue { key, value } in pairs {
        if key.starts_with("krx.") {
            let value = text(&key, value.unwrap_or_default());
            writer.append_key_value_metadata(KeyValue::new(key, value));
        }
    }
    writer.close().unwrap();
}

#[test]
fn i8_a_file_whose_footer_tells_of_other_sessions_or_frames_than_it_has_is_found() {
    let dir = recorded(10);
    let path = file_of(dir.path(), "trades");
    let original = fs::read(&path).unwrap();
    let is_found = || {
        relist(dir.path(), &path);
        found(dir.path()).contains(&("trades".to_owned(), Kind::Coverage))
    };
    write_again(&path, 0, |_, text| text);
    relist(dir.path(), &path);
    assert_eq!(found(dir.path()), [], "nothing was changed");
    fs::write(&path, &original).unwrap();
    write_again(&path, 1, |_, text| text);
    assert!(is_found(), "its rows are of another session");
    fs::write(&path, &original).unwrap();
    write_again(&path, 0, |key, text| match key {
        "krx.intervals" => {
            let other = text.replacen("\"frames\":2", "\"frames\":3", 1);
            assert_ne!(other, text);
            other
        }
        _ => text,
    });
    assert!(is_found(), "its footer counts one frame more");
}
