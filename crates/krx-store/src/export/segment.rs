//! A segment of the datasets being filled: frames go in one by one, and out come one or two sealed files.

use chrono::NaiveDate;
use krx_protocol::{BatchSink, Decoded, Decoder, PACKED_RECORDS_MAX, Reason, Trade};

use super::columns::{BATCH_ROWS, TradeColumns};
use super::quarantine::{FrameFacts, QuarantineColumns};
use super::schema::{Footer, quarantine_properties, quarantine_schema, trades_properties, trades_schema};
use super::seal::StagedFile;
use crate::checksums::Checksums;
use crate::coverage::Slice;
use crate::error::StoreError;
use crate::journal::RecordHead;
use crate::layout::{DataDir, Dataset, Market, SealedName, SealedPath};
use crate::moment::{Moment, midnight_ms};
use crate::progress::Tally;

/// Quarantined bytes and rows held in memory before they are written, so that a flood of bad input stays bounded.
const QUARANTINE_BYTES_MAX: usize = 1 << 20;
const QUARANTINE_ROWS_MAX: usize = 8192;

/// A segment with at least one frame, not sealed yet.
pub struct OpenSegment {
    data: DataDir,
    market: Market,
    footer: Footer,
    partition: Moment,
    midnight_ms: i64,
    trades: StagedFile,
    columns: TradeColumns,
    quarantine: Option<StagedFile>,
    quarantine_columns: QuarantineColumns,
}

/// Where the pieces of a frame go.
struct FrameSink<'a> {
    columns: &'a mut TradeColumns,
    quarantine: &'a mut QuarantineColumns,
    tally: &'a mut Tally,
    facts: FrameFacts,
    midnight_ms: i64,
    rows: u64,
    quarantined: u64,
}

impl BatchSink for FrameSink<'_> {
    #[inline]
    fn trade(&mut self, item: i16, trade: &Trade<'_>) {
        self.columns.push(item, self.midnight_ms, trade);
        self.rows += 1;
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.quarantine.push(self.facts, item, reason, detail, raw);
        self.tally.reject(reason);
        self.quarantined += 1;
    }
}

/// What was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The trades file.
    pub name: SealedName,
    /// What it covers.
    pub footer: Footer,
    /// Of both files together.
    pub bytes: u64,
}

impl OpenSegment {
    /// Begins a segment with the frame that `head` is of; `partition` is the start of its time partition.
    ///
    /// # Errors
    /// [`StoreError`], when staging cannot be written.
    pub fn begin(
        data: &DataDir,
        market: &Market,
        date: NaiveDate,
        partition: Moment,
        rows_max: u64,
        head: &RecordHead,
    ) -> Result<Self, StoreError> {
        let path = data.staged(Dataset::Trades, market);
        data.create_dir(&data.staging())?;
        Ok(Self {
            data: data.clone(),
            market: market.clone(),
            footer: Footer::new(market, date, head.frame, head.at),
            partition,
            midnight_ms: midnight_ms(date),
            trades: StagedFile::create(
                data.disk(),
                path,
                Dataset::Trades,
                trades_schema(),
                trades_properties(rows_max),
            )?,
            columns: TradeColumns::default(),
            quarantine: None,
            quarantine_columns: QuarantineColumns::default(),
        })
    }

