//! Appending to the journal. One writer a market; it alone gives out the numbers of frames, sessions and segments.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::NaiveDate;
use rustix::fs::{FallocateFlags, fallocate};

use super::event::Event;
use super::follow::list_segments;
use super::record::{
    FRAME_BYTES_MAX, RecordHead, RecordKind, SEGMENT_HEADER_BYTES, SegmentHeader, record_bytes,
};
use super::recover::{self, Last};
use super::tail::{Position, Tail};
use crate::durable;
use crate::error::{StoreError, at};
use crate::layout::{DataDir, Market, SegmentName};
use crate::moment::Moment;
use crate::progress::Progress;

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// How long written frames gather before they are synced.
    pub sync_interval: Duration,
    /// A segment's size, bytes.
    pub segment_bytes: u64,
}

/// Something to be journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<B> {
    /// When it was received, or happened.
    pub at: Moment,
    /// What it is.
    pub what: What<B>,
}

/// A frame or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<B> {
    /// A message as received.
    Frame(B),
    /// Something that happened to the connection, or was asked for.
    Event(Event),
}

/// The journal of one market, open for appending.
#[derive(Debug)]
pub struct Writer {
    data: DataDir,
    market: Market,
    config: JournalConfig,
    progress: Arc<Progress>,
    tail: Arc<Tail>,
    sync_thread: Option<JoinHandle<()>>,
    segment: Option<Active>,
    last_number: u32,
    date: Option<NaiveDate>,
    last: Last,
    connected: bool,
    buffer: Vec<u8>,
    failure: Option<String>,
}

#[derive(Debug)]
struct Active {
    name: SegmentName,
    file: Arc<File>,
    salt: u64,
    /// Where the next write goes.
    end: u64,
}

impl Writer {
    /// Opens a market's journal: sets aside what a crash has torn, and starts the sync thread. Nothing is written
    /// before the first entry.
    ///
    /// # Errors
    /// [`StoreError`], when the directory or what is in it cannot be used.
    pub fn open(
        data: &DataDir,
        market: &Market,
        config: JournalConfig,
        progress: Arc<Progress>,
    ) -> Result<Self, StoreError> {
        let dir = data.journal(market);
        durable::create_dir(&dir)?;
        let newest = list_segments(&dir)?.last().copied();
        if let Some(name) = newest {
            recover::end_last_segment(&dir, name)?;
        }
        let tail = Arc::new(Tail::default());
        Spare::remove_left_over(&dir)?;
        tail.lock().spare = Spare::create(&dir, config.segment_bytes).ok();
        let sync_thread = std::thread::Builder::new()
            .name(format!("sync-{market}"))
            .spawn({
                let (tail, dir) = (Arc::clone(&tail), dir.clone());
                move || tail.sync_until_closed(&dir, config.sync_interval, config.segment_bytes)
            })
            .map_err(at("starting the sync thread of", &dir))?;
        Ok(Self {
            data: data.clone(),
            market: market.clone(),
            config,
            progress,
            tail,
            sync_thread: Some(sync_thread),
            segment: None,
            last_number: newest.map_or(0, |name| name.number),
            date: None,
            last: Last::default(),
            connected: false,
            buffer: Vec::new(),
            failure: None,
        })
    }

    /// What followers wait on.
    #[must_use]
    pub fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// Writes `entries` with one `write` (more where they are large, or a segment or a date ends between them). When this returns, they
    /// are received: only a power cut within the next sync interval can lose them.
    ///
    /// # Errors
    /// [`StoreError`], when the disk refuses. The journal is then poisoned: what the disk holds is not known, so
    /// nothing more is written to it.
    pub fn append<B: AsRef<[u8]>>(&mut self, entries: &[Entry<B>]) -> Result<(), StoreError> {
        if let Some(first) = self.failure.clone().or_else(|| self.tail.failure()) {
            return Err(StoreError::Poisoned {
                market: self.market.to_string(),
                first,
            });
        }
        let result = self.append_all(entries);
        if let Err(error) = &result {
            self.failure = Some(error.to_string());
        }
        result
    }

