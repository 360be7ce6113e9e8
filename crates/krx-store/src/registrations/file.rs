//! The dataset `registrations`: one small Parquet file per feed and date, with the stretches so far, and in its footer
//! what the log needs in order to continue.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::NaiveDate;
use krx_protocol::per_issue::{Pair, RegistrationState};

use super::log::{LOST, RegistrationLog};
use super::stretch::{Stretch, overlap};
use crate::coverage::bounds;
use crate::dataset::{REGISTRATIONS, ZONE};
use crate::error::{StoreError, parquet_at};
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::moment::Moment;
use crate::whole::{Checksum, Contents, Whole};

const FILE: Whole = Whole {
    dataset: &REGISTRATIONS,
    state_key: "log",
    checksum_key: "log_crc32c",
    version: 1,
};

/// Replaces the file with the log; returns the file.
pub(crate) fn store(data: &DataDir, feed: &FeedName, log: &RegistrationLog) -> Result<PathBuf, StoreError> {
    let path = FILE.path(data, feed, log.date());
    let bytes = to_parquet(feed, log).map_err(parquet_at("building", &path))?;
    FILE.replace(data, (feed, log.date()), &bytes, |staged| {
        let found = read(staged, log.date())?;
        Ok(found.is_some_and(|found| found.parts() == log.parts()))
    })
}

/// The log as last written; `None` when there is no file. A file that cannot be read, or is not what was written, is a
/// [`StoreError::ReadBack`].
pub(crate) fn load(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<Option<RegistrationLog>, StoreError> {
    FILE.load(data, (feed, date), |path| read(path, date))
}

/// Whether a file matches the checksum in its footer.
pub(crate) fn is_as_written(path: &Path, date: NaiveDate) -> bool {
    matches!(read(path, date), Ok(Some(_)))
}

/// Whether two files of a date have the same rows.
pub(crate) fn have_same_rows(left: &Path, right: &Path, date: NaiveDate) -> bool {
    let rows = |path| Some(read(path, date).ok()??.stretches());
    rows(left).is_some_and(|left| Some(left) == rows(right))
}

/// Whether a file lacks what was before some time, or is in doubt about a pair: the journal may know more.
pub(crate) fn is_in_part(path: &Path, date: NaiveDate) -> bool {
    let Ok(Some(log)) = read(path, date) else {
        return true;
    };
    let stretches = log.stretches();
    let is_late = |stretch: &Stretch| stretch.detail.as_deref() == Some(LOST);
    stretches.iter().any(is_late) || overlap(&stretches).is_some()
}

fn to_parquet(feed: &FeedName, log: &RegistrationLog) -> parquet::errors::Result<Vec<u8>> {
    let rows = log.stretches();
    let texts = |text: fn(&Stretch) -> Option<&str>| {
        Arc::new(rows.iter().map(text).collect::<StringArray>()) as ArrayRef
    };
    let times = |time: fn(&Stretch) -> Moment| {
        let values = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| time(row).0));
        Arc::new(values.with_timezone(ZONE)) as ArrayRef
    };
    let sessions = rows.iter().map(|row| row.session);
    let sessions = sessions.map(|session| session.map(|session| i32::try_from(session).unwrap_or(i32::MAX)));
    let columns: [(&str, ArrayRef); 7] = [
        ("preset", texts(|row| Some(row.pair.preset.as_str()))),
        ("code", texts(|row| Some(&row.pair.code))),
        ("from_ts", times(|row| row.from)),
        ("to_ts", times(|row| row.to)),
        ("state", texts(|row| Some(row.state.as_str()))),
        ("session", Arc::new(sessions.collect::<Int32Array>())),
        ("detail", texts(|row| row.detail.as_deref())),
    ];
    let (closed, state) = log.parts();
    let state = FILE.state_text(closed.len(), state);
    let midnight = bounds(log.date()).0;
    let footer = FILE.footer(
        (feed, log.date()),
        rows.len(),
        (
            rows.iter().map(|row| row.from).min().unwrap_or(midnight),
            rows.iter().map(|row| row.to).max().unwrap_or(midnight),
        ),
        1,
        rows.iter().filter_map(|row| row.session).max(),
    );
    let checksum = checksum(&rows, &state);
    FILE.to_parquet(&REGISTRATIONS.batch(columns), &footer, state, checksum)
}

/// Over the state's text and each row: its numbers (a null as -1), then its texts.
fn checksum(rows: &[Stretch], state: &str) -> Checksum {
    rows.iter()
        .fold(Checksum::default().text(state), |checksum, row| {
            let session = row.session.map_or(-1, i64::from);
            let checksum = [row.from.0, row.to.0, session]
                .into_iter()
                .fold(checksum, Checksum::number);
            [row.pair.preset.as_str(), &row.pair.code, row.state.as_str()]
                .into_iter()
                .fold(checksum, Checksum::text)
                .text_or_none(row.detail.as_deref())
        })
}

/// `None` when the file is Parquet but not what [`store`] wrote.
fn read(path: &Path, date: NaiveDate) -> Result<Option<RegistrationLog>, StoreError> {
    FILE.read(path, |contents| decode(contents, date))
}

fn decode(contents: Contents, date: NaiveDate) -> Option<RegistrationLog> {
    let mut rows = Vec::new();
    for batch in &contents.batches {
        rows.extend(to_stretches(batch)?);
    }
    let (closed, state) = contents.state(|state| checksum(&rows, state))?;
    rows.truncate(closed);
    Some(RegistrationLog::of_parts(date, rows, state))
}

fn to_stretches(batch: &RecordBatch) -> Option<Vec<Stretch>> {
    let time = |name: &str| {
        batch
            .column_by_name(name)?
            .as_primitive_opt::<TimestampMicrosecondType>()
    };
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (from, to) = (time("from_ts")?, time("to_ts")?);
    let (preset, code, state, detail) = (text("preset")?, text("code")?, text("state")?, text("detail")?);
    let session = batch.column_by_name("session")?.as_primitive_opt::<Int32Type>()?;
    let state_of = |word: &str| {
        RegistrationState::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
    };
    (0..batch.num_rows())
        .map(|row| {
            Some(Stretch {
                pair: Pair {
                    preset: preset.value(row).parse().ok()?,
                    code: code.value(row).to_owned(),
                },
                from: Moment(from.value(row)),
                to: Moment(to.value(row)),
                state: state_of(state.value(row))?,
                session: session.is_valid(row).then(|| session.value(row).cast_unsigned()),
                detail: detail.is_valid(row).then(|| detail.value(row).to_owned()),
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
