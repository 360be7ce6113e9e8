//! Appending to the journal. One writer per feed; it alone assigns the numbers of frames, sessions and segments.
//!
//! What was written stays in memory until it is known to be on disk. `renew` handles a disk that refuses.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use chrono::NaiveDate;
use tracing::warn;

use super::config::JournalConfig;
use super::counters::Counters;
use super::files::{self, Files};
use super::position::Position;
use super::record::{FRAME_BYTES_MAX, RecordHead, RecordKind, SEGMENT_HEADER_BYTES, record_bytes};
use super::recover::{self, Committed, Last};
use super::spare::Spare;
use super::sync;
use super::tail::Tail;
use crate::catalog;
use crate::error::{StoreError, at};
use crate::event::{Event, InForce};
use crate::feed_name::FeedName;
use crate::layout::{DataDir, SegmentName};
use crate::moment::Moment;
use crate::service::{FULL_MARKET, Service};

/// The rules of a date, journaled as [`Event::Date`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateRules {
    /// When data is expected, from and to; `None` on a day without trading.
    pub expected: Option<(Moment, Moment)>,
    /// The length of a time partition, µs.
    pub rotate_us: i64,
    /// The number of rows that ends a segment of the datasets.
    pub rows_max: u64,
}

/// Returns the rules of a date.
pub type RulesOf = Box<dyn Fn(NaiveDate) -> DateRules + Send>;

/// Returns what committed files know about a date: the writer continues after it.
pub type CommittedOf = Box<dyn Fn(NaiveDate) -> Result<Committed, StoreError> + Send>;

/// Something to be journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<B> {
    /// When it was received or happened.
    pub at: Moment,
    /// What it is.
    pub what: What<B>,
}

/// A frame or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<B> {
    /// A message as received.
    Frame(B),
    /// Something that happened to the connection, or a request.
    Event(Event),
}

/// The journal of one feed, open for appending.
pub struct Writer {
    pub(super) data: DataDir,
    pub(super) feed: FeedName,
    pub(super) files: Files,
    pub(super) config: JournalConfig,
    pub(super) rules_of: Option<RulesOf>,
    pub(super) committed_of: CommittedOf,
    /// Named at the beginning of each file, unless it is the full-market one.
    pub(super) service: Option<&'static Service>,
    /// After the records pushed so far.
    pub(super) in_force: Arc<InForce>,
    /// Before those that are not written yet.
    pub(super) in_force_before: Arc<InForce>,
    pub(super) counters: Arc<Counters>,
    pub(super) tail: Arc<Tail>,
    pub(super) sync_thread: Option<JoinHandle<()>>,
    pub(super) segment: Option<Active>,
    pub(super) last_number: u32,
    pub(super) date: Option<NaiveDate>,
    pub(super) last: Last,
    pub(super) connected: bool,
    /// Records of the active segment that are not written yet.
    pub(super) buffer: Vec<u8>,
    /// Written, but not known to be on disk.
    pub(super) unsynced: VecDeque<Written>,
    pub(super) unsynced_bytes: usize,
    /// Writing, or creating a segment, has failed.
    pub(super) failed: bool,
    /// How many entries of an `append` that failed were accepted.
    pub(super) taken: usize,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) name: SegmentName,
    pub(super) file: Arc<File>,
    pub(super) salt: u64,
    /// Where the next write goes.
    pub(super) end: u64,
    /// Where the segment should end.
    pub(super) limit: u64,
}

/// What one write holds.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) end: Position,
    pub(super) records: Vec<u8>,
    /// What was in force before them.
    pub(super) in_force: Arc<InForce>,
}

