//! Why a fault makes no sense.

/// Why a fault could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{problem}; a fault is KIND@WHEN[:ARG][,market=MARKET|,service=per_issue], for example stall@1000:30"
)]
pub struct FaultError {
    pub(super) problem: String,
}
