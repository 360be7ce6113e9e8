//! A feed's recorded frames in order: rows of trades and quarantine, merged by frame and item.

use std::collections::VecDeque;
use std::io::ErrorKind;

use chrono::NaiveDate;
use krx_store::read::{Quarantine, QuarantineRow, TradeBatch, Trades};
use krx_store::{DataDir, FeedName, Moment, StoreError};

use super::message::{Message, MessageBuilder, Record, Withheld};

/// How often in a row a day is reopened because it was sealed meanwhile; reading rows resets the count.
const OPENED_MAX: u32 = 3;

/// A frame that has rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// When it was received.
    pub(super) at: Moment,
    /// What to send.
    pub(super) message: Result<Message, Withheld>,
}

/// Reads frames one after the other; holds one batch of each dataset.
pub(super) struct Frames {
    trades: Rows<TradeRows>,
    quarantine: Rows<QuarantineRows>,
    /// The last frame to read.
    last: u64,
    builder: MessageBuilder,
}

impl Frames {
    /// The frames of a feed and date up to `last`. Nothing is opened yet.
    pub(super) fn new(data: &DataDir, feed: &FeedName, date: NaiveDate, last: u64) -> Self {
        let day = Day {
            data: data.clone(),
            feed: feed.clone(),
            date,
        };
        Self {
            trades: Rows::new(day.clone()),
            quarantine: Rows::new(day),
            last,
            builder: MessageBuilder::new(),
        }
    }

    /// When the next frame was received.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read.
    pub(super) fn begins(&mut self) -> Result<Option<Moment>, StoreError> {
        Ok(self.head()?.map(|(_, at)| at))
    }

    /// Skips the next frame.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read.
    pub(super) fn pass_over(&mut self) -> Result<(), StoreError> {
        if let Some((frame, _)) = self.head()? {
            while self.trades.head()?.is_some_and(|(next, _)| next == frame) {
                self.trades.batch.index += 1;
            }
            self.quarantine.of(frame)?;
        }
        Ok(())
    }

    /// The next frame; `None` after the last.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, StoreError> {
        let Some((frame, at)) = self.head()? else {
            return Ok(None);
        };
        let mut rejected = self.quarantine.of(frame)?;
        // Rows that are not a single record come after all that are.
        rejected.sort_by_key(|row| (row.item.is_none(), row.item));
        self.builder.begin(!rejected.is_empty());
        let mut rejected = rejected.into_iter().peekable();
        while self.trades.head()?.is_some_and(|(next, _)| next == frame) {
            let Some(row) = self.trades.batch.row() else { break };
            while let Some(bad) = rejected.next_if(|bad| bad.item.is_some_and(|item| item < row.item)) {
                self.builder.rejected(bad.item, &bad.reason, &bad.raw);
            }
            let record = Record {
                code: row.code,
                price: row.price,
                volume: row.volume,
                trade_time: row.trade_time,
                extra: row.extra,
            };
            self.builder.trade(row.item, &record);
            self.trades.batch.index += 1;
        }
        for bad in rejected {
            self.builder.rejected(bad.item, &bad.reason, &bad.raw);
        }
        Ok(Some(Frame {
            at,
            message: self.builder.finish(),
        }))
    }

    fn head(&mut self) -> Result<Option<(u64, Moment)>, StoreError> {
        let heads = [self.trades.head()?, self.quarantine.head()?];
        let next = heads.into_iter().flatten().min_by_key(|(frame, _)| *frame);
        Ok(next.filter(|(frame, _)| *frame <= self.last))
    }
}

/// The day that is read.
#[derive(Clone)]
struct Day {
    data: DataDir,
    feed: FeedName,
    date: NaiveDate,
}

/// The rows of a batch of a dataset, from the next one on.
trait Batch: Default {
    type Dataset;
    fn open(day: &Day) -> Result<Self::Dataset, StoreError>;
    /// Reads the next rows, except those of frames up to `passed`; false if there are none.
    fn read(&mut self, dataset: &mut Self::Dataset, passed: u64) -> Result<bool, StoreError>;
    /// Frame and time of the next row.
    fn head(&self) -> Option<(u64, Moment)>;
}

/// A dataset's rows of a day. If the day is sealed into one file meanwhile, it is reopened and resumes after the last
/// frame read, which is safe because no frame is in two files.
struct Rows<B: Batch> {
    day: Day,
    open: Option<B::Dataset>,
    batch: B,
    ended: bool,
    /// The frame of the last row reached.
    last: u64,
    /// Frames up to here were read before the day was reopened.
    passed: u64,
    opened: u32,
}

impl<B: Batch> Rows<B> {
    fn new(day: Day) -> Self {
        Self {
            day,
            open: None,
            batch: B::default(),
            ended: false,
            last: 0,
            passed: 0,
            opened: 0,
        }
    }

    fn head(&mut self) -> Result<Option<(u64, Moment)>, StoreError> {
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
                self.open.insert(B::open(&self.day)?)
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
    fn of(&mut self, frame: u64) -> Result<Vec<QuarantineRow>, StoreError> {
        let mut rows = Vec::new();
        while self.head()?.is_some_and(|(next, _)| next == frame) {
            rows.extend(self.batch.0.pop_front());
        }
        Ok(rows)
    }
}

#[derive(Default)]
struct TradeRows {
    batch: Option<TradeBatch>,
    index: usize,
}

impl TradeRows {
    fn row(&self) -> Option<krx_store::read::TradeRow<'_>> {
        let batch = self.batch.as_ref()?;
        (self.index < batch.len()).then(|| batch.row(self.index))
    }
}

impl Batch for TradeRows {
    type Dataset = Trades;

    fn open(day: &Day) -> Result<Trades, StoreError> {
        Trades::open(&day.data, &day.feed, day.date)
    }

    fn read(&mut self, trades: &mut Trades, passed: u64) -> Result<bool, StoreError> {
        self.batch = trades.next_batch()?;
        self.index = match &self.batch {
            Some(batch) => batch.rows().take_while(|row| row.frame <= passed).count(),
            None => 0,
        };
        Ok(self.batch.is_some())
    }

    fn head(&self) -> Option<(u64, Moment)> {
        self.row().map(|row| (row.frame, row.recv))
    }
}

#[derive(Default)]
struct QuarantineRows(VecDeque<QuarantineRow>);

impl Batch for QuarantineRows {
    type Dataset = Quarantine;

    fn open(day: &Day) -> Result<Quarantine, StoreError> {
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
