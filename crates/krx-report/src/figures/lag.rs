//! How long after its trade a record came: `recv_ts` − `trade_ts`, in bounded memory. Pure.
//!
//! They come from different clocks, and `trdTm` has hundredths of a second: a lag may be negative, and is up to 10 ms
//! longer than the truth.

use std::time::Duration;

use chrono::NaiveDate;
use krx_store::Moment;
use krx_store::lag::{DayVerdicts, LagsBySecond};
use serde::Serialize;

/// Where one bar of the histogram ends and the next begins, ms: finer where lags are short.
pub(crate) const EDGES_MS: [i64; 20] = [
    -3_600_000, -60_000, -10_000, -1_000, -100, -10, 0, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000,
    10_000, 60_000, 600_000, 3_600_000,
];

/// Each power of two is divided into this many parts for the percentiles, which are accurate to 1 in 64.
const PARTS_BITS: u32 = 6;
const PARTS: usize = 1 << PARTS_BITS;
/// Slots for values of zero or more.
const HALF: usize = (64 - PARTS_BITS as usize + 1) * PARTS;

/// Lags, collected one by one.
#[derive(Clone, Debug)]
pub struct Lags {
    count: u64,
    below_zero: u64,
    min_us: i64,
    max_us: i64,
    bins: [u64; EDGES_MS.len() + 1],
    slots: Vec<u64>,
    seconds: LagsBySecond,
}

/// A summary of the lags.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LagFacts {
    /// Records with a clock time: `kind` is `trade`.
    pub trades: u64,
    /// The share of these that came before their own time; `None` without trades.
    pub below_zero_share: Option<f64>,
    /// The least, ms.
    pub min_ms: Option<f64>,
    /// Half of them are at most this, ms; accurate to 1.6 %.
    pub p50_ms: Option<f64>,
    /// 95 of 100 are at most this, ms; equally accurate.
    pub p95_ms: Option<f64>,
    /// 99 of 100 are at most this, ms; equally accurate.
    pub p99_ms: Option<f64>,
    /// The most, ms.
    pub max_ms: Option<f64>,
    /// The histogram: all bars, in order.
    pub bins: Vec<LagBin>,
}

/// A bar: from (inclusive) and to (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LagBin {
    /// `None`: no lower end.
    pub from_ms: Option<i64>,
    /// `None`: no upper end.
    pub to_ms: Option<i64>,
    /// Records in it.
    pub trades: u64,
}

impl Default for Lags {
    fn default() -> Self {
        Self {
            count: 0,
            below_zero: 0,
            min_us: i64::MAX,
            max_us: i64::MIN,
            bins: [0; EDGES_MS.len() + 1],
            slots: vec![0; 2 * HALF],
            seconds: LagsBySecond::default(),
        }
    }
}

impl Lags {
    /// Adds that of a trade, given when it was received and made (ms since the Unix epoch).
    pub fn trade(&mut self, recv: Moment, traded_ms: i64) {
        let traded = Moment(traded_ms.saturating_mul(1000));
        self.add(recv.0.saturating_sub(traded.0));
        let of_day = i32::try_from(traded.micros_of_day() / 1000).unwrap_or_default();
        self.seconds.add(recv, of_day);
    }

    /// What they show of the clock on this date, as a recorder's watch would have said it.
    pub(crate) fn verdicts(&self, date: NaiveDate, lag_max: Duration) -> DayVerdicts {
        self.seconds.verdicts(date, lag_max)
    }

    /// Adds a lag.
    fn add(&mut self, us: i64) {
        self.count += 1;
        self.below_zero += u64::from(us < 0);
        self.min_us = self.min_us.min(us);
        self.max_us = self.max_us.max(us);
        let ms = us.div_euclid(1000);
        self.bins[EDGES_MS.partition_point(|edge| *edge <= ms)] += 1;
        self.slots[slot(us)] += 1;
    }

    /// The figures.
    #[must_use]
    pub fn facts(&self) -> LagFacts {
        let some = |us: i64| (self.count > 0).then_some(us as f64 / 1000.0);
        let share = self.below_zero as f64 / self.count.max(1) as f64;
        let from = std::iter::once(None).chain(EDGES_MS.into_iter().map(Some));
        let to = EDGES_MS.into_iter().map(Some).chain([None]);
        LagFacts {
            trades: self.count,
            below_zero_share: (self.count > 0).then_some(share),
            min_ms: some(self.min_us),
            p50_ms: some(self.percentile(50)),
            p95_ms: some(self.percentile(95)),
            p99_ms: some(self.percentile(99)),
            max_ms: some(self.max_us),
            bins: from
                .zip(to)
                .zip(self.bins)
                .map(|((from_ms, to_ms), trades)| LagBin {
                    from_ms,
                    to_ms,
                    trades,
                })
                .collect(),
        }
    }

