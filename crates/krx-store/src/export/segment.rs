//! A segment of the datasets being filled: frames go in one by one, and a file comes out for each dataset that has
//! rows.

use chrono::NaiveDate;
use krx_protocol::Reason;

use super::quarantine::QuarantineColumns;
use crate::checksums::Checksums;
use crate::dataset::{BATCH_ROWS, Dataset, Footer, QUARANTINE};
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::RecordHead;
use crate::layout::{CommittedName, CommittedPath, DataDir};
use crate::moment::Moment;
use crate::progress::Tally;
use crate::service::{FrameDecoder, FrameFacts, FrameRows, Rejects, Service};
use crate::staged::StagedFile;

/// How many quarantined bytes and rows are held in memory before they are written, so that a flood of bad input stays
/// bounded.
const QUARANTINE_BYTES_MAX: usize = 1 << 20;
const QUARANTINE_ROWS_MAX: usize = 8192;

/// Rows in a row group of quarantine.
const QUARANTINE_GROUP_ROWS: u64 = 100_000;

/// A segment with at least one frame, not committed yet.
pub struct OpenSegment {
    data: DataDir,
    feed: FeedName,
    service: &'static Service,
    footer: Footer,
    /// When its date began.
    midnight: Moment,
    partition: Moment,
    rows_max: u64,
    /// Rows across all datasets.
    rows: u64,
    /// Those of the service's datasets that the decoder still holds.
    waiting: u64,
    /// The service's datasets, in their order.
    files: Vec<Part>,
    quarantine: Part,
    rejected: QuarantineColumns,
}

/// The file of one dataset.
struct Part {
    dataset: Dataset,
    /// Begun with the first rows.
    staged: Option<StagedFile>,
    rows: u64,
}

/// Takes what cannot be read as a record.
struct Rejected<'a> {
    columns: &'a mut QuarantineColumns,
    tally: &'a mut Tally,
    facts: FrameFacts,
    rows: u64,
}

impl Rejects for Rejected<'_> {
    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.columns.push(self.facts, item, reason, detail, raw);
        self.tally.reject(reason);
        self.rows += 1;
    }
}

/// What was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The primary dataset's file.
    pub name: CommittedName,
    /// Its footer.
    pub footer: Footer,
    /// The size of all files together.
    pub bytes: u64,
}

impl OpenSegment {
    /// Begins a segment with the frame that `head` describes; `partition` is the start of its time partition.
    ///
    /// # Errors
    /// [`StoreError`], when staging cannot be written to.
    pub fn begin(
        data: &DataDir,
        feed: &FeedName,
        service: &'static Service,
        date: NaiveDate,
        partition: Moment,
        rows_max: u64,
        head: &RecordHead,
    ) -> Result<Self, StoreError> {
        let part = |dataset| Part {
            dataset,
            staged: None,
            rows: 0,
        };
        let mut segment = Self {
            data: data.clone(),
            feed: feed.clone(),
            service,
            footer: Footer::new(feed, date, head.frame, head.at),
            midnight: Moment::midnight(date),
            partition,
            rows_max,
            rows: 0,
            waiting: 0,
            files: service.datasets.iter().copied().map(part).collect(),
            quarantine: part(&QUARANTINE),
            rejected: QuarantineColumns::default(),
        };
        // A disk that accepts no file should say so before a frame is decoded.
        if let Some(primary) = segment.files.last_mut() {
            primary.staged(data, feed, rows_max)?;
        }
        Ok(segment)
    }

    /// Decodes a frame into the segment, or quarantines it whole (`is_poison`). Returns how many rows it gave, including
    /// quarantine.
    ///
    /// # Errors
    /// [`StoreError`], when staging cannot be written to.
    pub fn add(
        &mut self,
        decoder: &mut dyn FrameDecoder,
        is_poison: bool,
        head: &RecordHead,
        payload: &[u8],
        tally: &mut Tally,
    ) -> Result<u64, StoreError> {
        debug_assert!(head.frame >= self.footer.last_frame, "frames come in order (I1)");
        let facts = FrameFacts::new(self.midnight, head.at, head.frame, head.session);
        tally.begin(self.footer.date, head.frame);
        let mut rejected = Rejected {
            columns: &mut self.rejected,
            tally,
            facts,
            rows: 0,
        };
        let decoded = if is_poison {
            rejected.reject(
                None,
                Reason::Poison,
                "the exporter panicked over it twice",
                payload,
            );
            FrameRows::default()
        } else {
            decoder.decode(&facts, payload, &mut rejected)
        };
        let rows = decoded.rows + rejected.rows;
        tally.end(self.midnight, head.at, rows, &decoded);
        self.rows += rows;
        self.footer.last_frame = head.frame;
        self.footer.last_recv = head.at;
        self.footer.last_session = Some(head.session);
        self.waiting += decoded.rows;
        // With fewer in all, no dataset can have that many.
        if self.waiting >= BATCH_ROWS as u64 {
            self.write_decoded(decoder, BATCH_ROWS)?;
        }
        if self.rejected.raw_bytes() >= QUARANTINE_BYTES_MAX || self.rejected.rows() >= QUARANTINE_ROWS_MAX {
            self.write_rejected()?;
        }
        Ok(rows)
    }

