//! How a journal is kept.

use std::time::Duration;

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// How long written frames gather before they are synced.
    pub sync_interval: Duration,
    /// A segment's size, bytes.
    pub segment_bytes: u64,
}
