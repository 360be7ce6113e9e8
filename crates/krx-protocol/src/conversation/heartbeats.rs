//! Our heartbeats in a session: when the next one is due, and which pongs answer them.

use std::time::{Duration, Instant};

use super::machine::Heartbeat;
use super::request::heartbeat;
use super::silence::Pings;

/// The heartbeats of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeats {
    pings: Pings,
    interval: Duration,
    due: Instant,
}

impl Heartbeats {
    /// The first one is due an interval after `now`.
    pub(super) fn begin(interval: Duration, now: Instant) -> Self {
        Self {
            pings: Pings::default(),
            interval,
            due: now + interval,
        }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The next one, which is sent at `now`. After a delay the one after it is a whole interval later: nobody needs those
    /// that were missed.
    pub(super) fn next(&mut self, now: Instant) -> Heartbeat {
        self.due = now + self.interval;
        Heartbeat {
            text: heartbeat(),
            ping: self.pings.next_payload(),
        }
    }

    /// Whether a pong answers one that was not answered before.
    pub(super) fn answered_by(&mut self, pong: &[u8]) -> bool {
        self.pings.answered_by(pong)
    }
}
