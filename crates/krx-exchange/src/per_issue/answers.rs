//! Answers that are held back.

use std::time::Instant;

use serde_json::Value;

use crate::conversation::Saying;

/// How many answers may be held back in a session; further ones are given at once.
const HELD_MAX: usize = 1_024;

/// The answers of a session that are held back, in the order of their requests.
#[derive(Debug, Default)]
pub(super) struct Answers {
    held: Vec<(Due, Saying)>,
    /// Requests, and registrations whose state answers them after their first push.
    promised: Vec<(Value, u64)>,
    /// Promises that are due.
    kept: Vec<(Value, u64)>,
}

/// When an answer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    At(Instant),
    /// With the next answer, or at this time.
    Overtaken(Instant),
}

impl Due {
    fn at(self) -> Instant {
        match self {
            Due::At(at) | Due::Overtaken(at) => at,
        }
    }
}

impl Answers {
    /// Holds an answer back; returns it if there are too many.
    pub(super) fn hold(&mut self, answer: Saying, due: Due) -> Vec<Saying> {
        if self.held.len() >= HELD_MAX {
            return vec![answer];
        }
        self.held.push((due, answer));
        Vec::new()
    }

    /// The state of `registration` will answer the request `id` after its first push.
    pub(super) fn promise_state(&mut self, id: &Value, registration: u64) {
        if self.promised.len() < HELD_MAX {
            self.promised.push((id.clone(), registration));
        }
    }

    /// Something of `registration` is pushed.
    pub(super) fn pushed(&mut self, registration: u64) {
        if !self.promised.is_empty() {
            let due = self.promised.extract_if(.., |(_, of)| *of == registration);
            self.kept.extend(due);
        }
    }

    /// The answers that are due since another request is answered.
    pub(super) fn overtaken(&mut self) -> Vec<Saying> {
        let due = self
            .held
            .extract_if(.., |(due, _)| matches!(due, Due::Overtaken(_)));
        due.map(|(_, answer)| answer).collect()
    }

    /// An answer that is due at `now`.
    pub(super) fn due(&mut self, now: Instant) -> Option<Saying> {
        let place = self.held.iter().position(|(due, _)| due.at() <= now)?;
        Some(self.held.remove(place).1)
    }

    /// A request and the registration whose state answers it now.
    pub(super) fn kept_promise(&mut self) -> Option<(Value, u64)> {
        self.kept.pop()
    }

    /// When the next answer is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.iter().map(|(due, _)| due.at()).min()
    }
}
