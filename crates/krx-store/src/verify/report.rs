//! What `verify` reports.

use chrono::NaiveDate;
use serde::Serialize;

use super::finding::{Finding, Kind};
use crate::feed_name::FeedName;

/// What a feed has on a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedDay {
    /// The date.
    pub date: NaiveDate,
    /// The feed.
    pub feed: FeedName,
    /// Committed files of all datasets.
    pub files: u64,
    /// Rows of all datasets except quarantine.
    pub rows: u64,
    /// Rows of quarantine.
    pub quarantined: u64,
    /// Frames that a committed file covers.
    pub frames: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Journal segments, raw and archived.
    pub segments: u64,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether there are no findings.
    pub ok: bool,
    /// Dates looked at.
    pub dates: Vec<NaiveDate>,
    /// Committed files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// Known already, and no failure: gaps due to damage that coverage records, and derived rows that cannot be checked
    /// because retention has removed files they were made of.
    pub known: Vec<Finding>,
    /// By date and feed.
    #[serde(skip)]
    pub days: Vec<FeedDay>,
}

impl Report {
    /// Whether the disk failed to read something: the report is then incomplete.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.kind == Kind::Unreadable)
    }
}
