//! Trades folded into open, high, low and close, in whatever order they arrive. Pure.

use super::price::Price;

/// The place of a trade among its issue's trades. In the full-market feed only the place in the feed counts. In a per-issue
/// feed, time and accumulated volume come first, since `tick` and `tick10` may send a trade at different times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// When it was traded, ms since 1970; only in a per-issue feed.
    pub(super) ts: i64,
    /// The accumulated volume, or [`NO_TOTAL`] if it was not sent; only in a per-issue feed.
    pub(super) total: i64,
    /// When it was received, µs since 1970; only in a per-issue feed.
    pub(super) recv: i64,
    /// Frame and item in one number.
    pub(super) place: i64,
}

/// Stands for the time of a signal.
pub(super) const NO_TIME: i64 = i64::MIN;

/// Stands for an accumulated volume that was not sent; it sorts after all that were.
pub(super) const NO_TOTAL: i64 = i64::MAX;

/// A frame and item as one number, in their order.
pub(super) fn place(frame: i64, item: i16) -> i64 {
    frame << 16 | i64::from(item)
}

/// A summary of trades.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candle<P: Price> {
    first: (Order, P),
    last: (Order, P),
    pub(super) high: P,
    pub(super) low: P,
    /// Shares or contracts; `None` if they exceed 64 bits.
    pub(super) volume: Option<i64>,
    sum: P::Sum,
    pub(super) records: i64,
    /// The earliest and the latest time, ms since 1970.
    pub(super) first_ts: i64,
    pub(super) last_ts: i64,
}

impl<P: Price> Candle<P> {
    /// A single trade.
    fn of(order: Order, ts: i64, price: P, volume: i64) -> Self {
        let mut sum = P::Sum::default();
        price.add(volume, &mut sum);
        Self {
            first: (order, price),
            last: (order, price),
            high: price,
            low: price,
            volume: Some(volume),
            sum,
            records: 1,
            first_ts: ts,
            last_ts: ts,
        }
    }

    /// Adds a trade to those so far.
    pub(super) fn add(candle: &mut Option<Self>, order: Order, ts: i64, price: P, volume: i64) {
        let Some(of) = candle else {
            *candle = Some(Self::of(order, ts, price, volume));
            return;
        };
        if order < of.first.0 {
            of.first = (order, price);
        }
        if order > of.last.0 {
            of.last = (order, price);
        }
        if price.order(&of.high).is_gt() {
            of.high = price;
        }
        if price.order(&of.low).is_lt() {
            of.low = price;
        }
        of.volume = of.volume.and_then(|sum| sum.checked_add(volume));
        price.add(volume, &mut of.sum);
        of.records += 1;
        of.first_ts = of.first_ts.min(ts);
        of.last_ts = of.last_ts.max(ts);
    }

    pub(super) fn open(&self) -> P {
        self.first.1
    }

    pub(super) fn close(&self) -> P {
        self.last.1
    }

    /// The sum of price × volume; `None` if it does not fit the price's type.
    pub(super) fn value(&self) -> Option<P> {
        P::value(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded<P: Price>(trades: &[(i64, P, i64)]) -> Candle<P> {
        let mut candle = None;
        for (place, price, volume) in trades {
            let order = Order {
                place: *place,
                ..Order::default()
            };
            Candle::add(&mut candle, order, 100 + place, *price, *volume);
        }
        candle.unwrap()
    }

    #[test]
    fn trades_are_in_their_own_order_and_not_that_of_arrival() {
        let trades = [(3, 70, 5), (1, 100, 1), (2, 50, 2), (4, 60, 0)];
        let candle = folded(&trades);
        assert_eq!((candle.open(), candle.close()), (100, 60));
        assert_eq!((candle.high, candle.low), (100, 50));
        assert_eq!((candle.volume, candle.value()), (Some(8), Some(550)));
        assert_eq!((candle.records, candle.first_ts, candle.last_ts), (4, 101, 104));
    }

    #[test]
    fn sums_that_do_not_fit_are_not_known_and_never_wrap() {
        let candle = folded(&[(1, i64::MAX, i64::MAX), (2, 1, 1)]);
        assert_eq!((candle.volume, candle.value()), (None, None));
        let candle = folded(&[(1, i64::MAX, 1), (2, 1, 1)]);
        assert_eq!((candle.volume, candle.value()), (Some(2), None));
        let candle = folded(&[(1, f64::MAX, 2), (2, -1.5, 1)]);
        assert_eq!((candle.value(), candle.low), (None, -1.5));
    }

    #[test]
    fn a_place_orders_frames_before_items() {
        assert!(place(1, i16::MAX) < place(2, 0));
        assert!(place(999_999_999_999, 0) < place(999_999_999_999, 1));
    }
}
