//! Rows of the dataset `clock`: what the kernel said about the clock by which frames are stamped.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use chrono::NaiveDate;

use crate::dataset::{CLOCK, ZONE};
use crate::date_file::{self, KeyValues};
use crate::error::StoreError;
use crate::layout::DataDir;
use crate::moment::Moment;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockRow {
    /// When the kernel was asked, by its clock.
    pub ts: Moment,
    /// Whether its clock is kept in step with a source of time; `None` when it did not say.
    pub synchronised: Option<bool>,
    /// By how much it is still being put right, µs; `None` when not known.
    pub offset_us: Option<i64>,
    /// The most that it may be off, µs; `None` when not known.
    pub max_error_us: Option<i64>,
    /// Where this is from, or why it is not known.
    pub source: String,
}

/// The rows of a date, as they were recorded; empty when there is no file.
///
/// # Errors
/// [`StoreError`], as from [`date_file::read`].
pub fn load(data: &DataDir, date: NaiveDate) -> Result<Vec<ClockRow>, StoreError> {
    let file = date_file::read(data, &CLOCK, date)?;
    let batches = file.iter().flat_map(|file| &file.batches);
    Ok(batches.flat_map(rows_of).collect())
}

/// Replaces the rows of a date.
///
/// # Errors
/// [`StoreError`], as from [`date_file::replace`]: what was there stays.
pub fn store(data: &DataDir, date: NaiveDate, rows: &[ClockRow]) -> Result<(), StoreError> {
    date_file::replace(data, &CLOCK, date, [&batch_of(rows)], &KeyValues::new()).map(drop)
}

fn batch_of(rows: &[ClockRow]) -> RecordBatch {
    let ts = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.ts.0));
    let synchronised: BooleanArray = rows.iter().map(|row| row.synchronised).collect();
    let offset: Int64Array = rows.iter().map(|row| row.offset_us).collect();
    let max_error: Int64Array = rows.iter().map(|row| row.max_error_us).collect();
    let source = StringArray::from_iter_values(rows.iter().map(|row| &row.source));
    let columns: [(&str, ArrayRef); 5] = [
        ("ts", Arc::new(ts.with_timezone(ZONE))),
        ("synchronised", Arc::new(synchronised)),
        ("offset_us", Arc::new(offset)),
        ("max_error_us", Arc::new(max_error)),
        ("source", Arc::new(source)),
    ];
    CLOCK.batch(columns)
}

/// The rows of a batch with the dataset's columns.
fn rows_of(batch: &RecordBatch) -> Vec<ClockRow> {
    let [ts, synchronised, offset, max_error, source] = batch.columns() else {
        return Vec::new();
    };
    let ts = ts.as_primitive::<TimestampMicrosecondType>();
    let (synchronised, source) = (synchronised.as_boolean(), source.as_string::<i32>());
    let (offset, max_error) = (
        offset.as_primitive::<Int64Type>(),
        max_error.as_primitive::<Int64Type>(),
    );
    let row = |row| ClockRow {
        ts: Moment(ts.value(row)),
        synchronised: synchronised.is_valid(row).then(|| synchronised.value(row)),
        offset_us: offset.is_valid(row).then(|| offset.value(row)),
        max_error_us: max_error.is_valid(row).then(|| max_error.value(row)),
        source: source.value(row).to_owned(),
    };
    (0..batch.num_rows()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_what_is_not_known_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        assert_eq!(load(&data, date).unwrap(), []);
        let row = |minute: i64, synchronised, offset_us, max_error_us, source: &str| ClockRow {
            ts: Moment(Moment::midnight(date).0 + minute * 60_000_000),
            synchronised,
            offset_us,
            max_error_us,
            source: source.to_owned(),
        };
        let rows = [
            row(540, Some(true), Some(-479), Some(175_500), "kernel"),
            row(541, Some(true), None, Some(0), "kernel"),
            row(542, Some(false), None, None, "kernel"),
            row(543, None, None, None, "not known: Operation not permitted"),
        ];
        store(&data, date, &rows).unwrap();
        assert_eq!(load(&data, date).unwrap(), rows);
        store(&data, date, &rows[..2]).unwrap();
        assert_eq!(load(&data, date).unwrap(), rows[..2]);
    }
}