impl Writer {
    /// Opens a feed's journal: sets aside what a crash tore off, and starts the sync thread. Nothing is written before
    /// the first entry.
    ///
    /// # Errors
    /// [`StoreError`], when the directory or something in it cannot be used.
    pub fn open(
        data: &DataDir,
        feed: &FeedName,
        config: JournalConfig,
        committed_of: CommittedOf,
        counters: Arc<Counters>,
    ) -> Result<Self, StoreError> {
        let data = &data.held()?;
        let files = Files::of(data, feed);
        let (dir, disk) = (data.journal(feed), data.disk().clone());
        data.create_dir(&dir)?;
        disk.sync_dir(&dir)?;
        let names = catalog::segments(&dir)?;
        recover::settle(&disk, &dir, &names)?;
        let archived = catalog::archived(data, feed)?;
        let tail = Arc::new(Tail::default());
        Spare::remove_left_over(&disk, &dir)?;
        tail.lock().spare = Spare::create(&disk, &dir, config.segment_bytes).ok();
        let sync_thread = std::thread::Builder::new()
            .name(format!("sync-{feed}"))
            .spawn({
                let (tail, files, counters) = (Arc::clone(&tail), files.clone(), Arc::clone(&counters));
                move || {
                    let number = rustix::thread::gettid().as_raw_nonzero().get();
                    counters.sync_thread.store(number, Relaxed);
                    sync::sync_until_closed(&tail, &files, config, &counters.syncs);
                }
            })
            .map_err(at("starting the sync thread of", &dir))?;
        Ok(Self {
            data: data.clone(),
            feed: feed.clone(),
            files,
            config,
            rules_of: None,
            committed_of,
            service: None,
            in_force: Arc::default(),
            in_force_before: Arc::default(),
            counters,
            tail,
            sync_thread: Some(sync_thread),
            segment: None,
            last_number: names
                .last()
                .into_iter()
                .chain(archived.last())
                .map(|name| name.number)
                .max()
                .unwrap_or(0),
            date: None,
            last: Last::default(),
            connected: false,
            buffer: Vec::new(),
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            failed: false,
            taken: 0,
        })
    }

    /// Journals the rules of each date before anything else on it.
    #[must_use]
    pub fn with_rules(mut self, rules_of: RulesOf) -> Self {
        self.rules_of = Some(rules_of);
        self
    }

    /// Journals a feed of this service. A journal of the full-market service does not name it.
    #[must_use]
    pub fn of_service(mut self, service: &'static Service) -> Self {
        self.service = Some(service).filter(|service| **service != FULL_MARKET);
        self
    }

    /// Bytes of records that are not known to be on disk, all of which are in memory.
    #[must_use]
    pub fn unsynced_bytes(&mut self) -> usize {
        let synced = self.tail.synced();
        drop(self.forget_synced(synced));
        self.unsynced_bytes + self.buffer.len()
    }

    /// What followers wait on.
    #[must_use]
    pub fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// Writes `entries` with one `write` (or more, if they are large, or a segment or a date ends between them). Once
    /// this returns they count as received: only a power cut within the next sync interval can lose them.
    ///
    /// # Errors
    /// [`StoreError`], when the disk refuses. The call must then be repeated with the same entries, as often as it
    /// takes: entries already accepted are not accepted twice, and nothing is lost meanwhile.
    pub fn append<B: AsRef<[u8]>>(&mut self, entries: &[Entry<B>]) -> Result<(), StoreError> {
        let result = self.append_all(entries);
        self.failed |= result.is_err();
        result
    }

    fn append_all<B: AsRef<[u8]>>(&mut self, entries: &[Entry<B>]) -> Result<(), StoreError> {
        self.renew_if_failed()?;
        while let Some(entry) = entries.get(self.taken) {
            self.take(entry)?;
            self.taken += 1;
        }
        self.write_buffer()?;
        self.taken = 0;
        Ok(())
    }

    /// Either accepts an entry completely, or fails and has accepted nothing.
    fn take<B: AsRef<[u8]>>(&mut self, entry: &Entry<B>) -> Result<(), StoreError> {
        self.enter_date(entry.at)?;
        match &entry.what {
            What::Frame(payload) => {
                let payload = payload.as_ref();
                self.make_room(payload.len(), entry.at)?;
                self.last.frame += 1;
                self.push(RecordKind::Frame, entry.at, payload);
                if let Some(date) = self.date {
                    self.counters.reached(date, self.last.frame);
                }
                Counters::add(&self.counters.frames, 1);
                Counters::add(&self.counters.bytes, payload.len() as u64);
            }
            What::Event(event) => {
                let json = to_json(event);
                self.make_room(json.len(), entry.at)?;
                match event {
                    Event::Connected { .. } => {
                        self.last.session += 1;
                        self.connected = true;
                    }
                    Event::Disconnected { .. } | Event::Stop => self.connected = false,
                    _ => {}
                }
                self.push(RecordKind::Event, entry.at, &json);
                if self.service.is_some() {
                    Arc::make_mut(&mut self.in_force).apply(event);
                }
            }
        }
        Ok(())
    }

