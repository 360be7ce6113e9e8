//! A column of a row group as a dictionary and ids: each value is hashed once, and only its id is kept.

use std::io::Write;

use arrow_buffer::NullBuffer;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::chunk::{Chunk, fitting};
use super::hybrid;
use super::ids::Ids;
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

/// The column.
pub(super) struct DictionaryColumn<V> {
    limits: Limits,
    ids: Ids<V>,
    page: OpenPage,
    chunk: Chunk<V>,
}

/// The page being filled.
#[derive(Default)]
struct OpenPage {
    rows: usize,
    /// Of the values that are not null.
    ids: Vec<u32>,
    /// Of each row 1, or 0 if it is null; empty while no row is null.
    levels: Vec<u32>,
}

impl OpenPage {
    fn nulls(&self) -> usize {
        self.rows - self.ids.len()
    }

    /// The next `rows` rows, of which `nulls` says which are null.
    fn add_levels(&mut self, rows: usize, nulls: Option<NullBuffer>) {
        match nulls.filter(|nulls| nulls.null_count() > 0) {
            None if self.levels.is_empty() => {}
            None => self.levels.resize(self.rows + rows, 1),
            Some(nulls) => {
                self.levels.resize(self.rows, 1);
                self.levels.extend(nulls.iter().map(u32::from));
            }
        }
        self.rows += rows;
    }
}

impl<V: Value> DictionaryColumn<V> {
    pub(super) fn boxed(descriptor: ColumnDescPtr, limits: Limits) -> Box<Self> {
        Box::new(Self {
            limits,
            ids: Ids::new(),
            page: OpenPage::default(),
            chunk: Chunk::of(descriptor),
        })
    }

    /// Adds `rows` rows. `id` gives the id of a row that is not null.
    #[inline]
    pub(super) fn write(
        &mut self,
        rows: usize,
        nulls: Option<&NullBuffer>,
        compressor: &mut Compressor<'_>,
        mut id: impl FnMut(&mut Ids<V>, usize) -> Result<u32>,
    ) -> Result<()> {
        // An array may have a null mask without nulls.
        let is_uniform = nulls.is_none_or(|nulls| nulls.null_count() == rows);
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        if nulls.is_some() && !self.chunk.is_nullable() {
            let what = format!(
                "the column {} has a null, and must not have one",
                self.chunk.name()
            );
            return Err(ParquetError::General(what));
        }
        let step = if self.chunk.is_nullable() && is_uniform {
            self.limits.page_rows
        } else {
            self.limits.batch_rows
        };
        for start in (0..rows).step_by(step) {
            let end = (start + step).min(rows);
            self.page.ids.reserve(end - start);
            for row in start..end {
                if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                    self.page.ids.push(id(&mut self.ids, row)?);
                }
            }
            self.page
                .add_levels(end - start, nulls.map(|nulls| nulls.slice(start, end - start)));
            if self.page.rows >= self.limits.page_rows {
                self.end_page(compressor)?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self, compressor: &mut Compressor<'_>) -> Result<()> {
        let page = std::mem::take(&mut self.page);
        let mut bytes = Vec::with_capacity(page.ids.len() * 2);
        if self.chunk.is_nullable() {
            // Levels have their length in front of them.
            let mut levels = Vec::new();
            match page.nulls() {
                0 => hybrid::run(page.rows, 1, 1, &mut levels),
                nulls if nulls == page.rows => hybrid::run(page.rows, 0, 1, &mut levels),
                _ => hybrid::encode(&page.levels, 1, &mut levels),
            }
            bytes.extend_from_slice(&fitting::<u32>(levels.len())?.to_le_bytes());
            bytes.extend_from_slice(&levels);
        }
        let width = hybrid::width_of(self.ids.values().len());
        bytes.push(fitting(width as usize)?);
        hybrid::encode(&page.ids, width, &mut bytes);
        self.chunk
            .add(page.rows, &page.ids, self.ids.values(), &bytes, compressor)?;
        // Its buffers are used again.
        self.page.ids = page.ids;
        self.page.ids.clear();
        self.page.levels = page.levels;
        self.page.levels.clear();
        Ok(())
    }

    /// Puts the column into the row group.
    pub(super) fn end<W: Write + Send>(
        mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        compressor: &mut Compressor<'_>,
    ) -> Result<()> {
        if self.page.rows > 0 {
            self.end_page(compressor)?;
        }
        self.chunk.end(self.ids.values(), group, compressor)
    }
}
