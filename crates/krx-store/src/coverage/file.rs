//! The coverage dataset: one small Parquet file per feed and date. It holds the intervals so far, and in its footer
//! what the ledger needs in order to continue. It is written once the files of the same frames are in place, and while
//! no frame is held that is not in a file: what it calls live, the files hold (I8).

use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use serde::{Deserialize, Serialize};

use super::interval::{Interval, Reason, State};
use super::ledger::Ledger;
use super::slice::VERSION;
use super::state::{LedgerState, bounds};
use crate::dataset::{COVERAGE, Footer, ZONE, value_of};
use crate::disk::Output;
use crate::error::{StoreError, at, parquet_at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, DataDir};
use crate::moment::Moment;
use crate::rights;

const STATE_KEY: &str = "ledger";
const CHECKSUM_KEY: &str = "ledger_crc32c";

/// A date has far fewer intervals than this.
const ROWS_MAX: u64 = 1 << 20;

/// What the ledger needs besides its rows, as stored in the footer.
#[derive(Serialize, Deserialize)]
struct Stored<S> {
    version: u32,
    /// How many of the rows are closed intervals.
    closed: usize,
    state: S,
}

fn path_of(data: &DataDir, feed: &FeedName, date: NaiveDate) -> PathBuf {
    data.partition(&COVERAGE, date, feed)
        .join(CommittedName::coverage(date).to_string())
}

/// Replaces the coverage file with the ledger; returns the file.
pub(crate) fn store(data: &DataDir, feed: &FeedName, ledger: &Ledger) -> Result<PathBuf, StoreError> {
    let path = path_of(data, feed, ledger.date());
    let staged = data.staged(&COVERAGE, feed);
    let disk = data.disk();
    let partition = data.partition(&COVERAGE, ledger.date(), feed);
    data.create_dir(&partition)?;
    data.create_dir(&data.staging())?;
    let bytes = to_parquet(feed, ledger).map_err(parquet_at("building", &path))?;
    let mut output = Output::create(disk, &staged)?;
    output.write_all(&bytes).map_err(at("writing", &staged))?;
    output.sync()?;
    drop(output);
    // Invariant I2: a file of the dataset reads back as what was written.
    if read(&staged, ledger.date())?.as_ref() != Some(ledger) {
        return Err(StoreError::ReadBack {
            path: staged,
            what: "it is not what was written".into(),
        });
    }
    rights::as_born_in(&staged, &partition);
    disk.replace(&staged, &path)?;
    Ok(path)
}

/// The ledger as last written; `None` when there is no file. A file that cannot be read, or is not what was written, is
/// a [`StoreError::ReadBack`].
pub(crate) fn load(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Option<Ledger>, StoreError> {
    let path = path_of(data, feed, date);
    match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("reading the size of", &path)(error)),
        Ok(_) => {}
    }
    match read(&path, date) {
        Ok(Some(ledger)) => Ok(Some(ledger)),
        Ok(None) => Err(StoreError::ReadBack {
            path,
            what: "it is not a ledger, or was changed".into(),
        }),
        Err(StoreError::Parquet { path, source, .. }) => Err(StoreError::ReadBack {
            path,
            what: source.to_string(),
        }),
        Err(error) => Err(error),
    }
}

