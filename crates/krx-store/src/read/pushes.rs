//! The rows of a per-issue dataset in short: what the figures of a day need of them. Most columns of a book are not read.

use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch};
use chrono::NaiveDate;
use krx_protocol::per_issue::{Preset, RowKind, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::file::{READ_ROWS, builder, undecodable};
use super::records::only_preset;
use super::texts::Texts;
use crate::catalog;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::moment::Moment;
use crate::service::dataset_of;

/// What is read of every table.
const COMMON: [&str; 5] = ["code", "kind", "recv_ts", "frame", "session"];

/// What is read of a table besides.
fn columns_of(table: Table) -> &'static [&'static str] {
    match table {
        Table::Ticks => &[
            "preset",
            "trade_ts",
            "trade_time",
            "price",
            "volume",
            "acc_volume",
        ],
        Table::DerivativeTicks => &["preset", "trade_ts", "acc_volume"],
        Table::Quotes | Table::DerivativeQuotes => &["acc_volume", "ask_price", "bid_price"],
        Table::Books => &["acc_volume", "ask_price_01", "bid_price_01"],
        Table::DerivativeBooks => &["ask_price_01", "bid_price_01"],
        Table::Indices => &["trade_ts", "acc_volume"],
        Table::Changes => &[],
    }
}

/// A row of a per-issue dataset in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Push<'a> {
    /// What was registered; a trade whose `preset` is null is taken for one of `tick10`.
    pub preset: Preset,
    /// The issue code as sent.
    pub code: &'a str,
    /// The kind's word, such as `trade`.
    pub kind: &'a str,
    /// When the frame was received.
    pub recv: Moment,
    /// The frame's number, from 1.
    pub frame: u64,
    /// The connection's number, from 1.
    pub session: u32,
    /// When it was traded, ms since 1970; `None` for a row that is no trade or has no clock time.
    pub trade_ts: Option<i64>,
    /// Shares or contracts traded so far on this day, if the row says it.
    pub acc_volume: Option<i64>,
    /// What it says of a stock's trade; `None` in any other table, and for a snapshot without one.
    pub trade: Option<PushedTrade>,
    /// What it says of the best prices; `None` in a table without quotes.
    pub quote: Option<PushedQuote>,
}

/// A stock's trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushedTrade {
    /// The digits of `trdTm`.
    pub trade_time: i32,
    /// KRW.
    pub price: i64,
    /// Shares.
    pub volume: i64,
}

/// The best prices, in KRW or in the unit of a derivative's quotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PushedQuote {
    /// The lowest that is asked; `None` when nothing is, or when it was not sent.
    pub ask: Option<f64>,
    /// The highest that is bid.
    pub bid: Option<f64>,
}

impl Push<'_> {
    /// Whether it is the state that answered a registration.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        self.kind == RowKind::Snapshot.as_str()
    }
}

/// The rows of a table of one feed and date: those of each issue in order of arrival, whether in one file or many.
pub struct Pushes {
    table: Table,
    files: std::vec::IntoIter<PathBuf>,
    current: Option<(PathBuf, ParquetRecordBatchReader)>,
    rows: u64,
}

impl Pushes {
    /// Opens what is committed now. Without any file there are no rows.
    ///
    /// # Errors
    /// [`StoreError`], when the partition cannot be listed, or a footer cannot be read.
    pub fn open(data: &DataDir, table: Table, feed: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        let files = catalog::paths(data, dataset_of(table), feed, date)?;
        let mut rows = 0;
        for path in &files {
            rows += catalog::read_footer(path)?.rows_of(dataset_of(table));
        }
        Ok(Self {
            table,
            files: files.into_iter(),
            current: None,
            rows,
        })
    }

    /// The number of rows in all files, according to their footers.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read, or is not one of the table's. If the day is sealed into one file in
    /// the meantime, a file vanishes: open it again.
    pub fn next_batch(&mut self) -> Result<Option<PushBatch>, StoreError> {
        loop {
            if let Some((path, reader)) = &mut self.current
                && let Some(batch) = reader.next()
            {
                let batch = batch
                    .map_err(parquet::errors::ParquetError::from)
                    .map_err(undecodable(path))?;
                return Ok(Some(PushBatch {
                    table: self.table,
                    batch,
                }));
            }
            let Some(path) = self.files.next() else {
                self.current = None;
                return Ok(None);
            };
            let (_, builder) = builder(dataset_of(self.table), &path)?;
            let columns = COMMON.iter().chain(columns_of(self.table)).copied();
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
            let reader = builder
                .with_projection(mask)
                .with_batch_size(READ_ROWS)
                .build()
                .map_err(undecodable(&path))?;
            self.current = Some((path, reader));
        }
    }
}

