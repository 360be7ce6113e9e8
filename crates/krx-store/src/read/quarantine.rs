//! Quarantine, row by row.

use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::file::{Opened, open, undecodable};
use crate::catalog;
use crate::dataset::QUARANTINE;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::moment::Moment;

/// A row holds up to a whole message, so a few at a time are enough.
const BATCH_ROWS: usize = 256;

/// A row of `quarantine`; what each column means is in docs/reading-the-data.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineRow {
    /// When the frame was received.
    pub recv: Moment,
    /// The frame's number, from 1.
    pub frame: u64,
    /// The position in the frame, from 0; `None` for the whole message or a piece that is not a single record.
    pub item: Option<i16>,
    /// The connection's number, from 1.
    pub session: u32,
    /// A word of the documented set.
    pub reason: String,
    /// The key concerned, or the server's words.
    pub detail: Option<String>,
    /// The bytes as received.
    pub raw: Vec<u8>,
}

/// The quarantine of one feed and date, in order of arrival.
pub struct Quarantine {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
}

impl Quarantine {
    /// Opens what is committed now. Without any file there are no rows.
    ///
    /// # Errors
    /// [`StoreError::Io`], when the partition cannot be listed.
    pub fn open(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        Ok(Self {
            files: catalog::paths(data, &QUARANTINE, feed, date)?.into_iter(),
            current: None,
        })
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read, or is not a quarantine file.
    pub fn next_batch(&mut self) -> Result<Option<Vec<QuarantineRow>>, StoreError> {
        loop {
            if self.current.is_none() {
                let Some(path) = self.files.next() else {
                    return Ok(None);
                };
                let Opened { reader, .. } = open(&QUARANTINE, &path, BATCH_ROWS)?;
                self.current = Some((path, reader));
            }
            let Some((path, reader)) = &mut self.current else {
                return Ok(None);
            };
            match reader.next() {
                Some(batch) => {
                    let batch = batch
                        .map_err(parquet::errors::ParquetError::from)
                        .map_err(undecodable(path))?;
                    return Ok(Some(rows(&batch)));
                }
                None => self.current = None,
            }
        }
    }
}

/// The columns by type, which [`open`] has checked.
fn rows(batch: &RecordBatch) -> Vec<QuarantineRow> {
    let column = |name: &str| &batch.columns()[QUARANTINE.index_of(name).unwrap_or_default()];
    let recv = column("recv_ts").as_primitive::<TimestampMicrosecondType>();
    let frame = column("frame").as_primitive::<Int64Type>();
    let item = column("item").as_primitive::<Int16Type>();
    let session = column("session").as_primitive::<Int32Type>();
    let (reason, detail) = (
        column("reason").as_string::<i32>(),
        column("detail").as_string::<i32>(),
    );
    let raw = column("raw").as_binary::<i32>();
    (0..batch.num_rows())
        .map(|row| QuarantineRow {
            recv: Moment(recv.value(row)),
            frame: frame.value(row).cast_unsigned(),
            item: item.is_valid(row).then(|| item.value(row)),
            session: session.value(row).cast_unsigned(),
            reason: reason.value(row).to_owned(),
            detail: detail.is_valid(row).then(|| detail.value(row).to_owned()),
            raw: raw.value(row).to_owned(),
        })
        .collect()
}
