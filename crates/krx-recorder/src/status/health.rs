//! The word for supervisors.

use super::snapshot::Snapshot;

/// Whether the recorder is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is.
    Good,
}

impl Health {
    /// By what is shown of it. As yet, whoever answers is at work.
    #[must_use]
    pub fn of(_snapshot: &Snapshot) -> Self {
        Self::Good
    }

    /// As an answer to `/healthz`: a status code, and a line.
    #[must_use]
    pub fn answer(&self) -> (u16, String) {
        match self {
            Self::Good => (200, "ok\n".to_owned()),
        }
    }
}