    /// The start of the segment's time partition.
    #[must_use]
    pub fn partition(&self) -> Moment {
        self.partition
    }

    /// Rows across all datasets.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// When the last frame was received.
    pub(crate) fn last_recv(&self) -> Moment {
        self.footer.last_recv
    }

    /// Commits the segment. The primary file comes last: it is the commit record for all of them, and holds the `slice`
    /// of the ledger.
    ///
    /// # Errors
    /// [`StoreError`]; the frames are then still in the journal, and in no dataset.
    pub fn commit(
        mut self,
        decoder: &mut dyn FrameDecoder,
        slice: Option<String>,
    ) -> Result<Committed, StoreError> {
        self.write_decoded(decoder, 1)?;
        if self.rejected.rows() > 0 {
            self.write_rejected()?;
        }
        let parts = std::iter::once(self.quarantine).chain(self.files);
        let parts: Vec<_> = parts.filter(|part| part.staged.is_some()).collect();
        let mut footer = self.footer;
        footer.files = parts
            .iter()
            .map(|part| (part.dataset.name.to_owned(), part.rows))
            .collect();
        let name = |dataset| CommittedName {
            dataset,
            partition: self.partition,
            first_frame: footer.first_frame,
            last_frame: footer.last_frame,
        };
        let primary = name(self.service.primary());
        let (mut bytes, mut committed) = (0, Vec::new());
        for part in parts {
            let Some(staged) = part.staged else { continue };
            let path = CommittedPath {
                date: footer.date,
                feed: self.feed.clone(),
                name: name(part.dataset),
            };
            let is_primary = path.name == primary;
            let footer = Footer {
                slice: slice.clone().filter(|_| is_primary),
                ..footer.of_dataset(part.dataset)
            };
            bytes += staged.commit(&self.data, &path, &footer)?;
            committed.push(path);
        }
        footer.slice = slice;
        Checksums::of(&self.data, footer.date).append(&committed)?;
        Ok(Committed {
            name: primary,
            footer,
            bytes,
        })
    }

    /// Writes the rows of each dataset that has at least this many waiting.
    fn write_decoded(&mut self, decoder: &mut dyn FrameDecoder, rows_min: usize) -> Result<(), StoreError> {
        for (index, part) in self.files.iter_mut().enumerate() {
            if decoder.waiting(index) >= rows_min {
                let batch = decoder.take(index);
                part.rows += batch.num_rows() as u64;
                self.waiting = self.waiting.saturating_sub(batch.num_rows() as u64);
                part.staged(&self.data, &self.feed, self.rows_max)?
                    .write(&batch)?;
            }
        }
        Ok(())
    }

    fn write_rejected(&mut self) -> Result<(), StoreError> {
        let batch = self.rejected.take();
        self.quarantine.rows += batch.num_rows() as u64;
        let file = self
            .quarantine
            .staged(&self.data, &self.feed, QUARANTINE_GROUP_ROWS)?;
        file.write(&batch)?;
        file.flush()
    }
}

impl Part {
    fn staged(
        &mut self,
        data: &DataDir,
        feed: &FeedName,
        rows_max: u64,
    ) -> Result<&mut StagedFile, StoreError> {
        Ok(match &mut self.staged {
            Some(file) => file,
            staged @ None => {
                data.create_dir(&data.staging())?;
                let path = data.staged(self.dataset, feed);
                let properties = self.dataset.properties(rows_max);
                staged.insert(StagedFile::create(data.disk(), path, self.dataset, properties)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RecordKind;
    use crate::service::FULL_MARKET;

    #[test]
    fn rows_are_written_as_soon_as_there_are_enough_for_a_batch() {
        const RECORD: &str = r#"{"isuSrtCd":"005930","trdPrc":"71500","trdVol":"5","trdTm":"14340400"}"#;
        let dir = tempfile::tempdir().unwrap();
        let (data, feed) = (DataDir::new(dir.path()), "KOSPI".parse().unwrap());
        let payload = format!("[{}]", [RECORD; 50].join(","));
        let at = Moment(1_795_132_800_000_000);
        let head = |frame| RecordHead {
            kind: RecordKind::Frame,
            session: 1,
            frame,
            at,
            len: payload.len(),
        };
        let (mut decoder, mut tally) = ((FULL_MARKET.decoder)(), Tally::default());
        let mut segment =
            OpenSegment::begin(&data, &feed, &FULL_MARKET, at.date(), at, 1_000_000, &head(1)).unwrap();
        let mut most = 0;
        for frame in 1..=400 {
            let rows = segment.add(&mut *decoder, false, &head(frame), payload.as_bytes(), &mut tally);
            assert_eq!(rows.unwrap(), 50);
            most = most.max(decoder.waiting(0));
        }
        assert_eq!(most, BATCH_ROWS / 50 * 50);
        assert_eq!(
            segment
                .commit(&mut *decoder, None)
                .unwrap()
                .footer
                .rows_of(&crate::service::TRADES),
            20_000
        );
    }
}
