//! Everything that is shown, at one instant: the content of `status.json`, from which all other forms are made.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use chrono::NaiveDate;
use krx_report::IntervalRow;
use krx_store::Moment;
use krx_store::journal::SyncCounts;
use krx_store::progress::{CommittedFile, Day, Gaps};
use serde::{Deserialize, Serialize};

use super::clock::{ClockSnapshot, FeedClockSnapshot};
use super::kst::Kst;
use super::registrations::RegistrationsSnapshot;
use super::view::View;
pub(super) use super::window::RatesSnapshot;
use super::window::Window;
use crate::feed::feed_status::FeedState;
use crate::hours::schedule::{Hours, Schedule};
use crate::pipeline::feed_view::FeedView;

/// A recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: Kst,
    /// When this snapshot was taken.
    pub now: Kst,
    /// The same, in µs since the Unix epoch.
    pub now_us: i64,
    /// Its date in Korea.
    pub date: NaiveDate,
    /// What is wrong with the recorder itself, if a part of it does not work.
    pub complaint: Option<String>,
    /// The hours of all feeds together.
    pub schedule: ScheduleSnapshot,
    /// Bytes free for the recorder; 0 before the first look.
    pub disk_free_bytes: u64,
    /// Whether that is less than `disk_warn_free_bytes`.
    pub disk_low: bool,
    /// `disk.warn_free_bytes`.
    pub disk_warn_free_bytes: u64,
    /// This machine's clock. A recorder of an earlier version does not show it.
    #[serde(default)]
    pub clock: Option<ClockSnapshot>,
    /// The feeds.
    pub feeds: Vec<FeedSnapshot>,
}

/// What a feed's schedule says; or, for several feeds together, what any of theirs does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScheduleSnapshot {
    /// Whether a session should be open now.
    pub session_expected: bool,
    /// Whether a feed that sends no data now must be considered stalled: in continuous trading, by the calendar.
    pub data_expected: bool,
    /// When the next session should open; `null` while one is expected.
    pub opens_at: Option<Kst>,
    /// When the expected session should close; `null` if none is expected, or it never closes.
    pub closes_at: Option<Kst>,
}

/// A feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FeedSnapshot {
    /// The feed.
    pub feed: String,
    /// Its service: `full_market` or `per_issue`.
    pub service: String,
    /// The server's name.
    pub host: String,
    /// Its state.
    pub state: String,
    /// Since when it has been in this state; `null` before it has started.
    pub state_since: Option<Kst>,
    /// Its hours.
    pub schedule: ScheduleSnapshot,
    /// Sessions opened since the start.
    pub sessions: u32,
    /// What it registers; `null` for a service without registrations.
    pub registrations: Option<RegistrationsSnapshot>,
    /// When the last frame was read, in µs since the Unix epoch; 0 before the first.
    pub last_frame_us: i64,
    /// The same instant; `null` before the first frame.
    pub last_frame_at: Option<Kst>,
    /// How long ago that is.
    pub seconds_since_last_frame: Option<f64>,
    /// What ended the last session or attempt that did not end cleanly.
    pub last_problem: Option<ProblemSnapshot>,
    /// Frames read from the server since the start.
    pub frames_received: u64,
    /// Bytes of them.
    pub bytes_received: u64,
    /// Bytes waiting for the journal.
    pub queue_bytes: u64,
    /// Frames written to the journal since the start.
    pub frames_journaled: u64,
    /// Bytes of them.
    pub bytes_journaled: u64,
    /// Frames in the journal that the export has not decoded yet.
    pub frames_behind: u64,
    /// How long the oldest of them has waited.
    pub lag_seconds: f64,
    /// What its records show of the clock. A recorder of an earlier version does not show it.
    #[serde(default)]
    pub clock: Option<FeedClockSnapshot>,
    /// Rows of all datasets decoded since the start.
    pub records: u64,
    /// Those that went into quarantine, by reason; reasons without any are left out.
    pub quarantined_by_reason: BTreeMap<String, u64>,
    /// What came in the last minute.
    pub rates: RatesSnapshot,
    /// Rows in files committed by this run, without quarantine.
    pub rows_committed: u64,
    /// Rows in quarantine files committed by this run.
    pub quarantined_committed: u64,
    /// Files of the primary dataset committed by this run.
    pub files_committed: u64,
    /// Bytes of all files committed by this run.
    pub bytes_committed: u64,
    /// Messages of more than 50 records.
    pub oversized_batches: u64,
    /// Stretches of journal that could not be read.
    pub journal_damage: u64,
    /// How often the journal continued in a new segment because the disk had refused.
    pub journal_renewals: u64,
    /// Frames quarantined whole because the exporter could not process them.
    pub poison_frames: u64,
    /// Frames of the date, by its ledger.
    pub date_frames: u64,
    /// Records of the date, by its ledger.
    pub date_records: u64,
    /// The date's gaps.
    pub gaps: GapsSnapshot,
    /// The date's ledger up to now.
    pub intervals: Vec<IntervalRow>,
    /// Records received in each of the date's 1,440 minutes.
    pub minutes: Vec<u32>,
    /// The files of the primary dataset committed last, newest first.
    pub files: Vec<FileSnapshot>,
    /// What only the metrics show.
    #[serde(skip)]
    pub hidden: Hidden,
}

