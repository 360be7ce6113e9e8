//! From the lags of received seconds to a verdict about the clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::lags::{EARLY_MAX_MS, Lags};
use crate::moment::Moment;

/// So many seconds with good records in a row say that the clock is right.
const GOOD_SECONDS: u32 = 5;
/// So many seconds with the same lag say that the clock is wrong by it,
const SAME_SECONDS_MIN: usize = 5;
/// if they lie in so much time,
const SPAN_MIN_S: i64 = 20;
/// and are the same to within this. An issue whose last trade is sent again and again has a lag that grows with time.
const SAME_MS: i32 = 2_000;
/// So many times in a row, newer trades came in newer seconds: then the feed is behind.
const RISES_MIN: usize = 10;
/// How much faster than time a feed may catch up and count as behind.
const PACE_MAX: i64 = 60;
/// A falling lag that will be gone within this time is not reported. The fall is measured over as much time.
const GONE_WITHIN_S: i64 = 60;
/// The seconds that are remembered.
const SECONDS_MAX: usize = 60;

/// What records show of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LagVerdict {
    /// Not enough of it yet.
    #[default]
    Unknown,
    /// Records come as they should.
    Good,
    /// Records are received before they were traded: the clock is slow.
    Early,
    /// Records come later than `clock.lag_max`: the clock is fast, or the feed is behind.
    Late,
}

impl LagVerdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Good, Self::Early, Self::Late];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "good",
            Self::Early => "early",
            Self::Late => "late",
        }
    }

    /// Whether something is wrong.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Early | Self::Late)
    }
}

/// A verdict, and what it is based on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedLag {
    /// The verdict.
    pub verdict: LagVerdict,
    /// How long after their trades records come, ms; negative if before. `None` when not known.
    pub lag_ms: Option<i32>,
    /// When the last record that led to it was received, to the second.
    pub at: Option<Moment>,
}

/// Watches the lag of one feed.
#[derive(Clone, Debug)]
pub struct LagWatch {
    lag_max_ms: i32,
    /// The second that is not over yet.
    open: Option<(i64, Lags)>,
    /// Seconds without a good record, since there was one.
    bad: VecDeque<(i64, Lags)>,
    /// Seconds with a good record, since there was one without.
    good: u32,
    now: FeedLag,
}

impl Default for LagWatch {
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl LagWatch {
    /// A watch that knows nothing yet. A lag of more than `lag_max` is late.
    #[must_use]
    pub fn new(lag_max: Duration) -> Self {
        Self {
            lag_max_ms: i32::try_from(lag_max.as_millis()).unwrap_or(i32::MAX),
            open: None,
            bad: VecDeque::new(),
            good: 0,
            now: FeedLag::default(),
        }
    }

    /// What is known now.
    #[must_use]
    pub fn now(&self) -> FeedLag {
        self.now
    }

    /// Takes lags of records that were received in `second` (since the Unix epoch). Lags of the same second may come in
    /// several parts; it is judged when another one begins.
    pub fn second(&mut self, second: i64, lags: Lags) {
        match &mut self.open {
            Some((open, of_second)) if *open == second => of_second.merge(lags),
            _ => {
                self.finish();
                self.open = Some((second, lags));
            }
        }
    }

    /// Judges the last second.
    pub fn finish(&mut self) {
        if let Some((second, lags)) = self.open.take().filter(|(_, lags)| !lags.is_empty()) {
            self.judge(second, lags);
        }
    }

    fn judge(&mut self, second: i64, lags: Lags) {
        let at = Moment(second.saturating_mul(1_000_000));
        if self.now.at.is_some_and(|before| before.date() != at.date()) {
            // What was true of another day may not be true of this one.
            *self = Self {
                lag_max_ms: self.lag_max_ms,
                ..Self::default()
            };
        }
        let found = match lags.newest_due.filter(|lag| *lag <= self.lag_max_ms) {
            Some(lag) => {
                self.bad.clear();
                self.good = self.good.saturating_add(1);
                (self.good >= GOOD_SECONDS).then_some((LagVerdict::Good, lag))
            }
            None => {
                self.good = 0;
                if self.bad.len() == SECONDS_MAX {
                    self.bad.pop_front();
                }
                self.bad.push_back((second, lags));
                self.against_the_clock()
            }
        };
        if let Some((verdict, lag_ms)) = found {
            self.now = FeedLag {
                verdict,
                lag_ms: Some(lag_ms),
                at: Some(at),
            };
        } else {
            self.now.at = Some(at);
        }
    }

    fn against_the_clock(&self) -> Option<(LagVerdict, i32)> {
        let of = |lag: fn(&Lags) -> Option<i32>| -> Vec<(i64, i32)> {
            let seconds = self.bad.iter();
            seconds
                .filter_map(|(second, lags)| Some((*second, lag(lags)?)))
                .collect()
        };
        let (newest, due) = (of(|lags| lags.newest), of(|lags| lags.newest_due));
        if let Some(lag) = same(&newest).filter(|lag| *lag < -EARLY_MAX_MS) {
            return Some((LagVerdict::Early, lag));
        }
        let late = same(&due).or_else(|| behind(&due, self.lag_max_ms));
        late.map(|lag| (LagVerdict::Late, lag))
    }
}

/// The lag that most of these seconds have, if they are enough to believe it.
fn same(lags: &[(i64, i32)]) -> Option<i32> {
    let mut sorted: Vec<_> = lags.iter().map(|(_, lag)| *lag).collect();
    sorted.sort_unstable();
    let middle = *sorted.get(sorted.len() / 2)?;
    let mut agreeing = lags
        .iter()
        .filter(|(_, lag)| lag.abs_diff(middle) <= SAME_MS.unsigned_abs());
    let count = agreeing.clone().count();
    let (first, last) = (agreeing.next()?.0, agreeing.next_back()?.0);
    let is_enough = count >= SAME_SECONDS_MIN && 2 * count > lags.len() && last - first >= SPAN_MIN_S;
    is_enough.then_some(middle)
}

/// The lag of a feed that is behind: newer trades keep coming, and at this pace it will still be late after a while.
fn behind(lags: &[(i64, i32)], lag_max_ms: i32) -> Option<i32> {
    let &(last, lag_last) = lags.last()?;
    let recent = lags.partition_point(|(second, _)| *second < last - GONE_WITHIN_S);
    let lags = &lags[recent..];
    let &(first, lag_first) = lags.first()?;
    let span = last - first;
    let is_rise = |pair: &&[(i64, i32)]| {
        let [(before, lag_before), (after, lag_after)] = **pair else {
            return false;
        };
        let passed = after - before;
        let rise_ms = passed * 1000 - i64::from(lag_after) + i64::from(lag_before);
        passed > 0 && rise_ms > 0 && rise_ms <= passed * 1000 * PACE_MAX
    };
    let rises = lags.windows(2).filter(is_rise).count();
    if rises < RISES_MIN || rises * 5 < (lags.len() - 1) * 4 || span < SPAN_MIN_S {
        return None;
    }
    let fall_ms = i64::from(lag_first) - i64::from(lag_last);
    let later = i64::from(lag_last) - fall_ms * GONE_WITHIN_S / span;
    (later > i64::from(lag_max_ms)).then_some(lag_last)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