    fn append_all<B: AsRef<[u8]>>(&mut self, entries: &[Entry<B>]) -> Result<(), StoreError> {
        for entry in entries {
            self.enter_date(entry.at)?;
            match &entry.what {
                What::Frame(payload) => {
                    self.last.frame += 1;
                    self.push(RecordKind::Frame, entry.at, payload.as_ref())?;
                    self.progress.last_frame_journaled.store(self.last.frame, Relaxed);
                    Progress::add(&self.progress.frames_journaled, 1);
                    Progress::add(&self.progress.bytes_journaled, payload.as_ref().len() as u64);
                }
                What::Event(event) => {
                    match event {
                        Event::Connected { .. } => {
                            self.last.session += 1;
                            self.connected = true;
                        }
                        Event::Disconnected { .. } | Event::Stop => self.connected = false,
                        _ => {}
                    }
                    self.push_event(entry.at, event)?;
                }
            }
        }
        self.write_buffer()
    }

    /// The date's numbers begin anew when Korea's date has changed. The clock may be set back: the date never is.
    fn enter_date(&mut self, now: Moment) -> Result<(), StoreError> {
        let date = now.date();
        if self.date.is_some_and(|current| date <= current) {
            return Ok(());
        }
        self.write_buffer()?;
        self.segment = None;
        self.last = recover::last_of_date(&self.data, &self.market, date)?;
        let continues = self.date.is_some() && self.connected;
        self.date = Some(date);
        if continues {
            self.last.session += 1;
            self.push_event(now, &Event::Continued)?;
        }
        Ok(())
    }

    fn push_event(&mut self, at: Moment, event: &Event) -> Result<(), StoreError> {
        let json = serde_json::to_vec(event).expect("events are plain data");
        self.push(RecordKind::Event, at, &json)
    }

    fn push(&mut self, kind: RecordKind, at: Moment, payload: &[u8]) -> Result<(), StoreError> {
        assert!(
            payload.len() <= FRAME_BYTES_MAX,
            "the message limit is below the record limit"
        );
        let bytes = record_bytes(payload.len()) as u64;
        let end = self
            .segment
            .as_ref()
            .map(|active| active.end + self.buffer.len() as u64);
        let fits = end.is_some_and(|end| end + bytes <= self.config.segment_bytes.max(bytes + HEADER));
        if !fits {
            self.write_buffer()?;
            self.start_segment(kind)?;
        }
        let salt = self.segment.as_ref().expect("a segment was started").salt;
        let head = RecordHead {
            kind,
            session: self.last.session,
            frame: self.last.frame,
            at,
            len: payload.len(),
        };
        head.encode(salt, payload, &mut self.buffer);
        if self.buffer.len() >= WRITE_BYTES_MAX {
            self.write_buffer()?;
        }
        Ok(())
    }

