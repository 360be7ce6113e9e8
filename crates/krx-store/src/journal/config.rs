//! How a journal is kept.

use std::time::Duration;

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// The longest that written frames gather before they are synced, and the time between two syncs.
    pub sync_interval: Duration,
    /// A segment's size, bytes.
    pub segment_bytes: u64,
}