fn to_parquet(feed: &FeedName, ledger: &Ledger) -> parquet::errors::Result<Vec<u8>> {
    let intervals = ledger.intervals();
    let texts = |text: fn(&Interval) -> &str| {
        Arc::new(StringArray::from_iter_values(intervals.iter().map(text))) as Arc<dyn Array>
    };
    let times = |time: fn(&Interval) -> Moment| {
        let values = TimestampMicrosecondArray::from_iter_values(intervals.iter().map(|row| time(row).0));
        Arc::new(values.with_timezone(ZONE)) as Arc<dyn Array>
    };
    let counts = |count: fn(&Interval) -> u64| {
        Arc::new(Int64Array::from_iter_values(
            intervals.iter().map(|row| count(row).cast_signed()),
        )) as Arc<dyn Array>
    };
    let session = |row: &Interval| {
        row.session
            .map(|session| i32::try_from(session).unwrap_or(i32::MAX))
    };
    let details = intervals.iter().map(|row| row.detail.as_deref());
    let columns: [(&str, ArrayRef); 8] = [
        ("from_ts", times(|row| row.from)),
        ("to_ts", times(|row| row.to)),
        ("state", texts(|row| row.state.as_str())),
        ("reason", texts(|row| row.reason.as_str())),
        (
            "session",
            Arc::new(intervals.iter().map(session).collect::<Int32Array>()),
        ),
        ("frames", counts(|row| row.frames)),
        ("rows", counts(|row| row.rows)),
        ("detail", Arc::new(details.collect::<StringArray>())),
    ];
    let batch = COVERAGE.batch(columns);
    let mut bytes = Vec::new();
    let properties = COVERAGE.properties(ROWS_MAX);
    let mut writer = ArrowWriter::try_new(&mut bytes, COVERAGE.schema(), Some(properties))?;
    writer.write(&batch)?;
    let (closed, state) = ledger.parts();
    let stored = Stored {
        version: VERSION,
        closed: closed.len(),
        state,
    };
    let state = serde_json::to_string(&stored).expect("a ledger's state is plain data");
    let mut footer = Footer::new(
        feed,
        ledger.date(),
        1,
        intervals.first().map_or(bounds(ledger.date()).0, |row| row.from),
    )
    .of_dataset(&COVERAGE);
    footer.last_frame = ledger.last_frame();
    footer.files = [(COVERAGE.name.to_owned(), intervals.len() as u64)].into();
    footer.last_recv = intervals.last().map_or(footer.first_recv, |row| row.to);
    footer.last_session = intervals.iter().filter_map(|row| row.session).max();
    for pair in footer.to_key_values(&COVERAGE) {
        writer.append_key_value_metadata(pair);
    }
    let crc = checksum(&intervals, &state);
    writer.append_key_value_metadata(KeyValue::new(format!("krx.{STATE_KEY}"), state));
    writer.append_key_value_metadata(KeyValue::new(format!("krx.{CHECKSUM_KEY}"), crc.to_string()));
    writer.close()?;
    Ok(bytes)
}

/// Over everything the file says: the recorder continues from it, so a flipped bit must not go unnoticed. It is the
/// CRC32C of the state's text and of each row: its numbers as 64-bit little-endian integers (a null as -1), and its
/// texts, each preceded by its length.
fn checksum(intervals: &[Interval], state: &str) -> u32 {
    let text = |crc: u32, text: &str| {
        let crc = crc32c::crc32c_append(crc, &(text.len() as u64).to_le_bytes());
        crc32c::crc32c_append(crc, text.as_bytes())
    };
    let number = |crc: u32, number: i64| crc32c::crc32c_append(crc, &number.to_le_bytes());
    intervals.iter().fold(text(0, state), |crc, row| {
        let session = row.session.map_or(-1, i64::from);
        let numbers = [
            row.from.0,
            row.to.0,
            session,
            row.frames.cast_signed(),
            row.rows.cast_signed(),
        ];
        let crc = numbers.into_iter().fold(crc, number);
        let detail = row.detail.as_deref();
        let crc = number(crc, i64::from(detail.is_some()));
        [
            row.state.as_str(),
            row.reason.as_str(),
            detail.unwrap_or_default(),
        ]
        .into_iter()
        .fold(crc, text)
    })
}

/// Whether a file matches the checksum in its footer.
pub(crate) fn is_as_written(path: &Path, date: NaiveDate) -> bool {
    matches!(read(path, date), Ok(Some(_)))
}

/// `None` when the file is Parquet but not what [`store`] wrote.
pub(crate) fn read(path: &Path, date: NaiveDate) -> Result<Option<Ledger>, StoreError> {
    // Our code never panics on bad input, but the Parquet library makes no such promise for damaged files.
    catch_unwind(AssertUnwindSafe(|| decode(path, date))).unwrap_or(Ok(None))
}

