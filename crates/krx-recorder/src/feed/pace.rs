//! Limits the work that a server can cause at no cost to itself. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Pings and pongs accepted within a [`CONTROL_WINDOW`]: a thousand a second, each of which costs microseconds. A
/// server that sends more has to wait for us, as does whatever it sends after them.
const CONTROL_FRAMES_MAX: u32 = 100;

/// See [`CONTROL_FRAMES_MAX`].
const CONTROL_WINDOW: Duration = Duration::from_millis(100);

/// The least time between two log lines about something that a server keeps doing.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Counts control frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct ControlPace {
    window: Instant,
    taken: u32,
}

impl ControlPace {
    /// No control frame yet.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window: now,
            taken: 0,
        }
    }

    /// Counts a control frame read at `now`. If it was one too many, returns when reading may resume.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        let end = self.window + CONTROL_WINDOW;
        if now >= end {
            *self = Self::new(now);
        }
        self.taken += 1;
        (self.taken >= CONTROL_FRAMES_MAX).then(|| self.window + CONTROL_WINDOW)
    }
}

/// Lets one log line per second through, and counts the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinePace {
    last: Option<Instant>,
    kept_back: u64,
}

impl LinePace {
    /// If a line may be logged at `now`, returns how many were held back since the last one.
    pub(super) fn line(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now < last + LINE_INTERVAL) {
            self.kept_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_control_frames_is_read_at_a_thousand_a_second() {
        let start = Instant::now();
        let (mut pace, mut now, mut taken) = (ControlPace::new(start), start, 0);
        while now < start + Duration::from_secs(1) {
            taken += 1;
            // Each takes a microsecond, and the server always has another ready.
            now += Duration::from_micros(1);
            now = pace.take(now).map_or(now, |resume| resume.max(now));
        }
        assert_eq!(taken, 1000);
    }

    #[test]
    fn control_frames_at_a_normal_rate_never_wait() {
        let start = Instant::now();
        let mut pace = ControlPace::new(start);
        for tick in 1..10_000 {
            assert_eq!(pace.take(start + tick * Duration::from_millis(2)), None);
        }
    }

    #[test]
    fn lines_appear_once_a_second_and_count_the_others() {
        let start = Instant::now();
        let mut pace = LinePace::default();
        let lines: Vec<_> = (0..2500)
            .filter_map(|tick| pace.line(start + tick * Duration::from_millis(1)))
            .collect();
        assert_eq!(lines, [0, 999, 999]);
    }
}
