//! The exporter of one market: follows the journal, and seals what it finds there.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use chrono::NaiveDate;
use krx_protocol::Decoder;
use tracing::{error, info, warn};

use super::cut::{Limits, SealReason};
use super::last_sealed;
use super::poison::Poison;
use super::segment::OpenSegment;
use crate::checksums::Checksums;
use crate::coverage::{self, Ledger, Rows, damage_detail};
use crate::error::StoreError;
use crate::journal::{Event, Followed, Follower, Position, RecordHead, RecordKind, Tail, list_segments};
use crate::layout::{DataDir, Dataset, Market, SealedName, SealedPath, SegmentName};
use crate::moment::Moment;
use crate::progress::{Progress, SealedFile, Tally};
use crate::sabotage::{self, Defect};
use crate::{archive, checksums, disk};

/// How a market is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// A time partition's length, where the journal does not say it ([`Event::Date`]).
    pub rotate_interval: Duration,
    /// The rows with which a segment ends, likewise.
    pub rows_max: u64,
    /// Days for which journal segments are kept in the archive after they are exported.
    pub keep_days: u32,
    /// Bytes of the disk that are the journal's alone: with less free, nothing new is begun.
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

/// Exports one market's journal.
pub struct Exporter {
    data: DataDir,
    market: Market,
    config: ExportConfig,
    tail: Option<Arc<Tail>>,
    progress: Arc<Progress>,
    /// Counted, and not told yet.
    tally: Tally,
    poison: Arc<Poison>,
    follower: Follower,
    decoder: Decoder,
    date: Option<ExportDate>,
    segment: Option<OpenSegment>,
    /// Segments read to their end, with the last frame that they have; the ledger has what is in them.
    behind: VecDeque<(SegmentName, u64)>,
    /// Of the segment being read; `None` when it has no record yet.
    last_frame_read: Option<u64>,
}

/// How far a date is exported.
struct ExportDate {
    date: NaiveDate,
    /// Of the segment that is open: those that its first frame found in the journal.
    limits: Limits,
    /// The last frame that is sealed.
    covered: u64,
    /// The last frame that is sealed, in hand or known to be missing.
    last_seen: u64,
    ledger: Ledger,
    /// The ledger as it stands in its file: how far, and with how many closed intervals.
    saved: Option<Position>,
    saved_intervals: usize,
}

