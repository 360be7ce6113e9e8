//! The description of a dataset, from which everything else about it is derived.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use parquet::basic::{self, Compression, ZstdLevel};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;

use super::column::{Column, Encoding};
use crate::error::StoreError;
use crate::feed_name::FeedName;

/// Rows are encoded in batches of this many, plus up to a frame: small enough for a core's cache. It decides where
/// pages end, and so determines a file's bytes.
pub const BATCH_ROWS: usize = 8192;

/// The level at which zstd compresses pages.
pub(crate) const COMPRESSION_LEVEL: i32 = 1;

/// A dataset, by reference to its description.
pub type Dataset = &'static DatasetSpec;

/// The only description of a dataset.
#[derive(Debug)]
pub struct DatasetSpec {
    /// The name of its directory, and the prefix of its files.
    pub name: &'static str,
    /// What a row is: a sentence for readers.
    pub summary: &'static str,
    /// The key of the partitions within a date: readers see it as a column beside `date`. `None` where a date's file has
    /// the rows of all feeds.
    pub partition_key: Option<&'static str>,
    /// Raised by every change to the columns. A file with a higher version was written by a newer recorder.
    pub schema_version: u32,
    /// The columns, in their order.
    pub columns: &'static [Column],
    /// What its files hold.
    pub rows: Rows,
    /// The column whose values divide a sealed day, so that a query for one of them reads little; `None` for a dataset
    /// that is not sealed.
    pub sealed_by: Option<&'static str>,
    /// How rows lie within the row groups of a sealed day.
    pub group_order: GroupOrder,
    schema: OnceLock<SchemaRef>,
}

/// The kind of rows in a dataset's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Rows from frames, in order of (`frame`, `item`), one file per segment.
    OfFrames,
    /// Everything known about a feed and date, in one file that is replaced as a whole.
    OfTheDate,
    /// Everything known about a date, of all feeds or of the recorder itself, in one file that is replaced as a whole
    /// (`date_file`).
    OfAllFeeds,
}

/// How rows lie within the row groups of a sealed day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOrder {
    /// By (`frame`, `item`): small where each row is of its own, as a trade is (docs/adr/0025).
    Arrival,
    /// By the dataset's `sealed_by`, then by (`frame`, `item`), which sorts the whole run: small where a row repeats most of
    /// its issue's row before it, as a book does (docs/adr/0043).
    Sorted,
}

impl PartialEq for DatasetSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for DatasetSpec {}

impl PartialOrd for DatasetSpec {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DatasetSpec {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(other.name)
    }
}

impl fmt::Display for DatasetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl DatasetSpec {
    /// A dataset of rows from frames, which is not sealed.
    #[must_use]
    pub const fn new(
        name: &'static str,
        partition_key: &'static str,
        summary: &'static str,
        columns: &'static [Column],
    ) -> Self {
        Self {
            name,
            summary,
            partition_key: Some(partition_key),
            schema_version: 1,
            columns,
            rows: Rows::OfFrames,
            sealed_by: None,
            group_order: GroupOrder::Arrival,
            schema: OnceLock::new(),
        }
    }

    /// The same, sealed by a column.
    #[must_use]
    pub const fn sealed_by(mut self, column: &'static str) -> Self {
        self.sealed_by = Some(column);
        self
    }

    /// The same, sealed by a column and sorted by it.
    #[must_use]
    pub const fn sorted_by(mut self, column: &'static str) -> Self {
        self.group_order = GroupOrder::Sorted;
        self.sealed_by(column)
    }

    /// The same, with one file per feed and date that is replaced as a whole.
    #[must_use]
    pub const fn replaced_as_a_whole(mut self) -> Self {
        self.rows = Rows::OfTheDate;
        self
    }

