//! Lags by the second in which the records were received: for rows that are read in another order than they came.

use std::time::Duration;

use chrono::NaiveDate;

use super::lags::{Lags, RecvTime};
use super::watch::{FeedLag, LagVerdict, LagWatch};
use crate::moment::Moment;

const DAY_S: usize = 24 * 3600;

/// The lags of a date, for each of its seconds.
#[derive(Clone, Debug)]
pub struct LagsBySecond(Vec<Lags>);

/// What a watch would have said on a date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayVerdicts {
    /// Each verdict that differs from the one before it.
    pub said: Vec<FeedLag>,
    /// When the last record came.
    pub last: Option<Moment>,
}

impl Default for LagsBySecond {
    fn default() -> Self {
        Self(vec![Lags::default(); DAY_S])
    }
}

impl LagsBySecond {
    /// Adds a record that was received at `recv`, of a trade at this time of day, ms. The date does not matter: all records are
    /// of one.
    pub fn add(&mut self, recv: Moment, trade_ms: i32) {
        let second = usize::try_from(recv.micros_of_day() / 1_000_000).unwrap_or_default();
        if let Some(of_second) = self.0.get_mut(second) {
            of_second.add(RecvTime::of(recv), trade_ms);
        }
    }

    /// What a watch would have said on this date.
    #[must_use]
    pub fn verdicts(&self, date: NaiveDate, lag_max: Duration) -> DayVerdicts {
        let midnight = Moment::midnight(date).0.div_euclid(1_000_000);
        let mut watch = LagWatch::new(lag_max);
        let mut said: Vec<FeedLag> = Vec::new();
        for (second, lags) in (midnight..).zip(&self.0) {
            if lags.is_empty() {
                continue;
            }
            watch.second(second, *lags);
            watch.finish();
            let now = watch.now();
            let before = said.last().map_or(LagVerdict::Unknown, |last| last.verdict);
            if now.verdict != before {
                said.push(now);
            }
        }
        let last = watch.now().at;
        DayVerdicts { said, last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let start = Moment::midnight(date).0 + 36_000_000_000;
        let mut seconds = LagsBySecond::default();
        for second in (0..300).rev() {
            // The clock is an hour fast for a while: those records come where it says.
            let fast_s = if (100..200).contains(&second) { 3600 } else { 0 };
            let trade_ms = i32::try_from(36_000_000 + second * 1000 - 200).unwrap();
            seconds.add(Moment(start + (second + fast_s) * 1_000_000), trade_ms);
        }
        let DayVerdicts { said, last } = seconds.verdicts(date, Duration::from_secs(10));
        let said: Vec<_> = said.iter().map(|lag| (lag.verdict, lag.lag_ms, lag.at)).collect();
        let at = |second: i64| Some(Moment(start + second * 1_000_000));
        assert_eq!(
            said,
            [
                (LagVerdict::Good, Some(200), at(4)),
                (LagVerdict::Late, Some(3_600_200), at(3720)),
            ]
        );
        assert_eq!(last, at(3799));
    }
}
