//! The figures of one feed: counters, and what the exporter shows of its date.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use krx_protocol::Reason;

use super::board::{Board, CommittedFile, Day, Gaps};
use super::tally::Tally;
use crate::coverage::Ledger;
use crate::journal::{Counters, Place};
use crate::lag::{FeedLag, LagWatch, ShownLag};
use crate::moment::Moment;
use crate::traded::Traded;

/// Counts since the process started, and where writer and exporter are. Each value has a single writer.
#[derive(Debug, Default)]
pub struct Progress {
    started: Moment,
    /// What the journal's writer counts.
    pub journal: Arc<Counters>,
    /// The last frame that the exporter has decoded.
    exported: Place,
    /// Everything received until then had been decoded at the last check, µs since the Unix epoch.
    complete_until: AtomicI64,
    /// Rows of all datasets, counted as they are decoded: including frames that an earlier run left in the journal.
    pub records_decoded: AtomicU64,
    /// Rows of quarantine, counted as they are decoded, in the order of [`Reason::ALL`].
    quarantined: [AtomicU64; Reason::ALL.len()],
    /// Frames in committed files.
    pub frames_committed: AtomicU64,
    /// Rows in committed files, without quarantine.
    pub rows_committed: AtomicU64,
    /// Rows in committed quarantine files.
    pub quarantined_committed: AtomicU64,
    /// Committed segments: each has one file of the primary dataset.
    pub files_committed: AtomicU64,
    /// Bytes of committed files.
    pub bytes_committed: AtomicU64,
    /// Batches with more records than the guide allows.
    pub oversized_batches: AtomicU64,
    /// Stretches of journal that could not be read.
    pub journal_damage: AtomicU64,
    /// Frames that made the exporter panic, quarantined whole.
    pub poison_frames: AtomicU64,
    /// Where the exporter counts trades of watched issues, if any are.
    pub(crate) traded: Option<Arc<Traded>>,
    /// What records show of the clock.
    clock: ShownLag,
    board: Mutex<Board>,
}

impl Progress {
    /// Counters of a process that started at `started`: gaps that ended before that are not its own.
    #[must_use]
    pub fn since(started: Moment) -> Self {
        Self {
            started,
            complete_until: AtomicI64::new(started.0),
            ..Self::default()
        }
    }

    /// The same, with the trades of watched issues counted as they are decoded.
    #[must_use]
    pub fn counting(self, traded: Arc<Traded>) -> Self {
        Self {
            traded: Some(traded),
            ..self
        }
    }

    /// The same, with records that come later than this after their trades taken for late.
    #[must_use]
    pub fn late_after(self, lag_max: Duration) -> Self {
        self.board().lags = LagWatch::new(lag_max);
        self
    }

    /// What the records of the date of `now` show of the clock.
    #[must_use]
    pub fn clock(&self, now: Moment) -> FeedLag {
        let shown = self.clock.get();
        let is_today = shown.at.is_some_and(|at| at.date() == now.date());
        if is_today { shown } else { FeedLag::default() }
    }

    /// Frames in the journal that are not decoded yet; while the exporter is still on an earlier date, a lower bound.
    #[must_use]
    pub fn frames_behind(&self) -> u64 {
        self.journal.ahead_of(&self.exported)
    }

    /// How long the oldest frame that is not decoded has been waiting, µs; 0 if there is none.
    #[must_use]
    pub fn lag_us(&self, now: Moment) -> i64 {
        if self.frames_behind() == 0 {
            return 0;
        }
        now.0.saturating_sub(self.complete_until.load(Relaxed)).max(0)
    }

    /// Rows of quarantine by their reason.
    pub fn quarantined(&self) -> impl Iterator<Item = (Reason, u64)> {
        let count = |reason: Reason| self.quarantined[reason as usize].load(Relaxed);
        Reason::ALL.into_iter().map(move |reason| (reason, count(reason)))
    }

