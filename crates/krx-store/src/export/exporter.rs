//! The exporter of one feed: follows the journal, and commits what it finds there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use tracing::{error, info};

use super::cut::{CommitReason, Held, Limits};
use super::poison::Poison;
use super::segment::OpenSegment;
use crate::catalog;
use crate::coverage::{self, Ledger, Restored};
use crate::decoding::Decoding;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::{Event, Followed, Follower, Position, RecordHead, RecordKind, Tail};
use crate::layout::{DataDir, SegmentName};
use crate::moment::Moment;
use crate::progress::{CommittedFile, Progress, Tally};
use crate::registrations::{self, RegistrationLog};
use crate::sabotage::{self, Defect};
use crate::{checksums, disk};

/// How a feed is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// A time partition's length, for when the journal does not say ([`Event::Date`]).
    pub rotate_interval: Duration,
    /// The number of rows that ends a segment, for the same case.
    pub rows_max: u64,
    /// How many days journal segments are kept in the archive after they are exported.
    pub keep_days: u32,
    /// Disk space reserved for the journal, bytes: with less free, no new segment is begun.
    pub reserve_bytes: u64,
}

impl ExportConfig {
    fn limits(&self) -> Limits {
        Limits {
            interval_us: i64::try_from(self.rotate_interval.as_micros()).unwrap_or(i64::MAX),
            rows_max: self.rows_max,
        }
    }
}

/// Exports one feed's journal.
pub struct Exporter {
    pub(super) data: DataDir,
    pub(super) feed: FeedName,
    pub(super) config: ExportConfig,
    pub(super) tail: Option<Arc<Tail>>,
    pub(super) progress: Arc<Progress>,
    /// Counted but not yet published.
    pub(super) tally: Tally,
    pub(super) poison: Arc<Poison>,
    /// Whether this exporter replaces an earlier one of the same feed.
    pub(super) again: bool,
    pub(super) follower: Follower,
    pub(super) decoding: Decoding,
    pub(super) date: Option<ExportDate>,
    pub(super) segment: Option<OpenSegment>,
    /// Segments read to their end.
    pub(super) behind: VecDeque<Behind>,
    /// In the segment being read; `None` when it has no record yet.
    pub(super) last_frame_read: Option<u64>,
}

/// A journal segment that was read to its end.
pub(super) struct Behind {
    pub(super) name: SegmentName,
    /// Its last frame.
    pub(super) last_frame: u64,
    /// How far the ledger must be on disk before the segment may be removed; `None` when that is already certain.
    pub(super) folded: Option<Position>,
}

/// How far a date is exported.
pub(super) struct ExportDate {
    pub(super) date: NaiveDate,
    /// The limits of the open segment: those that the journal gives for its first frame.
    pub(super) limits: Limits,
    /// The last frame that is committed.
    pub(super) covered: u64,
    /// The last frame that is committed, in hand or known to be missing.
    pub(super) last_seen: u64,
    pub(super) ledger: Ledger,
    /// The ledger as its file has it.
    pub(super) saved: Option<Ledger>,
    pub(super) registrations: RegistrationLog,
}

