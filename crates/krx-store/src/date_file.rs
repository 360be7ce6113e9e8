//! The file of a dataset with one file per date ([`Rows::OfAllFeeds`]). Like that of `coverage` it is only ever replaced as
//! a whole, by a rename. Unlike coverage it is not what a recorder continues from after a crash.
//!
//! ```text
//!   DATA/clock/date=2026-11-20/clock-20261120T000000-000000000001-999999999999.parquet
//! ```
//!
//! [`Rows::OfAllFeeds`]: crate::dataset::Rows::OfAllFeeds

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use crate::dataset::{Dataset, value_of};
use crate::disk::Output;
use crate::error::{StoreError, at, parquet_at};
use crate::layout::{CommittedName, DataDir};
use crate::rights;

/// The most rows of a row group.
const GROUP_ROWS_MAX: u64 = 1 << 17;

/// What a file says of itself beside its rows, by key, without the prefix `krx.`.
pub type KeyValues = BTreeMap<String, String>;

/// What a file has.
#[derive(Debug)]
pub struct DateFile {
    /// Its rows.
    pub batches: Vec<RecordBatch>,
    /// What its footer says.
    pub says: KeyValues,
}

/// Where the file of a date is.
#[must_use]
pub fn path(data: &DataDir, dataset: Dataset, date: NaiveDate) -> PathBuf {
    let name = CommittedName::of_the_date(dataset, date);
    data.date_dir(dataset, date).join(name.to_string())
}

/// Replaces the file of a date, once it reads back; returns its path. The same rows and key-values give the same bytes.
///
/// # Errors
/// [`StoreError`], when the disk refuses, or the file does not read back: what was there stays.
pub fn replace<'a>(
    data: &DataDir,
    dataset: Dataset,
    date: NaiveDate,
    batches: impl IntoIterator<Item = &'a RecordBatch>,
    says: &KeyValues,
) -> Result<PathBuf, StoreError> {
    let (path, dir) = (path(data, dataset, date), data.date_dir(dataset, date));
    let staged = data.staging().join(format!("{dataset}-{date}.partial"));
    data.create_dir(&dir)?;
    data.create_dir(&data.staging())?;
    let mut output = Output::create(data.disk(), &staged)?;
    let bytes = to_parquet(dataset, date, batches, says).map_err(parquet_at("building", &staged))?;
    output.write_all(&bytes.0).map_err(at("writing", &staged))?;
    output.sync()?;
    drop(output);
    // Invariant I2: a file of a dataset reads back as what was written.
    let found = read_at(&staged, dataset)?;
    let rows = |file: &DateFile| file.batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    if found.as_ref().map(rows) != Some(bytes.1) {
        return Err(StoreError::ReadBack {
            path: staged,
            what: "it is not what was written".into(),
        });
    }
    rights::as_born_in(&staged, &dir);
    data.disk().replace(&staged, &path)?;
    Ok(path)
}