    /// Decodes a frame into the segment, and counts it; without a `decoder` it is quarantined whole, as poison. The
    /// rows it gave.
    ///
    /// # Errors
    /// [`StoreError`], when staging cannot be written.
    pub fn add(
        &mut self,
        decoder: Option<&mut Decoder>,
        head: &RecordHead,
        payload: &[u8],
        tally: &mut Tally,
    ) -> Result<u64, StoreError> {
        debug_assert!(head.frame >= self.footer.last_frame, "frames come in order (I1)");
        let facts = FrameFacts {
            recv: head.at,
            frame: head.frame.cast_signed(),
            session: i32::try_from(head.session).unwrap_or(i32::MAX),
        };
        tally.begin(self.footer.date, head.frame);
        let mut sink = FrameSink {
            columns: &mut self.columns,
            quarantine: &mut self.quarantine_columns,
            tally,
            facts,
            midnight_ms: self.midnight_ms,
            rows: 0,
            quarantined: 0,
        };
        let decoded = match decoder {
            Some(decoder) => decoder.decode(payload, &mut sink),
            None => {
                sink.reject(None, Reason::Poison, "the exporter cannot digest it", payload);
                Decoded::Rejected
            }
        };
        let (rows, quarantined) = (sink.rows, sink.quarantined);
        self.columns.end_frame(facts.recv, facts.frame, facts.session);
        let oversized = matches!(decoded, Decoded::Batch(items) if items > PACKED_RECORDS_MAX);
        tally.end(head.at, rows + quarantined, oversized);
        self.footer.last_frame = head.frame;
        self.footer.last_recv = head.at;
        self.footer.last_session = Some(head.session);
        self.footer.rows += rows;
        self.footer.quarantined += quarantined;
        if self.columns.rows() >= BATCH_ROWS {
            self.trades.write(&self.columns.take())?;
        }
        if self.quarantine_columns.raw_bytes() >= QUARANTINE_BYTES_MAX
            || self.quarantine_columns.rows() >= QUARANTINE_ROWS_MAX
        {
            self.write_quarantine()?;
        }
        Ok(rows + quarantined)
    }

    /// The start of the segment's time partition.
    #[must_use]
    pub fn partition(&self) -> Moment {
        self.partition
    }

    /// Rows of both datasets.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.footer.rows + self.footer.quarantined
    }

    /// When the last frame was read.
    pub(crate) fn last_recv(&self) -> Moment {
        self.footer.last_recv
    }

    /// Seals the segment. The quarantine goes first: the trades file is the commit record of both, and has the `slice` of
    /// the ledger.
    ///
    /// # Errors
    /// [`StoreError`]; the frames are then still in the journal, and in no dataset.
    pub fn seal(mut self, slice: Option<Slice>) -> Result<Sealed, StoreError> {
        let mut footer = self.footer.clone();
        let name = SealedName {
            dataset: Dataset::Trades,
            partition: self.partition,
            first_frame: footer.first_frame,
            last_frame: footer.last_frame,
        };
        if self.columns.rows() > 0 {
            self.trades.write(&self.columns.take())?;
        }
        let (mut bytes, mut sealed) = (0, Vec::new());
        if footer.quarantined > 0 {
            self.write_quarantine()?;
        }
        if let Some(quarantine) = self.quarantine.take() {
            let dir = self
                .data
                .partition(Dataset::Quarantine, footer.date, &self.market);
            let name = SealedName {
                dataset: Dataset::Quarantine,
                ..name
            };
            bytes += quarantine.seal(
                &self.data,
                &dir.join(name.to_string()),
                &footer,
                footer.quarantined,
            )?;
            sealed.push(name);
        }
        footer.slice = slice;
        let dir = self.data.partition(Dataset::Trades, footer.date, &self.market);
        bytes += self
            .trades
            .seal(&self.data, &dir.join(name.to_string()), &footer, footer.rows)?;
        sealed.push(name);
        let path = |name| SealedPath {
            date: footer.date,
            market: self.market.clone(),
            name,
        };
        let sealed: Vec<_> = sealed.into_iter().map(path).collect();
        Checksums::of(&self.data, footer.date).append(&sealed)?;
        Ok(Sealed { name, footer, bytes })
    }

    fn write_quarantine(&mut self) -> Result<(), StoreError> {
        let file = match &mut self.quarantine {
            Some(file) => file,
            None => {
                let path = self.data.staged(Dataset::Quarantine, &self.market);
                self.data.create_dir(&self.data.staging())?;
                self.quarantine.insert(StagedFile::create(
                    self.data.disk(),
                    path,
                    Dataset::Quarantine,
                    quarantine_schema(),
                    quarantine_properties(),
                )?)
            }
        };
        if self.quarantine_columns.rows() > 0 {
            file.write(&self.quarantine_columns.take())?;
            file.flush()?;
        }
        Ok(())
    }
}
