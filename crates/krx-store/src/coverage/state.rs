//! What the ledger of a date knows beside its closed intervals.

use std::fmt::Write as _;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::interval::{Interval, Reason};
use crate::journal::Position;
use crate::moment::Moment;

/// The interval that has not ended yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) from: i64,
    pub(super) session: Option<u32>,
    pub(super) reason: Reason,
    pub(super) frames: u64,
    pub(super) rows: u64,
    pub(super) detail: Option<String>,
    /// Failed attempts to connect in it.
    pub(super) failures: u32,
    pub(super) last_failure: Option<String>,
}

impl Open {
    pub(super) fn new(from: Moment, session: Option<u32>, reason: Reason, detail: Option<String>) -> Self {
        Self {
            from: from.0,
            session,
            reason,
            frames: 0,
            rows: 0,
            detail,
            failures: 0,
            last_failure: None,
        }
    }

    pub(super) fn detail(&self) -> Option<String> {
        let mut text = self.detail.clone().unwrap_or_default();
        if let Some(failure) = &self.last_failure {
            let comma = if text.is_empty() { "" } else { "; " };
            let attempts = if self.failures == 1 { "attempt" } else { "attempts" };
            let _ = write!(
                text,
                "{comma}{} {attempts} to connect failed, the last: {failure}",
                self.failures
            );
        }
        (!text.is_empty()).then_some(text)
    }
}

/// What a ledger needs besides its rows in order to continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerState {
    pub(super) open: Open,
    /// When data is expected, µs; `None` on a day without trading.
    pub(super) expected: Option<(i64, i64)>,
    /// Where segments of the date end, and after which frame each rule applies: the length of a time partition, µs, and
    /// the number of rows. More than one if the recorder was restarted with other settings.
    pub(super) rules: Vec<(u64, i64, u64)>,
    /// Whether a recorder is running.
    pub(super) running: bool,
    /// Whether the journal has moved on to another date. If the clock was wrong, it may come back.
    pub(super) ended: bool,
    /// The time of the last record; time in the ledger never goes back behind it.
    pub(super) last_at: i64,
    /// The time of the last frame of the date.
    pub(super) last_frame_at: Option<i64>,
    /// The number of the last frame that was present, and of the last one that was present or is known to be missing.
    pub(super) last_held: u64,
    pub(super) last_frame: u64,
    /// The part of the journal since the last record that could not be read.
    pub(super) damage: Option<String>,
    /// How far the journal is folded in: segment and offset.
    pub(super) folded: Option<Position>,
    /// What the last committed file says.
    pub(super) told: Told,
}

impl LedgerState {
    /// Leaves out what the rows say, including those of the open interval. So the state after a file depends on little
    /// of what came before, and a file that is exported again from part of the journal is the same.
    pub(super) fn without_rows(&self, has_open_rows: bool) -> Self {
        let mut state = self.clone();
        state.told = Told::default();
        if has_open_rows {
            (state.open.from, state.open.frames, state.open.rows) = (0, 0, 0);
        }
        state
    }

    /// When the last frame was received; without one, the earliest possible time.
    pub(super) fn last_frame_at(&self) -> Moment {
        Moment(self.last_frame_at.unwrap_or(i64::MIN))
    }

    /// How far the journal is folded in.
    pub(super) fn position(&self) -> Option<Position> {
        self.folded
    }
}

/// How much of the ledger is in the footers of committed files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// This many of the closed intervals, which never change.
    pub(super) closed: usize,
    /// The open one as it was then: up to three pieces, as the hours divide it.
    pub(super) open: Vec<Interval>,
}

/// A date's first and last instant in Korea.
pub(crate) fn bounds(date: NaiveDate) -> (Moment, Moment) {
    let begin = Moment::midnight(date);
    (begin, Moment(begin.0 + 86_400_000_000))
}
