//! What rebuilding tells.

use serde::Serialize;

use crate::feed_name::FeedName;

/// What was done for one feed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The feed.
    pub feed: FeedName,
    /// Segments of the date that were found, raw and archived.
    pub segments: u64,
    /// Files that are what the journal gives.
    pub identical: u64,
    /// Files that were missing or damaged, and are there again; paths relative to the data directory.
    pub restored: Vec<String>,
    /// Files that are sound, and not what the journal gives: another version wrote them, or other settings where
    /// the journal does not say them.
    pub differing: Vec<String>,
    /// Sound files whose frames the journal no longer has, or not all of them.
    pub unchecked: u64,
    /// Files that are missing or damaged still, and why.
    pub lost: Vec<Lost>,
    /// Frames that the journal no longer has: first and last.
    pub lacking: Vec<(u64, u64)>,
    /// Lines of the list of checksums that were added or put right.
    pub lines: u64,
}

/// A file that could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Relative to the data directory.
    pub path: String,
    /// Why not.
    pub detail: String,
}
