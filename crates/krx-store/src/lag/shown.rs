//! What a watch knows, for other threads: nobody waits for it.

use std::sync::atomic::{
    AtomicI64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::watch::{FeedLag, LagVerdict};
use crate::moment::Moment;

/// The bits of a verdict, and of whether there is a lag.
const VERDICT: i64 = 0b011;
const HAS_LAG: i64 = 0b100;
const LAG_SHIFT: u32 = 3;

/// The last state of a watch: written by one thread, read by any.
#[derive(Debug, Default)]
pub struct ShownLag {
    /// The lag and the verdict, in one number so that they belong together.
    packed: AtomicI64,
    /// 0 before the first.
    at_us: AtomicI64,
}

impl ShownLag {
    /// Shows this from now on.
    pub fn set(&self, lag: FeedLag) {
        let lag_ms = lag
            .lag_ms
            .map_or(0, |lag| (i64::from(lag) << LAG_SHIFT) | HAS_LAG);
        self.packed.store(lag_ms | lag.verdict as i64, Relaxed);
        self.at_us.store(lag.at.map_or(0, |at| at.0), Release);
    }

    /// What is shown.
    #[must_use]
    pub fn get(&self) -> FeedLag {
        // In this order, a verdict is never older than its time: it cannot be taken for one of the next date.
        let at_us = self.at_us.load(Acquire);
        let packed = self.packed.load(Relaxed);
        let place = usize::try_from(packed & VERDICT).unwrap_or_default();
        let lag_ms = (packed & HAS_LAG != 0).then_some(packed >> LAG_SHIFT);
        FeedLag {
            verdict: LagVerdict::ALL[place],
            lag_ms: lag_ms.and_then(|lag| i32::try_from(lag).ok()),
            at: (at_us != 0).then_some(Moment(at_us)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_was_set() {
        let shown = ShownLag::default();
        assert_eq!(shown.get(), FeedLag::default());
        for verdict in LagVerdict::ALL {
            for lag_ms in [None, Some(0), Some(1), Some(-1), Some(i32::MIN), Some(i32::MAX)] {
                let lag = FeedLag {
                    verdict,
                    lag_ms,
                    at: Some(Moment(1_795_100_400_000_000)),
                };
                shown.set(lag);
                assert_eq!(shown.get(), lag);
            }
        }
    }
}
