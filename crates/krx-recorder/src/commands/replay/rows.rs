//! The rows of a dataset's day, whatever becomes of its files meanwhile.

use std::collections::VecDeque;
use std::io::ErrorKind;

use chrono::NaiveDate;
use krx_store::read::{Quarantine, QuarantineRow};
use krx_store::{DataDir, FeedName, Moment, StoreError};

/// How often in a row a day is reopened because it was sealed meanwhile; reading rows resets the count.
const OPENED_MAX: u32 = 3;

/// The day that is read.
#[derive(Clone)]
pub(super) struct Day {
    pub(super) data: DataDir,
    pub(super) feed: FeedName,
    pub(super) date: NaiveDate,
}

/// The rows of a batch of a dataset, from the next one on.
pub(super) trait Batch {
    type Dataset;
    fn open(&self, day: &Day) -> Result<Self::Dataset, StoreError>;
    /// Reads the next batch, and skips its rows of frames up to `passed`. Returns false at the end.
    fn read(&mut self, dataset: &mut Self::Dataset, passed: u64) -> Result<bool, StoreError>;
    /// Frame and time of the next row.
    fn head(&self) -> Option<(u64, Moment)>;
}

/// A dataset's rows of a day. If the day is sealed into one file meanwhile, it is reopened and resumes after the last
/// frame read, which is safe because no frame is in two files.
pub(super) struct Rows<B: Batch> {
    day: Day,
    open: Option<B::Dataset>,
    pub(super) batch: B,
    ended: bool,
    /// The frame of the last row reached.
    last: u64,
    /// Frames up to here were read before the day was reopened.
    passed: u64,
    opened: u32,
}

impl<B: Batch> Rows<B> {
    /// Nothing is opened yet; `batch` has no rows.
    pub(super) fn new(day: Day, batch: B) -> Self {
        Self {
            day,
            open: None,
            batch,
            ended: false,
            last: 0,
            passed: 0,
            opened: 0,
        }
    }

    /// The frame of the next row, and when it was received.
    pub(super) fn head(&mut self) -> Result<Option<(u64, Moment)>, StoreError> {
        loop {
            if let Some(head) = self.batch.head() {
                self.last = head.0;
                return Ok(Some(head));
            }
            if self.ended {
                return Ok(None);
            }
            match self.read() {
                Ok(more) => self.ended = !more,
                Err(StoreError::Io { source, .. })
                    if source.kind() == ErrorKind::NotFound && self.opened < OPENED_MAX =>
                {
                    (self.open, self.passed) = (None, self.last);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self) -> Result<bool, StoreError> {
        let dataset = match &mut self.open {
            Some(dataset) => dataset,
            None => {
                self.opened += 1;
                self.open.insert(self.batch.open(&self.day)?)
            }
        };
        let more = self.batch.read(dataset, self.passed)?;
        if self.batch.head().is_some() {
            self.opened = 0;
        }
        Ok(more)
    }
}

impl Rows<QuarantineRows> {
    /// A frame's rows, if they are the next ones.
    pub(super) fn of(&mut self, frame: u64) -> Result<Vec<QuarantineRow>, StoreError> {
        let mut rows = Vec::new();
        while self.head()?.is_some_and(|(next, _)| next == frame) {
            rows.extend(self.batch.0.pop_front());
        }
        Ok(rows)
    }
}

#[derive(Default)]
pub(super) struct QuarantineRows(VecDeque<QuarantineRow>);

impl Batch for QuarantineRows {
    type Dataset = Quarantine;

    fn open(&self, day: &Day) -> Result<Quarantine, StoreError> {
        Quarantine::open(&day.data, &day.feed, day.date)
    }

    fn read(&mut self, quarantine: &mut Quarantine, passed: u64) -> Result<bool, StoreError> {
        let Some(rows) = quarantine.next_batch()? else {
            return Ok(false);
        };
        self.0.extend(rows.into_iter().filter(|row| row.frame > passed));
        Ok(true)
    }

    fn head(&self) -> Option<(u64, Moment)> {
        self.0.front().map(|row| (row.frame, row.recv))
    }
}