    /// The smallest value that this many percent do not exceed.
    fn percentile(&self, percent: u64) -> i64 {
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100);
        let mut below = 0_u128;
        for (index, count) in self.slots.iter().enumerate() {
            below += u128::from(*count);
            if *count > 0 && below >= rank {
                return middle(index).clamp(self.min_us, self.max_us);
            }
        }
        self.max_us
    }
}

/// The slot of a value: one for each up to 128 µs, then 64 for each power of two, and the same below zero.
fn slot(us: i64) -> usize {
    let size = us.unsigned_abs();
    let shift = (64 - PARTS_BITS - 1).saturating_sub(size.leading_zeros());
    let place = shift as usize * PARTS + usize::try_from(size >> shift).unwrap_or(0);
    if us < 0 {
        HALF - place.min(HALF)
    } else {
        HALF + place.min(HALF - 1)
    }
}

/// The value in the middle of a slot.
fn middle(slot: usize) -> i64 {
    let place = slot.abs_diff(HALF);
    let shift = (place / PARTS).saturating_sub(1);
    let low = (place - shift * PARTS) as u128;
    let size = (low << shift) + ((1_u128 << shift) / 2);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    if slot < HALF { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: impl IntoIterator<Item = i64>) -> LagFacts {
        let mut lags = Lags::default();
        all.into_iter().for_each(|us| lags.add(us));
        lags.facts()
    }

    #[test]
    fn percentiles_of_a_thousand_known_lags() {
        // 1 ms, 2 ms, … 1 s.
        let facts = of((1..=1000).map(|ms| ms * 1000));
        for (found, expected) in [
            (facts.p50_ms, 500.0),
            (facts.p95_ms, 950.0),
            (facts.p99_ms, 990.0),
        ] {
            let found = found.unwrap();
            assert!(
                (found - expected).abs() / expected < 1.0 / 64.0,
                "{found} is not {expected}"
            );
        }
        assert_eq!((facts.min_ms, facts.max_ms), (Some(1.0), Some(1000.0)));
        assert_eq!((facts.trades, facts.below_zero_share), (1000, Some(0.0)));
        let bins: Vec<_> = facts.bins.iter().map(|bin| (bin.from_ms, bin.trades)).collect();
        assert_eq!(
            bins[7..15],
            [
                (Some(0), 9),
                (Some(10), 10),
                (Some(20), 30),
                (Some(50), 50),
                (Some(100), 100),
                (Some(200), 300),
                (Some(500), 500),
                (Some(1000), 1)
            ]
        );
        assert_eq!(facts.bins.iter().map(|bin| bin.trades).sum::<u64>(), 1000);
    }

    #[test]
    fn clocks_differ_so_a_lag_may_be_below_zero() {
        let facts = of([-1_500_000, -20_000, -1, 0, 40_000]);
        assert_eq!(facts.below_zero_share, Some(0.6));
        assert_eq!(
            (facts.min_ms, facts.p50_ms, facts.max_ms),
            (Some(-1500.0), Some(-0.001), Some(40.0))
        );
        let some: Vec<_> = facts
            .bins
            .iter()
            .filter(|bin| bin.trades > 0)
            .map(|bin| (bin.from_ms, bin.to_ms, bin.trades))
            .collect();
        assert_eq!(
            some,
            [
                (Some(-10_000), Some(-1000), 1),
                (Some(-100), Some(-10), 1),
                (Some(-10), Some(0), 1),
                (Some(0), Some(10), 1),
                (Some(20), Some(50), 1)
            ]
        );
    }

    #[test]
    fn without_trades_there_is_nothing_to_say() {
        let facts = of([]);
        assert_eq!(
            (facts.trades, facts.p50_ms, facts.max_ms, facts.below_zero_share),
            (0, None, None, None)
        );
    }

    #[test]
    fn no_value_is_without_a_slot_and_none_is_far_from_its_middle() {
        let powers = (0..63).flat_map(|bit| [(1_i64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for us in powers
            .chain([i64::MAX])
            .flat_map(|us| [us, -us])
            .chain([i64::MIN])
        {
            let middle = middle(slot(us));
            let off = (i128::from(middle) - i128::from(us)).unsigned_abs();
            assert!(
                off * 64 <= u128::from(us.unsigned_abs()),
                "{us} is shown as {middle}"
            );
        }
        let mut all: Vec<i64> = (-5000..5000).map(|us| us * 977).collect();
        all.sort_unstable();
        assert!(all.is_sorted_by_key(|us| slot(*us)));
    }
}
