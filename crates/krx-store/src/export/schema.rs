//! The datasets' schemas, version 1, and what the footer of a sealed file says.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::NaiveDate;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{FileMetaData, KeyValue};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;

use crate::coverage::Slice;
use crate::layout::{Dataset, Market};
use crate::moment::Moment;

const SCHEMA_VERSION: u32 = 1;

/// Where a footer has its [`Slice`] of the ledger.
const INTERVALS_KEY: &str = "intervals";

/// The zone of all time stamps.
pub(crate) const ZONE: &str = "Asia/Seoul";

pub(crate) fn zoned(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some(ZONE.into()))
}

/// The columns of `trades`; what each means is in docs/reading-the-data.md.
#[must_use]
pub fn trades_schema() -> SchemaRef {
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("code", DataType::Utf8, false),
        Field::new("trade_ts", zoned(TimeUnit::Millisecond), true),
        Field::new("price", DataType::Int64, false),
        Field::new("volume", DataType::Int64, false),
        Field::new("kind", kind, false),
        Field::new("trade_time", DataType::Int32, false),
        Field::new("recv_ts", zoned(TimeUnit::Microsecond), false),
        Field::new("frame", DataType::Int64, false),
        Field::new("item", DataType::Int16, false),
        Field::new("session", DataType::Int32, false),
        Field::new("extra", DataType::Utf8, true),
    ]))
}

/// The columns of `quarantine`.
#[must_use]
pub fn quarantine_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("recv_ts", zoned(TimeUnit::Microsecond), false),
        Field::new("frame", DataType::Int64, false),
        Field::new("item", DataType::Int16, true),
        Field::new("session", DataType::Int32, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("detail", DataType::Utf8, true),
        Field::new("raw", DataType::Binary, false),
    ]))
}

/// How trades are encoded (docs/adr/0034). One row group holds a whole segment, so that each dictionary is written once.
pub(crate) fn trades_properties(rows_max: u64) -> WriterProperties {
    with_encodings(common_properties(rows_max)).build()
}

/// Columns of `trades` that rise with the order of arrival, written as deltas. fastparquet reads deltas wrongly, without
/// an error, when two of them in a page are 2^28 or more apart. In these columns they never are: `trade_ts` is of one
/// date, in milliseconds, and `trade_time` has eight digits. `recv_ts` is in microseconds, and can be.
const DELTAS: [&str; 4] = ["trade_ts", "trade_time", "frame", "session"];

/// Columns of `trades` that are smaller PLAIN than as a dictionary.
const PLAINS: [&str; 2] = ["volume", "recv_ts"];

/// The encodings of the columns of `trades`; those that are not named are dictionaries.
pub(crate) fn with_encodings(mut builder: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    let deltas = DELTAS.map(|name| (name, Encoding::DELTA_BINARY_PACKED));
    let plains = PLAINS.map(|name| (name, Encoding::PLAIN));
    for (name, encoding) in deltas.into_iter().chain(plains) {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), encoding);
    }
    builder
}

pub(crate) fn quarantine_properties() -> WriterProperties {
    common_properties(100_000).build()
}

pub(crate) fn common_properties(rows_max: u64) -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(1).expect("a level that zstd has");
    WriterProperties::builder()
        // fastparquet reads nulls and deltas of version-2 pages wrongly. With this version a dictionary that is given up
        // goes on as PLAIN, too, which all readers know.
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(true)
        // A day has some ten thousand distinct prices: the dictionary stays far below this, and must not be given up.
        .set_dictionary_page_size_limit(8 << 20)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_write_batch_size(8192)
        // A segment ends with the frame that reaches `rows_max`, so it may have a frame's rows more.
        .set_max_row_group_row_count(Some(
            usize::try_from(rows_max)
                .unwrap_or(usize::MAX)
                .saturating_add(1 << 15),
        ))
}

/// What a sealed file covers: its footer's key-values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The market.
    pub market: String,
    /// The trading date.
    pub date: NaiveDate,
    /// The first frame covered.
    pub first_frame: u64,
    /// The last one.
    pub last_frame: u64,
    /// Rows of the trades file.
    pub rows: u64,
    /// Rows of the quarantine file of the same name.
    pub quarantined: u64,
    /// When the first frame was read.
    pub first_recv: Moment,
    /// When the last one was.
    pub last_recv: Moment,
    /// The highest session known when the segment ended.
    pub last_session: Option<u32>,
    /// Of a whole day that is sorted; `None` for a segment in order of arrival.
    pub day: Option<DayFooter>,
    /// What the frames add to the ledger of their date; in the primary dataset's file only.
    pub slice: Option<Slice>,
}