    /// The date of `now`, as far as it is exported. This is a copy made under the exporter's lock: not for a thread
    /// that must never wait.
    #[must_use]
    pub fn day(&self, now: Moment) -> Day {
        self.board().day(now)
    }

    /// The gaps that ended since the process started, or have not ended, by reason. Its figures never fall. Like
    /// [`Progress::day`] it takes the exporter's lock.
    #[must_use]
    pub fn gaps(&self, now: Moment) -> Gaps {
        let started = self.started;
        self.board().gaps(now, started)
    }

    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }

    /// The exporter has decoded this frame and published its counts, or resumes after it. By the time a frame no longer
    /// counts as behind, its counts are visible.
    pub(crate) fn exported(&self, date: NaiveDate, frame: u64) {
        self.exported.set(date, frame);
    }

    pub(crate) fn complete_until(&self, at: Moment) {
        self.complete_until.store(at.0, Relaxed);
    }

    /// A tally that resumes after the last frame that was counted.
    pub(crate) fn tally(&self) -> Tally {
        Tally::behind(self.board().counted)
    }

    /// Takes over what a tally has counted, and the ledger as it is now.
    pub(crate) fn publish(&self, tally: &mut Tally, ledger: &Ledger) {
        let news = tally.take();
        Self::add(&self.records_decoded, news.records);
        Self::add(&self.oversized_batches, news.oversized);
        for (counter, amount) in self.quarantined.iter().zip(news.quarantined) {
            Self::add(counter, amount);
        }
        let started = self.started;
        let mut board = self.board();
        board.count(&news);
        self.clock.set(board.lags.now());
        board.set_ledger(ledger, news.first, started);
        if let Some(until) = news.until {
            self.complete_until(until);
        }
    }

    pub(crate) fn committed(&self, file: CommittedFile) {
        self.board().committed(file);
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        // It is consistent at every instant, so a panic elsewhere must not silence the status.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{LagVerdict, Lags};
    use crate::service::FrameRows;

    const DATE: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date");

    #[test]
    fn the_lag_is_the_age_of_what_is_not_decoded() {
        let progress = Progress::since(Moment(1_000_000));
        assert_eq!(progress.lag_us(Moment(9_000_000)), 0, "nothing was received");
        progress.journal.reached(DATE, 1);
        assert_eq!(progress.frames_behind(), 1);
        assert_eq!(progress.lag_us(Moment(9_000_000)), 8_000_000);
        progress.complete_until(Moment(8_500_000));
        assert_eq!(progress.lag_us(Moment(9_000_000)), 500_000);
        assert_eq!(progress.lag_us(Moment(8_000_000)), 0, "the clock was set back");
        progress.exported(DATE, 1);
        assert_eq!(progress.lag_us(Moment(99_000_000)), 0);
    }

    #[test]
    fn the_clock_is_judged_by_what_is_published_and_only_for_its_date() {
        let progress = Progress::default().late_after(Duration::from_secs(60));
        let start = Moment::midnight(DATE).0 + 36_000_000_000;
        let ledger = Ledger::new(DATE);
        let mut tally = progress.tally();
        for frame in 1..=30 {
            let at = Moment(start + i64::try_from(frame).unwrap() * 1_000_000);
            let lags = Lags {
                newest: Some(61_000),
                newest_due: Some(61_000),
            };
            tally.begin(DATE, frame);
            let decoded = FrameRows {
                rows: 1,
                lags,
                ..FrameRows::default()
            };
            tally.end(Moment::midnight(DATE), at, 1, &decoded);
            progress.publish(&mut tally, &ledger);
        }
        let now = progress.clock(Moment(start + 40_000_000));
        assert_eq!((now.verdict, now.lag_ms), (LagVerdict::Late, Some(61_000)));
        let tomorrow = Moment(start + 24 * 3_600_000_000);
        assert_eq!(progress.clock(tomorrow), FeedLag::default());
    }
}
