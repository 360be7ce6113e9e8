//! A feed's rows of a date in order of arrival, whatever files they are in.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::columns::Columns;
use super::file::{Opened, READ_ROWS, not_ours, open, undecodable};
use super::fingerprint::Fingerprint;
use crate::catalog;
use crate::dataset::{Dataset, Footer};
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::DataDir;

/// Reads files one after another. Memory stays small: a batch, or a run of a sealed day.
pub(crate) struct Arrivals {
    dataset: Dataset,
    files: std::vec::IntoIter<PathBuf>,
    current: Option<Current>,
    /// The fingerprint of the rows so far.
    fingerprint: Fingerprint,
    rows: u64,
}

struct Current {
    dataset: Dataset,
    path: PathBuf,
    footer: Footer,
    reader: ParquetRecordBatchReader,
    rows: u64,
    /// Rows of a batch that come after the run in hand.
    rest: Option<RecordBatch>,
    /// `None` for a file in order of arrival.
    runs: Option<Runs>,
}

/// The runs of a sealed day, each of which is put into order of arrival.
struct Runs {
    /// The number of rows in each run still to be read, the next one last.
    left: Vec<u64>,
    run: Columns,
    order: std::vec::IntoIter<u32>,
}

impl Arrivals {
    /// The files must be in order of their frames.
    pub(crate) fn new(dataset: Dataset, files: Vec<PathBuf>) -> Self {
        Self {
            dataset,
            files: files.into_iter(),
            current: None,
            fingerprint: Fingerprint::default(),
            rows: 0,
        }
    }

    /// The rows of a dataset, feed and date, and their number according to the footers.
    pub(crate) fn of(
        data: &DataDir,
        dataset: Dataset,
        feed: &FeedName,
        date: NaiveDate,
    ) -> Result<(Self, u64), StoreError> {
        let files = catalog::paths(data, dataset, feed, date)?;
        let mut rows = 0;
        for path in &files {
            rows += catalog::read_footer(path)?.rows_of(dataset);
        }
        Ok((Self::new(dataset, files), rows))
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The next rows; `code` is a dictionary or plain text.
    pub(crate) fn advance(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            if self.current.is_none() {
                let Some(path) = self.files.next() else {
                    return Ok(None);
                };
                self.current = Some(Current::open(self.dataset, path)?);
            }
            let Some(current) = &mut self.current else {
                return Ok(None);
            };
            if let Some(batch) = current.advance(&mut self.fingerprint)? {
                self.rows += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
            current.check_rows()?;
            self.current = None;
        }
    }
}

impl Current {
    fn open(dataset: Dataset, path: PathBuf) -> Result<Self, StoreError> {
        let Opened { footer, reader, .. } = open(dataset, &path, READ_ROWS)?;
        let runs = footer.day.as_ref().map(|day| {
            let run = Columns::of(dataset).ok_or_else(|| {
                not_ours(
                    &path,
                    format!("{dataset} has no sealed days, but this file is one"),
                )
            })?;
            let mut left = day.runs.clone();
            left.reverse();
            let order = Vec::new().into_iter();
            Ok(Runs { left, run, order })
        });
        let runs = runs.transpose()?;
        Ok(Self {
            dataset,
            path,
            footer,
            reader,
            rows: 0,
            rest: None,
            runs,
        })
    }

    fn check_rows(&self) -> Result<(), StoreError> {
        let rows = self.footer.rows_of(self.dataset);
        if self.rows == rows && self.rest.is_none() {
            return Ok(());
        }
        let what = format!("it has {} rows, but its footer says {rows}", self.rows);
        Err(not_ours(&self.path, what))
    }

    fn advance(&mut self, fingerprint: &mut Fingerprint) -> Result<Option<RecordBatch>, StoreError> {
        let Some(mut runs) = self.runs.take() else {
            return self.read(fingerprint);
        };
        let batch = self.advance_in(&mut runs, fingerprint);
        self.runs = Some(runs);
        batch
    }

    fn advance_in(
        &mut self,
        runs: &mut Runs,
        fingerprint: &mut Fingerprint,
    ) -> Result<Option<RecordBatch>, StoreError> {
        loop {
            let rows: Vec<u32> = runs.order.by_ref().take(READ_ROWS).collect();
            if !rows.is_empty() {
                return Ok(Some(runs.run.take(&rows)));
            }
            let Some(rows) = runs.left.pop() else {
                return Ok(None);
            };
            self.read_run(rows, &mut runs.run, fingerprint)?;
            runs.order = runs.run.by_arrival().into_iter();
        }
    }

    fn read_run(
        &mut self,
        rows: u64,
        run: &mut Columns,
        fingerprint: &mut Fingerprint,
    ) -> Result<(), StoreError> {
        run.clear();
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        while run.len() < rows {
            let next = match self.rest.take() {
                Some(rest) => Some(rest),
                None => self.read(fingerprint)?,
            };
            let Some(batch) = next else {
                return Err(not_ours(&self.path, "it ends within one of its runs"));
            };
            let wanted = batch.num_rows().min(rows - run.len());
            run.push(&batch.slice(0, wanted))
                .map_err(|what| not_ours(&self.path, what))?;
            if wanted < batch.num_rows() {
                self.rest = Some(batch.slice(wanted, batch.num_rows() - wanted));
            }
        }
        Ok(())
    }

    /// Rows in the order in which they lie in the file.
    fn read(&mut self, fingerprint: &mut Fingerprint) -> Result<Option<RecordBatch>, StoreError> {
        let Some(batch) = self.reader.next() else {
            return Ok(None);
        };
        let batch = batch
            .map_err(parquet::errors::ParquetError::from)
            .map_err(undecodable(&self.path))?;
        fingerprint.add(&batch);
        self.rows += batch.num_rows() as u64;
        Ok(Some(batch))
    }
}