    /// Moves on to the date in Korea at `now`, if that has changed.
    fn enter_date(&mut self, now: Moment) -> Result<(), StoreError> {
        let date = now.date();
        let leaving = match self.date {
            None => None,
            Some(current) if date > current => Some(Event::DateEnd),
            // A clock corrected by hours was on the wrong date: the day continues where it belongs. Setting it back by
            // a few seconds around midnight changes nothing.
            Some(current) if now.0 < Moment::midnight(current).0 - BACK_MIN_US => Some(Event::DateLeft),
            Some(_) => return Ok(()),
        };
        let last = recover::last_of_date(&self.data, &self.feed, date, (self.committed_of)(date)?)?;
        // A directory that is missing has no frames, and its numbers would be assigned twice.
        self.data.must_be_in_place()?;
        self.last_number = self.last_number.max(last.segment);
        let continues = leaving.is_some();
        if let Some(leaving) = leaving.filter(|_| self.rules_of.is_some()) {
            let at = match leaving {
                Event::DateEnd => now.min(Moment::midnight(date)),
                _ => now,
            };
            let json = to_json(&leaving);
            self.make_room(json.len(), at)?;
            self.push(RecordKind::Event, at, &json);
        }
        self.write_buffer()?;
        self.segment = None;
        self.counters.reached(date, last.frame);
        self.last = last;
        self.date = Some(date);
        // From here on nothing can fail half-way: the records wait in a buffer until there is a segment for them.
        let mut first = Vec::new();
        if let Some(rules_of) = &self.rules_of {
            let rules = rules_of(date);
            first.push(Event::Date {
                expected: rules.expected.map(|(from, to)| (from.0, to.0)),
                rotate_us: rules.rotate_us,
                rows_max: rules.rows_max,
                continues,
            });
        }
        if continues && self.connected {
            self.last.session += 1;
            first.push(Event::Continued);
        }
        for event in first {
            self.push(RecordKind::Event, now, &to_json(&event));
        }
        Ok(())
    }

    /// Makes sure that a record of this size can be pushed: writes the buffer, and begins the next segment if the
    /// active one is full.
    fn make_room(&mut self, payload_len: usize, at: Moment) -> Result<(), StoreError> {
        assert!(
            payload_len <= FRAME_BYTES_MAX,
            "the message limit is below the record limit"
        );
        if self.buffer.len() >= WRITE_BYTES_MAX {
            self.write_buffer()?;
        }
        let bytes = record_bytes(payload_len) as u64;
        let fits = self.segment.as_ref().is_some_and(|active| {
            let end = active.end + self.buffer.len() as u64;
            end + bytes <= active.limit.max(bytes + HEADER)
        });
        if fits {
            return Ok(());
        }
        if self.segment.is_some() {
            self.write_buffer()?;
        }
        self.start_segment(bytes, at)
    }

    /// Encodes a record after those that are not written yet.
    fn push(&mut self, kind: RecordKind, at: Moment, payload: &[u8]) {
        let head = RecordHead {
            kind,
            session: self.last.session,
            frame: self.last.frame,
            at,
            len: payload.len(),
        };
        // Records at a date's beginning wait for its first segment, whose salt is drawn when it is created.
        let salt = self.segment.as_ref().map_or(0, |active| active.salt);
        head.encode(salt, payload, &mut self.buffer);
    }

    fn write_buffer(&mut self) -> Result<(), StoreError> {
        let Some(active) = &mut self.segment else {
            return Ok(());
        };
        if self.buffer.is_empty() {
            return Ok(());
        }
        let path = self.data.journal(&self.feed).join(active.name.to_string());
        self.data
            .disk()
            .write_at(&active.file, &path, &self.buffer, active.end)?;
        active.end += self.buffer.len() as u64;
        let end = Position {
            segment: active.name,
            offset: active.end,
        };
        let synced = self.tail.has_written(end);
        let mut free = self.forget_synced(synced);
        free.clear();
        let records = std::mem::replace(&mut self.buffer, free);
        self.unsynced_bytes += records.len();
        let in_force = std::mem::replace(&mut self.in_force_before, Arc::clone(&self.in_force));
        self.unsynced.push_back(Written {
            end,
            records,
            in_force,
        });
        self.wait_while_too_much_is_unsynced()
    }

