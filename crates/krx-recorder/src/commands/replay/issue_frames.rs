//! A per-issue feed's recorded frames in order: rows of its datasets and of quarantine, merged by frame and item.

use chrono::NaiveDate;
use krx_protocol::per_issue::Table;
use krx_store::read::{RecordRows, Records};
use krx_store::{DataDir, FeedName, Moment, StoreError};

use super::frames::{Frame, Source};
use super::push::{PushBuilder, Pushes};
use super::rows::{Batch, Day, QuarantineRows, Rows};

/// Reads frames one after the other; holds one batch of each dataset.
pub(super) struct IssueFrames {
    tables: [Rows<TableRows>; Table::ALL.len()],
    quarantine: Rows<QuarantineRows>,
    /// The last frame to read.
    last: u64,
    builder: PushBuilder,
}

impl IssueFrames {
    /// The frames of a feed and date up to `last`. Nothing is opened yet.
    pub(super) fn new(data: &DataDir, feed: &FeedName, date: NaiveDate, last: u64) -> Self {
        let day = Day {
            data: data.clone(),
            feed: feed.clone(),
            date,
        };
        Self {
            tables: Table::ALL.map(|table| Rows::new(day.clone(), TableRows::of(table))),
            quarantine: Rows::new(day, QuarantineRows::default()),
            last,
            builder: PushBuilder::default(),
        }
    }

    /// The dataset with the next row of a frame, and the row's item.
    fn next_row(&mut self, frame: u64) -> Result<Option<(i16, usize)>, StoreError> {
        let mut next = None;
        for (place, rows) in self.tables.iter_mut().enumerate() {
            if rows.head()?.is_some_and(|(of, _)| of == frame) {
                let item = rows.batch.item();
                next = next.into_iter().chain(item.map(|item| (item, place))).min();
            }
        }
        Ok(next)
    }
}

impl Source for IssueFrames {
    type Message = Pushes;

    fn head(&mut self) -> Result<Option<(u64, Moment)>, StoreError> {
        let mut next = self.quarantine.head()?;
        for rows in &mut self.tables {
            let head = rows.head()?;
            next = next.into_iter().chain(head).min_by_key(|(frame, _)| *frame);
        }
        Ok(next.filter(|(frame, _)| *frame <= self.last))
    }

    fn pass_over(&mut self) -> Result<(), StoreError> {
        if let Some((frame, _)) = self.head()? {
            for rows in &mut self.tables {
                while rows.head()?.is_some_and(|(next, _)| next == frame) {
                    rows.batch.index += 1;
                }
            }
            self.quarantine.of(frame)?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Frame<Pushes>>, StoreError> {
        let Some((frame, at)) = self.head()? else {
            return Ok(None);
        };
        let mut rejected = self.quarantine.of(frame)?;
        // Rows that are not a single record come after all that are.
        rejected.sort_by_key(|row| (row.item.is_none(), row.item));
        let mut rejected = rejected.into_iter().peekable();
        while let Some((item, place)) = self.next_row(frame)? {
            while let Some(bad) = rejected.next_if(|bad| bad.item.is_some_and(|before| before < item)) {
                self.builder.rejected(&bad);
            }
            let rows = &mut self.tables[place].batch;
            if let Some(batch) = &rows.batch {
                self.builder.row(&batch.row(rows.index));
            }
            rows.index += 1;
        }
        for bad in rejected {
            self.builder.rejected(&bad);
        }
        Ok(Some(Frame {
            at,
            message: self.builder.finish(),
        }))
    }
}

/// A batch of one dataset.
struct TableRows {
    table: Table,
    batch: Option<RecordRows>,
    index: usize,
}

impl TableRows {
    fn of(table: Table) -> Self {
        Self {
            table,
            batch: None,
            index: 0,
        }
    }

    fn place(&self) -> Option<(u64, i16, Moment)> {
        let batch = self.batch.as_ref()?;
        (self.index < batch.len()).then(|| batch.place(self.index))
    }

    fn item(&self) -> Option<i16> {
        self.place().map(|(_, item, _)| item)
    }
}

impl Batch for TableRows {
    type Dataset = Records;

    fn open(&self, day: &Day) -> Result<Records, StoreError> {
        Records::open(&day.data, self.table, &day.feed, day.date)
    }

    fn read(&mut self, records: &mut Records, passed: u64) -> Result<bool, StoreError> {
        self.batch = records.next_batch()?;
        self.index = match &self.batch {
            Some(batch) => (0..batch.len())
                .take_while(|row| batch.place(*row).0 <= passed)
                .count(),
            None => 0,
        };
        Ok(self.batch.is_some())
    }

    fn head(&self) -> Option<(u64, Moment)> {
        self.place().map(|(frame, _, recv)| (frame, recv))
    }
}
