//! A row for each issue of a date.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, PrimitiveBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};

use super::fold::{Issue, Part, issues};
use super::names::Names;
use super::price::Price;
use super::session::Session;
use super::source::Halt;
use crate::dataset::{Dataset, ZONE};
use crate::day::Watch;

/// The rows of a date, by feed and code.
pub(super) fn rows<P: Price>(
    dataset: Dataset,
    parts: &[Part],
    session: Option<&Session>,
    watch: Watch<'_>,
) -> Result<RecordBatch, Halt> {
    let mut columns = Columns::<P>::default();
    for part in parts {
        for (code, issue) in issues::<P>(part, session, watch)? {
            let share = session.and_then(|session| part.recorded.share(&code, session.hours()));
            columns.push(part, &code, &issue, share);
        }
    }
    Ok(columns.finish(dataset))
}

struct Columns<P: Price> {
    names: Names,
    /// `open`, `high`, `low`, `close`, `official_close` and `value`.
    prices: [PrimitiveBuilder<P::Arrow>; 6],
    volume: Int64Builder,
    records: Int64Builder,
    first_ts: TimestampMillisecondBuilder,
    last_ts: TimestampMillisecondBuilder,
    share: Float64Builder,
}

impl<P: Price> Default for Columns<P> {
    fn default() -> Self {
        Self {
            names: Names::default(),
            prices: std::array::from_fn(|_| PrimitiveBuilder::new()),
            volume: Int64Builder::new(),
            records: Int64Builder::new(),
            first_ts: TimestampMillisecondBuilder::new(),
            last_ts: TimestampMillisecondBuilder::new(),
            share: Float64Builder::new(),
        }
    }
}

impl<P: Price> Columns<P> {
    fn push(&mut self, part: &Part, code: &str, issue: &Issue<P>, share: Option<f64>) {
        self.names.push(part, code);
        let candle = issue.candle.as_ref();
        let (volume, value) = match candle {
            Some(candle) => (candle.volume, candle.value()),
            None if share.is_some_and(|share| share >= 1.0) => (Some(0), P::value(P::Sum::default())),
            // Something may have been traded while nothing was recorded.
            None => (None, None),
        };
        let prices = [
            candle.map(|candle| candle.open()),
            candle.map(|candle| candle.high),
            candle.map(|candle| candle.low),
            candle.map(|candle| candle.close()),
            issue.official_close(),
            value,
        ];
        for (builder, price) in self.prices.iter_mut().zip(prices) {
            builder.append_option(price);
        }
        self.volume.append_option(volume);
        self.records
            .append_value(candle.map_or(0, |candle| candle.records));
        self.first_ts.append_option(candle.map(|candle| candle.first_ts));
        self.last_ts.append_option(candle.map(|candle| candle.last_ts));
        self.share.append_option(share);
    }

    fn finish(mut self, dataset: Dataset) -> RecordBatch {
        let [open, high, low, close, official, value] = self
            .prices
            .each_mut()
            .map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let figures: [(_, ArrayRef); 11] = [
            ("open", open),
            ("high", high),
            ("low", low),
            ("close", close),
            ("official_close", official),
            ("volume", Arc::new(self.volume.finish())),
            ("value", value),
            ("records", Arc::new(self.records.finish())),
            ("first_ts", Arc::new(self.first_ts.finish().with_timezone(ZONE))),
            ("last_ts", Arc::new(self.last_ts.finish().with_timezone(ZONE))),
            ("recorded_share", Arc::new(self.share.finish())),
        ];
        dataset.batch(self.names.finish().into_iter().chain(figures))
    }
}