/// A batch of rows from [`Pushes`].
#[derive(Clone, Debug)]
pub struct PushBatch {
    table: Table,
    batch: RecordBatch,
}

impl PushBatch {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = Push<'_>> {
        let view = View::of(self);
        (0..self.len()).map(move |index| view.row(index))
    }
}

/// The columns by type, which [`super::file::builder`] has checked.
struct View<'a> {
    preset: Option<Presets<'a>>,
    only_preset: Preset,
    code: Texts<'a>,
    kind: Texts<'a>,
    recv_ts: &'a PrimitiveArray<TimestampMicrosecondType>,
    frame: &'a PrimitiveArray<Int64Type>,
    session: &'a PrimitiveArray<Int32Type>,
    trade_ts: Option<&'a PrimitiveArray<TimestampMillisecondType>>,
    acc_volume: Option<&'a PrimitiveArray<Int64Type>>,
    trade: Option<Trade<'a>>,
    quote: Option<(Price<'a>, Price<'a>)>,
}

/// The column `preset`.
struct Presets<'a> {
    column: &'a ArrayRef,
    words: Texts<'a>,
}

struct Trade<'a> {
    time: &'a PrimitiveArray<Int32Type>,
    price: &'a PrimitiveArray<Int64Type>,
    volume: &'a PrimitiveArray<Int64Type>,
}

enum Price<'a> {
    Integer(&'a PrimitiveArray<Int64Type>),
    Decimal(&'a PrimitiveArray<Float64Type>),
}

impl<'a> Price<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        match column.as_primitive_opt() {
            Some(integers) => Self::Integer(integers),
            None => Self::Decimal(column.as_primitive()),
        }
    }

    fn value(&self, row: usize) -> Option<f64> {
        match self {
            Self::Integer(column) => column.is_valid(row).then(|| column.value(row) as f64),
            Self::Decimal(column) => column.is_valid(row).then(|| column.value(row)),
        }
    }
}

fn valid<T: arrow_array::ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

impl<'a> View<'a> {
    fn of(rows: &'a PushBatch) -> Self {
        let some = |name: &str| rows.batch.column_by_name(name);
        let column = |name: &str| some(name).unwrap_or_else(|| &rows.batch.columns()[0]);
        let prices = some("ask_price").zip(some("bid_price"));
        let best = some("ask_price_01").zip(some("bid_price_01"));
        Self {
            preset: some("preset").map(|column| Presets {
                column,
                words: Texts::of(column),
            }),
            only_preset: only_preset(rows.table),
            code: Texts::of(column("code")),
            kind: Texts::of(column("kind")),
            recv_ts: column("recv_ts").as_primitive(),
            frame: column("frame").as_primitive(),
            session: column("session").as_primitive(),
            trade_ts: some("trade_ts").map(|column| column.as_primitive()),
            acc_volume: some("acc_volume").map(|column| column.as_primitive()),
            trade: (rows.table == Table::Ticks).then(|| Trade {
                time: column("trade_time").as_primitive(),
                price: column("price").as_primitive(),
                volume: column("volume").as_primitive(),
            }),
            quote: match rows.table {
                Table::Quotes | Table::DerivativeQuotes => prices,
                Table::Books | Table::DerivativeBooks => best,
                _ => None,
            }
            .map(|(ask, bid)| (Price::of(ask), Price::of(bid))),
        }
    }

    fn row(&self, row: usize) -> Push<'a> {
        let preset = self.preset.as_ref().filter(|of| of.column.is_valid(row));
        let preset = preset.and_then(|of| of.words.value(row).parse().ok());
        Push {
            preset: preset.unwrap_or(self.only_preset),
            code: self.code.value(row),
            kind: self.kind.value(row),
            recv: Moment(self.recv_ts.value(row)),
            frame: self.frame.value(row).cast_unsigned(),
            session: self.session.value(row).cast_unsigned(),
            trade_ts: self.trade_ts.and_then(|column| valid(column, row)),
            acc_volume: self.acc_volume.and_then(|column| valid(column, row)),
            trade: self.trade.as_ref().and_then(|of| {
                Some(PushedTrade {
                    trade_time: valid(of.time, row)?,
                    price: valid(of.price, row)?,
                    volume: valid(of.volume, row)?,
                })
            }),
            quote: self.quote.as_ref().map(|(ask, bid)| PushedQuote {
                ask: ask.value(row),
                bid: bid.value(row),
            }),
        }
    }
}
