//! Notices when the recorder itself did not run because a signal stopped it or its machine was suspended. Pure: the
//! clocks are arguments.

use std::time::Duration;

use krx_store::day::Uptime;
use krx_store::{Event, Moment};

/// A running recorder reads the clocks every second. If two readings are this far apart, it did not run: even a busy
/// machine delays one by far less.
const PAUSE_MIN: Duration = Duration::from_secs(3);

/// Time services adjust the wall clock in small steps; a larger one means that somebody set it.
const STEP_MIN_US: i64 = 1_000_000;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// Time since the machine started, including time suspended.
    pub uptime: Duration,
    /// The wall clock.
    pub wall: Moment,
}

impl Clocks {
    /// Both clocks, now.
    #[must_use]
    pub(crate) fn now() -> Self {
        Self {
            uptime: Uptime::now().since_start(),
            wall: Moment::now(),
        }
    }
}

/// The event to journal between two readings, if any.
#[must_use]
pub(crate) fn between(before: Clocks, now: Clocks) -> Option<Event> {
    let passed = now.uptime.saturating_sub(before.uptime);
    if passed >= PAUSE_MIN {
        return Some(Event::Paused {
            since_us: before.wall.0,
        });
    }
    let by_us = now.wall.0 - before.wall.0 - i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
    (by_us.abs() >= STEP_MIN_US).then_some(Event::ClockStep { by_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_and_a_clock_change_are_distinguished() {
        let clocks = |uptime_ms, wall_ms: i64| Clocks {
            uptime: Duration::from_millis(uptime_ms),
            wall: Moment(wall_ms * 1000),
        };
        let before = clocks(5000, 1_000_000);
        let paused = Some(Event::Paused {
            since_us: 1_000_000_000,
        });
        assert_eq!(between(before, clocks(6000, 1_001_000)), None);
        assert_eq!(between(before, clocks(7999, 1_002_900)), None);
        assert_eq!(between(before, clocks(8000, 1_003_000)), paused);
        // Suspended, and the clock set as well: the pause is what matters.
        assert_eq!(between(before, clocks(60_000, 500_000)), paused);
        for by_us in [3_600_000_000, -3_600_000_000] {
            let after = clocks(6000, 1_001_000 + by_us / 1000);
            assert_eq!(between(before, after), Some(Event::ClockStep { by_us }));
        }
    }
}
