//! The ledger of one feed and date: the intervals that are closed, and the one that is open. `fold` moves it on.
//!
//! An interval holds the instants after its beginning, up to and including its end, so that a frame received at the
//! very end of a session lies within it. Intervals follow one another from midnight on without gaps or overlaps, even
//! when the clock is set back: time in the ledger never goes back.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::interval::{Interval, Reason};
use super::state::{LedgerState, Open, Told, bounds};
use crate::journal::Position;
use crate::moment::Moment;

/// Whether there was a session from an instant on, and why that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Connection {
    /// Since when.
    pub(crate) from: Moment,
    /// The session; `None` without one.
    pub(crate) session: Option<u32>,
    /// Why.
    pub(crate) reason: Reason,
}

/// The ledger of one date, as far as its journal has been folded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub(super) date: NaiveDate,
    pub(super) closed: Vec<Interval>,
    pub(super) state: LedgerState,
}

impl Ledger {
    /// The ledger of a date about which nothing is known yet.
    #[must_use]
    pub fn new(date: NaiveDate) -> Self {
        let (begin, end) = bounds(date);
        Self {
            date,
            closed: Vec::new(),
            state: LedgerState {
                open: Open::new(begin, None, Reason::NotRunning, None),
                expected: Some((begin.0, end.0)),
                rules: Vec::new(),
                running: false,
                ended: false,
                last_at: begin.0,
                last_frame_at: None,
                last_held: 0,
                last_frame: 0,
                damage: None,
                folded: None,
                told: Told::default(),
            },
        }
    }

    /// The ledger of a date whose earlier part, up to a frame, is lost.
    pub(crate) fn lost(date: NaiveDate, last_frame: u64, detail: String) -> Self {
        let mut ledger = Self::new(date);
        (ledger.state.last_frame, ledger.state.last_held) = (last_frame, last_frame);
        ledger.state.open.reason = Reason::Unknown;
        ledger.state.open.detail = Some(detail);
        ledger
    }

    /// The ledger of a date on which, as far as is known, no recorder ran.
    pub(crate) fn not_running(date: NaiveDate, expected: (Moment, Moment)) -> Self {
        let mut ledger = Self::new(date);
        ledger.state.expected = Some((expected.0.0, expected.1.0));
        ledger.state.ended = true;
        ledger
    }

    pub(crate) fn restore(date: NaiveDate, closed: Vec<Interval>, state: LedgerState) -> Self {
        Self { date, closed, state }
    }

    /// The ledger with the intervals `rows`, of which the last `open_rows` are the open one.
    pub(super) fn from_rows(
        date: NaiveDate,
        mut rows: Vec<Interval>,
        open_rows: usize,
        mut state: LedgerState,
    ) -> Self {
        let open = rows.split_off(rows.len() - open_rows.min(rows.len()));
        if let Some(first) = open.first() {
            state.open.from = first.from.0;
            state.open.frames = open.iter().map(|row| row.frames).sum();
            state.open.rows = open.iter().map(|row| row.rows).sum();
        }
        Self {
            date,
            closed: rows,
            state,
        }
    }

    pub(super) fn state_mut(&mut self) -> &mut LedgerState {
        &mut self.state
    }

    pub(crate) fn parts(&self) -> (&[Interval], &LedgerState) {
        (&self.closed, &self.state)
    }

    /// The date.
    #[must_use]
    pub fn date(&self) -> NaiveDate {
        self.date
    }

    /// How far the journal is folded in.
    #[must_use]
    pub fn folded(&self) -> Option<Position> {
        self.state.position()
    }

    /// Whether the record that ends at a position is folded in.
    #[must_use]
    pub(crate) fn has(&self, position: Position) -> bool {
        self.folded().is_some_and(|folded| position <= folded)
    }

    /// The last frame that is folded in, or known to be missing; 0 before the first.
    #[must_use]
    pub fn last_frame(&self) -> u64 {
        self.state.last_frame
    }

    /// The last frame that is folded in; 0 before the first.
    #[must_use]
    pub(crate) fn last_held(&self) -> u64 {
        self.state.last_held
    }

    /// The frames that are folded in.
    #[must_use]
    pub(crate) fn frames(&self) -> u64 {
        self.closed.iter().map(|row| row.frames).sum::<u64>() + self.state.open.frames
    }

    /// The highest session that is folded in; 0 before the first.
    #[must_use]
    pub fn last_session(&self) -> u32 {
        let closed = self.closed.iter().filter_map(|row| row.session);
        closed.chain(self.state.open.session).max().unwrap_or(0)
    }

    /// The journal's rule for where segments end from this frame on: the length of a time partition, µs, and the number
    /// of rows.
    #[must_use]
    pub fn rules_from(&self, frame: u64) -> Option<(i64, u64)> {
        let mut rules = self.state.rules.iter().rev();
        let (_, rotate_us, rows_max) = rules.find(|(behind, ..)| *behind < frame)?;
        Some((*rotate_us, *rows_max))
    }

    /// The number of closed intervals, which grows with each change of state.
    #[must_use]
    pub fn closed_len(&self) -> usize {
        self.closed.len()
    }

    /// Whether the journal ends while a recorder is running: either it still is, or it crashed.
    #[must_use]
    pub fn running(&self) -> bool {
        self.state.running
    }

    /// All intervals, the open one up to where nothing can follow any more.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        self.until(self.known_until())
    }

    /// Up to where nothing can follow any more: the last frame, or the instant before the last event. A frame of that very
    /// microsecond may still come, and no interval may be called live while a frame of it is missing.
    pub(crate) fn known_until(&self) -> Moment {
        let last = self.state.last_at;
        let is_exact = self.state.open.session.is_none() || self.state.last_frame_at == Some(last);
        if self.state.ended {
            bounds(self.date).1
        } else {
            Moment(last - i64::from(!is_exact))
        }
    }

    /// The time of the last record.
    pub(crate) fn last_at(&self) -> Moment {
        Moment(self.state.last_at)
    }

    /// The connection in each interval from the closed one with this index on, with the open one.
    pub(crate) fn connections_from(&self, index: usize) -> impl Iterator<Item = Connection> {
        let closed = self.closed.iter().skip(index).map(|row| Connection {
            from: row.from,
            session: row.session,
            reason: row.reason,
        });
        let open = &self.state.open;
        closed.chain([Connection {
            from: Moment(open.from),
            session: open.session,
            reason: open.reason,
        }])
    }

    /// All intervals, the open one up to `now`, or to the end of the date.
    #[must_use]
    pub fn until(&self, now: Moment) -> Vec<Interval> {
        let mut all = self.clone();
        all.close(now);
        all.closed
    }

    /// Brings this earlier copy of `other` up to date: closed intervals never change, so only the new ones are copied.
    pub(crate) fn catch_up(&mut self, other: &Self) {
        debug_assert!(
            self.date == other.date && self.closed.len() <= other.closed.len(),
            "it is a copy of an earlier state"
        );
        self.closed.extend_from_slice(&other.closed[self.closed.len()..]);
        self.state.clone_from(&other.state);
    }

    /// The intervals at `now`, if it is known that no recorder is running.
    #[must_use]
    pub fn without_recorder(&self, now: Moment) -> Vec<Interval> {
        let mut all = self.clone();
        all.stop();
        all.close(now);
        all.closed
    }
}
