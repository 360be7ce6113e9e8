//! The file of a dataset with one file per date ([`Rows::OfAllFeeds`]). Like a `coverage` file it is only ever replaced as
//! a whole, by a rename. Unlike coverage, it is not what a recorder continues from after a crash.
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

use crate::column_orders::known_orders;
use crate::dataset::{Dataset, value_of};
use crate::disk::Output;
use crate::error::{StoreError, at, parquet_at};
use crate::layout::{CommittedName, DataDir};
use crate::rights;

/// The most rows in a row group.
const GROUP_ROWS_MAX: u64 = 1 << 17;

/// What a file's footer says, by key, without the prefix `krx.`.
pub type KeyValues = BTreeMap<String, String>;

/// A file's contents.
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
    let batches: Vec<_> = batches.into_iter().collect();
    let mut output = Output::create(data.disk(), &staged)?;
    let bytes = to_parquet(dataset, date, &batches, says).map_err(parquet_at("building", &staged))?;
    output.write_all(&bytes).map_err(at("writing", &staged))?;
    // Old readers refuse the order that the Parquet library names for floating-point columns.
    let orders = File::open(&staged)
        .and_then(|file| known_orders(&file, dataset.columns.len()))
        .map_err(at("reading the end of", &staged))?;
    if let Some((orders, offset)) = orders {
        output
            .overwrite(&orders, offset)
            .map_err(at("writing", &staged))?;
    }
    output.sync()?;
    drop(output);
    // Invariant I2: a file of a dataset reads back as what was written.
    if !has_rows(&staged, dataset, &batches)? {
        return Err(StoreError::ReadBack {
            path: staged,
            what: "it is not what was written".into(),
        });
    }
    rights::as_born_in(&staged, &dir);
    data.disk().replace(&staged, &path)?;
    Ok(path)
}

/// Whether a file has exactly these rows. It is read a batch at a time.
fn has_rows(path: &Path, dataset: Dataset, batches: &[&RecordBatch]) -> Result<bool, StoreError> {
    without_panic(path, || {
        let Some((_, builder)) = open(path, dataset)? else {
            return Ok(false);
        };
        let mut rest: Vec<_> = batches.iter().rev().map(|batch| (*batch).clone()).collect();
        for found in builder.build().map_err(parquet_at("reading", path))? {
            let found = found.map_err(ParquetError::from);
            if !begin_with(&mut rest, &found.map_err(parquet_at("reading", path))?) {
                return Ok(false);
            }
        }
        Ok(rest.iter().all(|batch| batch.num_rows() == 0))
    })
}

/// Removes rows from the front of batches, which are in reverse order; `false` if they do not begin with these rows.
fn begin_with(batches: &mut Vec<RecordBatch>, rows: &RecordBatch) -> bool {
    let mut compared = 0;
    while compared < rows.num_rows() {
        let Some(batch) = batches.pop() else {
            return false;
        };
        let count = batch.num_rows().min(rows.num_rows() - compared);
        if batch.slice(0, count) != rows.slice(compared, count) {
            return false;
        }
        compared += count;
        if count < batch.num_rows() {
            batches.push(batch.slice(count, batch.num_rows() - count));
        }
    }
    true
}

/// A file's bytes.
fn to_parquet(
    dataset: Dataset,
    date: NaiveDate,
    batches: &[&RecordBatch],
    says: &KeyValues,
) -> parquet::errors::Result<Vec<u8>> {
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
    Ok(bytes)
}

