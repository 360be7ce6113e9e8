//! The full-market service: every trade of a market, in arrays of up to 50.

use std::sync::{Arc, LazyLock};

use arrow_array::builder::{StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{
    ArrayRef, DictionaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use krx_protocol::{BatchSink, Decoded, Decoder, Kind, PACKED_RECORDS_MAX, Reason, Trade};

use super::spec::{FrameDecoder, FrameFacts, FrameRows, Rejects, Service};
use crate::dataset::{BATCH_ROWS, Column, ColumnType, DatasetSpec, Encoding, ZONE};
use crate::lag::{Lags, RecvTime};
use crate::moment::Moment;
use crate::traded::{Traded, Watched};

/// The full-market service.
pub static FULL_MARKET: Service = Service {
    name: "full_market",
    datasets: &[&TRADES],
    has_registrations: false,
    decoder: || Box::new(FullMarket::default()),
};

/// Every whole record. Columns that rise in order of arrival are stored as differences: `trade_ts` is within one date,
/// in milliseconds, and `trade_time` has eight digits, so two of them in a page are never 2^28 apart. `recv_ts` is in
/// microseconds, and can be.
pub static TRADES: DatasetSpec = DatasetSpec::new(
    "trades",
    "market",
    "One row for each record that could be read.",
    &[
        Column::new(
            "code",
            ColumnType::Code,
            Encoding::Dictionary,
            "issue code (`isuSrtCd`) as sent",
        ),
        Column::new(
            "trade_ts",
            ColumnType::Millis,
            Encoding::Delta,
            "when the trade was made: the partition's date and `trdTm`. Null when `trdTm` is a signal",
        )
        .or_null(),
        Column::new("price", ColumnType::Int64, Encoding::Dictionary, "KRW (`trdPrc`)"),
        Column::new(
            "volume",
            ColumnType::Int64,
            Encoding::Plain,
            "`trdVol` as sent; whether traded or cumulative is in doubt (docs/reading-the-data.md says how to tell)",
        ),
        Column::new(
            "kind",
            ColumnType::Word,
            Encoding::Dictionary,
            "what the record is, in one word (docs/reading-the-data.md lists the words)",
        ),
        Column::new(
            "trade_time",
            ColumnType::Int32,
            Encoding::Delta,
            "the digits of `trdTm`: 9450155 is 09:45:01.55",
        ),
        Column::new(
            "recv_ts",
            ColumnType::Micros,
            Encoding::Plain,
            "when the frame was read from the socket",
        ),
        Column::new(
            "frame",
            ColumnType::Int64,
            Encoding::Delta,
            "number of the frame, from 1, within market and date",
        ),
        Column::new(
            "item",
            ColumnType::Int16,
            Encoding::Dictionary,
            "position of the record in its frame, from 0",
        ),
        Column::new(
            "session",
            ColumnType::Int32,
            Encoding::Delta,
            "number of the connection, from 1, within market and date",
        ),
        Column::new(
            "extra",
            ColumnType::Text,
            Encoding::Dictionary,
            "keys that the guide does not name, as a JSON object of the bytes that were sent; usually null",
        )
        .or_null(),
    ],
)
.sealed_by("code");

static KINDS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(Kind::ALL.map(Kind::as_str))));

#[derive(Default)]
struct FullMarket {
    decoder: Decoder,
    columns: TradeColumns,
    traded: Option<Arc<Traded>>,
}

impl FrameDecoder for FullMarket {
    fn count_trades(&mut self, traded: &Arc<Traded>) {
        self.traded = Some(Arc::clone(traded));
    }

    fn decode(&mut self, facts: &FrameFacts, payload: &[u8], rejects: &mut dyn Rejects) -> FrameRows {
        let before = self.columns.rows();
        let watched = self
            .traded
            .as_ref()
            .and_then(|traded| traded.to_count(facts.recv));
        let mut sink = Sink {
            columns: &mut self.columns,
            rejects,
            midnight_ms: facts.midnight_ms,
            watched: watched.as_deref().map(|watched| (watched, facts.recv)),
            recv: RecvTime::of(facts.recv),
            lags: Lags::default(),
        };
        let decoded = self.decoder.decode(payload, &mut sink);
        let lags = sink.lags;
        self.columns.end_frame(facts.recv, facts.frame, facts.session);
        FrameRows {
            rows: (self.columns.rows() - before) as u64,
            is_oversized: matches!(decoded, Decoded::Batch(items) if items > PACKED_RECORDS_MAX),
            lags,
        }
    }

    fn waiting(&self, _dataset: usize) -> usize {
        self.columns.rows()
    }

    fn take(&mut self, _dataset: usize) -> RecordBatch {
        self.columns.take()
    }
}

/// Where the pieces of a frame go.
struct Sink<'a> {
    columns: &'a mut TradeColumns,
    rejects: &'a mut dyn Rejects,
    midnight_ms: i64,
    /// The issues whose trades are counted, and when they were received.
    watched: Option<(&'a Watched, Moment)>,
    recv: RecvTime,
    lags: Lags,
}

impl BatchSink for Sink<'_> {
    #[inline]
    fn trade(&mut self, item: i16, trade: &Trade<'_>) {
        let millis = trade.time.millis_of_day();
        if let Some(millis) = millis {
            self.lags.add(self.recv, millis);
            if let Some((watched, recv)) = self.watched {
                watched.count(trade.code.as_str(), recv);
            }
        }
        self.columns.push(item, self.midnight_ms, trade);
    }

    #[inline]
    fn trades(&mut self, trades: &[Trade<'_>]) {
        let recv = self.recv;
        self.lags
            .add_all(recv, trades.iter().filter_map(|trade| trade.time.millis_of_day()));
        if let Some((watched, recv)) = self.watched {
            for trade in trades.iter().filter(|trade| trade.time.kind() == Kind::Trade) {
                watched.count(trade.code.as_str(), recv);
            }
        }
        self.columns.extend(self.midnight_ms, trades);
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.rejects.reject(item, reason, detail, raw);
    }
}