fn decode(path: &Path, date: NaiveDate) -> Result<Option<Ledger>, StoreError> {
    let file = File::open(path).map_err(at("opening", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet_at("reading", path))?;
    let metadata = builder.metadata().file_metadata();
    let value = |key: &str| value_of(metadata, key).map(str::to_owned);
    let (state, crc) = (value(STATE_KEY), value(CHECKSUM_KEY));
    if let Some(version) = Footer::read(metadata)
        .filter(|footer| footer.is_newer_than(&COVERAGE))
        .map(|footer| footer.schema_version)
    {
        return Err(COVERAGE.newer(path, version));
    }
    if builder.schema().fields() != COVERAGE.schema().fields() {
        return Ok(None);
    }
    let reader = builder.build().map_err(parquet_at("reading", path))?;
    let mut intervals = Vec::new();
    for batch in reader {
        let batch = batch
            .map_err(parquet::errors::ParquetError::from)
            .map_err(parquet_at("reading", path))?;
        let Some(rows) = to_intervals(&batch) else {
            return Ok(None);
        };
        intervals.extend(rows);
    }
    let parse = || {
        let state = state?;
        (checksum(&intervals, &state).to_string() == crc?).then_some(())?;
        let stored: Stored<LedgerState> = serde_json::from_str(&state).ok()?;
        (stored.version == VERSION).then_some(())?;
        intervals.truncate(stored.closed);
        Some(Ledger::restore(date, intervals, stored.state))
    };
    Ok(parse())
}

fn to_intervals(batch: &RecordBatch) -> Option<Vec<Interval>> {
    let time = |name: &str| {
        batch
            .column_by_name(name)?
            .as_primitive_opt::<TimestampMicrosecondType>()
    };
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let count = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let (from, to) = (time("from_ts")?, time("to_ts")?);
    let (state, reason, detail) = (text("state")?, text("reason")?, text("detail")?);
    let session = batch.column_by_name("session")?.as_primitive_opt::<Int32Type>()?;
    let (frames, rows) = (count("frames")?, count("rows")?);
    (0..batch.num_rows())
        .map(|row| {
            Some(Interval {
                from: Moment(from.value(row)),
                to: Moment(to.value(row)),
                state: State::parse(state.value(row))?,
                reason: Reason::parse(reason.value(row))?,
                session: session.is_valid(row).then(|| session.value(row).cast_unsigned()),
                frames: frames.value(row).cast_unsigned(),
                rows: rows.value(row).cast_unsigned(),
                detail: detail.is_valid(row).then(|| detail.value(row).to_owned()),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Event;

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    /// A date with a session that was lost.
    fn ledger() -> Ledger {
        let at = |seconds: i64| Moment(super::super::bounds(date()).0.0 + seconds * 1_000_000);
        let mut ledger = Ledger::new(date());
        let url = "ws://127.0.0.1/".to_owned();
        ledger.event(at(100), 1, 0, &Event::Connected { url });
        ledger.frame(at(110), 1, 1, 7);
        let (reason, detail) = (crate::journal::GapReason::Reset, "a cable".to_owned());
        ledger.event(at(120), 1, 1, &Event::Disconnected { reason, detail });
        ledger.event(at(130), 1, 1, &Event::Stop);
        ledger
    }

    /// Rewrites a file's rows and footer, as someone editing it would.
    fn write_again(path: &Path, columns: Vec<Arc<dyn Array>>, pairs: &[KeyValue]) {
        let batch = RecordBatch::try_new(COVERAGE.schema(), columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), COVERAGE.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        for pair in pairs.iter().filter(|pair| pair.key.starts_with("krx.")) {
            writer.append_key_value_metadata(pair.clone());
        }
        writer.close().unwrap();
    }

    #[test]
    fn it_has_the_rights_of_a_file_that_is_born_in_its_directory() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let (data, feed) = (DataDir::new(dir.path()), "KOSPI".parse().unwrap());
        let partition = data.partition(&COVERAGE, date(), &feed);
        fs::create_dir_all(&partition).unwrap();
        // Only root can give a directory a group that it is not in.
        let group = if rustix::process::geteuid().is_root() {
            chown(&partition, None, Some(4712)).unwrap();
            4712
        } else {
            fs::metadata(&partition).unwrap().gid()
        };
        fs::set_permissions(&partition, fs::Permissions::from_mode(0o2770)).unwrap();
        let path = store(&data, &feed, &Ledger::new(date())).unwrap();
        assert_eq!(fs::metadata(path).unwrap().gid(), group);
    }

    #[test]
    fn a_file_in_which_anything_was_changed_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (data, feed) = (DataDir::new(dir.path()), "KOSPI".parse().unwrap());
        let path = store(&data, &feed, &ledger()).unwrap();
        assert_eq!(load(&data, &feed, date()).unwrap().as_ref(), Some(&ledger()));
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

        // Each column gets a different value, of a kind that it may hold.
        let last = rows.num_rows() - 1;
        for (index, field) in COVERAGE.schema().fields().iter().enumerate() {
            let other = (0..rows.num_rows()).find(|row| {
                let column = rows.column(index);
                column.slice(*row, 1).to_data() != column.slice(last, 1).to_data()
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

        // A state that could be genuine.
        let mut edited = pairs.clone();
        let state = edited
            .iter_mut()
            .find(|pair| pair.key == format!("krx.{STATE_KEY}"))
            .unwrap();
        let text = state.value.take().unwrap();
        state.value = Some(text.replace("\"running\":false", "\"running\":true"));
        assert_ne!(state.value.as_ref(), Some(&text));
        write_again(&path, rows.columns().to_vec(), &edited);
        assert!(!is_believed(), "the state was changed");
        for key in [STATE_KEY, CHECKSUM_KEY] {
            let without: Vec<_> = pairs
                .iter()
                .filter(|pair| pair.key != format!("krx.{key}"))
                .cloned()
                .collect();
            write_again(&path, rows.columns().to_vec(), &without);
            assert!(!is_believed(), "without {key}");
        }
    }
}
