//! The file of a dataset that is replaced as a whole: one per feed and date. Beside its rows it has, in its footer, the
//! state from which its writer continues, and a checksum over both.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Footer, value_of};
use crate::disk::Output;
use crate::error::{StoreError, at, parquet_at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, DataDir};
use crate::moment::Moment;
use crate::rights;

/// A date has fewer rows than this: its intervals, or the stretches that `registrations` keeps.
const ROWS_MAX: u64 = 1 << 20;

/// Such a dataset, and the keys in its footer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub(crate) dataset: Dataset,
    /// The key of the state, without its prefix.
    pub(crate) state_key: &'static str,
    /// The key of the checksum.
    pub(crate) checksum_key: &'static str,
    /// The version in which the state is stored.
    pub(crate) version: u32,
}

/// The state in a footer.
#[derive(Serialize, Deserialize)]
struct Stored<S> {
    version: u32,
    /// How many of the rows have ended.
    closed: usize,
    state: S,
}

/// What a file has.
pub(crate) struct Contents {
    pub(crate) batches: Vec<RecordBatch>,
    /// The writer's state; `None` if the footer has none.
    state: Option<String>,
    /// The checksum that the footer has.
    checksum: Option<String>,
    version: u32,
}

impl Contents {
    /// How many of the rows have ended, and the writer's state; `None` if it is of another version, or the checksum, which
    /// `checksum` computes from the state's text, is not the one in the footer.
    pub(crate) fn state<S: DeserializeOwned>(
        &self,
        checksum: impl FnOnce(&str) -> Checksum,
    ) -> Option<(usize, S)> {
        let text = self.state.as_deref()?;
        let stated = self.checksum.as_deref()?;
        (checksum(text).0.to_string() == stated).then_some(())?;
        let stored: Stored<S> = serde_json::from_str(text).ok()?;
        (stored.version == self.version).then_some((stored.closed, stored.state))
    }
}

impl Whole {
    /// Where the file of a feed and date is.
    pub(crate) fn path(self, data: &DataDir, feed: &FeedName, date: NaiveDate) -> PathBuf {
        let name = CommittedName::of_the_date(self.dataset, date);
        data.partition(self.dataset, date, feed).join(name.to_string())
    }

    /// The text of a state that continues after this many rows that have ended.
    pub(crate) fn state_text(self, closed: usize, state: impl Serialize) -> String {
        let stored = Stored {
            version: self.version,
            closed,
            state,
        };
        serde_json::to_string(&stored).expect("a state is plain data")
    }

