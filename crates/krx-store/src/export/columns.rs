//! Rows of `trades` on their way into Arrow arrays.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, DictionaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampMillisecondBuilder,
};
use arrow::datatypes::SchemaRef;
use krx_protocol::{Kind, Trade};

use super::schema::{ZONE, trades_schema};
use crate::moment::Moment;

pub(crate) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(trades_schema);
pub(crate) static KINDS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(Kind::ALL.map(Kind::as_str))));

/// Columns being filled. What all rows of a frame share is filled in when the frame is done.
#[derive(Debug)]
pub struct TradeColumns {
    code: StringBuilder,
    trade_ts: TimestampMillisecondBuilder,
    price: Vec<i64>,
    volume: Vec<i64>,
    kind: Vec<i32>,
    trade_time: Vec<i32>,
    item: Vec<i16>,
    recv_ts: Vec<i64>,
    frame: Vec<i64>,
    session: Vec<i32>,
    extra: StringBuilder,
    /// Rows after the last one with an `extra`.
    extra_nulls: usize,
}

/// Rows are encoded in batches of this many (and up to a frame more): small enough for a core's cache. It decides
/// where pages end, and so the file's bytes.
pub(super) const BATCH_ROWS: usize = 8192;

/// Room for a batch and the frame that completes it, so that columns are not copied while they grow.
const ROWS: usize = BATCH_ROWS + 512;
const CODE_BYTES: usize = 8;

impl Default for TradeColumns {
    fn default() -> Self {
        Self {
            code: StringBuilder::with_capacity(ROWS, ROWS * CODE_BYTES),
            trade_ts: TimestampMillisecondBuilder::with_capacity(ROWS),
            price: Vec::with_capacity(ROWS),
            volume: Vec::with_capacity(ROWS),
            kind: Vec::with_capacity(ROWS),
            trade_time: Vec::with_capacity(ROWS),
            item: Vec::with_capacity(ROWS),
            recv_ts: Vec::with_capacity(ROWS),
            frame: Vec::with_capacity(ROWS),
            session: Vec::with_capacity(ROWS),
            extra: StringBuilder::new(),
            extra_nulls: 0,
        }
    }
}

impl TradeColumns {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.price.len()
    }

    /// Adds a record; `midnight_ms` is the trading date's, in Korea, since the Unix epoch.
    #[inline]
    pub fn push(&mut self, item: i16, midnight_ms: i64, trade: &Trade<'_>) {
        self.code.append_value(trade.code.as_str());
        self.trade_ts.append_option(
            trade
                .time
                .millis_of_day()
                .map(|millis| midnight_ms + i64::from(millis)),
        );
        self.price.push(trade.price);
        self.volume.push(trade.volume);
        self.kind.push(trade.time.kind() as i32);
        self.trade_time.push(trade.time.digits());
        self.item.push(item);
        match trade.extra {
            None => self.extra_nulls += 1,
            Some(extra) => {
                self.extra.append_nulls(std::mem::take(&mut self.extra_nulls));
                self.extra.append_value(extra);
            }
        }
    }

    /// Fills in what the rows added since the last call share.
    pub fn end_frame(&mut self, recv: Moment, frame: i64, session: i32) {
        self.recv_ts.resize(self.rows(), recv.0);
        self.frame.resize(self.rows(), frame);
        self.session.resize(self.rows(), session);
    }

    /// The rows so far, as Arrow arrays; none are left.
    ///
    /// # Panics
    /// When rows were pushed and their frame was not ended.
    pub fn take(&mut self) -> RecordBatch {
        std::mem::take(self).into_batch()
    }

    fn into_batch(mut self) -> RecordBatch {
        self.extra.append_nulls(self.extra_nulls);
        let kind = Int32Array::from(self.kind);
        let kind = DictionaryArray::try_new(kind, Arc::clone(&KINDS)).expect("a kind is an index into ALL");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.code.finish()),
            Arc::new(self.trade_ts.finish().with_timezone(ZONE)),
            Arc::new(Int64Array::from(self.price)),
            Arc::new(Int64Array::from(self.volume)),
            Arc::new(kind),
            Arc::new(Int32Array::from(self.trade_time)),
            Arc::new(TimestampMicrosecondArray::from(self.recv_ts).with_timezone(ZONE)),
            Arc::new(Int64Array::from(self.frame)),
            Arc::new(Int16Array::from(self.item)),
            Arc::new(Int32Array::from(self.session)),
            Arc::new(self.extra.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&SCHEMA), columns).expect("all columns have a value for each row")
    }
}
