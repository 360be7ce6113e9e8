//! What the benchmarks share: a frames file in memory, and each stage of the recorder run over it.
//!
//! A frames file has one message a line, as `krx-simulator --write-frames` writes it: of the full-market service, or pushes of
//! the per-issue service.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result};
use krx_protocol::Reason;
use krx_protocol::per_issue::{Instruments, Pair, Preset, RegistrationEvent, RegistrationState, Wish};
use krx_store::dataset::BATCH_ROWS;
use krx_store::export::{Committed, OpenSegment};
use krx_store::journal::{JournalConfig, RecordHead, RecordKind, What};
use krx_store::service::{FULL_MARKET, FrameDecoder, FrameFacts, PER_ISSUE, Rejects, Service};
use krx_store::{DataDir, Entry, Event, FeedName, Moment, Tally};

/// Messages in memory.
#[derive(Debug)]
pub struct Frames {
    text: Vec<u8>,
    ends: Vec<usize>,
    service: &'static Service,
    /// The registrations without which pushes cannot be read.
    events: Vec<Event>,
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
        // The full-market service sends arrays.
        let is_pushes = text.starts_with(b"{");
        let mut frames = Self {
            text,
            ends,
            service: if is_pushes { &PER_ISSUE } else { &FULL_MARKET },
            events: Vec::new(),
            records: 0,
        };
        // Each record is an object; a push has another around it.
        let objects = frames.text.iter().filter(|byte| **byte == b'{').count() as u64;
        frames.records = objects / if is_pushes { 2 } else { 1 };
        let pairs: BTreeSet<Pair> = frames.iter().filter(|_| is_pushes).filter_map(pair_of).collect();
        let pairs: Vec<Pair> = pairs.into_iter().collect();
        frames.events = registered(&pairs).into_iter().map(Event::Registration).collect();
        Ok(frames)
    }

    /// The name of the dataset that their rows are in, or the first of them.
    #[must_use]
    pub fn dataset(&self) -> &'static str {
        let first = self.iter().next().and_then(pair_of);
        match first.map(|pair| pair.preset) {
            None => "trades",
            Some(Preset::Tick | Preset::Tick10) => "ticks",
            Some(Preset::Quote) => "quotes",
            Some(Preset::Quote10) => "books",
            Some(Preset::Index) => "indices",
            Some(Preset::Change) => "changes",
        }
    }

    /// A decoder that knows what is registered.
    fn decoder(&self) -> Box<dyn FrameDecoder> {
        let mut decoder = (self.service.decoder)();
        for event in &self.events {
            decoder.event(event);
        }
        decoder
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

/// What a session journals when it registers these pairs of stocks, or of indices, and the server accepts them.
#[must_use]
pub fn registered(pairs: &[Pair]) -> Vec<RegistrationEvent> {
    let wish = |pair: &Pair| Wish {
        instruments: match pair.preset {
            Preset::Index => Instruments::Indices,
            _ => Instruments::Stocks,
        },
        pair: pair.clone(),
        items: Vec::new(),
    };
    let wishes: Vec<Wish> = pairs.iter().map(wish).collect();
    // `init` has id 1.
    let subscribed = (2..).zip(&wishes);
    let subscribed: Vec<_> = subscribed
        .flat_map(|(id, wish)| {
            let accepted = RegistrationEvent::State {
                id,
                pair: wish.pair.clone(),
                state: RegistrationState::Active,
                detail: String::new(),
            };
            [RegistrationEvent::Subscribe(wish.with_id(id)), accepted]
        })
        .collect();
    [RegistrationEvent::Wanted { wishes }]
        .into_iter()
        .chain(subscribed)
        .collect()
}

/// What a push of the simulator is of: it begins with its preset and its code.
fn pair_of(push: &[u8]) -> Option<Pair> {
    let text = std::str::from_utf8(push).ok()?;
    let value = |key: &str| Some(text.split_once(key)?.1.split_once('"')?.0);
    Some(Pair {
        preset: value("\"preset\":\"")?.parse().ok()?,
        code: value("\"isuSrtCd\":\"")?.to_owned(),
    })
}

/// Takes the rows of each dataset that has so many.
fn take_full(decoder: &mut dyn FrameDecoder, service: &Service, rows_min: usize) -> u64 {
    let mut rows = 0;
    for dataset in 0..service.datasets.len() {
        if decoder.waiting(dataset) >= rows_min {
            rows += black_box(decoder.take(dataset)).num_rows() as u64;
        }
    }
    rows
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
    let (mut decoder, mut rows) = (frames.decoder(), 0);
    let midnight = Moment::midnight(START.date());
    for (frame, (number, at)) in frames.iter().zip(heads()) {
        let facts = FrameFacts::new(midnight, at, number, 1);
        decoder.decode(&facts, frame, &mut Ignored);
        rows += take_full(&mut *decoder, frames.service, BATCH_ROWS);
    }
    rows + take_full(&mut *decoder, frames.service, 1)
}

/// Stage 2: frames in memory to committed Parquet files of a million rows, on one thread: decode, encode, compress,
/// sync, read back, rename.
///
/// # Errors
/// When the disk refuses.
pub fn commit(frames: &Frames, dir: &Path) -> Result<Vec<Committed>> {
    const ROWS_MAX: u64 = 1_000_000;
    let (data, feed) = (DataDir::new(dir), feed()?);
    let (mut decoder, mut tally) = (frames.decoder(), Tally::default());
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
                &feed,
                frames.service,
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
    let mut writer = krx_store::open_writer(&DataDir::new(dir), &feed()?, config, std::sync::Arc::default())?;
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

fn feed() -> Result<FeedName> {
    Ok("KOSPI".parse()?)
}
