//! The exchange's own heartbeats.

use std::time::{Duration, Instant};

use crate::control::heartbeat;

/// The exchange's own heartbeats in a session.
pub(crate) struct Pulse {
    interval: Option<Duration>,
    /// When the next one is due.
    pub(crate) next: Option<Instant>,
    sent: u64,
    /// The last heartbeat that the client has not answered: an answer must not be answered in turn.
    unanswered: Option<String>,
}

impl Pulse {
    pub(crate) fn new(interval: Option<Duration>) -> Pulse {
        let next = interval.and_then(|interval| Instant::now().checked_add(interval));
        Pulse {
            interval,
            next,
            sent: 0,
            unanswered: None,
        }
    }

    /// The heartbeat that is due by `now`.
    pub(crate) fn due(&mut self, now: Instant) -> Option<String> {
        self.next.filter(|&next| next <= now)?;
        self.next = self.interval.and_then(|interval| now.checked_add(interval));
        let text = heartbeat(self.sent);
        self.sent += 1;
        self.unanswered = Some(text.clone());
        Some(text)
    }

    /// Whether `text` is the answer to the last one.
    pub(crate) fn answered_by(&mut self, text: &str) -> bool {
        self.unanswered.take_if(|unanswered| unanswered == text).is_some()
    }
}
