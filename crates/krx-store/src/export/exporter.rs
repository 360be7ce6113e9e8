//! The exporter of one market: follows the journal, and seals what it finds there.

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chrono::NaiveDate;
use krx_protocol::Decoder;
use tracing::{error, info};

use super::cut::{Limits, SealReason};
use super::last_sealed;
use super::segment::OpenSegment;
use crate::error::{StoreError, at};
use crate::journal::{Event, Followed, Follower, RecordHead, RecordKind, Tail, list_segments};
use crate::layout::{DataDir, Market, SegmentName};
use crate::moment::Moment;
use crate::progress::Progress;
use crate::{archive, checksums, durable};

/// How a market is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportConfig {
    /// A time partition's length.
    pub rotate_interval: Duration,
    /// The rows with which a segment ends.
    pub rows_max: u64,
    /// Days for which journal segments are kept in the archive after they are exported.
    pub keep_days: u32,
}

/// Exports one market's journal.
pub struct Exporter {
    data: DataDir,
    market: Market,
    limits: Limits,
    keep_days: u32,
    tail: Option<Arc<Tail>>,
    progress: Arc<Progress>,
    follower: Follower,
    decoder: Decoder,
    date: Option<ExportDate>,
    segment: Option<OpenSegment>,
    /// Segments read to their end, with the last frame that they have.
    behind: VecDeque<(SegmentName, u64)>,
    /// Of the segment being read; `None` when it has no record yet.
    last_frame_read: Option<u64>,
}

