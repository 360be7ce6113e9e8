//! A market's trades of a date, in order of arrival, whatever files they are in.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::{Columns, files, not_ours, undecodable};
use crate::day::Fingerprint;
use crate::error::{StoreError, at};
use crate::export::{Footer, TRADES_SCHEMA};
use crate::layout::{DataDir, Dataset, Market};

/// Rows read at a time.
const BATCH_ROWS: usize = 32_768;

/// As the dataset's, but for `code`, which is read as the dictionary that it is stored as.
static READING_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = TRADES_SCHEMA
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "code" => Arc::new(Field::new("code", dictionary.clone(), false)),
            _ => Arc::clone(field),
        });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
});

/// A trades file.
pub(crate) struct Opened {
    pub(crate) footer: Footer,
    /// The rows of each row group.
    pub(crate) groups: Vec<u64>,
    /// The rows as they lie in it.
    pub(crate) reader: ParquetRecordBatchReader,
}

/// Opens a trades file.
pub(crate) fn open_trades(path: &Path) -> Result<Opened, StoreError> {
    let file = File::open(path).map_err(at("opening", path))?;
    let options = ArrowReaderOptions::new().with_schema(Arc::clone(&READING_SCHEMA));
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(undecodable(path))?
        .with_batch_size(BATCH_ROWS);
    let footer = Footer::read(builder.metadata().file_metadata())
        .ok_or_else(|| not_ours(path, "it has no footer of ours"))?;
    let groups = builder.metadata().row_groups().iter();
    Ok(Opened {
        footer,
        groups: groups.map(|group| group.num_rows().cast_unsigned()).collect(),
        reader: builder.build().map_err(undecodable(path))?,
    })
}

/// Reads files one after the other. Memory stays small: a batch, or a run of a sealed day.
pub(crate) struct Arrivals {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<Current>,
    /// Of the rows so far, as they were read.
    fingerprint: Fingerprint,
    rows: u64,
}

struct Current {
    path: PathBuf,
    footer: Footer,
    reader: ParquetRecordBatchReader,
    rows: u64,
    /// Rows of a batch that are behind the run in hand.
    rest: Option<RecordBatch>,
    /// The rows of the runs that are still to be read, the next one last; `None` for a file in order of arrival.
    runs: Option<Vec<u64>>,
    run: Columns,
    order: std::vec::IntoIter<u32>,
}

impl Arrivals {
    /// The files must be in order of their frames.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        Self {
            files: files.into_iter(),
            current: None,
            fingerprint: Fingerprint::default(),
            rows: 0,
        }
    }

    pub(crate) fn of(data: &DataDir, market: &Market, date: NaiveDate) -> Result<(Self, u64), StoreError> {
        let files = files(data, Dataset::Trades, market, date)?;
        let mut rows = 0;
        for path in &files {
            rows += crate::export::read_footer(path)?.rows;
        }
        Ok((Self::new(files), rows))
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
                self.current = Some(Current::open(path)?);
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
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let Opened { footer, reader, .. } = open_trades(&path)?;
        let runs = footer.day.as_ref().map(|day| {
            let mut runs = day.runs.clone();
            runs.reverse();
            runs
        });
        Ok(Self {
            path,
            footer,
            reader,
            rows: 0,
            rest: None,
            runs,
            run: Columns::default(),
            order: Vec::new().into_iter(),
        })
    }

    fn check_rows(&self) -> Result<(), StoreError> {
        if self.rows == self.footer.rows && self.rest.is_none() {
            return Ok(());
        }
        let what = format!(
            "it has {} rows, and {} by its footer",
            self.rows, self.footer.rows
        );
        Err(not_ours(&self.path, what))
    }

    fn advance(&mut self, fingerprint: &mut Fingerprint) -> Result<Option<RecordBatch>, StoreError> {
        if self.runs.is_none() {
            return self.read(fingerprint);
        }
        loop {
            let rows: Vec<u32> = self.order.by_ref().take(BATCH_ROWS).collect();
            if !rows.is_empty() {
                return Ok(Some(self.run.take(&rows)));
            }
            let Some(rows) = self.runs.as_mut().and_then(Vec::pop) else {
                return Ok(None);
            };
            self.read_run(rows, fingerprint)?;
        }
    }

    fn read_run(&mut self, rows: u64, fingerprint: &mut Fingerprint) -> Result<(), StoreError> {
        self.run.clear();
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        while self.run.len() < rows {
            let next = match self.rest.take() {
                Some(rest) => Some(rest),
                None => self.read(fingerprint)?,
            };
            let Some(batch) = next else {
                return Err(not_ours(&self.path, "it ends within one of its runs"));
            };
            let wanted = batch.num_rows().min(rows - self.run.len());
            self.run
                .push(&batch.slice(0, wanted))
                .map_err(|what| not_ours(&self.path, what))?;
            if wanted < batch.num_rows() {
                self.rest = Some(batch.slice(wanted, batch.num_rows() - wanted));
            }
        }
        self.order = self.run.by_arrival().into_iter();
        Ok(())
    }

    /// Rows as they lie in the file.
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
