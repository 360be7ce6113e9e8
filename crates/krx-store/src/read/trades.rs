//! Trades, row by row.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, PrimitiveArray, RecordBatch, StringArray};
use chrono::NaiveDate;

use super::arrivals::Arrivals;
use super::texts::Texts;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::moment::Moment;
use crate::service::TRADES;

/// A row of `trades`; what each column means is in docs/reading-the-data.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeRow<'a> {
    /// The issue code as sent.
    pub code: &'a str,
    /// Milliseconds since the Unix epoch; `None` for signals.
    pub trade_ts: Option<i64>,
    /// KRW.
    pub price: i64,
    /// `trdVol` as sent.
    pub volume: i64,
    /// The kind's word, such as `trade`.
    pub kind: &'a str,
    /// The digits of `trdTm`.
    pub trade_time: i32,
    /// When the frame was received.
    pub recv: Moment,
    /// The frame's number, from 1.
    pub frame: u64,
    /// The position in the frame, from 0.
    pub item: i16,
    /// The connection's number, from 1.
    pub session: u32,
    /// Unknown keys, as a JSON object.
    pub extra: Option<&'a str>,
}

/// The trades of one feed and date in order of arrival, whether in one file or many.
pub struct Trades {
    arrivals: Arrivals,
    rows: u64,
}

impl Trades {
    /// Opens what is committed now. Without any file there are no rows.
    ///
    /// # Errors
    /// [`StoreError`], when the partition cannot be listed, or a footer cannot be read.
    pub fn open(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        let (arrivals, rows) = Arrivals::of(data, &TRADES, feed, date)?;
        Ok(Self { arrivals, rows })
    }

    /// The number of rows in all files, according to their footers.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read, or is not what its footer says. If the day is sealed into one file
    /// in the meantime, a file vanishes: open it again.
    pub fn next_batch(&mut self) -> Result<Option<TradeBatch>, StoreError> {
        Ok(self.arrivals.advance()?.map(TradeBatch))
    }
}

/// A batch of rows from [`Trades`].
#[derive(Clone, Debug)]
pub struct TradeBatch(RecordBatch);

impl TradeBatch {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One row; use [`TradeBatch::rows`] to go through all of them faster.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, index: usize) -> TradeRow<'_> {
        View::of(&self.0).row(index)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = TradeRow<'_>> {
        let view = View::of(&self.0);
        (0..self.len()).map(move |index| view.row(index))
    }
}

/// The columns by type, which [`super::open`] has checked.
struct View<'a> {
    code: Texts<'a>,
    trade_ts: &'a PrimitiveArray<TimestampMillisecondType>,
    price: &'a PrimitiveArray<Int64Type>,
    volume: &'a PrimitiveArray<Int64Type>,
    kind: Texts<'a>,
    trade_time: &'a PrimitiveArray<Int32Type>,
    recv_ts: &'a PrimitiveArray<TimestampMicrosecondType>,
    frame: &'a PrimitiveArray<Int64Type>,
    item: &'a PrimitiveArray<Int16Type>,
    session: &'a PrimitiveArray<Int32Type>,
    extra: &'a StringArray,
}

impl<'a> View<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        let column = |name: &str| &batch.columns()[TRADES.index_of(name).unwrap_or_default()];
        Self {
            code: Texts::of(column("code")),
            trade_ts: column("trade_ts").as_primitive(),
            price: column("price").as_primitive(),
            volume: column("volume").as_primitive(),
            kind: Texts::of(column("kind")),
            trade_time: column("trade_time").as_primitive(),
            recv_ts: column("recv_ts").as_primitive(),
            frame: column("frame").as_primitive(),
            item: column("item").as_primitive(),
            session: column("session").as_primitive(),
            extra: column("extra").as_string(),
        }
    }

    fn row(&self, row: usize) -> TradeRow<'a> {
        TradeRow {
            code: self.code.value(row),
            trade_ts: self.trade_ts.is_valid(row).then(|| self.trade_ts.value(row)),
            price: self.price.value(row),
            volume: self.volume.value(row),
            kind: self.kind.value(row),
            trade_time: self.trade_time.value(row),
            recv: Moment(self.recv_ts.value(row)),
            frame: self.frame.value(row).cast_unsigned(),
            item: self.item.value(row),
            session: self.session.value(row).cast_unsigned(),
            extra: self.extra.is_valid(row).then(|| self.extra.value(row)),
        }
    }
}
