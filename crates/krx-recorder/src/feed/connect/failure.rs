//! Why a session could not be opened.

use krx_store::journal::GapReason;

use crate::feed::backoff::Asked;

/// Why there is no session.
#[derive(Debug)]
pub struct ConnectFailure {
    /// The reason for the ledger.
    pub reason: GapReason,
    /// What happened and what to do about it, for a person.
    pub detail: String,
    /// What the server asked for.
    pub asked: Asked,
}

impl ConnectFailure {
    pub(super) fn new(reason: GapReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            asked: Asked::Nothing,
        }
    }

    pub(super) fn unreachable(detail: impl Into<String>) -> Self {
        Self::new(GapReason::Unreachable, detail)
    }
}
