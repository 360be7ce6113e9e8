//! The coverage dataset: one small Parquet file per feed and date. It holds the intervals so far, and in its footer
//! what the ledger needs in order to continue. It is written once the files of the same frames are in place, and while
//! no frame is held that is not in a file: what it calls live, the files hold (I8).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use chrono::NaiveDate;

use super::interval::{Interval, Reason, State};
use super::ledger::Ledger;
use super::slice::VERSION;
use super::state::bounds;
use crate::dataset::{COVERAGE, ZONE};
use crate::error::{StoreError, parquet_at};
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::moment::Moment;
use crate::whole::{Checksum, Contents, Whole};

const FILE: Whole = Whole {
    dataset: &COVERAGE,
    state_key: "ledger",
    checksum_key: "ledger_crc32c",
    version: VERSION,
};

/// Replaces the coverage file with the ledger; returns the file.
pub(crate) fn store(data: &DataDir, feed: &FeedName, ledger: &Ledger) -> Result<PathBuf, StoreError> {
    let place = (feed, ledger.date());
    let path = FILE.path(data, feed, ledger.date());
    let bytes = to_parquet(feed, ledger).map_err(parquet_at("building", &path))?;
    FILE.replace(data, place, &bytes, |staged| {
        Ok(read(staged, ledger.date())?.as_ref() == Some(ledger))
    })
}

/// The ledger as last written; `None` when there is no file. A file that cannot be read, or is not what was written, is
/// a [`StoreError::ReadBack`].
pub(crate) fn load(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Option<Ledger>, StoreError> {
    FILE.load(data, (feed, date), |path| read(path, date))
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
    let (closed, state) = ledger.parts();
    let state = FILE.state_text(closed.len(), state);
    let first = intervals.first().map_or(bounds(ledger.date()).0, |row| row.from);
    let last = intervals.last().map_or(first, |row| row.to);
    let footer = FILE.footer(
        (feed, ledger.date()),
        intervals.len(),
        (first, last),
        ledger.last_frame(),
        intervals.iter().filter_map(|row| row.session).max(),
    );
    let checksum = checksum(&intervals, &state);
    FILE.to_parquet(&COVERAGE.batch(columns), &footer, state, checksum)
}

/// Over the state's text and each row: its numbers (a null as -1), then its texts.
fn checksum(intervals: &[Interval], state: &str) -> Checksum {
    intervals
        .iter()
        .fold(Checksum::default().text(state), |checksum, row| {
            let session = row.session.map_or(-1, i64::from);
            let numbers = [
                row.from.0,
                row.to.0,
                session,
                row.frames.cast_signed(),
                row.rows.cast_signed(),
            ];
            let checksum = numbers.into_iter().fold(checksum, Checksum::number);
            let detail = row.detail.as_deref();
            let checksum = checksum.number(i64::from(detail.is_some()));
            [
                row.state.as_str(),
                row.reason.as_str(),
                detail.unwrap_or_default(),
            ]
            .into_iter()
            .fold(checksum, Checksum::text)
        })
}

/// Whether a file matches the checksum in its footer.
pub(crate) fn is_as_written(path: &Path, date: NaiveDate) -> bool {
    matches!(read(path, date), Ok(Some(_)))
}

/// `None` when the file is Parquet but not what [`store`] wrote.
pub(crate) fn read(path: &Path, date: NaiveDate) -> Result<Option<Ledger>, StoreError> {
    FILE.read(path, |contents| decode(contents, date))
}

fn decode(contents: Contents, date: NaiveDate) -> Option<Ledger> {
    let mut intervals = Vec::new();
    for batch in &contents.batches {
        intervals.extend(to_intervals(batch)?);
    }
    let (closed, state) = contents.state(|state| checksum(&intervals, state))?;
    intervals.truncate(closed);
    Some(Ledger::restore(date, intervals, state))
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
    use std::fs;

    use super::*;
    use crate::journal::Event;
    use crate::whole::changed::assert_no_change_is_believed;

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
        let edit = ("\"running\":false", "\"running\":true");
        assert_no_change_is_believed(&FILE, &path, edit, || match load(&data, &feed, date()) {
            Ok(found) => found.is_some(),
            Err(StoreError::ReadBack { .. }) => false,
            Err(error) => panic!("{error}"),
        });
    }
}
