//! A column of a row group as a dictionary and ids: each value is hashed once, and nothing but its id is kept of it.

use std::hash::BuildHasher;
use std::io::{Cursor, Write};

use arrow_buffer::NullBuffer;
use bytes::Bytes;
use foldhash::fast::RandomState;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, Type, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use zstd::bulk::Compressor;

use super::hybrid;
use super::value::Value;
use crate::dataset::COMPRESSION_LEVEL;

/// Where pages end: at the first check that finds `page_rows` rows. arrow-rs checks after each batch of `batch_rows`; in a nullable
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
    descriptor: ColumnDescPtr,
    limits: Limits,
    ids: Ids<V>,
    page: OpenPage,
    chunk: Chunk<V>,
}

/// Values in the order in which they came first, each with its place as its id.
pub(super) struct Ids<V> {
    values: Vec<V>,
    /// A table of ids by the hashes of their values, open and at most half full; [`EMPTY`] where there is none.
    slots: Vec<u32>,
    hasher: RandomState,
}

const EMPTY: u32 = u32::MAX;

/// How many values the table has room for at first, and twice as many slots.
const VALUES: usize = 64;

impl<V: Value> Ids<V> {
    fn new() -> Self {
        Self {
            values: Vec::with_capacity(VALUES),
            slots: vec![EMPTY; 2 * VALUES],
            hasher: RandomState::default(),
        }
    }

    /// The id of a value.
    #[inline]
    pub(super) fn of(&mut self, value: V) -> u32 {
        let slot = self.slot_of(&value);
        match self.slots[slot] {
            EMPTY => self.add(value, slot),
            id => id,
        }
    }

    /// Where the table has the value, or would have it.
    #[inline]
    fn slot_of(&self, value: &V) -> usize {
        let last = self.slots.len() - 1;
        // Its lower bits are as good as any.
        #[allow(clippy::cast_possible_truncation)]
        let mut slot = self.hasher.hash_one(value) as usize & last;
        while let id = self.slots[slot]
            && id != EMPTY
            && self.values[id as usize] != *value
        {
            slot = (slot + 1) & last;
        }
        slot
    }

    #[cold]
    fn add(&mut self, value: V, slot: usize) -> u32 {
        // A row group has fewer rows than that.
        let id = u32::try_from(self.values.len()).unwrap_or(EMPTY);
        self.slots[slot] = id;
        self.values.push(value);
        if self.values.len() * 2 > self.slots.len() {
            self.slots = vec![EMPTY; self.slots.len() * 4];
            for id in 0..=id {
                let slot = self.slot_of(&self.values[id as usize]);
                self.slots[slot] = id;
            }
        }
        id
    }
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

/// What is known of the pages that are done.
struct Chunk<V> {
    /// Their bytes, without the dictionary, which comes first in the file and is known last.
    pages: TrackedWrite<Vec<u8>>,
    count: i32,
    rows: usize,
    nulls: usize,
    range: Option<(V, V)>,
    /// Of the last page with values.
    page_range: Option<(V, V)>,
    is_ascending: bool,
    is_descending: bool,
    text_bytes: usize,
    uncompressed: usize,
    compressed: usize,
    index: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    /// For each id the page in which it was seen last, to compare each value once.
    seen: Vec<i32>,
}

impl<V: Value> DictionaryColumn<V> {
    pub(super) fn boxed(descriptor: ColumnDescPtr, limits: Limits) -> Box<Self> {
        let index = ColumnIndexBuilder::new(descriptor.physical_type());
        Box::new(Self {
            descriptor,
            limits,
            ids: Ids::new(),
            page: OpenPage::default(),
            chunk: Chunk {
                pages: TrackedWrite::new(Vec::new()),
                count: 0,
                rows: 0,
                nulls: 0,
                range: None,
                page_range: None,
                is_ascending: true,
                is_descending: true,
                text_bytes: 0,
                uncompressed: 0,
                compressed: 0,
                index,
                offsets: OffsetIndexBuilder::new(),
                seen: Vec::new(),
            },
        })
    }