    fn start_segment(&mut self, kind: RecordKind) -> Result<(), StoreError> {
        // The frame that is about to be pushed has its number already.
        let first_frame = self.last.frame + u64::from(kind == RecordKind::Event);
        let date = self.date.expect("a date was entered");
        let name = SegmentName {
            number: self.last_number + 1,
            date,
            first_frame,
        };
        let dir = self.data.journal(&self.market);
        let path = dir.join(name.to_string());
        let spare = {
            let mut state = self.tail.lock();
            // Followers must know the segment for one of this run before they can find its file.
            state.first.get_or_insert(name);
            state.spare.take()
        };
        let Spare {
            file,
            path: spare_path,
        } = match spare {
            Some(spare) => spare,
            None => Spare::create(&dir, self.config.segment_bytes)?,
        };
        let salt = random_salt(&path)?;
        let header = SegmentHeader {
            name,
            market: self.market.clone(),
            salt,
        };
        file.write_all_at(&header.to_bytes(), 0)
            .map_err(at("writing the journal segment", &path))?;
        // The header is there before the name: no reader ever sees a segment without one.
        fs::rename(&spare_path, &path).map_err(at("naming the journal segment", &path))?;
        let file = Arc::new(file);
        self.tail.lock().unsynced.push((name, Arc::clone(&file)));
        self.last_number = name.number;
        self.segment = Some(Active {
            name,
            file,
            salt,
            end: HEADER,
        });
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<(), StoreError> {
        let Some(active) = &mut self.segment else {
            return Ok(());
        };
        if self.buffer.is_empty() {
            return Ok(());
        }
        let path = || self.data.journal(&self.market).join(active.name.to_string());
        active
            .file
            .write_all_at(&self.buffer, active.end)
            .map_err(|error| at("writing the journal segment", &path())(error))?;
        active.end += self.buffer.len() as u64;
        self.buffer.clear();
        self.tail.lock().written = Some(Position {
            segment: active.name,
            offset: active.end,
        });
        self.tail.notify_dirty();
        Ok(())
    }

    /// Syncs all that was written, ends the segment where its last record ends, and lets go of the spare.
    ///
    /// # Errors
    /// [`StoreError`], when the last sync failed.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.stop_sync_thread();
        if let Some(first) = self.failure.clone().or_else(|| self.tail.failure()) {
            return Err(StoreError::Poisoned {
                market: self.market.to_string(),
                first,
            });
        }
        let dir = self.data.journal(&self.market);
        Spare::remove_left_over(&dir)?;
        if let Some(active) = &self.segment {
            let path = dir.join(active.name.to_string());
            active
                .file
                .set_len(active.end)
                .and_then(|()| active.file.sync_all())
                .map_err(at("ending the journal segment", &path))?;
        }
        Ok(())
    }

    fn stop_sync_thread(&mut self) {
        self.tail.close();
        if let Some(thread) = self.sync_thread.take()
            && thread.join().is_err()
        {
            self.failure = Some("the sync thread panicked".to_owned());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop_sync_thread();
    }
}

/// Entries are gathered into writes of about this many bytes: enough that a write costs nothing, and little memory.
const WRITE_BYTES_MAX: usize = 1 << 20;

const HEADER: u64 = SEGMENT_HEADER_BYTES as u64;

/// The next segment's file, made ahead of time with all its blocks, under a name that no reader takes for a segment.
#[derive(Debug)]
pub(super) struct Spare {
    file: File,
    path: PathBuf,
}

impl Spare {
    const PREFIX: &str = "spare-";

    /// Each spare has a name of its own, so that the writer and its sync thread may make one at the same time.
    pub(super) fn create(dir: &Path, segment_bytes: u64) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let path = dir.join(format!("{}{}", Self::PREFIX, NEXT.fetch_add(1, Relaxed)));
        let file = File::create_new(&path).map_err(at("creating the spare segment", &path))?;
        match fallocate(&file, FallocateFlags::empty(), 0, segment_bytes) {
            // Some filesystems cannot preallocate; the segment then grows as it is written.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(Self { file, path }),
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(at("preallocating the spare segment", &path)(error.into()))
            }
        }
    }

    fn remove_left_over(dir: &Path) -> Result<(), StoreError> {
        for entry in fs::read_dir(dir).map_err(at("listing", dir))? {
            let entry = entry.map_err(at("listing", dir))?;
            if entry.file_name().to_string_lossy().starts_with(Self::PREFIX) {
                fs::remove_file(entry.path()).map_err(at("removing the spare segment", &entry.path()))?;
            }
        }
        Ok(())
    }
}

fn random_salt(path: &Path) -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| at("drawing a salt for", path)(error.into()))?;
    Ok(u64::from_le_bytes(bytes))
}