/// What only the metrics show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hidden {
    /// How long syncs of the journal took.
    pub syncs: Option<SyncCounts>,
    /// Gaps of this run.
    pub gaps: Gaps,
}

/// The last problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProblemSnapshot {
    /// When it occurred, in µs since the Unix epoch.
    pub at_us: i64,
    /// The same instant.
    pub at: Kst,
    /// The ledger's reason.
    pub reason: String,
    /// A description.
    pub detail: String,
}

/// The gaps of a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GapsSnapshot {
    /// How many.
    pub count: u64,
    /// Their total length.
    pub seconds: f64,
}

/// A committed file of the primary dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileSnapshot {
    /// Its date.
    pub date: NaiveDate,
    /// Its name.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Rows in the quarantine file of the same name.
    pub quarantined: u64,
    /// Its bytes, plus those of that quarantine file if this run committed it.
    pub bytes: u64,
    /// When it was committed.
    pub committed_at: Kst,
}

impl Snapshot {
    /// What `view` shows now.
    pub(super) fn of(view: &View) -> Self {
        let (windows, now) = (view.windows(), Moment::now());
        let feeds = view.feeds.iter().zip(windows.iter());
        let feeds: Vec<_> = feeds
            .map(|(feed, window)| FeedSnapshot::take(feed, window, now))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: Kst(view.started),
            now: Kst(now),
            now_us: now.0,
            date: now.date(),
            complaint: view.liveness.borrow().complaint(std::time::Instant::now()),
            schedule: ScheduleSnapshot::together(feeds.iter().map(|feed| feed.schedule)),
            disk_free_bytes: view.disk.free_bytes.load(Relaxed),
            disk_low: view.disk.low.load(Relaxed),
            disk_warn_free_bytes: view.warn_free_bytes,
            clock: Some(ClockSnapshot::of(view, now)),
            feeds,
        }
    }
}

impl ScheduleSnapshot {
    /// What `schedule` says about `now`.
    #[must_use]
    pub(crate) fn of(schedule: &Schedule, now: Moment) -> Self {
        let (opens, closes) = match schedule.at(now) {
            Hours::ClosedUntil(opening) => (Some(opening), None),
            Hours::Open if *schedule == Schedule::Always => (None, None),
            Hours::Open => (None, schedule.expected_on(now.date()).map(|(_, close)| close)),
        };
        Self {
            session_expected: opens.is_none(),
            data_expected: schedule.expects_data(now),
            opens_at: opens.map(Kst),
            closes_at: closes.map(Kst),
        }
    }
}

impl ScheduleSnapshot {
    /// Open while any feed is: until the last one closes, or from when the first one opens.
    #[must_use]
    pub(crate) fn together(mut feeds: impl Iterator<Item = Self> + Clone) -> Self {
        let open = feeds.clone().filter(|feed| feed.session_expected);
        let session_expected = open.clone().next().is_some();
        let closes: Option<Vec<_>> = open.map(|feed| feed.closes_at).collect();
        let opens = feeds.clone().filter_map(|feed| feed.opens_at).min();
        Self {
            session_expected,
            data_expected: feeds.any(|feed| feed.data_expected),
            opens_at: opens.filter(|_| !session_expected),
            closes_at: closes.and_then(|closes| closes.into_iter().max()),
        }
    }
}

