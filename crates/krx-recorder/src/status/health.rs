//! The word for supervisors.

use super::snapshot::Snapshot;

/// Whether the recorder does what it is there for, whatever servers and disks do to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It does.
    Good,
    /// A part does not; which, in words.
    Bad(String),
}

impl Health {
    /// By what is shown of it.
    #[must_use]
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        match &snapshot.complaint {
            None => Self::Good,
            Some(complaint) => Self::Bad(complaint.clone()),
        }
    }

    /// As an answer to `/healthz`: a status code, and a line.
    #[must_use]
    pub(super) fn answer(&self) -> (u16, String) {
        match self {
            Self::Good => (200, "ok\n".to_owned()),
            Self::Bad(complaint) => (503, format!("{complaint}\n")),
        }
    }
}