/// Columns of `trades` being filled. Values that all rows of a frame share are filled in at the end of the frame.
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

/// Room for a batch and the frame that completes it, so that growing columns are not copied.
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

    /// Adds a record; `midnight_ms` is the trading date's midnight in Korea, in milliseconds since the Unix epoch.
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

    /// Adds all records of a message, none of which has an `extra`: column by column, which is much faster than one by one.
    pub(crate) fn extend(&mut self, midnight_ms: i64, trades: &[Trade<'_>]) {
        debug_assert!(trades.len() <= PACKED_RECORDS_MAX && trades.iter().all(|trade| trade.extra.is_none()));
        for trade in trades {
            let millis = trade.time.millis_of_day();
            let trade_ms = millis.map(|millis| midnight_ms + i64::from(millis));
            self.trade_ts.append_option(trade_ms);
            self.kind.push(trade.time.kind() as i32);
        }
        for trade in trades {
            self.code.append_value(trade.code.as_str());
        }
        self.price.extend(trades.iter().map(|trade| trade.price));
        self.volume.extend(trades.iter().map(|trade| trade.volume));
        self.trade_time
            .extend(trades.iter().map(|trade| trade.time.digits()));
        self.item.extend((0..).zip(trades).map(|(item, _)| item));
        self.extra_nulls += trades.len();
    }

    /// Fills in what the rows added since the last call share.
    pub fn end_frame(&mut self, recv: Moment, frame: i64, session: i32) {
        self.recv_ts.resize(self.rows(), recv.0);
        self.frame.resize(self.rows(), frame);
        self.session.resize(self.rows(), session);
    }

    /// Takes the rows so far, as Arrow arrays.
    ///
    /// # Panics
    /// When rows were pushed but their frame was not ended.
    pub fn take(&mut self) -> RecordBatch {
        std::mem::take(self).into_batch()
    }

    fn into_batch(mut self) -> RecordBatch {
        self.extra.append_nulls(self.extra_nulls);
        let kind = Int32Array::from(self.kind);
        let kind = DictionaryArray::try_new(kind, Arc::clone(&KINDS)).expect("a kind is an index into ALL");
        let recv_ts = TimestampMicrosecondArray::from(self.recv_ts).with_timezone(ZONE);
        let columns: [(&str, ArrayRef); 11] = [
            ("code", Arc::new(self.code.finish())),
            ("trade_ts", Arc::new(self.trade_ts.finish().with_timezone(ZONE))),
            ("price", Arc::new(Int64Array::from(self.price))),
            ("volume", Arc::new(Int64Array::from(self.volume))),
            ("kind", Arc::new(kind)),
            ("trade_time", Arc::new(Int32Array::from(self.trade_time))),
            ("recv_ts", Arc::new(recv_ts)),
            ("frame", Arc::new(Int64Array::from(self.frame))),
            ("item", Arc::new(Int16Array::from(self.item))),
            ("session", Arc::new(Int32Array::from(self.session))),
            ("extra", Arc::new(self.extra.finish())),
        ];
        TRADES.batch(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"isuSrtCd":"005930","trdPrc":"71500","trdVol":"5","trdTm":"09450155"}"#;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Rejected(Vec<(Option<i16>, Reason)>);

    impl Rejects for Rejected {
        fn reject(&mut self, item: Option<i16>, reason: Reason, _: &str, _: &[u8]) {
            self.0.push((item, reason));
        }
    }

    /// With a blank at its end, the same message goes through the parser.
    #[test]
    fn a_usual_message_gives_what_any_other_gives() {
        let record = |code: &str, time: &str| GOOD.replace("005930", code).replace("09450155", time);
        let frames = [
            vec![
                record("005930", "09450155"),
                record("00088K", "31000000"),
                record("005930", "09450160"),
            ],
            vec![record("Q5000611", "0"), record("KR4101S60003", "99999999")],
            // With an `extra`, which no usual message has, and a refusal.
            vec![
                GOOD.replace('}', r#","mkt":1}"#),
                record("000660", "09450155"),
                record("0", "x"),
            ],
            vec![record("005930", "23595999"); PACKED_RECORDS_MAX],
            vec![record("005930", "61000000")],
            vec![record("000660", "00000001")],
        ];
        let recv = Moment::now();
        let facts = |frame| FrameFacts::new(Moment::midnight(recv.date()), recv, frame, 3);
        let decoded = |end: &str| {
            let traded = Arc::new(Traded::default());
            traded.watch(["005930", "000660"]);
            let (mut decoder, mut rejected) = (FullMarket::default(), Rejected::default());
            decoder.count_trades(&traded);
            let rows: Vec<_> = (1..)
                .zip(&frames)
                .map(|(frame, records)| {
                    let payload = format!("[{}]{end}", records.join(","));
                    let rows = decoder.decode(&facts(frame), payload.as_bytes(), &mut rejected);
                    (rows.rows, rows.is_oversized, rows.lags)
                })
                .collect();
            let mut counts: Vec<_> = traded
                .watched()
                .iter()
                .map(|(code, trades, last)| (code.to_owned(), trades, last))
                .collect();
            counts.sort();
            (decoder.take(0), rows, rejected, counts)
        };
        let (usual, general) = (decoded(""), decoded(" "));
        assert_eq!(usual, general);
        assert_eq!(usual.0.num_rows(), frames.iter().map(Vec::len).sum::<usize>() - 1);
        assert_eq!(usual.3[1], ("005930".to_owned(), 3 + 50, recv));
    }
}
