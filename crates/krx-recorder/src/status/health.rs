//! The health check for supervisors.

use super::snapshot::Snapshot;

/// Whether the recorder itself works, whatever servers and disks do to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It works.
    Good,
    /// A part does not work; says which.
    Bad(String),
}

impl Health {
    /// The health that a snapshot shows.
    #[must_use]
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        match &snapshot.complaint {
            None => Self::Good,
            Some(complaint) => Self::Bad(complaint.clone()),
        }
    }

    /// The answer to `/healthz`: a status code and a line.
    #[must_use]
    pub(super) fn answer(&self) -> (u16, String) {
        match self {
            Self::Good => (200, "ok\n".to_owned()),
            Self::Bad(complaint) => (503, format!("{complaint}\n")),
        }
    }
}