/// A file's bytes, and how many rows it has.
fn to_parquet<'a>(
    dataset: Dataset,
    date: NaiveDate,
    batches: impl IntoIterator<Item = &'a RecordBatch>,
    says: &KeyValues,
) -> parquet::errors::Result<(Vec<u8>, usize)> {
    let (mut bytes, mut rows) = (Vec::new(), 0);
    let properties = dataset.properties(GROUP_ROWS_MAX);
    let mut writer = ArrowWriter::try_new(&mut bytes, dataset.schema(), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
        rows += batch.num_rows();
    }
    let own = [
        ("schema_version", dataset.schema_version.to_string()),
        ("date", date.to_string()),
        ("rows", rows.to_string()),
        ("recorder_version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    let says = says.iter().map(|(key, value)| (key.clone(), value.clone()));
    for (key, value) in own.chain(says) {
        writer.append_key_value_metadata(KeyValue::new(format!("krx.{key}"), value));
    }
    writer.close()?;
    Ok((bytes, rows))
}

/// The file of a date; `None` when there is none.
///
/// # Errors
/// [`StoreError::NewerSchema`], when a newer recorder wrote it; [`StoreError::Unsound`], when it is not a file of this
/// dataset, or damaged.
pub fn read(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<Option<DateFile>, StoreError> {
    let path = path(data, dataset, date);
    match read_at(&path, dataset) {
        Ok(None) => Err(StoreError::Unsound {
            what: format!("it is not a file of {dataset}"),
            path,
        }),
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(StoreError::Parquet { path, source, .. }) => Err(StoreError::Unsound {
            path,
            what: source.to_string(),
        }),
        other => other,
    }
}

/// What a file has; `None` when it is Parquet, but not a file of this dataset.
fn read_at(path: &Path, dataset: Dataset) -> Result<Option<DateFile>, StoreError> {
    // Our code never panics on bad input, but the Parquet library makes no such promise for damaged files.
    catch_unwind(AssertUnwindSafe(|| contents(path, dataset))).unwrap_or_else(|_| {
        Err(StoreError::Unsound {
            path: path.to_owned(),
            what: "the Parquet library panicked over it".to_owned(),
        })
    })
}

fn contents(path: &Path, dataset: Dataset) -> Result<Option<DateFile>, StoreError> {
    let file = File::open(path).map_err(at("opening", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet_at("reading", path))?;
    let metadata = builder.metadata().file_metadata();
    let version = value_of(metadata, "schema_version").and_then(|version| version.parse().ok());
    if let Some(version) = version.filter(|version| *version > dataset.schema_version) {
        return Err(dataset.newer(path, version));
    }
    if builder.schema().fields() != dataset.schema().fields() {
        return Ok(None);
    }
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let says =
        pairs.filter_map(|pair| Some((pair.key.strip_prefix("krx.")?.to_owned(), pair.value.clone()?)));
    let says = says.collect();
    let reader = builder.build().map_err(parquet_at("reading", path))?;
    let batches = reader.map(|batch| {
        let batch = batch.map_err(ParquetError::from);
        batch.map_err(parquet_at("reading", path))
    });
    let batches = batches.collect::<Result<_, _>>()?;
    Ok(Some(DateFile { batches, says }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;
    use crate::dataset::{CLOCK, ZONE};

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    fn rows(offsets: &[Option<i64>]) -> RecordBatch {
        let count = i64::try_from(offsets.len()).unwrap();
        let column = |values: ArrayRef| values;
        CLOCK.batch([
            (
                "ts",
                column(Arc::new(
                    TimestampMicrosecondArray::from_iter_values(0..count).with_timezone(ZONE),
                )),
            ),
            (
                "synchronised",
                column(Arc::new(
                    offsets.iter().map(|_| Some(true)).collect::<BooleanArray>(),
                )),
            ),
            (
                "offset_us",
                column(Arc::new(offsets.iter().copied().collect::<Int64Array>())),
            ),
            (
                "max_error_us",
                column(Arc::new(offsets.iter().copied().collect::<Int64Array>())),
            ),
            (
                "source",
                column(Arc::new(StringArray::from_iter_values(
                    offsets.iter().map(|_| "kernel"),
                ))),
            ),
        ])
    }

    #[test]
    fn a_date_has_one_file_and_the_same_rows_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        assert!(read(&data, &CLOCK, date()).unwrap().is_none());
        let says: KeyValues = [("made_of".to_owned(), "nothing".to_owned())].into();
        let path = replace(&data, &CLOCK, date(), [&rows(&[Some(5)])], &says).unwrap();
        assert_eq!(
            path.strip_prefix(dir.path()).unwrap().to_str().unwrap(),
            "clock/date=2026-11-20/clock-20261120T000000-000000000001-999999999999.parquet"
        );
        let first = fs::read(&path).unwrap();
        replace(&data, &CLOCK, date(), [&rows(&[Some(5), None])], &says).unwrap();
        let file = read(&data, &CLOCK, date()).unwrap().unwrap();
        let offsets = file.batches[0].column_by_name("offset_us").unwrap();
        let offsets: Vec<_> = offsets.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(offsets, [Some(5), None]);
        assert_eq!(file.says["made_of"], "nothing");
        assert_eq!(file.says["rows"], "2");
        replace(&data, &CLOCK, date(), [&rows(&[Some(5)])], &says).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(fs::read_dir(data.staging()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_or_strange_file_is_said_and_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let path = replace(&data, &CLOCK, date(), [&rows(&[Some(5)])], &KeyValues::new()).unwrap();
        let whole = fs::read(&path).unwrap();
        for kept in [0, 3, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..kept]).unwrap();
            let error = read(&data, &CLOCK, date()).unwrap_err();
            assert!(matches!(error, StoreError::Unsound { .. }), "{kept}: {error}");
        }
    }
}
