//! What the benchmarks share: a frames file in memory, and each stage of the recorder run over it.
//!
//! A frames file has one message a line, as `krx-simulator --write-frames` writes it.

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result};
use krx_protocol::{BatchSink, Decoder, Reason, Trade};
use krx_store::dataset::BATCH_ROWS;
use krx_store::export::{Committed, OpenSegment};
use krx_store::journal::{JournalConfig, RecordHead, RecordKind, What};
use krx_store::service::{FULL_MARKET, FrameFacts, Rejects};
use krx_store::{DataDir, Entry, FeedName, Moment, Tally};

/// Messages in memory.
#[derive(Debug)]
pub struct Frames {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Records in all of them.
    pub records: u64,
}

/// 2026-11-20 09:00 in Korea, when the first frame is taken to have come.
const START: Moment = Moment(1_795_132_800_000_000);

/// Between frames: a tenth of the design load's 166 messages a second.
const FRAME_US: i64 = 600;

impl Frames {
    /// Reads a frames file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read(path).with_context(|| format!("reading the frames file {}", path.display()))?;
        let ends = text
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(index, _)| index)
            .collect();
        let mut frames = Self {
            text,
            ends,
            records: 0,
        };
        let mut sink = Count::default();
        let mut decoder = Decoder::new();
        for frame in frames.iter() {
            decoder.decode(frame, &mut sink);
        }
        frames.records = sink.0;
        Ok(frames)
    }

    /// The messages.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |start, end| {
            let frame = &self.text[*start..*end];
            *start = end + 1;
            Some(frame)
        })
    }

    /// How many messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all messages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() - self.ends.len()
    }
}

#[derive(Default)]
struct Count(u64);

impl BatchSink for Count {
    fn trade(&mut self, _: i16, _: &Trade<'_>) {
        self.0 += 1;
    }

    fn reject(&mut self, _: Option<i16>, _: Reason, _: &str, _: &[u8]) {}
}

struct Ignored;

impl Rejects for Ignored {
    fn reject(&mut self, _: Option<i16>, _: Reason, _: &str, _: &[u8]) {}
}

fn heads() -> impl Iterator<Item = (u64, Moment)> {
    (1..).zip((0..).map(|index: i64| Moment(START.0 + index * FRAME_US)))
}

/// Stage 1: frames in memory to Arrow columns, in batches as the exporter makes them. Gives the rows.
#[must_use]
pub fn decode(frames: &Frames) -> u64 {
    let (mut decoder, mut rows) = ((FULL_MARKET.decoder)(), 0);
    for (frame, (number, at)) in frames.iter().zip(heads()) {
        let facts = FrameFacts::new(START.date(), at, number, 1);
        decoder.decode(&facts, frame, &mut Ignored);
        if decoder.waiting(0) >= BATCH_ROWS {
            rows += black_box(decoder.take(0)).num_rows() as u64;
        }
    }
    rows + black_box(decoder.take(0)).num_rows() as u64
}

/// Stage 2: frames in memory to committed Parquet files of a million rows, on one thread: decode, encode, compress,
/// sync, read back, rename.
///
/// # Errors
/// When the disk refuses.
pub fn commit(frames: &Frames, dir: &Path) -> Result<Vec<Committed>> {
    const ROWS_MAX: u64 = 1_000_000;
    let (data, market) = (DataDir::new(dir), market()?);
    let (mut decoder, mut tally) = ((FULL_MARKET.decoder)(), Tally::default());
    let mut open: Option<OpenSegment> = None;
    let mut committed = Vec::new();
    for (payload, (frame, at)) in frames.iter().zip(heads()) {
        let head = RecordHead {
            kind: RecordKind::Frame,
            session: 1,
            frame,
            at,
            len: payload.len(),
        };
        let segment = match &mut open {
            Some(segment) => segment,
            None => open.insert(OpenSegment::begin(
                &data,
                &market,
                &FULL_MARKET,
                START.date(),
                START,
                ROWS_MAX,
                &head,
            )?),
        };
        segment.add(&mut *decoder, false, &head, payload, &mut tally)?;
        if segment.rows() >= ROWS_MAX
            && let Some(full) = open.take()
        {
            committed.push(full.commit(&mut *decoder, None)?);
        }
    }
    if let Some(last) = open {
        committed.push(last.commit(&mut *decoder, None)?);
    }
    Ok(committed)
}

/// Frames in memory to the journal, one write a batch of 64 frames, until the last is synced.
///
/// # Errors
/// When the disk refuses.
pub fn journal(frames: &Frames, dir: &Path) -> Result<()> {
    let config = JournalConfig {
        sync_interval: std::time::Duration::from_millis(50),
        segment_bytes: 64 << 20,
    };
    std::fs::create_dir_all(dir)?;
    let mut writer =
        krx_store::open_writer(&DataDir::new(dir), &market()?, config, std::sync::Arc::default())?;
    let entries: Vec<_> = frames
        .iter()
        .zip(heads())
        .map(|(frame, (_, at))| Entry {
            at,
            what: What::Frame(frame),
        })
        .collect();
    for batch in entries.chunks(64) {
        writer.append(batch)?;
    }
    Ok(writer.close()?)
}

fn market() -> Result<FeedName> {
    Ok("KOSPI".parse()?)
}