impl Exporter {
    /// An exporter that starts behind what is sealed already. With the `tail` of a writer in this process it follows
    /// the writer until that is closed; without one it ends at the end of the journal.
    #[must_use]
    pub fn new(
        data: &DataDir,
        market: &Market,
        config: ExportConfig,
        tail: Option<Arc<Tail>>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            follower: Follower::new(data.journal(market), tail.clone()),
            data: data.clone(),
            market: market.clone(),
            config,
            tail,
            tally: progress.tally(),
            progress,
            poison: Arc::default(),
            decoder: Decoder::new(),
            date: None,
            segment: None,
            behind: VecDeque::new(),
            last_frame_read: None,
        }
    }

    /// Shares what earlier exporters of this market panicked over.
    #[must_use]
    pub fn with_poison(mut self, poison: &Arc<Poison>) -> Self {
        self.poison = Arc::clone(poison);
        self
    }

    /// Takes what the disk cannot read of the journal for damaged, instead of failing: once it is known that trying
    /// again does not help.
    #[must_use]
    pub fn past_unreadable(mut self) -> Self {
        self.follower.pass_unreadable();
        self
    }

    /// Exports until the journal ends and is closed. Frames behind the last end of a segment stay in the journal.
    ///
    /// # Errors
    /// [`StoreError`]. All that was sealed stays sealed; the rest is still in the journal.
    pub fn run(mut self) -> Result<(), StoreError> {
        self.skip_what_is_sealed()?;
        let mut seen = self.tail.as_ref().and_then(|tail| tail.synced());
        loop {
            match self.follower.advance()? {
                Followed::Record(name, head) => self.record(name, head)?,
                Followed::SegmentEnd(name) => self.segment_end(name)?,
                Followed::Damage(name, span) => self.damage(name, &span)?,
                Followed::CaughtUp => {
                    self.tell_of_the_end();
                    let Some(tail) = &self.tail else {
                        return self.save_ledger();
                    };
                    if self.date.as_ref().is_some_and(ExportDate::has_changed) {
                        self.save_ledger()?;
                        continue;
                    }
                    // What was synced while the last records were read is looked at before the end is believed.
                    match tail.wait(seen, IDLE_WAIT) {
                        Some(synced) => seen = synced,
                        None => return self.save_ledger(),
                    }
                }
            }
        }
    }

    /// Segments that sealed files and the ledger cover whole, as names tell, are not read again.
    fn skip_what_is_sealed(&mut self) -> Result<(), StoreError> {
        let names = list_segments(&self.data.journal(&self.market))?;
        let mut dates: Vec<_> = names.iter().map(|name| name.date).collect();
        dates.dedup();
        for date in dates {
            if let Err(error) = checksums::complete(&self.data, &self.market, date) {
                error!(market = %self.market, %date, %error, "sealed files stay without checksums");
            }
        }
        self.expire_archive();
        let mut covered: Option<(NaiveDate, u64, Option<Position>)> = None;
        for pair in names.windows(2) {
            let (name, next) = (pair[0], pair[1]);
            let (_, frame, folded) = match covered {
                Some(known) if known.0 == name.date => known,
                _ => {
                    let ledger = coverage::load(&self.data, &self.market, name.date).ok().flatten();
                    let folded = ledger.and_then(|ledger| ledger.folded());
                    *covered.insert((name.date, self.covered(name.date)?, folded))
                }
            };
            let in_ledger = folded.is_some_and(|folded| folded.segment > name);
            if name.date != next.date || next.first_frame > frame + 1 || !in_ledger {
                break;
            }
            self.follower.skip_to_after(name);
            self.behind.push_back((name, next.first_frame.saturating_sub(1)));
        }
        self.remove_exported()
    }

    /// The last frame of a date that is sealed, and known to be on disk: a process that was killed may have left a
    /// name that is not, and the journal must not be removed on its word.
    fn covered(&self, date: NaiveDate) -> Result<u64, StoreError> {
        for dataset in Dataset::ALL {
            let dir = self.data.partition(dataset, date, &self.market);
            self.data.disk().sync_dirs(self.data.path(), &dir)?;
        }
        Ok(last_sealed(&self.data, &self.market, date)?.frame)
    }

    fn record(&mut self, name: SegmentName, head: RecordHead) -> Result<(), StoreError> {
        self.enter_date(name.date)?;
        self.last_frame_read = Some(head.frame);
        let position = self.follower.position();
        match head.kind {
            RecordKind::Frame => self.frame(name.date, head, position),
            RecordKind::Event => self.event(head, position),
        }
    }

    fn frame(
        &mut self,
        date: NaiveDate,
        head: RecordHead,
        position: Option<Position>,
    ) -> Result<(), StoreError> {
        // Sealed already, or written again by a journal that had to begin a new segment.
        if head.frame <= self.last_seen() {
            return self.fold_sealed_frame(head, position);
        }
        self.see_frames_up_to(head.frame - 1)?;
        if let Some(reason) = self
            .segment
            .as_ref()
            .and_then(|segment| self.limits().before(segment.partition(), head.at))
        {
            self.seal(reason)?;
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
                // The clock may have been set back across midnight: a file's name never leaves its date.
                let start = head.at.max(Moment(crate::moment::midnight_ms(date) * 1000));
                let partition = start.partition(limits.interval_us);
                let segment =
                    OpenSegment::begin(&self.data, &self.market, date, partition, limits.rows_max, &head)?;
                self.segment.insert(segment)
            }
        };
        let payload = self.follower.payload();
        let poison = self.poison.take_in_hand(date, head.frame);
        if poison {
            error!(market = %self.market, frame = head.frame, "this frame makes the exporter panic; it is quarantined whole");
            Progress::add(&self.progress.poison_frames, 1);
        }
        if sabotage::is(Defect::Poison) && !poison && payload.windows(10).any(|bytes| bytes == b"KRX-POISON")
        {
            panic!("the frame is poison");
        }
        let decoder = (!poison).then_some(&mut self.decoder);
        let rows = segment.add(decoder, &head, payload, &mut self.tally)?;
        self.poison.put_down();
        if let Some(date) = &mut self.date {
            date.last_seen = head.frame;
        }
        let full = limits.after(segment.rows());
        self.fold(position, |ledger| {
            ledger.frame(head.at, head.session, head.frame, rows);
        });
        if self.tally.is_due(head.at) {
            self.tell();
        }
        full.map_or(Ok(()), |reason| self.seal(reason))
    }

    /// A frame that is sealed, and that the ledger may not have: its file was lost.
    fn fold_sealed_frame(&mut self, head: RecordHead, position: Option<Position>) -> Result<(), StoreError> {
        let known = self
            .date
            .as_ref()
            .is_some_and(|date| date.ledger.last_frame() >= head.frame);
        let mut rows = Rows(0);
        if !known {
            self.decoder.decode(self.follower.payload(), &mut rows);
        }
        self.fold(position, |ledger| {
            if !known {
                ledger.frame(head.at, head.session, head.frame, rows.0);
            }
        });
        Ok(())
    }

    fn event(&mut self, head: RecordHead, position: Option<Position>) -> Result<(), StoreError> {
        // An event of a later version may still end nothing that this version knows of.
        let Ok(event) = serde_json::from_slice::<Event>(self.follower.payload()) else {
            return Ok(());
        };
        self.see_frames_up_to(head.frame)?;
        self.fold(position, |ledger| {
            ledger.event(head.at, head.session, head.frame, &event);
        });
        let limits = self.limits();
        let reason = self
            .segment
            .as_ref()
            .and_then(|segment| limits.at_event(segment.partition(), head.at, &event));
        reason.map_or(Ok(()), |reason| self.seal(reason))
    }

    /// Has the status show what was counted and folded in so far.
    fn tell(&mut self) {
        if let Some(date) = &self.date {
            self.progress.publish(&mut self.tally, &date.ledger);
            self.progress.exported(date.date, date.last_seen);
        }
    }

    /// Likewise at the end of what is known to be on disk. When nothing waits to be synced either, all is exported up
    /// to now.
    fn tell_of_the_end(&mut self) {
        if self.tally.has_news() {
            self.tell();
        }
        if self.progress.frames_behind() == 0 {
            self.progress.complete_until(Moment::now());
        }
    }

    /// Folds a record into the ledger, unless its file has it already.
    fn fold(&mut self, position: Option<Position>, record: impl FnOnce(&mut Ledger)) {
        let (Some(date), Some(position)) = (&mut self.date, position) else {
            return;
        };
        self.tally.note();
        if date.ledger.folded().is_none_or(|folded| folded < position) {
            record(&mut date.ledger);
            date.ledger.fold_to(position);
        }
    }

    /// The last frame of the date that is sealed, in hand or known to be missing.
    fn last_seen(&self) -> u64 {
        self.date.as_ref().map_or(0, |date| date.last_seen)
    }

    fn limits(&self) -> Limits {
        self.date
            .as_ref()
            .map_or_else(|| self.config.limits(), |date| date.limits)
    }

    fn look_for_room(&self) -> Result<(), StoreError> {
        // When the journal is closed, all the space is the export's.
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

    /// Part of a journal segment cannot be read. It is kept under another name, for whoever wants to look at it.
    fn damage(&mut self, name: SegmentName, span: &Range<u64>) -> Result<(), StoreError> {
        Progress::add(&self.progress.journal_damage, 1);
        error!(market = %self.market, segment = %name, from = span.start, to = span.end,
            "journal is damaged; what this stretch held is lost, what follows is exported");
        let path = self.data.journal(&self.market).join(name.to_string());
        let kept = path.with_extension("journal.damaged");
        if let Err(error) = fs::hard_link(&path, &kept)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            warn!(segment = %path.display(), %error, "the damaged segment cannot be kept beside the journal");
        }
        self.enter_date(name.date)?;
        if let Some(date) = &mut self.date {
            date.ledger.damage(damage_detail(name, span));
        }
        self.seal(SealReason::Damage)
    }

    /// Frames up to this one came before the record at hand. Those that did not, damage has taken where nothing was
    /// left to tell it: they shall be missing between two files, not within one.
    fn see_frames_up_to(&mut self, frame: u64) -> Result<(), StoreError> {
        let last = self.last_seen();
        if frame <= last {
            return Ok(());
        }
        error!(market = %self.market, first = last + 1, last = frame, "frames are missing in the journal");
        if let Some(date) = &mut self.date {
            date.last_seen = frame;
        }
        self.seal(SealReason::Damage)
    }

    /// Goes on to a record's date.
    fn enter_date(&mut self, date: NaiveDate) -> Result<(), StoreError> {
        if self.date.as_ref().is_some_and(|current| current.date == date) {
            return Ok(());
        }
        self.leave_date()?;
        let covered = self.covered(date)?;
        let (ledger, on_disk) = match coverage::load(&self.data, &self.market, date) {
            Ok(Some(ledger)) => {
                // A crash between the file and its line leaves the line of the file before. What was read is sound.
                let path = ledger_path(&self.market, date);
                if let Err(error) = Checksums::of(&self.data, date).record_files(&[path]) {
                    error!(market = %self.market, %date, %error, "the coverage file stays without a checksum");
                }
                (ledger, true)
            }
            Ok(None) if covered == 0 => (Ledger::new(date), false),
            Ok(None) => (
                Ledger::lost(date, covered, "the coverage file is missing".into()),
                false,
            ),
            Err(error @ StoreError::ReadBack { .. }) => {
                error!(market = %self.market, %error, "the coverage file cannot be used; the ledger begins anew");
                let detail = "the coverage file was damaged".to_owned();
                (Ledger::lost(date, covered, detail), false)
            }
            Err(error) => return Err(error),
        };
        // What was read is of this date only if the directory was there to read it in.
        self.data.must_be_in_place()?;
        self.expire_archive();
        self.progress.exported(date, covered);
        self.date = Some(ExportDate {
            date,
            limits: self.config.limits(),
            covered,
            last_seen: covered,
            saved: ledger.folded().filter(|_| on_disk),
            saved_intervals: ledger.closed_len(),
            ledger,
        });
        Ok(())
    }

    /// The journal has gone on to another date: nothing will be added to this one.
    fn leave_date(&mut self) -> Result<(), StoreError> {
        self.seal(SealReason::Day)?;
        if let Some(date) = &mut self.date {
            date.ledger.end_date();
        }
        self.save_ledger()?;
        self.tell();
        Ok(())
    }

    /// Writes the ledger, if its file does not have all of it, with its checksum.
    fn save_ledger(&mut self) -> Result<(), StoreError> {
        if let Some(path) = self.store_ledger()? {
            Checksums::of(&self.data, path.date).record_files(&[path])?;
        }
        Ok(())
    }

    fn store_ledger(&mut self) -> Result<Option<SealedPath>, StoreError> {
        let Some(date) = &mut self.date else {
            return Ok(None);
        };
        if date.ledger.folded() == date.saved && !date.has_changed() {
            return Ok(None);
        }
        coverage::store(&self.data, &self.market, &date.ledger)?;
        date.saved = date.ledger.folded();
        date.saved_intervals = date.ledger.closed_len();
        Ok(Some(ledger_path(&self.market, date.date)))
    }

    fn seal(&mut self, reason: SealReason) -> Result<(), StoreError> {
        if self.segment.is_none() {
            return Ok(());
        }
        // The ledger first: it must never lag behind a sealed file, whose frames will not be read again.
        let ledger = self.store_ledger()?;
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let sealed = segment.seal(ledger)?;
        let footer = &sealed.footer;
        if let Some(date) = &mut self.date {
            assert!(footer.first_frame > date.covered, "I1: no frame is sealed twice");
            date.covered = footer.last_frame;
        }
        self.poison.sealed(footer.date, footer.last_frame);
        Progress::add(
            &self.progress.frames_sealed,
            footer.last_frame + 1 - footer.first_frame,
        );
        Progress::add(&self.progress.rows_sealed, footer.rows);
        Progress::add(&self.progress.quarantined_sealed, footer.quarantined);
        Progress::add(&self.progress.files_sealed, 1);
        Progress::add(&self.progress.bytes_sealed, sealed.bytes);
        self.progress.sealed(SealedFile {
            date: footer.date,
            name: sealed.name,
            rows: footer.rows,
            quarantined: footer.quarantined,
            bytes: sealed.bytes,
            at: Moment::now(),
        });
        info!(market = %self.market, file = %sealed.name, reason = reason.as_str(), rows = footer.rows,
            quarantined = footer.quarantined, bytes = sealed.bytes, "sealed");
        self.tell();
        self.remove_exported()
    }

    fn segment_end(&mut self, name: SegmentName) -> Result<(), StoreError> {
        let last_frame = self
            .last_frame_read
            .take()
            .unwrap_or(name.first_frame.saturating_sub(1));
        self.save_ledger()?;
        self.behind.push_back((name, last_frame));
        self.remove_exported()
    }

    /// An old file that cannot be removed takes space, and is no reason to stop exporting.
    fn expire_archive(&self) {
        let today = Moment::now().date();
        if let Err(error) = archive::expire(&self.data, &self.market, today, self.config.keep_days) {
            error!(market = %self.market, %error, "the archive keeps more than keep_days");
        }
    }

    /// Removes segments behind this one, once sealed files cover all of them; with `keep_days` they go to the archive
    /// first. The newest segment is never behind: it keeps the numbers that the next run goes on from.
    fn remove_exported(&mut self) -> Result<(), StoreError> {
        while let Some((name, last_frame)) = self.behind.front().copied() {
            let covered = match &self.date {
                Some(current) if current.date == name.date => current.covered,
                _ => self.covered(name.date)?,
            };
            if covered < last_frame && !sabotage::is(Defect::DeleteEarly) {
                break;
            }
            let path = self.data.journal(&self.market).join(name.to_string());
            let archives = self.config.keep_days > 0;
            // One that somebody has removed can be archived no more, and must not keep the others from it.
            if archives && !path.try_exists().unwrap_or(true) {
                warn!(market = %self.market, segment = %name, "the journal segment is gone: it is exported, and not archived");
            } else if archives && let Err(error) = archive::keep(&self.data, &self.market, name) {
                error!(market = %self.market, segment = %name, %error,
                    "the segment is not archived; it stays in the journal, and is tried again after the next seal");
                break;
            }
            let (disk, dir) = (self.data.disk(), self.data.journal(&self.market));
            disk.remove_left_over(&path)?;
            disk.sync_dir(&dir)?;
            self.behind.pop_front();
        }
        Ok(())
    }
}

fn ledger_path(market: &Market, date: NaiveDate) -> SealedPath {
    SealedPath {
        date,
        market: market.clone(),
        name: SealedName::coverage(date),
    }
}

impl ExportDate {
    /// Whether the ledger has intervals that its file does not have.
    fn has_changed(&self) -> bool {
        self.ledger.closed_len() != self.saved_intervals
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

/// The longest wait for the writer: only a bound, since the writer wakes its followers.
const IDLE_WAIT: Duration = Duration::from_secs(1);
