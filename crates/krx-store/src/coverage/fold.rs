//! The fold of a date's journal into its ledger, record by record. Pure: no clock, no disk.
//!
//! ```text
//!   journal:   Date  Start   Connected  frames …  Disconnected   ConnectFailed …   Connected  frames …  (crash)  Start
//!   intervals:  idle │ start │ connected           │ reset                         │ connected          │ crash  │ start
//! ```

use super::interval::{Interval, Reason, State};
use super::ledger::Ledger;
use super::state::{Open, bounds};
use crate::journal::{Event, GapReason, Position};
use crate::moment::Moment;

impl Ledger {
    /// The journal has moved on to another date: what it leaves open lasts until midnight. A recorder that did not say
    /// that it continues has crashed.
    pub(crate) fn end_date(&mut self) {
        self.stop();
        self.state.ended = true;
    }

    /// Nothing follows. Damage at the very end of a journal has no record after it to reveal what is missing.
    pub(super) fn stop(&mut self) {
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
        if matches!(event, Event::Segment { .. }) {
            return;
        }
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
            } => self.date_begins(at, (frame, *rotate_us, *rows_max), *expected, *continues),
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
            Event::ConnectFailed { reason, detail } => self.connect_failed(at, *reason, detail),
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
            | Event::Segment { .. }
            | Event::TimeMark
            | Event::CommitNow
            | Event::Registration(_)
            | Event::SessionEnd
            | Event::ClockStep { .. } => {}
        }
    }

    /// The journal of the date begins: the rules of its files from a frame on, and the hours in which data is expected.
    fn date_begins(
        &mut self,
        at: Moment,
        rules: (u64, i64, u64),
        expected: Option<(i64, i64)>,
        continues: bool,
    ) {
        let same = |known: &(u64, i64, u64)| (known.1, known.2) == (rules.1, rules.2);
        if !self.state.rules.last().is_some_and(same) {
            self.state.rules.push(rules);
        }
        self.state.expected = expected;
        if continues {
            self.state.running = true;
            if self.is_untouched() {
                self.state.open.reason = Reason::NotConnected;
            }
        } else if self.is_untouched() && expected.is_none_or(|hours| self.is_whole_date(hours)) {
            // Nothing has said yet since when data was expected, so nothing was missed yet.
            self.state.expected = expected.map(|(_, to)| (at.0, to));
        }
    }

    fn connect_failed(&mut self, at: Moment, reason: GapReason, detail: &str) {
        let is_first_refusal =
            reason == GapReason::Refused && self.state.open.reason != Reason::Lost(GapReason::Refused);
        if self.state.open.session.is_some() || is_first_refusal {
            self.begin(at, None, Reason::Lost(reason), None);
        }
        self.state.open.failures += 1;
        self.state.open.last_failure = Some(format!("{}: {detail}", reason.as_str()));
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
    pub(super) fn leave(&mut self) {
        if self.state.open.session.is_some() {
            self.begin(Moment(self.state.last_at), None, Reason::Clock, None);
        }
    }

    /// A stretch of the journal cannot be read.
    pub fn damage(&mut self, what: String) {
        self.state.damage.get_or_insert(what);
    }

    /// Advances to a record's time; whatever the journal lacks before that is a gap.
    pub(super) fn pass(&mut self, at: Moment, frame: u64, is_frame: bool) -> Moment {
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
    pub(super) fn crash(&mut self) {
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

    pub(super) fn begin(&mut self, at: Moment, session: Option<u32>, reason: Reason, detail: Option<String>) {
        self.close(at);
        self.state.open = Open::new(at.max(Moment(self.state.open.from)), session, reason, detail);
    }

    /// Ends the open interval; what remains open begins there.
    pub(super) fn close(&mut self, to: Moment) {
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

    pub(super) fn is_untouched(&self) -> bool {
        self.closed.is_empty()
            && self.state.last_frame_at.is_none()
            && self.state.open.reason == Reason::NotRunning
    }

    pub(super) fn is_whole_date(&self, (from, to): (i64, i64)) -> bool {
        let (begin, end) = bounds(self.date);
        from <= begin.0 && to >= end.0
    }
}

/// A clock that passes midnight after a longer silence than this, plus a time partition, has jumped.
const LEAP_MIN_US: i64 = 60_000_000;

/// The connection was closed because the recorder was stopping, or the hours were over.
const STOPPED: Reason = Reason::Lost(GapReason::Shutdown);

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