/// How far a date is exported.
#[derive(Clone, Copy, Debug)]
struct ExportDate {
    date: NaiveDate,
    covered: u64,
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
            limits: Limits {
                interval_us: i64::try_from(config.rotate_interval.as_micros()).unwrap_or(i64::MAX),
                rows_max: config.rows_max,
            },
            keep_days: config.keep_days,
            tail,
            progress,
            decoder: Decoder::new(),
            date: None,
            segment: None,
            behind: VecDeque::new(),
            last_frame_read: None,
        }
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
                Followed::Damage(name, span) => {
                    Progress::add(&self.progress.journal_damage, 1);
                    error!(market = %self.market, segment = %name, from = span.start, to = span.end,
                        "journal is damaged; the frames in this stretch are lost, what follows is exported");
                    self.seal(SealReason::Damage)?;
                }
                Followed::CaughtUp => {
                    let Some(tail) = &self.tail else { return Ok(()) };
                    // What was synced while the last records were read is looked at before the end is believed.
                    match tail.wait(seen, IDLE_WAIT) {
                        Some(synced) => seen = synced,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Segments that sealed files cover whole, as their names tell, are not read again.
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
        for pair in names.windows(2) {
            let (name, next) = (pair[0], pair[1]);
            let covered = last_sealed(&self.data, &self.market, name.date)?.frame;
            if name.date != next.date || next.first_frame > covered + 1 {
                break;
            }
            self.follower.skip_to_after(name);
            self.behind.push_back((name, next.first_frame.saturating_sub(1)));
        }
        self.remove_exported()
    }

    fn record(&mut self, name: SegmentName, head: RecordHead) -> Result<(), StoreError> {
        let covered = self.enter_date(name.date)?;
        self.last_frame_read = Some(head.frame);
        match head.kind {
            RecordKind::Frame if head.frame <= covered => Ok(()),
            RecordKind::Frame => self.frame(name.date, head),
            RecordKind::Event => self.event(head),
        }
    }

    fn frame(&mut self, date: NaiveDate, head: RecordHead) -> Result<(), StoreError> {
        if let Some(reason) = self
            .segment
            .as_ref()
            .and_then(|segment| self.limits.before(segment.partition(), head.at))
        {
            self.seal(reason)?;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            None => {
                // The clock may have been set back across midnight: a file's name never leaves its date.
                let start = head.at.max(Moment(crate::moment::midnight_ms(date) * 1000));
                let partition = start.partition(self.limits.interval_us);
                let rows_max = self.limits.rows_max;
                let segment = OpenSegment::begin(&self.data, &self.market, date, partition, rows_max, &head)?;
                self.segment.insert(segment)
            }
        };
        let payload = self.follower.payload();
        segment.add(&mut self.decoder, &head, payload, &self.progress)?;
        self.progress.last_frame_exported.store(head.frame, Relaxed);
        match self.limits.after(segment.rows()) {
            Some(reason) => self.seal(reason),
            None => Ok(()),
        }
    }

    fn event(&mut self, head: RecordHead) -> Result<(), StoreError> {
        // An event of a later version may still end nothing that this version knows of.
        let Ok(event) = serde_json::from_slice::<Event>(self.follower.payload()) else {
            return Ok(());
        };
        let reason = self
            .segment
            .as_ref()
            .and_then(|segment| self.limits.at_event(segment.partition(), head.at, &event));
        match reason {
            Some(reason) => self.seal(reason),
            None => Ok(()),
        }
    }

    /// Goes on to a record's date; the last frame of it that is sealed.
    fn enter_date(&mut self, date: NaiveDate) -> Result<u64, StoreError> {
        if let Some(current) = self.date
            && current.date == date
        {
            return Ok(current.covered);
        }
        self.seal(SealReason::Day)?;
        self.expire_archive();
        let covered = last_sealed(&self.data, &self.market, date)?.frame;
        self.date = Some(ExportDate { date, covered });
        Ok(covered)
    }

    fn seal(&mut self, reason: SealReason) -> Result<(), StoreError> {
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let sealed = segment.seal()?;
        let footer = &sealed.footer;
        if let Some(date) = &mut self.date {
            assert!(footer.first_frame > date.covered, "I1: no frame is sealed twice");
            date.covered = footer.last_frame;
        }
        Progress::add(
            &self.progress.frames_sealed,
            footer.last_frame + 1 - footer.first_frame,
        );
        Progress::add(&self.progress.rows_sealed, footer.rows);
        Progress::add(&self.progress.quarantined_sealed, footer.quarantined);
        Progress::add(&self.progress.files_sealed, 1);
        Progress::add(&self.progress.bytes_sealed, sealed.bytes);
        info!(market = %self.market, file = %sealed.name, reason = reason.as_str(), rows = footer.rows,
            quarantined = footer.quarantined, bytes = sealed.bytes, "sealed");
        self.remove_exported()
    }

    fn segment_end(&mut self, name: SegmentName) -> Result<(), StoreError> {
        let last_frame = self
            .last_frame_read
            .take()
            .unwrap_or(name.first_frame.saturating_sub(1));
        self.behind.push_back((name, last_frame));
        self.remove_exported()
    }

    /// An old file that cannot be removed takes space, and is no reason to stop exporting.
    fn expire_archive(&self) {
        let today = Moment::now().date();
        if let Err(error) = archive::expire(&self.data, &self.market, today, self.keep_days) {
            error!(market = %self.market, %error, "the archive keeps more than keep_days");
        }
    }

    /// Removes segments behind this one, once sealed files cover all of them; with `keep_days` they go to the archive
    /// first. The newest segment is never behind: it keeps the numbers that the next run goes on from.
    fn remove_exported(&mut self) -> Result<(), StoreError> {
        while let Some((name, last_frame)) = self.behind.front().copied() {
            let covered = match self.date {
                Some(current) if current.date == name.date => current.covered,
                _ => last_sealed(&self.data, &self.market, name.date)?.frame,
            };
            if covered < last_frame {
                break;
            }
            if self.keep_days > 0
                && let Err(error) = archive::keep(&self.data, &self.market, name)
            {
                error!(market = %self.market, segment = %name, %error,
                    "the segment is not archived; it stays in the journal, and is tried again after the next seal");
                break;
            }
            let dir = self.data.journal(&self.market);
            let path = dir.join(name.to_string());
            fs::remove_file(&path).map_err(at("removing the exported journal segment", &path))?;
            durable::sync_dir(&dir)?;
            self.behind.pop_front();
        }
        Ok(())
    }
}

/// The longest wait for the writer: only a bound, since the writer wakes its followers.
const IDLE_WAIT: Duration = Duration::from_secs(1);