    /// A file's bytes. `footer` has the rows' count and times already.
    pub(crate) fn to_parquet(
        self,
        rows: &RecordBatch,
        footer: &Footer,
        state: String,
        checksum: Checksum,
    ) -> parquet::errors::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let properties = self.dataset.properties(ROWS_MAX);
        let mut writer = ArrowWriter::try_new(&mut bytes, self.dataset.schema(), Some(properties))?;
        writer.write(rows)?;
        for pair in footer.to_key_values(self.dataset) {
            writer.append_key_value_metadata(pair);
        }
        for (key, value) in [
            (self.state_key, state),
            (self.checksum_key, checksum.0.to_string()),
        ] {
            writer.append_key_value_metadata(KeyValue::new(format!("krx.{key}"), value));
        }
        writer.close()?;
        Ok(bytes)
    }

    /// Replaces the file of a feed and date, once `is_what_was_written` says that it reads back; returns its path.
    pub(crate) fn replace(
        self,
        data: &DataDir,
        (feed, date): (&FeedName, NaiveDate),
        bytes: &[u8],
        is_what_was_written: impl FnOnce(&Path) -> Result<bool, StoreError>,
    ) -> Result<PathBuf, StoreError> {
        let path = self.path(data, feed, date);
        let staged = data.staged(self.dataset, feed);
        let disk = data.disk();
        let partition = data.partition(self.dataset, date, feed);
        data.create_dir(&partition)?;
        data.create_dir(&data.staging())?;
        let mut output = Output::create(disk, &staged)?;
        output.write_all(bytes).map_err(at("writing", &staged))?;
        output.sync()?;
        drop(output);
        // Invariant I2: a file of the dataset reads back as what was written.
        if !is_what_was_written(&staged)? {
            return Err(StoreError::ReadBack {
                path: staged,
                what: "it is not what was written".into(),
            });
        }
        rights::as_born_in(&staged, &partition);
        disk.replace(&staged, &path)?;
        Ok(path)
    }

    /// What `read` makes of the file of a feed and date; `None` when there is no file. A file that cannot be read, or
    /// is not what was written, is a [`StoreError::ReadBack`].
    pub(crate) fn load<T>(
        self,
        data: &DataDir,
        (feed, date): (&FeedName, NaiveDate),
        read: impl FnOnce(&Path) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let path = self.path(data, feed, date);
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at("reading the size of", &path)(error)),
            Ok(_) => {}
        }
        match read(&path) {
            Ok(None) => Err(StoreError::ReadBack {
                path,
                what: "it was changed after it was written".into(),
            }),
            Err(StoreError::Parquet { path, source, .. }) => Err(StoreError::ReadBack {
                path,
                what: source.to_string(),
            }),
            other => other,
        }
    }

    /// What `decode` makes of a file; `None` when it is Parquet, but not a file of this dataset, or `decode` says so.
    pub(crate) fn read<T>(
        self,
        path: &Path,
        decode: impl FnOnce(Contents) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        // Our code never panics on bad input, but the Parquet library makes no such promise for damaged files.
        catch_unwind(AssertUnwindSafe(|| Ok(self.contents(path)?.and_then(decode)))).unwrap_or(Ok(None))
    }

    fn contents(self, path: &Path) -> Result<Option<Contents>, StoreError> {
        let file = File::open(path).map_err(at("opening", path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet_at("reading", path))?;
        let metadata = builder.metadata().file_metadata();
        let value = |key: &str| value_of(metadata, key).map(str::to_owned);
        let (state, checksum) = (value(self.state_key), value(self.checksum_key));
        if let Some(version) = Footer::read(metadata)
            .filter(|footer| footer.is_newer_than(self.dataset))
            .map(|footer| footer.schema_version)
        {
            return Err(self.dataset.newer(path, version));
        }
        if builder.schema().fields() != self.dataset.schema().fields() {
            return Ok(None);
        }
        let reader = builder.build().map_err(parquet_at("reading", path))?;
        let batches = reader.map(|batch| {
            let batch = batch.map_err(ParquetError::from);
            batch.map_err(parquet_at("reading", path))
        });
        Ok(Some(Contents {
            batches: batches.collect::<Result<_, _>>()?,
            state,
            checksum,
            version: self.version,
        }))
    }

    /// The footer of a file with so many rows, which were received in this time.
    pub(crate) fn footer(
        self,
        (feed, date): (&FeedName, NaiveDate),
        rows: usize,
        (first, last): (Moment, Moment),
        last_frame: u64,
        last_session: Option<u32>,
    ) -> Footer {
        let mut footer = Footer::new(feed, date, 1, first).of_dataset(self.dataset);
        footer.last_frame = last_frame;
        footer.files = [(self.dataset.name.to_owned(), rows as u64)].into();
        footer.last_recv = last;
        footer.last_session = last_session;
        footer
    }
}

/// The CRC32C of what a file says: of numbers as 64-bit little-endian integers, and of texts, each preceded by its
/// length. The recorder continues from the file, so a flipped bit must not go unnoticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum(u32);

impl Checksum {
    /// With a number.
    #[must_use]
    pub(crate) fn number(self, number: i64) -> Self {
        Self(crc32c::crc32c_append(self.0, &number.to_le_bytes()))
    }

    /// With a text.
    #[must_use]
    pub(crate) fn text(self, text: &str) -> Self {
        let crc = crc32c::crc32c_append(self.0, &(text.len() as u64).to_le_bytes());
        Self(crc32c::crc32c_append(crc, text.as_bytes()))
    }

    /// With a text that may be missing.
    #[must_use]
    pub(crate) fn text_or_none(self, text: Option<&str>) -> Self {
        self.number(i64::from(text.is_some()))
            .text(text.unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "whole_changed.rs"]
pub(crate) mod changed;
