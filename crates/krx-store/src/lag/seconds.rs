//! Lags by the second in which the records were received: for rows that are read in another order than they came.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lags::{Lags, RecvTime};
use super::watch::{FeedLag, LagVerdict, LagWatch};
use crate::moment::Moment;

/// The lags of a date, at most one entry for each of its seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LagsBySecond(BTreeMap<i64, Lags>);

impl LagsBySecond {
    /// Adds a record that was received at `recv`, of a trade at this time of day, ms.
    pub fn add(&mut self, recv: Moment, trade_ms: i32) {
        let of_second = self.0.entry(recv.0.div_euclid(1_000_000)).or_default();
        of_second.add(RecvTime::of(recv), trade_ms);
    }

    /// What a watch would have said: each verdict that differs from the one before it.
    #[must_use]
    pub fn verdicts(&self, lag_max: Duration) -> Vec<FeedLag> {
        let mut watch = LagWatch::new(lag_max);
        let mut said: Vec<FeedLag> = Vec::new();
        let mut note = |now: FeedLag| {
            let before = said.last().map_or(LagVerdict::Unknown, |last| last.verdict);
            if now.verdict != before {
                said.push(now);
            }
        };
        for (second, lags) in &self.0 {
            watch.second(*second, *lags);
            note(watch.now());
        }
        watch.finish();
        note(watch.now());
        said
    }
}
