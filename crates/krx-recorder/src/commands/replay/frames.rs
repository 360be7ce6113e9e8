//! A full-market feed's recorded frames in order: rows of trades and quarantine, merged by frame and item.

use chrono::NaiveDate;
use krx_store::read::{TradeBatch, Trades};
use krx_store::{DataDir, FeedName, Moment, StoreError};

use super::message::{Message, MessageBuilder, Record, Withheld};
use super::rows::{Batch, Day, QuarantineRows, Rows};

/// A frame that has rows, and whose message is an `M`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame<M> {
    /// When it was received.
    pub(super) at: Moment,
    /// What to send.
    pub(super) message: Result<M, Withheld>,
}

/// Where a feed's frames come from.
pub(super) trait Source {
    /// What is sent for a frame.
    type Message;

    /// The number of the next frame, and when it was received; `None` after the last.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read.
    fn head(&mut self) -> Result<Option<(u64, Moment)>, StoreError>;

    /// Skips the next frame.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read.
    fn pass_over(&mut self) -> Result<(), StoreError>;

    /// The next frame; `None` after the last.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read.
    fn next(&mut self) -> Result<Option<Frame<Self::Message>>, StoreError>;
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
            trades: Rows::new(day.clone(), TradeRows::default()),
            quarantine: Rows::new(day, QuarantineRows::default()),
            last,
            builder: MessageBuilder::new(),
        }
    }
}

impl Source for Frames {
    type Message = Message;

    fn head(&mut self) -> Result<Option<(u64, Moment)>, StoreError> {
        let heads = [self.trades.head()?, self.quarantine.head()?];
        let next = heads.into_iter().flatten().min_by_key(|(frame, _)| *frame);
        Ok(next.filter(|(frame, _)| *frame <= self.last))
    }

    fn pass_over(&mut self) -> Result<(), StoreError> {
        if let Some((frame, _)) = self.head()? {
            while self.trades.head()?.is_some_and(|(next, _)| next == frame) {
                self.trades.batch.index += 1;
            }
            self.quarantine.of(frame)?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Frame<Message>>, StoreError> {
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

    fn open(&self, day: &Day) -> Result<Trades, StoreError> {
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