/// How a sealed day lies in its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayFooter {
    /// The rows of each run; runs are in order of arrival. The row groups of a run follow each other by `code`, and each is
    /// sorted by (`frame`, `item`).
    pub runs: Vec<u64>,
    /// The frames that it covers, as ranges (first and last) without a hole.
    pub frames: Vec<(u64, u64)>,
}

impl DayFooter {
    fn read(runs: &str, frames: &str) -> Option<Self> {
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        Some(Self {
            runs: list(runs)
                .iter()
                .map(|rows| rows.parse().ok())
                .collect::<Option<_>>()?,
            frames: list(frames)
                .iter()
                .map(|range| {
                    let (first, last) = range.split_once('-')?;
                    Some((first.parse().ok()?, last.parse().ok()?))
                })
                .collect::<Option<_>>()?,
        })
    }

    /// As [`DayFooter::read`] reads them.
    fn texts(&self) -> [(&'static str, String); 2] {
        let runs: Vec<_> = self.runs.iter().map(u64::to_string).collect();
        let frames: Vec<_> = self
            .frames
            .iter()
            .map(|(first, last)| format!("{first}-{last}"))
            .collect();
        [("runs", runs.join(",")), ("frames", frames.join(","))]
    }
}

impl Footer {
    pub(crate) fn new(market: &Market, date: NaiveDate, first_frame: u64, first_recv: Moment) -> Self {
        Self {
            market: market.to_string(),
            date,
            first_frame,
            last_frame: first_frame,
            rows: 0,
            quarantined: 0,
            first_recv,
            last_recv: first_recv,
            last_session: None,
            day: None,
            slice: None,
        }
    }

    /// As a file has it that is not of the primary dataset.
    pub(crate) fn of_sibling(&self) -> Self {
        Self {
            slice: None,
            ..self.clone()
        }
    }

    /// The frames covered, as ranges without a hole.
    pub(crate) fn frames(&self) -> Vec<(u64, u64)> {
        match &self.day {
            Some(day) => day.frames.clone(),
            None => vec![(self.first_frame, self.last_frame)],
        }
    }

    pub(crate) fn to_key_values(&self, dataset: Dataset) -> Vec<KeyValue> {
        let market = (dataset == Dataset::Trades).then(|| ("market", self.market.clone()));
        let pairs = [
            ("schema_version", SCHEMA_VERSION.to_string()),
            ("feed", self.market.clone()),
            ("date", self.date.to_string()),
            ("first_frame", self.first_frame.to_string()),
            ("last_frame", self.last_frame.to_string()),
            ("rows", self.rows.to_string()),
            ("quarantined", self.quarantined.to_string()),
            ("first_recv", self.first_recv.0.to_string()),
            ("last_recv", self.last_recv.0.to_string()),
            ("last_session", self.last_session.unwrap_or(0).to_string()),
            ("recorder_version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let day = self.day.iter().flat_map(DayFooter::texts);
        let slice = self.slice.iter().map(|slice| (INTERVALS_KEY, slice.to_json()));
        pairs
            .into_iter()
            .chain(market)
            .chain(day)
            .chain(slice)
            .map(|(key, value)| KeyValue::new(format!("krx.{key}"), value))
            .collect()
    }

    /// Reads a footer back; `None` when one of its values is missing or none of ours.
    #[must_use]
    pub fn read(metadata: &FileMetaData) -> Option<Self> {
        let pairs = metadata.key_value_metadata()?;
        let value = |key: &str| {
            let key = format!("krx.{key}");
            pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
        };
        (value("schema_version")? == SCHEMA_VERSION.to_string()).then_some(())?;
        let day = match value("runs") {
            Some(runs) => Some(DayFooter::read(runs, value("frames")?)?),
            None => None,
        };
        Some(Self {
            market: value("feed")?.to_owned(),
            date: value("date")?.parse().ok()?,
            first_frame: value("first_frame")?.parse().ok()?,
            last_frame: value("last_frame")?.parse().ok()?,
            rows: value("rows")?.parse().ok()?,
            quarantined: value("quarantined")?.parse().ok()?,
            first_recv: Moment(value("first_recv")?.parse().ok()?),
            last_recv: Moment(value("last_recv")?.parse().ok()?),
            last_session: Some(value("last_session")?.parse().ok()?),
            day,
            slice: value(INTERVALS_KEY).and_then(Slice::parse),
        })
    }
}
