//! Journals made by the real writer, and datasets read back by the Parquet crate's own reader.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use chrono::NaiveDate;
use krx_store::coverage::{Interval, Reason, State};
use krx_store::journal::{Followed, Follower, RecordKind, What};
use krx_store::{DataDir, Entry, Event, ExportConfig, Exporter, FeedName, JournalConfig, Moment, Progress};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// 2026-11-20 09:00:00 in Korea.
pub(crate) const NINE: i64 = 1_795_132_800_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const DAY: i64 = 24 * 3600 * SECOND;

pub(crate) const SMALL_SEGMENTS: JournalConfig = JournalConfig {
    sync_interval: Duration::from_millis(1),
    segment_bytes: 6144,
};

/// Where a segment's records begin, bytes from its start.
pub(crate) const HEADER: u64 = 4160;

/// In memory where that can be had: what matters is what the disk is asked for and what fails, not how long it takes.
pub(crate) fn fast_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Waits for a condition, and gives up after far more time than it should need.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "not within a minute: {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The date of [`NINE`].
pub(crate) fn date() -> NaiveDate {
    Moment(NINE).date()
}

pub(crate) fn feed() -> FeedName {
    "KOSPI".parse().unwrap()
}

pub(crate) fn config(rotate_s: u64, rows_max: u64) -> ExportConfig {
    ExportConfig {
        rotate_interval: Duration::from_secs(rotate_s),
        rows_max,
        keep_days: 0,
        reserve_bytes: 0,
    }
}

pub(crate) fn frame(at: i64, text: &str) -> Entry<Vec<u8>> {
    Entry {
        at: Moment(at),
        what: What::Frame(text.as_bytes().to_vec()),
    }
}

pub(crate) fn event(at: i64, event: Event) -> Entry<Vec<u8>> {
    Entry {
        at: Moment(at),
        what: What::Event(event),
    }
}

pub(crate) fn connected(at: i64) -> Entry<Vec<u8>> {
    event(
        at,
        Event::Connected {
            url: "ws://127.0.0.1/".into(),
        },
    )
}

/// A message of `records` trades, identified by `volume`.
pub(crate) fn batch(records: usize, volume: usize) -> String {
    let record = format!(r#"{{"isuSrtCd":"005930","trdPrc":"71000","trdVol":"{volume}","trdTm":"9000001"}}"#);
    format!("[{}]", vec![record; records].join(","))
}

/// Appends the entries one by one and closes the journal.
pub(crate) fn journal(dir: &Path, config: JournalConfig, entries: &[Entry<Vec<u8>>]) {
    let mut writer = krx_store::open_writer(&DataDir::new(dir), &feed(), config, Arc::default()).unwrap();
    for entry in entries {
        writer.append(std::slice::from_ref(entry)).unwrap();
    }
    writer.close().unwrap();
}

pub(crate) fn export(dir: &Path, config: ExportConfig) -> Arc<Progress> {
    let progress = Arc::new(Progress::default());
    Exporter::new(&DataDir::new(dir), &feed(), config, None, Arc::clone(&progress))
        .run()
        .unwrap();
    progress
}

/// What a follower reads: frames as (date, session, frame, text), events as their words, damage as `damage`.
pub(crate) fn follow(dir: &Path) -> Vec<String> {
    let mut follower = Follower::new(DataDir::new(dir).journal(&feed()), None);
    let mut seen = Vec::new();
    loop {
        match follower.advance().unwrap() {
            Followed::Record(name, head) => {
                let text = String::from_utf8_lossy(follower.payload()).into_owned();
                seen.push(match head.kind {
                    RecordKind::Frame => format!("{} s{} f{} {text}", name.date, head.session, head.frame),
                    RecordKind::Event => {
                        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
                        format!(
                            "{} s{} after f{} {}",
                            name.date,
                            head.session,
                            head.frame,
                            event["event"].as_str().unwrap()
                        )
                    }
                });
            }
            Followed::Damage(..) => seen.push("damage".into()),
            Followed::SegmentEnd(_) => {}
            Followed::CaughtUp => return seen,
        }
    }
}

pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    files(&DataDir::new(dir).journal(&feed()), "journal")
}

