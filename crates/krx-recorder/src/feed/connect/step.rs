//! How far opening a session has got: when time runs out, this says what it was still waiting for.

use std::sync::{Mutex, PoisonError};

/// The step under way.
#[derive(Debug, Default)]
pub(super) struct Step(Mutex<String>);

impl Step {
    /// Begins a step; `what` completes the phrase "waiting for …".
    pub(super) fn begin(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// What it is waiting for.
    pub(super) fn words(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
