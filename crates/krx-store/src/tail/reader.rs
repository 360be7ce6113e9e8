//! Reads a journal from the last committed frame on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::RecordBatch;
use chrono::NaiveDate;
use krx_protocol::Reason;

use super::batch::TailBatch;
use crate::catalog;
use crate::coverage::damage_detail;
use crate::dataset::{BATCH_ROWS, Dataset, QUARANTINE};
use crate::decoding::Decoding;
use crate::error::StoreError;
use crate::event::Event;
use crate::export::QuarantineColumns;
use crate::feed_name::FeedName;
use crate::journal::{Followed, Follower, Position, RecordHead, RecordKind, Tail};
use crate::layout::{DataDir, SegmentName};
use crate::moment::Moment;
use crate::service::{FrameFacts, Rejects, Service};

/// How many frames are decoded before they are handed on, if they have few rows of the dataset.
const FRAMES_MAX: u64 = 1 << 16;

/// How many quarantined bytes are held before they are handed on.
const REJECTED_BYTES_MAX: usize = 1 << 20;

/// How far a journal may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// All of it: nobody is writing it, and what it has is what a stop or a crash has left.
    AtRest,
    /// Up to here, as the recorder that is writing it says; `None` before anything is synced.
    Until(Option<Position>),
}

/// What comes next in a tail.
#[derive(Clone, Debug)]
pub enum Tailed {
    /// Frames, and their rows.
    Rows(TailBatch),
    /// These frames of a date, the first and the last of them, are neither in the journal any more nor in the files
    /// that were listed: they have been committed meanwhile. What follows begins after them.
    Behind(NaiveDate, u64, u64),
    /// A part of the journal is damaged, in words: records may be missing between those before and those after it. After a
    /// crash it may be the last one, which was being written.
    Damaged(String),
    /// There is nothing more for now.
    CaughtUp,
}

/// The rows of a dataset in a feed's journal after its committed files.
pub struct TailReader {
    data: DataDir,
    feed: FeedName,
    dataset: Dataset,
    follower: Follower,
    /// How far it may be read, if a recorder is writing it.
    synced: Option<Arc<Tail>>,
    is_empty: bool,
    /// A journal at rest has been read to its end: what is added later, somebody else is writing.
    is_over: bool,
    decoding: Decoding,
    rejected: QuarantineColumns,
    /// The last frame of each date that was in files at the start, or that was handed on.
    after: BTreeMap<NaiveDate, u64>,
    /// Frames whose rows wait: their date, the first and the last of them, and when that was received.
    waiting: Option<(NaiveDate, u64, u64, Moment)>,
    /// Whether journal was damaged since the last frame: then frames may be missing.
    is_damaged: bool,
    /// What is missing before the frames that wait.
    behind: Option<(NaiveDate, u64, u64)>,
    /// The segment in which it was last seen that nothing is missing before it.
    caught_up_in: Option<SegmentName>,
}

impl TailReader {
    /// Begins after the frame of each date that is in `after`, and with the first frame of every other date. [`committed`]
    /// has what files have.
    ///
    /// # Errors
    /// [`StoreError`], when the journal cannot be listed.
    pub fn open(
        data: &DataDir,
        feed: &FeedName,
        dataset: Dataset,
        after: BTreeMap<NaiveDate, u64>,
        synced: Synced,
    ) -> Result<Self, StoreError> {
        let tail = match synced {
            Synced::AtRest => None,
            Synced::Until(position) => Some(Arc::new(Tail::known(position))),
        };
        let follower = follower(data, feed, &after, tail.clone())?;
        Ok(Self {
            data: data.clone(),
            feed: feed.clone(),
            dataset,
            follower,
            synced: tail,
            is_empty: synced == Synced::Until(None),
            is_over: false,
            decoding: Decoding::default(),
            rejected: QuarantineColumns::default(),
            after,
            waiting: None,
            is_damaged: false,
            behind: None,
            caught_up_in: None,
        })
    }