/// Files below `dir` with this extension, sorted.
pub(crate) fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The names of the trades files, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    files(&dir.join("trades"), "parquet")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// All files of the datasets, by their path below `dir`, with their bytes.
pub(crate) fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    ["trades", "quarantine", "coverage"]
        .iter()
        .flat_map(|dataset| files(&dir.join(dataset), "parquet"))
        .map(|path| {
            (
                path.strip_prefix(dir).unwrap().to_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect()
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .build()
        .unwrap();
    reader.map(Result::unwrap).collect()
}

/// Rows of trades as (frame, item, session, volume, recv).
pub(crate) fn trades(dir: &Path) -> Vec<(i64, i16, i32, i64, i64)> {
    let mut rows = Vec::new();
    for path in files(&dir.join("trades"), "parquet") {
        for batch in batches(&path) {
            let int64 = |name: &str| {
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_primitive::<Int64Type>()
                    .clone()
            };
            let (frame, volume) = (int64("frame"), int64("volume"));
            let item = batch.column_by_name("item").unwrap().as_primitive::<Int16Type>();
            let session = batch
                .column_by_name("session")
                .unwrap()
                .as_primitive::<Int32Type>();
            let recv = batch
                .column_by_name("recv_ts")
                .unwrap()
                .as_primitive::<TimestampMicrosecondType>();
            rows.extend((0..batch.num_rows()).map(|row| {
                (
                    frame.value(row),
                    item.value(row),
                    session.value(row),
                    volume.value(row),
                    recv.value(row),
                )
            }));
        }
    }
    rows
}

/// The rows of the coverage file of the date.
pub(crate) fn coverage(dir: &Path) -> Vec<Interval> {
    use arrow_array::types::TimestampMicrosecondType as Micros;
    let mut rows = Vec::new();
    for path in files(&dir.join("coverage"), "parquet") {
        for batch in batches(&path) {
            let column = |name: &str| batch.column_by_name(name).unwrap();
            let time = |name: &str, row| Moment(column(name).as_primitive::<Micros>().value(row));
            let text = |name: &str, row| column(name).as_string::<i32>().value(row).to_owned();
            let count = |name: &str, row| {
                column(name)
                    .as_primitive::<Int64Type>()
                    .value(row)
                    .cast_unsigned()
            };
            let (session, detail) = (column("session"), column("detail"));
            rows.extend((0..batch.num_rows()).map(|row| {
                Interval {
                    from: time("from_ts", row),
                    to: time("to_ts", row),
                    state: State::parse(&text("state", row)).unwrap(),
                    reason: Reason::parse(&text("reason", row)).unwrap(),
                    session: session
                        .is_valid(row)
                        .then(|| session.as_primitive::<Int32Type>().value(row).cast_unsigned()),
                    frames: count("frames", row),
                    rows: count("rows", row),
                    detail: detail.is_valid(row).then(|| text("detail", row)),
                }
            }));
        }
    }
    rows
}

/// Rows of quarantine as (frame, item, reason, raw).
pub(crate) fn quarantine(dir: &Path) -> Vec<(i64, Option<i16>, String, Vec<u8>)> {
    let mut rows = Vec::new();
    for path in files(&dir.join("quarantine"), "parquet") {
        for batch in batches(&path) {
            let frame = batch.column_by_name("frame").unwrap().as_primitive::<Int64Type>();
            let item = batch.column_by_name("item").unwrap().as_primitive::<Int16Type>();
            let reason = batch.column_by_name("reason").unwrap().as_string::<i32>();
            let raw = batch.column_by_name("raw").unwrap().as_binary::<i32>();
            rows.extend((0..batch.num_rows()).map(|row| {
                let item = item.is_valid(row).then(|| item.value(row));
                (
                    frame.value(row),
                    item,
                    reason.value(row).to_owned(),
                    raw.value(row).to_vec(),
                )
            }));
        }
    }
    rows
}