impl Exporter {
    /// An exporter that resumes after what is already committed. With the `tail` of a writer in this process it follows
    /// the writer until that is closed; without one it stops at the end of the journal.
    #[must_use]
    pub fn new(
        data: &DataDir,
        feed: &FeedName,
        config: ExportConfig,
        tail: Option<Arc<Tail>>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            follower: Follower::new(data.journal(feed), tail.clone()),
            data: data.clone(),
            feed: feed.clone(),
            config,
            tail,
            tally: progress.tally(),
            decoding: Decoding::counting(progress.traded.clone()),
            progress,
            poison: Arc::default(),
            again: false,
            date: None,
            segment: None,
            behind: VecDeque::new(),
            last_frame_read: None,
        }
    }

    /// Shares the record of frames that earlier exporters of this feed panicked over.
    #[must_use]
    pub fn with_poison(mut self, poison: &Arc<Poison>) -> Self {
        self.poison = Arc::clone(poison);
        self
    }

    /// Marks an exporter that replaces a failed one, so that it does not repeat that one's log messages.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Treats what the disk cannot read of the journal as damage instead of failing, once it is clear that retrying
    /// does not help.
    #[must_use]
    pub fn past_unreadable(mut self) -> Self {
        self.follower.pass_unreadable();
        self
    }

    /// Exports until the journal ends and is closed. Frames after the last end of a segment stay in the journal.
    ///
    /// # Errors
    /// [`StoreError`]. Everything committed stays committed; the rest is still in the journal.
    pub fn run(mut self) -> Result<(), StoreError> {
        self.skip_what_is_committed()?;
        let mut seen = self.tail.as_ref().and_then(|tail| tail.synced());
        // Since it was last caught up.
        let mut records = 0_u32;
        loop {
            match self.follower.advance()? {
                Followed::Record(name, head) => {
                    records = records.saturating_add(1);
                    self.record(name, head)?;
                }
                Followed::SegmentEnd(name) => self.segment_end(name)?,
                Followed::Damage(name, span) => self.damage(name, &span)?,
                Followed::CaughtUp => {
                    self.tell_of_the_end();
                    let Some(tail) = &self.tail else {
                        return self.end();
                    };
                    if self.segment.is_none() && self.date.as_ref().is_some_and(ExportDate::has_changed) {
                        self.save_ledger()?;
                        continue;
                    }
                    if (1..RECORDS_WORTH_A_LOOK).contains(&std::mem::take(&mut records)) {
                        tail.wait_closed(GATHER);
                    }
                    // Records may have been synced while the last ones were read, so check before believing that this
                    // is the end.
                    match tail.wait(seen, IDLE_WAIT) {
                        Some(synced) => seen = synced,
                        None => return self.end(),
                    }
                }
            }
        }
    }

    /// The journal has been read to its end, and nothing will be added to it.
    fn end(mut self) -> Result<(), StoreError> {
        self.save_ledger()?;
        // The date still has journal, so the next start returns to it.
        if let Some(date) = self.date.as_ref().map(|current| current.date)
            && let Err(error) = checksums::list_whole_files(&self.data, &self.feed, date)
        {
            error!(feed = %self.feed, %date, %error, "coverage and registrations stay without a checksum");
        }
        Ok(())
    }

    /// The last frame of a date that is committed and on disk. The directories are synced first: a process that was
    /// killed may have left a name that is not on disk yet, and the journal must not be removed because of it.
    pub(super) fn covered(&self, date: NaiveDate) -> Result<u64, StoreError> {
        for dataset in self.data.datasets() {
            let dir = self.data.partition(dataset, date, &self.feed);
            self.data.disk().sync_dirs(self.data.path(), &dir)?;
        }
        let Some(primary) = catalog::primary_of(&self.data, &self.feed, date) else {
            return Ok(0);
        };
        let files = catalog::files(&self.data, primary, &self.feed, date)?;
        Ok(files.last().map_or(0, |name| name.last_frame))
    }

    fn record(&mut self, name: SegmentName, head: RecordHead) -> Result<(), StoreError> {
        self.enter_date(name.date)?;
        // One from a later version cannot end anything that this version knows of.
        let event = match head.kind {
            RecordKind::Frame => None,
            RecordKind::Event => serde_json::from_slice::<Event>(self.follower.payload()).ok(),
        };
        self.last_frame_read = Some(head.frame);
        let position = self.follower.position();
        // Covers frames in files that are already committed, and the events between them.
        let is_known = |date: &ExportDate| position.is_some_and(|position| date.ledger.has(position));
        let is_known = self.date.as_ref().is_some_and(is_known);
        match (head.kind, event) {
            (RecordKind::Frame, _) if !is_known => self.frame(name.date, head, position),
            (RecordKind::Event, Some(event)) => {
                if !is_known {
                    self.event(&event, head, position)?;
                } else if let Some(date) = &mut self.date {
                    date.registrations.catch_up(&event);
                }
                if self.decoding.is_changed_by(&event) {
                    self.commit(CommitReason::Start)?;
                }
                // Also of those that are known: it may decide how later frames are read.
                self.decoding.event(&self.data, &self.feed, &event)
            }
            _ => Ok(()),
        }
    }

    fn frame(
        &mut self,
        date: NaiveDate,
        head: RecordHead,
        position: Option<Position>,
    ) -> Result<(), StoreError> {
        // Already committed, or repeated by a journal that had to begin a new segment.
        if head.frame <= self.last_seen() {
            self.fold(position, None, |_| ());
            return Ok(());
        }
        self.see_frames_up_to(head.frame - 1)?;
        if let Some(reason) = self
            .segment
            .as_ref()
            .and_then(|segment| self.limits().before(held(segment), head.at))
        {
            self.commit(reason)?;
        }
        if self.segment.is_none()
            && let Some(date) = &mut self.date
        {
            date.limits = date
                .ledger
                .rules_from(head.frame)
                .map_or_else(|| self.config.limits(), Limits::from);
        }
        let limits = self.limits();
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => {
                self.look_for_room()?;
                // The clock may have been set back across midnight, but a file's name never leaves its date.
                let start = head.at.max(Moment::midnight(date));
                let segment = OpenSegment::begin(
                    &self.data,
                    &self.feed,
                    self.decoding.service,
                    date,
                    start.partition(limits.interval_us),
                    limits.rows_max,
                    &head,
                )?;
                self.segment.insert(segment)
            }
        };
        let payload = self.follower.payload();
        let poison = self.poison.take_in_hand(date, head.frame);
        if poison {
            error!(feed = %self.feed, frame = head.frame, "this frame makes the exporter panic; it is quarantined whole");
            Progress::add(&self.progress.poison_frames, 1);
        }
        if sabotage::is(Defect::Poison) && !poison && payload.windows(10).any(|bytes| bytes == b"KRX-POISON")
        {
            panic!("the frame is poison");
        }
        let rows = segment.add(
            &mut *self.decoding.decoder,
            poison,
            &head,
            payload,
            &mut self.tally,
        )?;
        self.poison.put_down();
        if let Some(date) = &mut self.date {
            date.last_seen = head.frame;
        }
        self.fold(position, None, |ledger| {
            ledger.frame(head.at, head.session, head.frame, rows);
        });
        if self.tally.is_due(head.at) {
            self.tell();
        }
        Ok(())
    }

    fn event(
        &mut self,
        event: &Event,
        head: RecordHead,
        position: Option<Position>,
    ) -> Result<(), StoreError> {
        self.see_frames_up_to(head.frame)?;
        let limits = self.limits();
        let reason = self
            .segment
            .as_ref()
            .and_then(|segment| limits.at_event(held(segment), head.at, event));
        // What a crash left is committed as the journal has it, whenever the next recorder starts (I3).
        let first = reason.filter(|reason| *reason == CommitReason::Start);
        if let Some(reason) = first {
            self.commit(reason)?;
        }
        self.fold(position, Some((head.at, event)), |ledger| {
            ledger.event(head.at, head.session, head.frame, event);
        });
        match reason {
            Some(reason) if first.is_none() => self.commit(reason),
            _ => Ok(()),
        }
    }

    /// Publishes what has been counted and folded in so far.
    pub(super) fn tell(&mut self) {
        if let Some(date) = &self.date {
            self.progress.publish(&mut self.tally, &date.ledger);
            self.progress.exported(date.date, date.last_seen);
        }
    }

    /// Publishes at the end of what is on disk. When nothing is waiting to be synced, everything is exported up to now.
    fn tell_of_the_end(&mut self) {
        if self.tally.has_news() {
            self.tell();
        }
        if self.progress.frames_behind() == 0 {
            self.progress.complete_until(Moment::now());
        }
    }

    /// The last frame of the date that is committed, in hand or known to be missing.
    pub(super) fn last_seen(&self) -> u64 {
        self.date.as_ref().map_or(0, |date| date.last_seen)
    }

    fn limits(&self) -> Limits {
        self.date
            .as_ref()
            .map_or_else(|| self.config.limits(), |date| date.limits)
    }

    fn look_for_room(&self) -> Result<(), StoreError> {
        // When the journal is closed, the exporter may use all the space.
        if self.config.reserve_bytes == 0 || self.tail.as_ref().is_none_or(|tail| tail.is_closed()) {
            return Ok(());
        }
        let free = disk::free_bytes(self.data.path())?;
        if free >= self.config.reserve_bytes {
            return Ok(());
        }
        Err(StoreError::NoRoom {
            path: self.data.path().to_owned(),
            free,
            reserve: self.config.reserve_bytes,
        })
    }

    /// Moves on to a record's date.
    pub(super) fn enter_date(&mut self, date: NaiveDate) -> Result<(), StoreError> {
        if self.date.as_ref().is_some_and(|current| current.date == date) {
            return Ok(());
        }
        self.leave_date()?;
        let covered = self.covered(date)?;
        checksums::reopen(&self.data, &self.feed, date, covered)?;
        let Restored { ledger, on_disk } = coverage::restore(&self.data, &self.feed, date)?;
        let registrations = registrations::restore(&self.data, &self.feed, date, &ledger)?;
        // What was read belongs to this date only if the directory was still in place.
        self.data.must_be_in_place()?;
        self.expire_archive();
        self.progress.exported(date, covered);
        self.date = Some(ExportDate {
            date,
            limits: self.config.limits(),
            covered,
            last_seen: covered.max(ledger.last_frame()),
            saved: on_disk.then(|| ledger.clone()),
            registrations,
            ledger,
        });
        Ok(())
    }

    /// Commits the open segment: registrations, the other datasets' files, the primary file, coverage. Only then may
    /// journal be removed.
    pub(super) fn commit(&mut self, reason: CommitReason) -> Result<(), StoreError> {
        if self.segment.is_some() {
            // Before the files: what a crash leaves of the two, the next start can then complete from the journal.
            self.save_registrations()?;
        }
        let (Some(date), Some(segment)) = (&mut self.date, self.segment.take()) else {
            return Ok(());
        };
        let slice = date.ledger.commit().to_json();
        let committed = segment.commit(&mut *self.decoding.decoder, Some(slice))?;
        let footer = &committed.footer;
        assert!(
            footer.first_frame > date.covered,
            "I1: no frame is committed twice"
        );
        date.covered = footer.last_frame;
        self.save_ledger()?;
        let (rows, quarantined) = (
            footer.rows_of(self.decoding.service.primary()),
            footer.quarantined(),
        );
        self.poison.committed(footer.date, footer.last_frame);
        let frames = footer.last_frame + 1 - footer.first_frame;
        Progress::add(&self.progress.frames_committed, frames);
        Progress::add(&self.progress.rows_committed, footer.rows() - quarantined);
        Progress::add(&self.progress.quarantined_committed, quarantined);
        Progress::add(&self.progress.files_committed, 1);
        Progress::add(&self.progress.bytes_committed, committed.bytes);
        self.progress.committed(CommittedFile {
            date: footer.date,
            name: committed.name,
            rows,
            quarantined,
            bytes: committed.bytes,
            at: Moment::now(),
        });
        info!(feed = %self.feed, file = %committed.name, reason = reason.as_str(), rows, quarantined,
            bytes = committed.bytes, "committed");
        self.tell();
        self.remove_exported()
    }
}

impl ExportDate {
    /// Whether the ledger has intervals that its file does not have.
    fn has_changed(&self) -> bool {
        self.saved.as_ref().map(Ledger::closed_len) != Some(self.ledger.closed_len())
    }
}

fn held(segment: &OpenSegment) -> Held {
    Held {
        partition: segment.partition(),
        rows: segment.rows(),
        last_recv: segment.last_recv(),
    }
}

impl From<(i64, u64)> for Limits {
    fn from((interval_us, rows_max): (i64, u64)) -> Self {
        Self {
            interval_us,
            rows_max,
        }
    }
}

/// How long records gather while they are few: waking up for a handful of them after every sync costs more than exporting them.
const GATHER: Duration = Duration::from_millis(250);

/// With this many records since the last look, or more, the next look follows at once.
const RECORDS_WORTH_A_LOOK: u32 = 256;

/// The longest wait for the writer: only an upper bound, since the writer wakes its followers.
const IDLE_WAIT: Duration = Duration::from_secs(1);
