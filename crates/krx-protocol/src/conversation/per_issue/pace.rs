//! How fast registrations are asked for, and asked for again.

use std::time::{Duration, Instant};

/// The pace at which requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The number of `subscribe` requests that may wait for their answers at a time; at least one is sent in any case.
    pub open_max: usize,
    /// The time from one request to the next.
    pub interval: Duration,
}

impl Default for Pace {
    /// 50 requests a second: the 200 registrations of a session take four seconds, and the server is asked for no more
    /// than it pushes in that time. At most 32 are unanswered, so that a server that answers slowly sets the pace
    /// itself; if it answers none at all, 200 take half a minute (with `answer_timeout` at 5 s).
    fn default() -> Self {
        Self {
            open_max: 32,
            interval: Duration::from_millis(20),
        }
    }
}

/// The time until what was not answered is asked for again: 30 s at first, then twice as long each time, at most ten
/// minutes. A server that is busy recovers within some, and one that knows no answer is not bothered by the rest.
pub(super) fn retry_delay(tries: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(600);
    FIRST.saturating_mul(1 << tries.min(8)).min(LONGEST)
}

/// When the next request may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    interval: Duration,
    next: Instant,
}

impl Turn {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, next: now }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// A request is sent. After a delay the next one still waits for an interval: nothing is made up for.
    pub(super) fn taken(&mut self, now: Instant) {
        self.next = now + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_is_asked_for_ever_more_slowly() {
        let delays: Vec<_> = [0, 1, 2, 3, 4, 5, 100]
            .map(|tries| retry_delay(tries).as_secs())
            .into();
        assert_eq!(delays, [30, 60, 120, 240, 480, 600, 600]);
    }
}
