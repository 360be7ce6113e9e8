//! What `rebuild` reports.

use serde::Serialize;

use crate::feed_name::FeedName;

/// What was done for one feed, or would be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The feed.
    pub feed: FeedName,
    /// Segments of the date that were found, raw and archived.
    pub segments: u64,
    /// Files that match what the journal produces.
    pub identical: u64,
    /// Files that were missing or damaged and have been restored; paths relative to the data directory.
    pub restored: Vec<String>,
    /// Sound files that differ from what the journal produces: written by another version, or with other settings where
    /// the journal does not record them.
    pub differing: Vec<String>,
    /// Sound files whose frames are no longer, or not all, in the journal.
    pub unchecked: u64,
    /// Files that are still missing or damaged, and why.
    pub lost: Vec<Lost>,
    /// Frames no longer in the journal: first and last.
    pub lacking: Vec<(u64, u64)>,
    /// Lines of the list of checksums that were added or corrected.
    pub lines: u64,
}

/// A file that could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Relative to the data directory.
    pub path: String,
    /// What is wrong with it, and why it could not be restored.
    pub detail: String,
}
