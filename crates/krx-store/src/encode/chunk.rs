//! The finished pages of a column chunk: their bytes, and what the footer and the indexes say of them.

use std::io::{Cursor, Write};

use bytes::Bytes;
use parquet::basic::{self, BoundaryOrder, Encoding, PageType, Type, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::value::Value;
use crate::dataset::COMPRESSION_LEVEL;

/// What the footer and the indexes say of a page.
pub(super) struct PageFacts<V> {
    pub(super) rows: usize,
    pub(super) nulls: usize,
    pub(super) values: ValueFacts<V>,
}

/// What they say of its values.
pub(super) struct ValueFacts<V> {
    /// The smallest and the largest value; `None` if all rows are null.
    pub(super) range: Option<(V, V)>,
    /// Bytes of all of them, if they are texts.
    pub(super) text_bytes: usize,
}

/// The finished pages of a column chunk.
pub(super) struct Chunk<V> {
    descriptor: ColumnDescPtr,
    encoding: Encoding,
    /// The pages' bytes, without a dictionary, which comes first in the file and is known last.
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
}

impl<V: Value> Chunk<V> {
    pub(super) fn of(descriptor: ColumnDescPtr, encoding: Encoding) -> Self {
        Self {
            index: ColumnIndexBuilder::new(descriptor.physical_type()),
            descriptor,
            encoding,
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
            offsets: OffsetIndexBuilder::new(),
        }
    }

    /// The name of the column.
    pub(super) fn name(&self) -> &str {
        self.descriptor.name()
    }

    /// Whether the column may be null: then pages have levels.
    pub(super) fn is_nullable(&self) -> bool {
        self.descriptor.max_def_level() > 0
    }

    /// Adds an encoded page.
    pub(super) fn add(
        &mut self,
        facts: PageFacts<V>,
        page: &[u8],
        compression: &mut Compression,
    ) -> Result<()> {
        let written = Page::DataPage {
            buf: compression.compressed(page)?,
            num_values: fitting(facts.rows)?,
            encoding: self.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = SerializedPageWriter::new(&mut self.pages)
            .write_page(CompressedPage::new(written, page.len()))?;
        self.uncompressed += written.uncompressed_size;
        self.compressed += written.compressed_size;
        self.offsets
            .append_offset_and_size(written.offset.cast_signed(), fitting(written.compressed_size)?);
        self.describe(facts)
    }

    /// Adds a page to the statistics and the indexes.
    fn describe(&mut self, facts: PageFacts<V>) -> Result<()> {
        let PageFacts {
            rows,
            nulls,
            values: ValueFacts { range, text_bytes },
        } = facts;
        self.count += 1;
        self.rows += rows;
        self.nulls += nulls;
        let values = fitting(rows - nulls)?;
        let nulls = fitting(nulls)?;
        match range {
            None => self.index.append(true, Vec::new(), Vec::new(), nulls, None),
            Some((min, max)) => {
                if let Some((last_min, last_max)) = &self.page_range {
                    self.is_ascending &= *last_min <= min && *last_max <= max;
                    self.is_descending &= min <= *last_min && max <= *last_max;
                }
                self.index
                    .append(false, min.to_bytes(), max.to_bytes(), nulls, None);
                let all = self.range.take();
                let all = all.map_or((min.clone(), max.clone()), |(all_min, all_max)| {
                    (all_min.min(min.clone()), all_max.max(max.clone()))
                });
                self.range = Some(all);
                self.page_range = Some((min, max));
            }
        }
        if self.is_nullable() {
            self.index
                .append_histograms(&None, &Some(LevelHistogram::from(vec![nulls, values])));
        }
        self.offsets.append_row_count(fitting(rows)?);
        if self.is_text() {
            self.offsets
                .append_unencoded_byte_array_data_bytes(Some(fitting(text_bytes)?));
        }
        self.text_bytes += text_bytes;
        Ok(())
    }

    /// Puts the chunk into the row group, after the dictionary of these values, if it has one.
    pub(super) fn end<W: Write + Send>(
        mut self,
        dictionary: Option<&[V]>,
        group: &mut SerializedRowGroupWriter<'_, W>,
        compression: &mut Compression,
    ) -> Result<()> {
        let pages = std::mem::replace(&mut self.pages, TrackedWrite::new(Vec::new()));
        let mut pages = pages.into_inner()?;
        let Some(values) = dictionary else {
            return group.append_column(&Bytes::from(pages), self.close()?);
        };
        let mut plain = Vec::new();
        for value in values {
            value.push_plain(&mut plain);
        }
        let page = Page::DictionaryPage {
            buf: compression.compressed(&plain)?,
            num_values: fitting(values.len())?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut bytes = TrackedWrite::new(Vec::new());
        let dictionary =
            SerializedPageWriter::new(&mut bytes).write_page(CompressedPage::new(page, plain.len()))?;
        self.uncompressed += dictionary.uncompressed_size;
        self.compressed += dictionary.compressed_size;
        let mut bytes = bytes.into_inner()?;
        bytes.append(&mut pages);
        let result = self
            .close()?
            .update_dictionary_location(dictionary.compressed_size)?;
        group.append_column(&Bytes::from(bytes), result)
    }

    /// What the file's footer and indexes say of it.
    fn close(self) -> Result<ColumnCloseResult> {
        let is_nullable = self.is_nullable();
        let stats = |page_type, encoding, count| PageEncodingStats {
            page_type,
            encoding,
            count,
        };
        let (mut encodings, mut pages) = (vec![Encoding::RLE, self.encoding], Vec::new());
        if self.encoding == Encoding::RLE_DICTIONARY {
            encodings.push(Encoding::PLAIN);
            pages.push(stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
        }
        pages.push(stats(PageType::DATA_PAGE, self.encoding, self.count));
        let levels = vec![fitting(self.nulls)?, fitting(self.rows - self.nulls)?];
        let text_bytes = self.is_text().then(|| fitting(self.text_bytes)).transpose()?;
        let metadata = ColumnChunkMetaData::builder(self.descriptor.clone())
            .set_compression(basic::Compression::ZSTD(ZstdLevel::try_new(COMPRESSION_LEVEL)?))
            .set_encodings(encodings)
            .set_page_encoding_stats(pages)
            .set_total_compressed_size(fitting(self.compressed)?)
            .set_total_uncompressed_size(fitting(self.uncompressed)?)
            .set_num_values(fitting(self.rows)?)
            .set_statistics(V::statistics(self.range, self.nulls as u64))
            .set_unencoded_byte_array_data_bytes(text_bytes)
            .set_definition_level_histogram(is_nullable.then(|| levels.into()))
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

    fn is_text(&self) -> bool {
        self.descriptor.physical_type() == Type::BYTE_ARRAY
    }
}

/// A number in the type that the format has for it.
pub(super) fn fitting<N: TryFrom<usize>>(number: usize) -> Result<N> {
    let error = |_| ParquetError::General(format!("{number} is too large for a Parquet file"));
    N::try_from(number).map_err(error)
}

/// zstd, with memory that all pages of a file share.
pub(super) struct Compression {
    compressor: Compressor<'static>,
    page: Vec<u8>,
    compressed: Vec<u8>,
}

impl Compression {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            compressor: Compressor::new(COMPRESSION_LEVEL)?,
            page: Vec::new(),
            compressed: Vec::new(),
        })
    }

    /// Room for a page that is being encoded. It is empty.
    pub(super) fn take_page(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.page)
    }

    /// Gives the room back.
    pub(super) fn put_back(&mut self, mut page: Vec<u8>) {
        page.clear();
        self.page = page;
    }

    fn compressed(&mut self, bytes: &[u8]) -> Result<Bytes> {
        self.compressed.clear();
        self.compressed
            .reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.compressor
            .compress_to_buffer(bytes, &mut Cursor::new(&mut self.compressed))?;
        Ok(Bytes::copy_from_slice(&self.compressed))
    }
}
