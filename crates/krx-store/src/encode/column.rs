//! A column of a row group: where its pages end, and which rows are null. A [`PageEncoder`] says what becomes of the values.

use std::io::Write;
use std::ops::Range;

use arrow_buffer::NullBuffer;
use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Compression, PageFacts, ValueFacts, fitting};
use super::hybrid;
use super::value::Value;

/// A page ends at the first check that finds `page_rows` rows. arrow-rs checks after each batch of `batch_rows`; in a nullable
/// column whose array has no null mask, or nothing but nulls, after each `page_rows`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    page_rows: usize,
    batch_rows: usize,
}

impl Limits {
    /// # Errors
    /// When pages of so many rows could have so many bytes that arrow-rs would end them earlier.
    pub(super) fn of(properties: &WriterProperties) -> Result<Self> {
        let limits = Self {
            page_rows: properties.data_page_row_count_limit(),
            batch_rows: properties.write_batch_size(),
        };
        let rows_max = limits
            .page_rows
            .saturating_add(limits.page_rows.max(limits.batch_rows));
        if rows_max.saturating_mul(size_of::<i64>()) > properties.data_page_size_limit() {
            let what = format!("pages of {rows_max} rows can be larger than a page may be");
            return Err(ParquetError::General(what));
        }
        Ok(limits)
    }
}

/// Values of the page that is being filled, and what becomes of them.
pub(super) trait PageEncoder {
    type Value: Value;

    /// How many values the page has. Nulls are not counted.
    fn count(&self) -> usize;

    fn encoding(&self) -> Encoding;

    /// Adds values to the page.
    fn extend(&mut self, values: impl Iterator<Item = Self::Value>);

    /// Appends the encoded values to `page`, and begins the next page.
    fn end_page(&mut self, page: &mut Vec<u8>) -> Result<ValueFacts<Self::Value>>;

    /// The values that pages refer to by their number, if they do.
    fn dictionary(&self) -> Option<&[Self::Value]>;
}

/// The column.
pub(super) struct Column<E: PageEncoder> {
    limits: Limits,
    encoder: E,
    /// Of the page that is being filled.
    rows: usize,
    /// Of each row in it 1, or 0 if it is null; empty while none is.
    levels: Vec<u32>,
    chunk: Chunk<E::Value>,
}

impl<E: PageEncoder> Column<E> {
    pub(super) fn boxed(descriptor: ColumnDescPtr, limits: Limits, encoder: E) -> Box<Self> {
        Box::new(Self {
            limits,
            chunk: Chunk::of(descriptor, encoder.encoding()),
            encoder,
            rows: 0,
            levels: Vec::new(),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.chunk.name()
    }

    /// Adds `rows` rows. `add` adds the values of a range of them that has no nulls.
    #[inline]
    pub(super) fn write(
        &mut self,
        rows: usize,
        nulls: Option<&NullBuffer>,
        compression: &mut Compression,
        mut add: impl FnMut(&mut E, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        // An array may have a null mask without nulls.
        let is_uniform = nulls.is_none_or(|nulls| nulls.null_count() == rows);
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        if nulls.is_some() && !self.chunk.is_nullable() {
            let what = format!("the column {} has a null, and must not have one", self.name());
            return Err(ParquetError::General(what));
        }
        let step = if self.chunk.is_nullable() && is_uniform {
            self.limits.page_rows
        } else {
            self.limits.batch_rows
        };
        for start in (0..rows).step_by(step) {
            let end = (start + step).min(rows);
            match nulls.map(|nulls| nulls.slice(start, end - start)) {
                None => {
                    add(&mut self.encoder, start..end)?;
                    if !self.levels.is_empty() {
                        self.levels.resize(self.rows + end - start, 1);
                    }
                }
                Some(nulls) => {
                    for (from, to) in nulls.valid_slices() {
                        add(&mut self.encoder, start + from..start + to)?;
                    }
                    if nulls.null_count() > 0 || !self.levels.is_empty() {
                        self.levels.resize(self.rows, 1);
                        self.levels.extend(nulls.iter().map(u32::from));
                    }
                }
            }
            self.rows += end - start;
            if self.rows >= self.limits.page_rows {
                self.end_page(compression)?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self, compression: &mut Compression) -> Result<()> {
        let (rows, nulls) = (self.rows, self.rows - self.encoder.count());
        let mut page = compression.take_page();
        if self.chunk.is_nullable() {
            // Levels have their length in front of them.
            page.extend_from_slice(&[0; LEN_BYTES]);
            match nulls {
                0 => hybrid::run(rows, 1, 1, &mut page),
                nulls if nulls == rows => hybrid::run(rows, 0, 1, &mut page),
                _ => hybrid::encode(&self.levels, 1, &mut page),
            }
            let len: u32 = fitting(page.len() - LEN_BYTES)?;
            page[..LEN_BYTES].copy_from_slice(&len.to_le_bytes());
        }
        let values = self.encoder.end_page(&mut page)?;
        let facts = PageFacts { rows, nulls, values };
        self.chunk.add(facts, &page, compression)?;
        compression.put_back(page);
        self.rows = 0;
        self.levels.clear();
        Ok(())
    }

    /// Puts the column into the row group.
    pub(super) fn end<W: Write + Send>(
        mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        compression: &mut Compression,
    ) -> Result<()> {
        if self.rows > 0 {
            self.end_page(compression)?;
        }
        self.chunk.end(self.encoder.dictionary(), group, compression)
    }
}

/// Of the length of the levels.
const LEN_BYTES: usize = 4;
