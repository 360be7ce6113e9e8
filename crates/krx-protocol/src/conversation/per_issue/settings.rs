//! What a conversation of the per-issue service is told once.

use std::time::Duration;

use super::pace::Pace;

/// The time limits of a conversation, and its pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerIssueSettings {
    /// The time from one of our heartbeats to the next.
    pub heartbeat_interval: Duration,
    /// Silence of this length ends the session.
    pub silence_max: Duration,
    /// A `subscribe` that nothing has answered for this long is `unanswered`.
    pub answer_timeout: Duration,
    /// A registration is `silent` that brings nothing for this long while another feed shows its issue trading.
    pub silent_after: Duration,
    /// How fast registrations are asked for.
    pub pace: Pace,
}

impl Default for PerIssueSettings {
    /// Five seconds for an answer, as the design has it. The full-market feed shows a trade within half a second, and a
    /// minute is far longer than any order in which two services might send the same trade.
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(10),
            silence_max: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(5),
            silent_after: Duration::from_secs(60),
            pace: Pace::default(),
        }
    }
}