/// The file of a date, or `None` if the date has no file.
///
/// # Errors
/// [`StoreError::NewerSchema`], when a newer recorder wrote it; [`StoreError::Unsound`], when it is not a file of this
/// dataset, or damaged.
pub fn read(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<Option<DateFile>, StoreError> {
    look(data, dataset, date, |path| contents(path, dataset))
}

/// What the footer of a date's file says; `None` when there is no file. Its rows are not read.
///
/// # Errors
/// As [`read`].
pub fn says(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<Option<KeyValues>, StoreError> {
    look(data, dataset, date, |path| {
        Ok(open(path, dataset)?.map(|(says, _)| says))
    })
}

/// What `read` finds in the file of a date; `None` when there is no file. A file in which it finds `None` is not one of this
/// dataset.
fn look<T>(
    data: &DataDir,
    dataset: Dataset,
    date: NaiveDate,
    read: impl FnOnce(&Path) -> Result<Option<T>, StoreError>,
) -> Result<Option<T>, StoreError> {
    let path = path(data, dataset, date);
    match without_panic(&path, || read(&path)) {
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

/// Reads a file. Our code never panics on bad input, but the Parquet library makes no such promise for damaged files.
fn without_panic<T>(path: &Path, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(StoreError::Unsound {
            path: path.to_owned(),
            what: "the Parquet library panicked over it".to_owned(),
        })
    })
}

/// Opens a file: what its footer says, and a reader of its rows; `None` when it is not a file of this dataset.
fn open(
    path: &Path,
    dataset: Dataset,
) -> Result<Option<(KeyValues, ParquetRecordBatchReaderBuilder<File>)>, StoreError> {
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
    Ok(Some((says.collect(), builder)))
}

fn contents(path: &Path, dataset: Dataset) -> Result<Option<DateFile>, StoreError> {
    let Some((says, builder)) = open(path, dataset)? else {
        return Ok(None);
    };
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
    use crate::dataset::{CLOCK, DAILY, DatasetSpec, ZONE};

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    fn rows(offsets: &[Option<i64>]) -> RecordBatch {
        let count = i64::try_from(offsets.len()).unwrap();
        let times = TimestampMicrosecondArray::from_iter_values(0..count).with_timezone(ZONE);
        let synchronised: BooleanArray = offsets.iter().map(|_| Some(true)).collect();
        let sources = StringArray::from_iter_values(offsets.iter().map(|_| "kernel"));
        let offsets: ArrayRef = Arc::new(Int64Array::from(offsets.to_vec()));
        CLOCK.batch([
            ("ts", Arc::new(times) as ArrayRef),
            ("synchronised", Arc::new(synchronised)),
            ("offset_us", offsets.clone()),
            ("max_error_us", offsets),
            ("source", Arc::new(sources)),
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
    fn a_file_is_put_in_place_only_if_each_row_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let whole = rows(&[Some(1), None, Some(3), Some(4), Some(5)]);
        let path = replace(&data, &CLOCK, date(), [&whole], &KeyValues::new()).unwrap();
        let parts = [
            whole.slice(0, 1),
            whole.slice(1, 0),
            whole.slice(1, 3),
            whole.slice(4, 1),
        ];
        let has = |parts: &[&RecordBatch]| has_rows(&path, &CLOCK, parts).unwrap();
        assert!(has(&[&whole]));
        assert!(has(&parts.iter().collect::<Vec<_>>()), "however they are divided");
        assert!(!has(&[&parts[0], &parts[2]]), "too few");
        assert!(!has(&[&whole, &parts[0]]), "too many");
        assert!(!has(&[]));
        let other = rows(&[Some(1), None, Some(3), Some(4), Some(6)]);
        assert!(!has(&[&other]));
    }

    #[test]
    fn a_file_that_is_damaged_of_another_dataset_or_of_a_newer_recorder_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let path = replace(&data, &CLOCK, date(), [&rows(&[Some(5)])], &KeyValues::new()).unwrap();
        let whole = fs::read(&path).unwrap();
        for kept in [0, 3, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..kept]).unwrap();
            let error = read(&data, &CLOCK, date()).unwrap_err();
            assert!(matches!(error, StoreError::Unsound { .. }), "{kept}: {error}");
        }
        let other = super::path(&data, &DAILY, date());
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::write(&other, &whole).unwrap();
        for error in [
            read(&data, &DAILY, date()).unwrap_err(),
            says(&data, &DAILY, date()).unwrap_err(),
        ] {
            assert!(error.to_string().contains("it is not a file of daily"), "{error}");
        }
        let mut newer = DatasetSpec::of_all_feeds("clock", "", CLOCK.columns);
        newer.schema_version = 2;
        let newer: Dataset = Box::leak(Box::new(newer));
        replace(&data, newer, date(), [&rows(&[Some(5)])], &KeyValues::new()).unwrap();
        let error = read(&data, &CLOCK, date()).unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
    }
}