    /// Forgets what is on disk, keeping one buffer for reuse.
    pub(super) fn forget_synced(&mut self, synced: Option<Position>) -> Vec<u8> {
        let mut free = Vec::new();
        while let Some(first) = self.unsynced.front()
            && synced.is_some_and(|synced| first.end <= synced)
            && let Some(first) = self.unsynced.pop_front()
        {
            self.unsynced_bytes -= first.records.len();
            free = first.records;
        }
        free
    }

    /// A disk that hangs must not fill the memory (I5): beyond this limit the queue before the journal fills instead.
    fn wait_while_too_much_is_unsynced(&mut self) -> Result<(), StoreError> {
        while self.unsynced_bytes > UNSYNCED_BYTES_MAX {
            let synced = self.tail.synced();
            drop(self.forget_synced(synced));
            if self.unsynced_bytes <= UNSYNCED_BYTES_MAX {
                break;
            }
            if self.tail.failure().is_some() {
                return self.renew_if_failed();
            }
            self.tail.wait_for_sync(synced);
        }
        Ok(())
    }

    /// Syncs everything written, and ends the segment after its last record.
    ///
    /// # Errors
    /// [`StoreError`], when the disk refuses; the call may then be repeated.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        self.renew_if_failed()?;
        let written = self.write_buffer();
        self.failed |= written.is_err();
        written?;
        while !self.unsynced.is_empty() {
            let synced = self.tail.synced();
            drop(self.forget_synced(synced));
            if self.unsynced.is_empty() {
                break;
            }
            self.tail.wait_for_sync(synced);
            self.renew_if_failed()?;
        }
        self.look_a_last_time()?;
        if let Some(active) = self.segment.take() {
            let path = self.data.journal(&self.feed).join(active.name.to_string());
            // All of it is on disk: if its end cannot be set, the next start will do so.
            if let Err(error) = self.data.disk().truncate(&active.file, &path, active.end) {
                warn!(feed = %self.feed, %error, "the journal segment's unused end cannot be cut off");
            }
        }
        Ok(())
    }

    /// Restores what was removed since the last check, or it would be gone when the file is closed.
    fn look_a_last_time(&mut self) -> Result<(), StoreError> {
        let is_linked = |active: &Active| files::is_linked(&active.file);
        match self.tail.look_after(&self.files) {
            // Wherever the data directory is now, the journal is in it.
            Err(StoreError::Moved { .. }) if self.segment.as_ref().is_none_or(is_linked) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => self.renew_if_failed(),
        }
    }

    /// [`Writer::finish`], and tells followers that nothing more will come.
    ///
    /// # Errors
    /// [`StoreError`], when the disk refuses.
    pub fn close(mut self) -> Result<(), StoreError> {
        let finished = self.finish();
        self.end_sync_thread();
        if let Err(error) = Spare::remove_left_over(self.data.disk(), &self.data.journal(&self.feed)) {
            warn!(feed = %self.feed, %error, "the spare journal segment is left behind");
        }
        finished
    }

    fn end_sync_thread(&mut self) {
        self.tail.close();
        if let Some(thread) = self.sync_thread.take() {
            // It cannot panic, and its work is done.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end_sync_thread();
    }
}

/// Entries are gathered into writes of about this many bytes: enough that a write costs nothing, using little memory.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// How much may be written but not known to be on disk. At the design load, a disk that hangs for a minute stays below
/// it.
const UNSYNCED_BYTES_MAX: usize = 64 << 20;

/// If the clock is set back to more than this before the date's midnight, the journal returns to the earlier date.
const BACK_MIN_US: i64 = 60_000_000;

pub(super) const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;

pub(super) fn to_json(event: &Event) -> Vec<u8> {
    serde_json::to_vec(event).expect("events are plain data")
}
