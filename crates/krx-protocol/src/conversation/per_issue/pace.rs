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

/// Unanswered requests at a time. A server that answers slowly thus sets the pace itself; of one that answers none at
/// all, 200 registrations take half a minute (with `answer_timeout` at 5 s).
const OPEN_MAX: usize = 32;

/// 50 requests a second: the 200 registrations of a session take four seconds, and the server has far fewer requests to
/// read than pushes to send.
const REQUEST_INTERVAL: Duration = Duration::from_millis(20);

/// The first wait for what was not answered. A server that is busy recovers within some such waits.
const AGAIN_FIRST: Duration = Duration::from_secs(30);

/// The last of these waits: one that knows no answer is not bothered by the rest.
const AGAIN_MAX: Duration = Duration::from_secs(600);

impl Default for Pace {
    fn default() -> Self {
        Self {
            open_max: OPEN_MAX,
            interval: REQUEST_INTERVAL,
        }
    }
}

/// The time until what was not answered is asked for again: twice as long each time.
pub(super) fn retry_delay(tries: u32) -> Duration {
    AGAIN_FIRST.saturating_mul(1 << tries.min(8)).min(AGAIN_MAX)
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
