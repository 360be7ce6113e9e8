//! Trades, row by row.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use chrono::NaiveDate;

use super::Arrivals;
use crate::error::StoreError;
use crate::layout::{DataDir, Market};
use crate::moment::Moment;

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
    /// When the frame was read.
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

/// The trades of one market and date in order of arrival, whether they are in many files or in one.
pub struct Trades {
    arrivals: Arrivals,
    rows: u64,
}

impl Trades {
    /// Opens what is sealed now. Without any file there are no rows.
    ///
    /// # Errors
    /// [`StoreError`], when the partition cannot be listed, or a footer cannot be read.
    pub fn open(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Self, StoreError> {
        let (arrivals, rows) = Arrivals::of(data, market, date)?;
        Ok(Self { arrivals, rows })
    }

    /// The rows of all files, as their footers have it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` behind the last.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read, or is not what its footer says. A day that is sealed into one file
    /// while it is read makes a file vanish: open it again.
    pub fn next_batch(&mut self) -> Result<Option<TradeBatch>, StoreError> {
        Ok(self.arrivals.advance()?.map(TradeBatch))
    }
}

/// Some rows of [`Trades`].
#[derive(Clone, Debug)]
pub struct TradeBatch(RecordBatch);

impl TradeBatch {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One row; [`TradeBatch::rows`] is faster for all of them.
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

/// Texts of a column, plain or by a dictionary.
enum Texts<'a> {
    Plain(&'a arrow::array::StringArray),
    Keyed(&'a [i32], &'a arrow::array::StringArray),
}

impl<'a> Texts<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Dictionary(..) => {
                let column = column.as_dictionary::<Int32Type>();
                Self::Keyed(column.keys().values(), column.values().as_string())
            }
            _ => Self::Plain(column.as_string()),
        }
    }

    fn value(&self, row: usize) -> &'a str {
        match self {
            Self::Plain(texts) => texts.value(row),
            Self::Keyed(keys, texts) => texts.value(usize::try_from(keys[row]).unwrap_or(usize::MAX)),
        }
    }
}

/// The columns by their types, which `open_trades` has made sure of.
struct View<'a> {
    code: Texts<'a>,
    kind: Texts<'a>,
    columns: &'a [ArrayRef],
}

impl<'a> View<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        let columns = batch.columns();
        Self {
            code: Texts::of(&columns[0]),
            kind: Texts::of(&columns[4]),
            columns,
        }
    }

    fn row(&self, row: usize) -> TradeRow<'a> {
        let times = self.columns[1].as_primitive::<TimestampMillisecondType>();
        let extra = self.columns[10].as_string::<i32>();
        TradeRow {
            code: self.code.value(row),
            trade_ts: times.is_valid(row).then(|| times.value(row)),
            price: self.columns[2].as_primitive::<Int64Type>().value(row),
            volume: self.columns[3].as_primitive::<Int64Type>().value(row),
            kind: self.kind.value(row),
            trade_time: self.columns[5].as_primitive::<Int32Type>().value(row),
            recv: Moment(
                self.columns[6]
                    .as_primitive::<TimestampMicrosecondType>()
                    .value(row),
            ),
            frame: self.columns[7]
                .as_primitive::<Int64Type>()
                .value(row)
                .cast_unsigned(),
            item: self.columns[8].as_primitive::<Int16Type>().value(row),
            session: self.columns[9]
                .as_primitive::<Int32Type>()
                .value(row)
                .cast_unsigned(),
            extra: extra.is_valid(row).then(|| extra.value(row)),
        }
    }
}