    /// A dataset with one file per date, which is replaced as a whole.
    #[must_use]
    pub const fn of_all_feeds(name: &'static str, summary: &'static str, columns: &'static [Column]) -> Self {
        let mut spec = Self::new(name, "", summary, columns);
        spec.partition_key = None;
        spec.rows = Rows::OfAllFeeds;
        spec
    }

    /// The name of a partition's directory within its date, such as `market=KOSPI`; empty without partitions.
    #[must_use]
    pub fn partition_name(&self, feed: &FeedName) -> String {
        self.partition_key
            .map_or_else(String::new, |key| format!("{key}={feed}"))
    }

    /// Parses the name of a partition's directory.
    #[must_use]
    pub fn parse_partition(&self, name: &str) -> Option<FeedName> {
        let (key, value) = name.split_once('=')?;
        (Some(key) == self.partition_key).then_some(())?;
        value.parse().ok()
    }

    /// The error for a file of this dataset whose columns have a newer version.
    pub(crate) fn newer(&self, path: &Path, version: u32) -> StoreError {
        StoreError::NewerSchema {
            path: path.to_owned(),
            dataset: self.name,
            version,
            ours: self.schema_version,
        }
    }

    /// The columns as Arrow has them.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let schema = self.schema.get_or_init(|| {
            let fields: Vec<_> = self.columns.iter().map(Column::field).collect();
            Arc::new(Schema::new(fields))
        });
        Arc::clone(schema)
    }

    /// The place of a column; `None` when there is no such column.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// A batch of rows, built from columns given by name.
    ///
    /// # Panics
    /// When a column is missing, or has the wrong type or number of values: a decoder must produce what the spec names.
    #[must_use]
    pub fn batch(&self, columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
        let mut places: Vec<Option<ArrayRef>> = vec![None; self.columns.len()];
        for (name, values) in columns {
            let place = self.index_of(name);
            let place = place.unwrap_or_else(|| panic!("{} has no column {name}", self.name));
            places[place] = Some(values);
        }
        let missing =
            |place: usize| panic!("column {} of {} is missing", self.columns[place].name, self.name);
        let columns = places.into_iter().enumerate();
        let columns = columns.map(|(place, values)| values.unwrap_or_else(|| missing(place)));
        RecordBatch::try_new(self.schema(), columns.collect())
            .unwrap_or_else(|error| panic!("rows of {}: {error}", self.name))
    }

    /// How files of up to `rows_max` rows are written: one row group each, so that each dictionary is written once.
    pub(crate) fn properties(&self, rows_max: u64) -> WriterProperties {
        self.properties_builder(rows_max).build()
    }

    /// The same, as a builder.
    pub(crate) fn properties_builder(&self, rows_max: u64) -> WriterPropertiesBuilder {
        let mut builder = common_properties(rows_max);
        for column in self.columns {
            let encoding = match column.encoding {
                Encoding::Dictionary => continue,
                Encoding::Plain => basic::Encoding::PLAIN,
                Encoding::Delta => basic::Encoding::DELTA_BINARY_PACKED,
            };
            builder = builder
                .set_column_dictionary_enabled(ColumnPath::from(column.name), false)
                .set_column_encoding(ColumnPath::from(column.name), encoding);
        }
        builder
    }
}

fn common_properties(rows_max: u64) -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(COMPRESSION_LEVEL).expect("a level that zstd has");
    WriterProperties::builder()
        // fastparquet misreads nulls and deltas in version-2 pages. Version 1 also falls back to PLAIN, which all
        // readers know, when a dictionary is abandoned.
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(true)
        // Of the columns that arrow-rs encodes: their dictionaries stay far below this, and must not be abandoned.
        .set_dictionary_page_size_limit(8 << 20)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_write_batch_size(8192)
        // A segment ends with the frame that reaches `rows_max`, so it may exceed that by one frame's rows.
        .set_max_row_group_row_count(Some(
            usize::try_from(rows_max)
                .unwrap_or(usize::MAX)
                .saturating_add(1 << 15),
        ))
}
