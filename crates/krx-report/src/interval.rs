//! An interval of the ledger as JSON, the same in the report, in `krx-recorder coverage` and in the status.

use std::borrow::Cow;

use krx_store::coverage::Interval;
use serde::{Deserialize, Serialize};

use crate::time::rfc3339;

/// An interval as JSON, named after the dataset's columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalRow {
    /// When it began: RFC 3339, Korean time.
    pub from_ts: String,
    /// When it ended.
    pub to_ts: String,
    /// `live`, `gap` or `idle`.
    pub state: Cow<'static, str>,
    /// Why it began.
    pub reason: Cow<'static, str>,
    /// The session, while live.
    pub session: Option<u32>,
    /// Frames received in it.
    pub frames: u64,
    /// Rows that these gave.
    pub rows: u64,
    /// In words.
    pub detail: Option<String>,
}

impl From<&Interval> for IntervalRow {
    fn from(interval: &Interval) -> Self {
        Self {
            from_ts: rfc3339(interval.from),
            to_ts: rfc3339(interval.to),
            state: interval.state.as_str().into(),
            reason: interval.reason.as_str().into(),
            session: interval.session,
            frames: interval.frames,
            rows: interval.rows,
            detail: interval.detail.clone(),
        }
    }
}
