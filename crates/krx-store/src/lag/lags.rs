//! How long after their trades some records came, in short: what judging a clock takes.

use crate::moment::Moment;

/// A trade that is later than its receipt by more than this is early. Both clocks are disciplined, ours and the exchange's;
/// a leap second that only one of them smears puts them one second apart.
pub const EARLY_MAX_MS: i32 = 2_000;

const DAY_MS: i32 = 24 * 3600 * 1000;

/// The time of day at which a frame was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvTime(i32);

impl RecvTime {
    /// That of an instant.
    #[must_use]
    pub fn of(recv: Moment) -> Self {
        Self(i32::try_from(recv.micros_of_day() / 1000).unwrap_or_default())
    }

    /// How long after a trade at this time of day that is, ms: from half a day before it (negative) to half a day after it.
    /// A trade has no date of its own. That of its partition is from our clock, which may be wrong.
    #[must_use]
    pub fn since(self, trade_ms: i32) -> i32 {
        (self.0 - trade_ms + DAY_MS / 2).rem_euclid(DAY_MS) - DAY_MS / 2
    }
}

/// The lags of some records, in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lags {
    /// The lag of the newest trade: the least of all.
    pub newest: Option<i32>,
    /// The least of those that are not early.
    pub newest_due: Option<i32>,
}

impl Lags {
    /// Adds the trade of a record; `trade_ms` is its time of day, ms.
    #[inline]
    pub fn add(&mut self, recv: RecvTime, trade_ms: i32) {
        let lag = recv.since(trade_ms);
        self.newest = least(self.newest, Some(lag));
        if lag >= -EARLY_MAX_MS {
            self.newest_due = least(self.newest_due, Some(lag));
        }
    }

    /// Adds the trades of many records.
    #[inline]
    pub fn add_all(&mut self, recv: RecvTime, trades_ms: impl Iterator<Item = i32>) {
        // Without branches on every record. No lag is `i32::MAX`.
        let (newest, newest_due) = trades_ms.fold((i32::MAX, i32::MAX), |(newest, due), trade_ms| {
            let lag = recv.since(trade_ms);
            let due_lag = if lag >= -EARLY_MAX_MS { lag } else { i32::MAX };
            (newest.min(lag), due.min(due_lag))
        });
        let found = |lag: i32| Some(lag).filter(|lag| *lag < i32::MAX);
        self.merge(Self {
            newest: found(newest),
            newest_due: found(newest_due),
        });
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        self.newest = least(self.newest, other.newest);
        self.newest_due = least(self.newest_due, other.newest_due);
    }

    /// Whether there was no trade.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.newest.is_none()
    }
}

fn least(one: Option<i32>, other: Option<i32>) -> Option<i32> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    const HOUR_MS: i32 = 3_600_000;

    fn at(ms: i32) -> RecvTime {
        let midnight = Moment::midnight(NaiveDate::from_ymd_opt(2026, 11, 20).unwrap());
        RecvTime::of(Moment(midnight.0 + i64::from(ms) * 1000))
    }

    #[test]
    fn a_lag_is_known_but_for_whole_days() {
        for (recv, trade, lag) in [
            (10 * HOUR_MS + 7, 10 * HOUR_MS, 7),
            (9 * HOUR_MS, 10 * HOUR_MS, -HOUR_MS),
            (11 * HOUR_MS, 10 * HOUR_MS, HOUR_MS),
            // Nine hours fast, on the next day.
            (HOUR_MS, 16 * HOUR_MS, 9 * HOUR_MS),
            // Around midnight.
            (5, 24 * HOUR_MS - 5, 10),
            (24 * HOUR_MS - 5, 5, -10),
        ] {
            assert_eq!(at(recv).since(trade), lag, "{recv} {trade}");
        }
    }

    #[test]
    fn the_newest_and_the_newest_that_is_not_early_are_kept() {
        let mut lags = Lags::default();
        assert!(lags.is_empty());
        let recv = at(10 * HOUR_MS);
        for lag in [50_000, 300, 9_000, -2_000] {
            lags.add(recv, 10 * HOUR_MS - lag);
        }
        assert_eq!((lags.newest, lags.newest_due), (Some(-2_000), Some(-2_000)));
        let mut all = Lags::default();
        all.add_all(
            recv,
            [50_000, 300, 9_000, -2_000]
                .into_iter()
                .map(|lag| 10 * HOUR_MS - lag),
        );
        assert_eq!(all, lags);
        all.add_all(recv, std::iter::empty());
        assert_eq!(all, lags);
        let mut early = Lags::default();
        early.add_all(recv, std::iter::once(11 * HOUR_MS));
        let mut garbage = Lags::default();
        garbage.add(recv, 11 * HOUR_MS);
        assert_eq!((garbage.newest, garbage.newest_due), (Some(-HOUR_MS), None));
        assert_eq!(early, garbage);
        lags.merge(garbage);
        assert_eq!((lags.newest, lags.newest_due), (Some(-HOUR_MS), Some(-2_000)));
    }
}
