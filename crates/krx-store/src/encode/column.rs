//! A column of a row group: where its pages end, and which rows are null. What becomes of the values is for [`Pages`] to say.

use std::io::Write;
use std::ops::Range;

use arrow_buffer::NullBuffer;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, Compression, PageFacts, fitting};
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
    pub(super) fn of(properties: &WriterProperties) -> Self {
        Self {
            page_rows: properties.data_page_row_count_limit(),
            batch_rows: properties.write_batch_size(),
        }
    }
}

/// The values of a page that is being filled, and what they become.
pub(super) trait Pages {
    type Value: Value;

    /// How many values the page has; nulls are none.
    fn len(&self) -> usize;

    fn encoding(&self) -> parquet::basic::Encoding;

    /// Adds values to the page.
    fn extend(&mut self, values: impl ExactSizeIterator<Item = Self::Value>);

    /// Appends the encoded values to `page`, and begins the next one. Returns the smallest and the largest, and how many bytes they
    /// all have if they are texts.
    fn end_page(&mut self, page: &mut Vec<u8>) -> Result<(Option<(Self::Value, Self::Value)>, usize)>;

    /// The values that pages refer to by their number, if they do.
    fn dictionary(&self) -> Option<&[Self::Value]>;
}

/// The column.
pub(super) struct Column<P: Pages> {
    limits: Limits,
    pages: P,
    /// Of the page that is being filled.
    rows: usize,
    /// Of each row in it 1, or 0 if it is null; empty while none is.
    levels: Vec<u32>,
    /// That page, while it is encoded.
    page: Vec<u8>,
    chunk: Chunk<P::Value>,
}

impl<P: Pages> Column<P> {
    pub(super) fn boxed(descriptor: ColumnDescPtr, limits: Limits, pages: P) -> Box<Self> {
        Box::new(Self {
            limits,
            chunk: Chunk::of(descriptor, pages.encoding()),
            pages,
            rows: 0,
            levels: Vec::new(),
            page: Vec::new(),
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
        mut add: impl FnMut(&mut P, Range<usize>) -> Result<()>,
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
                    add(&mut self.pages, start..end)?;
                    if !self.levels.is_empty() {
                        self.levels.resize(self.rows + end - start, 1);
                    }
                }
                Some(nulls) => {
                    for (from, to) in nulls.valid_slices() {
                        add(&mut self.pages, start + from..start + to)?;
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
        let (rows, nulls) = (self.rows, self.rows - self.pages.len());
        self.page.clear();
        if self.chunk.is_nullable() {
            // Levels have their length in front of them.
            self.page.extend_from_slice(&[0; LEN_BYTES]);
            match nulls {
                0 => hybrid::run(rows, 1, 1, &mut self.page),
                nulls if nulls == rows => hybrid::run(rows, 0, 1, &mut self.page),
                _ => hybrid::encode(&self.levels, 1, &mut self.page),
            }
            let len: u32 = fitting(self.page.len() - LEN_BYTES)?;
            self.page[..LEN_BYTES].copy_from_slice(&len.to_le_bytes());
        }
        let (range, text_bytes) = self.pages.end_page(&mut self.page)?;
        let facts = PageFacts {
            rows,
            nulls,
            range,
            text_bytes,
        };
        self.chunk.add(facts, &self.page, compression)?;
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
        self.chunk.end(self.pages.dictionary(), group, compression)
    }
}

/// Of the length of the levels.
const LEN_BYTES: usize = 4;
