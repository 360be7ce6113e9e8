//! How far opening a session has come: when time runs out, this is what was still being waited for.

use std::sync::{Mutex, PoisonError};

/// The step that is under way.
#[derive(Debug, Default)]
pub(super) struct Step(Mutex<String>);

impl Step {
    /// Begins a step; `what` goes on from "waiting for".
    pub(super) fn begin(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// What is waited for.
    pub(super) fn words(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