impl FeedSnapshot {
    fn take(view: &FeedView, window: &Window, now: Moment) -> Self {
        let (progress, status) = (&view.progress, &view.status);
        let instant = |us: i64| (us > 0).then_some(Kst(Moment(us)));
        let last_frame_us = status.last_frame_us.load(Relaxed);
        let (state, since_us) = (status.state(), status.since_us.load(Relaxed));
        let live_since = (state == FeedState::Live).then_some(Moment(since_us));
        // Read these first, so that the figures below include everything that does not count as behind.
        let (frames_behind, lag_us) = (progress.frames_behind(), progress.lag_us(now));
        let Day {
            intervals,
            minutes,
            files,
            ..
        } = progress.day(now);
        let gaps = Gaps::of(&intervals, Moment(i64::MIN)).total();
        let quarantined = progress.quarantined().filter(|(_, count)| *count > 0);
        Self {
            feed: view.feed.to_string(),
            service: view.service.to_owned(),
            host: view.host.clone(),
            state: state.as_str().to_owned(),
            state_since: instant(since_us),
            schedule: ScheduleSnapshot::of(&view.schedule.borrow(), now),
            sessions: status.sessions.load(Relaxed),
            registrations: RegistrationsSnapshot::take(view, live_since, now),
            last_frame_us,
            last_frame_at: instant(last_frame_us),
            seconds_since_last_frame: instant(last_frame_us).map(|_| seconds((now.0 - last_frame_us).max(0))),
            last_problem: status.last_problem().map(|problem| ProblemSnapshot {
                at_us: problem.at_us,
                at: Kst(Moment(problem.at_us)),
                reason: problem.reason.to_owned(),
                detail: problem.detail,
            }),
            frames_received: status.frames.load(Relaxed),
            bytes_received: status.bytes.load(Relaxed),
            queue_bytes: view.queue.bytes() as u64,
            frames_journaled: progress.journal.frames.load(Relaxed),
            bytes_journaled: progress.journal.bytes.load(Relaxed),
            frames_behind,
            lag_seconds: seconds(lag_us),
            clock: Some(progress.clock(now).into()),
            records: progress.records_decoded.load(Relaxed),
            quarantined_by_reason: quarantined
                .map(|(reason, count)| (reason.as_str().to_owned(), count))
                .collect(),
            rates: window.rates(),
            rows_committed: progress.rows_committed.load(Relaxed),
            quarantined_committed: progress.quarantined_committed.load(Relaxed),
            files_committed: progress.files_committed.load(Relaxed),
            bytes_committed: progress.bytes_committed.load(Relaxed),
            oversized_batches: progress.oversized_batches.load(Relaxed),
            journal_damage: progress.journal_damage.load(Relaxed),
            journal_renewals: progress.journal.renewals.load(Relaxed),
            poison_frames: progress.poison_frames.load(Relaxed),
            date_frames: intervals.iter().map(|interval| interval.frames).sum(),
            date_records: intervals.iter().map(|interval| interval.rows).sum(),
            gaps: GapsSnapshot {
                count: gaps.count,
                seconds: seconds(gaps.us),
            },
            intervals: intervals.iter().map(IntervalRow::from).collect(),
            minutes: minutes.to_vec(),
            files: files.iter().map(FileSnapshot::from).collect(),
            hidden: Hidden {
                syncs: Some(progress.journal.syncs.counts()),
                gaps: progress.gaps(now),
            },
        }
    }
}

impl From<&CommittedFile> for FileSnapshot {
    fn from(file: &CommittedFile) -> Self {
        Self {
            date: file.date,
            name: file.name.to_string(),
            rows: file.rows,
            quarantined: file.quarantined,
            bytes: file.bytes,
            committed_at: Kst(file.at),
        }
    }
}

/// Seconds, to the microsecond.
pub(super) fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}