    /// More of the journal is synced.
    pub fn synced_until(&mut self, position: Option<Position>) {
        if let (Some(tail), Some(position)) = (&self.synced, position) {
            tail.advance(position);
            self.is_empty = false;
        }
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`StoreError`], when the journal cannot be read. If it was exported and removed in the meantime, a file is gone:
    /// open the tail again.
    pub fn advance(&mut self) -> Result<Tailed, StoreError> {
        if self.is_empty {
            return Ok(Tailed::CaughtUp);
        }
        if self.is_over {
            return self.caught_up();
        }
        loop {
            if let Some((date, first, last)) = self.behind.take() {
                return Ok(Tailed::Behind(date, first, last));
            }
            match self.follower.advance()? {
                Followed::Record(name, head) if head.kind == RecordKind::Frame => {
                    if let Some(out) = self.frame(name.date, head)? {
                        return Ok(out);
                    }
                }
                Followed::Record(..) => {
                    let Ok(event) = serde_json::from_slice::<Event>(self.follower.payload()) else {
                        continue;
                    };
                    // Another decoder knows nothing of the rows that wait.
                    let out = self.decoding.is_changed_by(&event).then(|| self.take());
                    self.decoding.event(&self.data, &self.feed, &event)?;
                    if let Some(rows) = out.flatten() {
                        return Ok(Tailed::Rows(rows));
                    }
                }
                Followed::Damage(name, span) => {
                    self.is_damaged = true;
                    return Ok(Tailed::Damaged(damage_detail(name, &span)));
                }
                Followed::SegmentEnd(_) => {}
                Followed::CaughtUp => {
                    // Here ends a journal at rest, whoever adds to it from now on.
                    self.is_over = self.synced.is_none();
                    return match self.take() {
                        Some(rows) => Ok(Tailed::Rows(rows)),
                        None => self.caught_up(),
                    };
                }
            }
        }
    }

    /// There is nothing more for now, unless something is missing.
    fn caught_up(&mut self) -> Result<Tailed, StoreError> {
        let behind = self.overtaken()?;
        Ok(behind.map_or(Tailed::CaughtUp, |(date, first, last)| {
            Tailed::Behind(date, first, last)
        }))
    }

    /// What is missing although no later frame shows it: the segments with these frames were removed, and nothing may be read
    /// yet of the one that follows.
    fn overtaken(&mut self) -> Result<Option<(NaiveDate, u64, u64)>, StoreError> {
        let segment = self.follower.position().map(|position| position.segment);
        let Some(segment) = segment.filter(|segment| self.caught_up_in != Some(*segment)) else {
            return Ok(None);
        };
        let earlier = self.after.range(..segment.date);
        let earlier: Vec<_> = earlier.map(|(date, after)| (*date, *after)).collect();
        for (date, after) in earlier {
            let last = last_committed(&self.data, &self.feed, self.dataset, date)?;
            if last > after {
                self.after.insert(date, last);
                return Ok(Some((date, after + 1, last)));
            }
        }
        let (date, last) = (segment.date, segment.first_frame.saturating_sub(1));
        let after = self.after.get(&date).copied().unwrap_or(0);
        // What was lost for good is in no file either.
        if last > after && last_committed(&self.data, &self.feed, self.dataset, date)? > after {
            self.after.insert(date, last);
            return Ok(Some((date, after + 1, last)));
        }
        self.caught_up_in = Some(segment);
        Ok(None)
    }

    /// The last frame of a date that was in files at the start, or that was handed on.
    #[must_use]
    pub fn reached(&self, date: NaiveDate) -> u64 {
        self.after.get(&date).copied().unwrap_or(0)
    }

    /// A frame of the journal. What waits is handed on before one that does not continue it.
    fn frame(&mut self, date: NaiveDate, head: RecordHead) -> Result<Option<Tailed>, StoreError> {
        let after = self.after.get(&date).copied().unwrap_or(0);
        if head.frame <= after {
            return Ok(None);
        }
        let is_damaged = std::mem::take(&mut self.is_damaged);
        let is_missing = head.frame > after.saturating_add(1) && !is_damaged;
        // What was lost for good is in no file either.
        if is_missing && last_committed(&self.data, &self.feed, self.dataset, date)? > after {
            self.behind = Some((date, after + 1, head.frame - 1));
        }
        let continues = self.waiting.is_none_or(|(of, ..)| of == date)
            && self.behind.is_none()
            && self
                .waiting
                .is_none_or(|(_, first, last, _)| last - first < FRAMES_MAX)
            && self.rows_waiting() < BATCH_ROWS;
        let out = if continues {
            None
        } else {
            self.take().map(Tailed::Rows)
        };
        self.decode(date, head);
        Ok(out)
    }

    fn decode(&mut self, date: NaiveDate, head: RecordHead) {
        let facts = FrameFacts::new(Moment::midnight(date), head.at, head.frame, head.session);
        let mut rejected = Rejected {
            columns: &mut self.rejected,
            facts,
        };
        self.decoding
            .decoder
            .decode(&facts, self.follower.payload(), &mut rejected);
        self.after.insert(date, head.frame);
        let first = self.waiting.map_or(head.frame, |(_, first, ..)| first);
        self.waiting = Some((date, first, head.frame, head.at));
        self.drop_others();
    }

