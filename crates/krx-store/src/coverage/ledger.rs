//! The ledger of one feed and date: a fold over its journal, record by record. Pure: no clock, no disk.
//!
//! ```text
//!   journal:   Date  Start   Connected  frames …  Disconnected   ConnectFailed …   Connected  frames …  (crash)  Start
//!   intervals:  idle │ start │ connected           │ reset                         │ connected          │ crash  │ start
//! ```
//!
//! An interval holds the instants after its beginning, up to and including its end, so that a frame received at the
//! very end of a session lies within it. Intervals follow one another from midnight on without gaps or overlaps, even
//! when the clock was set back: time in the ledger never is.

use chrono::NaiveDate;

use super::interval::{Interval, Reason, State};
use super::state::{LedgerState, Open, Told, bounds};
use crate::journal::{Event, GapReason, Position};
use crate::moment::Moment;

/// The ledger of one date, as far as its journal has been folded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    date: NaiveDate,
    closed: Vec<Interval>,
    state: LedgerState,
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

    /// All intervals, the open one up to where nothing can follow any more: the last frame, or the instant before the
    /// last event. A frame of that very microsecond may still come, and no interval may be called live while a frame of
    /// it is missing.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        let last = self.state.last_at;
        let is_exact = self.state.open.session.is_none() || self.state.last_frame_at == Some(last);
        self.until(if self.state.ended {
            bounds(self.date).1
        } else {
            Moment(last - i64::from(!is_exact))
        })
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

    /// The journal has moved on to another date: what it leaves open lasts until midnight. A recorder that did not say
    /// that it continues has crashed.
    pub(crate) fn end_date(&mut self) {
        self.stop();
        self.state.ended = true;
    }

    /// Nothing follows. Damage at the very end of a journal has no record after it to reveal what is missing.
    fn stop(&mut self) {
        if let Some(what) = self.state.damage.take() {
            let last = Moment(self.state.last_at);
            let detail = format!("{what}; what followed is not known");
            self.begin(last, None, Reason::Damage, Some(detail));
            self.state.running = false;
        }
        self.crash();
    }

    /// The journal up to `position` is folded in.
    pub(crate) fn fold_to(&mut self, position: Position) {
        self.state.folded = Some(position);
    }

    /// A frame of `session` that gave so many rows.
    pub fn frame(&mut self, at: Moment, session: u32, frame: u64, rows: u64) {
        let at = self.pass(at, frame, true);
        // Only damage can have removed the record of how the session began.
        if self.state.open.session != Some(session) {
            let detail = Some("how it began is lost".into());
            self.begin(self.just_before(at), Some(session), Reason::Connected, detail);
        }
        self.state.running = true;
        self.state.open.frames += 1;
        self.state.open.rows += rows;
        self.state.last_frame_at = Some(at.0);
        (self.state.last_frame, self.state.last_held) = (frame, frame);
    }

    /// An event; `session` and `frame` as its record says.
    pub fn event(&mut self, at: Moment, session: u32, frame: u64, event: &Event) {
        if matches!(event, Event::Start { .. } | Event::Date { continues: false, .. }) {
            self.crash();
        }
        if matches!(event, Event::DateEnd) {
            return self.date_end(frame);
        }
        let at = self.pass(at, frame, false);
        let live = self.state.open.session;
        match event {
            Event::Date {
                expected,
                rotate_us,
                rows_max,
                continues,
            } => {
                let same = |(_, rotate, rows): &(u64, i64, u64)| (rotate, rows) == (rotate_us, rows_max);
                if !self.state.rules.last().is_some_and(same) {
                    self.state.rules.push((frame, *rotate_us, *rows_max));
                }
                self.state.expected = *expected;
                if *continues {
                    self.state.running = true;
                    if self.is_untouched() {
                        self.state.open.reason = Reason::NotConnected;
                    }
                } else if self.is_untouched() && expected.is_none_or(|hours| self.is_whole_date(hours)) {
                    // Nobody has said from when on data was expected, so nothing was missed yet.
                    let hours = expected.map(|(_, to)| (at.0, to));
                    self.state.expected = hours;
                }
            }
            // Around midnight the event may be in the journal of the next date.
            Event::Hours { date, expected } if *date == self.date => self.state.expected = *expected,
            Event::Hours { .. } => {}
            Event::Start { .. } => {
                self.state.running = true;
                self.begin(at, None, Reason::Start, None);
            }
            Event::Connected { .. } => {
                self.state.running = true;
                self.begin(at, Some(session), Reason::Connected, None);
            }
            Event::Continued => {
                // At the date's beginning the session lasts since midnight; if the clock has come back, since now.
                let from = if self.closed.is_empty() && self.state.last_frame_at.is_none() {
                    Moment(self.state.open.from)
                } else {
                    self.just_before(at)
                };
                self.begin(from, Some(session), Reason::Continued, None);
            }
            Event::DateLeft => {
                self.leave();
                self.state.running = false;
            }
            Event::ConnectFailed { reason, detail } => {
                let refused = *reason == GapReason::Refused
                    && self.state.open.reason != Reason::Lost(GapReason::Refused);
                if live.is_some() || refused {
                    self.begin(at, None, Reason::Lost(*reason), None);
                }
                self.state.open.failures += 1;
                self.state.open.last_failure = Some(format!("{}: {detail}", reason.as_str()));
            }
            Event::Disconnected { reason, detail } => {
                let from = match reason {
                    // Nothing came since the last frame, whatever the reason.
                    GapReason::Stalled => self.last_frame_of_open(),
                    _ => at,
                };
                let detail = (!detail.is_empty()).then(|| detail.clone());
                self.begin(from, None, Reason::Lost(*reason), detail);
            }
            Event::DiskWait { since_us } => self.interrupt(Moment(*since_us), at, Reason::Disk),
            Event::Paused { since_us } => self.interrupt(Moment(*since_us), at, Reason::Paused),
            Event::SessionEnd if live.is_none() => {
                // The end of the hours is why the connection was closed a moment ago.
                if self.state.open.reason == STOPPED {
                    self.state.open.reason = Reason::SessionEnd;
                }
            }
            Event::Stop => {
                if live.is_some() || self.state.open.reason != STOPPED {
                    self.begin(at, None, STOPPED, None);
                }
                self.state.running = false;
            }
            Event::DateEnd
            | Event::TimeMark
            | Event::CommitNow
            | Event::SessionEnd
            | Event::ClockStep { .. } => {}
        }
    }

    /// The clock says that the date is over. A clock that jumped by hours is not believed: a running recorder journals
    /// something in each time partition.
    fn date_end(&mut self, frame: u64) {
        if self.state.damage.is_some() || frame > self.state.last_frame {
            self.pass(Moment(self.state.last_at), frame, false);
        }
        let rotate_us = self.state.rules.last().map_or(0, |(_, rotate_us, _)| *rotate_us);
        let silence_us = bounds(self.date).1.0 - self.state.last_at;
        if silence_us > rotate_us.saturating_add(LEAP_MIN_US) {
            self.leave();
        }
        self.state.running = false;
        self.state.ended = true;
    }

    /// The clock has left the date: what is received from now on does not belong to it.
    fn leave(&mut self) {
        if self.state.open.session.is_some() {
            self.begin(Moment(self.state.last_at), None, Reason::Clock, None);
        }
    }

    /// A stretch of the journal cannot be read.
    pub fn damage(&mut self, what: String) {
        self.state.damage.get_or_insert(what);
    }

    /// Advances to a record's time; whatever the journal lacks before that is a gap.
    fn pass(&mut self, at: Moment, frame: u64, is_frame: bool) -> Moment {
        let (begin, end) = bounds(self.date);
        if std::mem::take(&mut self.state.ended) {
            self.leave();
        }
        let before = Moment(self.state.last_at);
        let at = at.clamp(begin.max(before), end);
        let next = self.state.last_frame + 1;
        let present = frame.saturating_sub(u64::from(is_frame));
        let missing = (present >= next).then(|| format!("frames {next} to {present} are missing"));
        if missing.is_some() || self.state.damage.is_some() {
            let what = self.state.damage.take();
            let detail = match (what, missing) {
                (Some(what), Some(missing)) => format!("{what}; {missing}"),
                (Some(what), None) => format!("{what}; no frame is missing"),
                (None, missing) => missing.unwrap_or_default(),
            };
            let (session, reason) = (self.state.open.session, self.state.open.reason);
            self.begin(before, None, Reason::Damage, Some(detail));
            let again = if session.is_some() {
                Reason::Resumed
            } else {
                reason
            };
            let from = if is_frame {
                self.just_before(at).max(before)
            } else {
                at
            };
            self.begin(from, session, again, None);
            self.state.last_frame = self.state.last_frame.max(present);
        }
        self.state.last_at = at.0;
        at
    }

    /// The open interval is interrupted between two instants, and then resumes.
    fn interrupt(&mut self, since: Moment, at: Moment, reason: Reason) {
        let open = self.state.open.clone();
        let Some(session) = open.session else {
            return;
        };
        // Frames that were read earlier are recorded earlier: they bound the interruption.
        let since = since.max(self.last_frame_of_open()).min(at);
        self.begin(since, None, reason, None);
        self.begin(at, Some(session), Reason::Resumed, None);
    }

    /// The recorder ended without saying so: nothing is known of the session after its last frame.
    fn crash(&mut self) {
        if !self.state.running {
            return;
        }
        let from = if self.state.open.session.is_some() {
            self.last_frame_of_open()
        } else {
            Moment(self.state.last_at)
        };
        self.begin(from, None, Reason::Crash, None);
        self.state.running = false;
    }

    /// The time of the open interval's last frame, or else its beginning.
    fn last_frame_of_open(&self) -> Moment {
        let from = self.state.open.from;
        Moment(self.state.last_frame_at.map_or(from, |last| last.max(from)))
    }

    /// An interval beginning here contains a frame at `at`, but no earlier one.
    fn just_before(&self, at: Moment) -> Moment {
        Moment(at.0 - 1).max(self.state.last_frame_at())
    }

    fn begin(&mut self, at: Moment, session: Option<u32>, reason: Reason, detail: Option<String>) {
        self.close(at);
        self.state.open = Open::new(at.max(Moment(self.state.open.from)), session, reason, detail);
    }

    /// Ends the open interval; what remains open begins there.
    fn close(&mut self, to: Moment) {
        let open = &self.state.open;
        let from = Moment(open.from);
        let to = to.clamp(from, bounds(self.date).1);
        let row = |from: Moment, to: Moment, state: State| Interval {
            from,
            to,
            state,
            reason: open.reason,
            session: open.session,
            frames: open.frames,
            rows: open.rows,
            detail: open.detail(),
        };
        if open.session.is_some() {
            if to > from || open.frames > 0 {
                self.closed.push(row(from, to, State::Live));
            }
        } else {
            let (opens, closes) = self
                .state
                .expected
                .map_or((to, to), |(opens, closes)| (Moment(opens), Moment(closes)));
            let (opens, closes) = (opens.clamp(from, to), closes.clamp(from, to));
            let pieces = [
                row(from, opens, State::Idle),
                row(opens, closes, State::Gap),
                row(closes, to, State::Idle),
            ];
            self.closed
                .extend(pieces.into_iter().filter(|piece| piece.to > piece.from));
        }
        self.state.open.from = to.0;
        (self.state.open.frames, self.state.open.rows) = (0, 0);
    }

    fn is_untouched(&self) -> bool {
        self.closed.is_empty()
            && self.state.last_frame_at.is_none()
            && self.state.open.reason == Reason::NotRunning
    }

    fn is_whole_date(&self, (from, to): (i64, i64)) -> bool {
        let (begin, end) = bounds(self.date);
        from <= begin.0 && to >= end.0
    }
}

/// A clock that passes midnight after a longer silence than this, plus a time partition, has jumped.
const LEAP_MIN_US: i64 = 60_000_000;

/// The connection was closed because the recorder was stopping, or the hours were over.
const STOPPED: Reason = Reason::Lost(GapReason::Shutdown);

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