    fn is_nullable(&self) -> bool {
        self.descriptor.max_def_level() > 0
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
        if nulls.is_some() && !self.is_nullable() {
            let what = format!(
                "the column {} has a null, and must not have one",
                self.descriptor.name()
            );
            return Err(ParquetError::General(what));
        }
        let step = if self.is_nullable() && is_uniform {
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
        if self.is_nullable() {
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
        let width = hybrid::width_of(self.ids.values.len());
        bytes.push(fitting(width as usize)?);
        hybrid::encode(&page.ids, width, &mut bytes);
        let written = Page::DataPage {
            buf: compressed(&bytes, compressor)?,
            num_values: fitting(page.rows)?,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let chunk = &mut self.chunk;
        let written = SerializedPageWriter::new(&mut chunk.pages)
            .write_page(CompressedPage::new(written, bytes.len()))?;
        chunk.uncompressed += written.uncompressed_size;
        chunk.compressed += written.compressed_size;
        chunk
            .offsets
            .append_offset_and_size(written.offset.cast_signed(), fitting(written.compressed_size)?);
        chunk.add(&page, &self.ids.values, &self.descriptor)?;
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
        let mut plain = Vec::new();
        for value in &self.ids.values {
            value.push_plain(&mut plain);
        }
        let page = Page::DictionaryPage {
            buf: compressed(&plain, compressor)?,
            num_values: fitting(self.ids.values.len())?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut bytes = TrackedWrite::new(Vec::new());
        let dictionary =
            SerializedPageWriter::new(&mut bytes).write_page(CompressedPage::new(page, plain.len()))?;
        let mut chunk = self.chunk;
        chunk.uncompressed += dictionary.uncompressed_size;
        chunk.compressed += dictionary.compressed_size;
        let mut bytes = bytes.into_inner()?;
        bytes.append(&mut std::mem::replace(&mut chunk.pages, TrackedWrite::new(Vec::new())).into_inner()?);
        let result = chunk.close(&self.descriptor)?;
        let result = result.update_dictionary_location(dictionary.compressed_size)?;
        group.append_column(&Bytes::from(bytes), result)
    }
}

impl<V: Value> Chunk<V> {
    /// Adds what is to be known of a page.
    fn add(&mut self, page: &OpenPage, values: &[V], descriptor: &ColumnDescriptor) -> Result<()> {
        self.count += 1;
        self.rows += page.rows;
        self.nulls += page.nulls();
        self.seen.resize(values.len(), 0);
        let (mut range, mut text_bytes): (Option<(&V, &V)>, _) = (None, 0);
        for id in &page.ids {
            let value = &values[*id as usize];
            text_bytes += value.text_len().unwrap_or_default();
            let seen = &mut self.seen[*id as usize];
            if *seen != self.count {
                *seen = self.count;
                range = Some(range.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
            }
        }
        let nulls = fitting(page.nulls())?;
        match range {
            None => self.index.append(true, Vec::new(), Vec::new(), nulls, None),
            Some((min, max)) => {
                if let Some((last_min, last_max)) = &self.page_range {
                    self.is_ascending &= last_min <= min && last_max <= max;
                    self.is_descending &= min <= last_min && max <= last_max;
                }
                self.index
                    .append(false, min.to_bytes(), max.to_bytes(), nulls, None);
                let all = self.range.take();
                let all = all.map_or((min.clone(), max.clone()), |(all_min, all_max)| {
                    (all_min.min(min.clone()), all_max.max(max.clone()))
                });
                self.range = Some(all);
                self.page_range = Some((min.clone(), max.clone()));
            }
        }
        if descriptor.max_def_level() > 0 {
            self.index.append_histograms(
                &None,
                &Some(LevelHistogram::from(vec![nulls, fitting(page.ids.len())?])),
            );
        }
        self.offsets.append_row_count(fitting(page.rows)?);
        if is_text(descriptor) {
            self.offsets
                .append_unencoded_byte_array_data_bytes(Some(fitting(text_bytes)?));
        }
        self.text_bytes += text_bytes;
        Ok(())
    }

    fn close(self, descriptor: &ColumnDescPtr) -> Result<ColumnCloseResult> {
        let stats = |page_type, encoding, count| PageEncodingStats {
            page_type,
            encoding,
            count,
        };
        let levels = vec![fitting(self.nulls)?, fitting(self.rows - self.nulls)?];
        let text_bytes = is_text(descriptor)
            .then(|| fitting(self.text_bytes))
            .transpose()?;
        let metadata = ColumnChunkMetaData::builder(descriptor.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(COMPRESSION_LEVEL)?))
            .set_encodings(vec![Encoding::RLE, Encoding::RLE_DICTIONARY, Encoding::PLAIN])
            .set_page_encoding_stats(vec![
                stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
                stats(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, self.count),
            ])
            .set_total_compressed_size(fitting(self.compressed)?)
            .set_total_uncompressed_size(fitting(self.uncompressed)?)
            .set_num_values(fitting(self.rows)?)
            .set_statistics(V::statistics(self.range, self.nulls as u64))
            .set_unencoded_byte_array_data_bytes(text_bytes)
            .set_definition_level_histogram((descriptor.max_def_level() > 0).then(|| levels.into()))
            .build()?;
        let mut index = self.index;
        index.set_boundary_order(match (self.is_ascending, self.is_descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        });
        Ok(ColumnCloseResult {
            bytes_written: self.compressed as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: None,
            column_index: Some(index.build()?),
            offset_index: Some(self.offsets.build()),
        })
    }
}

fn is_text(descriptor: &ColumnDescriptor) -> bool {
    descriptor.physical_type() == Type::BYTE_ARRAY
}

/// A number as the format has it.
fn fitting<N: TryFrom<usize>>(number: usize) -> Result<N> {
    let error = |_| {
        ParquetError::General(format!(
            "{number} is more than a Parquet file can have of anything"
        ))
    };
    N::try_from(number).map_err(error)
}

fn compressed(bytes: &[u8], compressor: &mut Compressor<'_>) -> Result<Bytes> {
    let mut compressed = Vec::with_capacity(zstd::zstd_safe::compress_bound(bytes.len()));
    compressor.compress_to_buffer(bytes, &mut Cursor::new(&mut compressed))?;
    compressed.shrink_to_fit();
    Ok(compressed.into())
}