    /// Rows of other datasets are not needed.
    fn drop_others(&mut self) {
        for (place, dataset) in self.decoding.service.datasets.iter().enumerate() {
            if *dataset != self.dataset && self.decoding.decoder.waiting(place) >= BATCH_ROWS {
                drop(self.decoding.decoder.take(place));
            }
        }
        if self.dataset != &QUARANTINE && self.rejected.rows() >= BATCH_ROWS {
            drop(self.rejected.take());
        }
    }

    fn place(&self) -> Option<usize> {
        let mut datasets = self.decoding.service.datasets.iter();
        datasets.position(|dataset| *dataset == self.dataset)
    }

    fn rows_waiting(&self) -> usize {
        if self.dataset == &QUARANTINE {
            // As many as fit: a row may be a whole message.
            return if self.rejected.raw_bytes() >= REJECTED_BYTES_MAX {
                BATCH_ROWS
            } else {
                self.rejected.rows()
            };
        }
        self.place()
            .map_or(0, |place| self.decoding.decoder.waiting(place))
    }

    /// The frames that wait, with their rows.
    fn take(&mut self) -> Option<TailBatch> {
        let (date, first_frame, last_frame, last_recv) = self.waiting.take()?;
        let rejected = self.rejected.take();
        let rows = match self.place() {
            _ if self.dataset == &QUARANTINE => rejected,
            Some(place) => self.decoding.decoder.take(place),
            // The feed is of a service without this dataset.
            None => RecordBatch::new_empty(self.dataset.schema()),
        };
        Some(TailBatch {
            date,
            first_frame,
            last_frame,
            last_recv,
            rows,
        })
    }
}

/// Takes what cannot be read as a record.
struct Rejected<'a> {
    columns: &'a mut QuarantineColumns,
    facts: FrameFacts,
}

impl Rejects for Rejected<'_> {
    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.columns.push(self.facts, item, reason, detail, raw);
    }
}

/// The last frame that a dataset's files of a feed have now: on each date that is in its journal, and today, on which a
/// recorder may be about to begin.
///
/// # Errors
/// [`StoreError`], when the journal or the files cannot be listed.
pub fn committed(
    data: &DataDir,
    feed: &FeedName,
    dataset: Dataset,
) -> Result<BTreeMap<NaiveDate, u64>, StoreError> {
    let segments = catalog::segments(&data.journal(feed))?;
    let mut dates: BTreeSet<NaiveDate> = segments.iter().map(|name| name.date).collect();
    dates.insert(Moment::now().date());
    dates
        .into_iter()
        .map(|date| Ok((date, last_committed(data, feed, dataset, date)?)))
        .collect()
}

/// The last frame of a date that a dataset's files of a feed have; 0 without any. The primary dataset's files speak for frames without
/// rows, too. The dataset's own may have got further: they are there before the commit is complete, and readers see them.
///
/// # Errors
/// [`StoreError`], when the files cannot be listed.
pub fn last_committed(
    data: &DataDir,
    feed: &FeedName,
    dataset: Dataset,
    date: NaiveDate,
) -> Result<u64, StoreError> {
    let primary = catalog::service_of(data, feed, date).map(Service::primary);
    let mut last = 0;
    for dataset in primary.into_iter().chain([dataset]) {
        let names = catalog::files(data, dataset, feed, date)?;
        last = names.last().map_or(last, |name| name.last_frame.max(last));
    }
    Ok(last)
}

/// Follows a feed's journal from the segment on that may have the first frame after those in `after`.
pub(super) fn follower(
    data: &DataDir,
    feed: &FeedName,
    after: &BTreeMap<NaiveDate, u64>,
    tail: Option<Arc<Tail>>,
) -> Result<Follower, StoreError> {
    let dir = data.journal(feed);
    let segments = catalog::segments(&dir)?;
    let mut follower = Follower::new(dir, tail);
    if let Some(before) = before_first_needed(&segments, after) {
        follower.skip_to_after(before);
    }
    Ok(follower)
}

/// The segment before the first one that may have frames after those: each segment begins with all that
/// decides how its frames are read.
fn before_first_needed(segments: &[SegmentName], after: &BTreeMap<NaiveDate, u64>) -> Option<SegmentName> {
    let is_done = |pair: &&[SegmentName]| {
        let [name, next] = pair else { return false };
        let last = after.get(&name.date).copied().unwrap_or(0);
        next.date == name.date && next.first_frame <= last.saturating_add(1)
    };
    let done = segments.windows(2).take_while(|pair| is_done(pair)).count();
    done.checked_sub(1).and_then(|last| segments.get(last)).copied()
}
