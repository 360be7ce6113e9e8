//! Reads a tail and sends it, on a thread of its own.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::StatusCode;
use krx_store::StoreError;
use krx_store::journal::Position;
use krx_store::tail::{
    ArrowStream, FramesOfDate, Synced, TailBatch, TailReader, Tailed, schema_with_path, write_ndjson,
};
use tokio::sync::oneshot;
use tracing::{debug, info};

use super::begin::Begin;
use super::head::Head;
use super::refusal::Refusal;
use super::request::{Format, Wanted};
use super::source::Source;

/// How long a tail may take. One that follows ends then; the client asks again with what it has.
const TAIL_TIME_MAX: Duration = Duration::from_secs(3600);

/// How often one that waits for records looks whether its client is still there.
const GONE_LOOK: Duration = Duration::from_millis(500);

/// How often a journal is looked at again that is being exported and removed.
const LOOKS_MAX: usize = 20;

/// The most bytes that are handed on at once: a client must take as many within `source::STALLED_MAX`.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// Why a tail ends early.
enum Ended {
    /// The client is gone, or has taken nothing for too long.
    Left,
    /// It is not what was asked for.
    Refused(Refusal),
    /// It cannot be read, or not as its head says.
    Failed(String),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Sends a tail, after its head.
pub(super) fn run(source: &Source, wanted: &Wanted, head: oneshot::Sender<Result<Head, Refusal>>) {
    let feed = &source.feed.feed;
    // A frame that the decoder cannot take must not cost more than this answer.
    let sent = catch_unwind(AssertUnwindSafe(|| send(source, wanted, head)));
    let failed = match sent {
        Ok(Ok(())) => return,
        Ok(Err(Ended::Failed(why))) => why,
        Ok(Err(Ended::Left | Ended::Refused(_))) => {
            debug!(%feed, "a tail ended: its client is gone or takes nothing");
            return source.connection.break_off();
        }
        Err(_) => "the decoder panicked: that is a bug, please report it".to_owned(),
    };
    info!(%feed, error = failed, "a tail was broken off; its client may ask again");
    // What was sent must not be taken for all there is: a proper end would say that.
    if !source.hand_on(Err(io::Error::other(failed))) {
        source.connection.break_off();
    }
}

fn send(source: &Source, wanted: &Wanted, head: oneshot::Sender<Result<Head, Refusal>>) -> Result<(), Ended> {
    let begun = Sending::begin(source, wanted).map_err(|ended| match ended {
        Ended::Left => None,
        Ended::Refused(refusal) => Some(refusal),
        Ended::Failed(why) => {
            let words = format!("The tail cannot be read now: {why}. Ask again.");
            Some(Refusal(StatusCode::SERVICE_UNAVAILABLE, words))
        }
    });
    let mut tail = match begun {
        Ok(tail) => tail,
        Err(refusal) => {
            // Without a refusal, nobody is there to hear of it.
            if let Some(refusal) = refusal {
                let _ = head.send(Err(refusal));
            }
            return Ok(());
        }
    };
    if head.send(Ok(tail.head.clone())).is_err() {
        return Err(Ended::Left);
    }
    tail.named_rows()?;
    while wanted.follow && tail.begun.elapsed() < TAIL_TIME_MAX {
        match source.feed.tail.wait(tail.until, GONE_LOOK) {
            None => break,
            Some(position) => {
                tail.until = position;
                tail.reader.synced_until(position);
                tail.rows()?;
            }
        }
        if source.is_left() {
            return Err(Ended::Left);
        }
    }
    tail.end()
}

/// A tail that is being sent.
struct Sending<'a> {
    source: &'a Source,
    wanted: &'a Wanted,
    begun: Instant,
    head: Head,
    reader: TailReader,
    /// How far the journal may be read.
    until: Option<Position>,
    /// `None` for lines of JSON.
    arrow: Option<ArrowStream<Vec<u8>>>,
}

impl<'a> Sending<'a> {
    /// Looks how far it goes, and opens the journal: again, while that is exported and removed.
    fn begin(source: &'a Source, wanted: &'a Wanted) -> Result<Self, Ended> {
        for _ in 1..LOOKS_MAX {
            if let Some(begun) = Self::look(source, wanted)? {
                return Ok(begun);
            }
        }
        let begun = Self::look(source, wanted)?;
        begun.ok_or_else(|| Ended::Failed("the journal is being exported and removed".to_owned()))
    }

    /// `None` if a file of the journal was removed meanwhile.
    fn look(source: &'a Source, wanted: &'a Wanted) -> Result<Option<Self>, Ended> {
        let (data, feed) = (&source.data, &source.feed.feed);
        let until = source.feed.tail.synced();
        let found = Begin::find(source, wanted, until);
        let opened = found.and_then(|found| {
            let Some(found) = found else { return Ok(None) };
            let after = found.after.clone();
            let reader = TailReader::open(data, feed, wanted.dataset, after, Synced::Until(until))?;
            Ok(Some((found, reader)))
        });
        let (found, reader) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return Err(Ended::Left),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(refusal) = found.refusal(wanted) {
            return Err(Ended::Refused(refusal));
        }
        let head = Head {
            dataset: wanted.dataset,
            feed: feed.clone(),
            state: source.feed.status.state().as_str(),
            newest: (found.newest, reader.reached(found.newest)),
            extent: found.extent,
            follow: wanted.follow,
        };
        let arrow = match wanted.format {
            Format::Arrow => {
                let says = head.says().into_iter();
                let says: HashMap<_, _> = says.map(|(key, value)| (format!("krx.{key}"), value)).collect();
                let schema = schema_with_path(wanted.dataset);
                Some(ArrowStream::begin_saying(Vec::new(), &schema, says)?)
            }
            Format::Ndjson => None,
        };
        Ok(Some(Self {
            source,
            wanted,
            begun: Instant::now(),
            head,
            reader,
            until,
            arrow,
        }))
    }

    /// Sends the frames that the head names.
    fn named_rows(&mut self) -> Result<(), Ended> {
        self.rows()?;
        let lacks = |of: &&FramesOfDate| self.reader.reached(of.date) < of.last_frame;
        match self.head.extent.frames.iter().find(lacks) {
            None => Ok(()),
            Some(of) => Err(Ended::Failed(format!(
                "frames up to {} of {} were named, and the journal has lost them meanwhile",
                of.last_frame, of.date
            ))),
        }
    }

    /// Sends all that may be read now.
    fn rows(&mut self) -> Result<(), Ended> {
        loop {
            match self.reader.advance()? {
                Tailed::Rows(batch) => self.batch(batch)?,
                Tailed::Behind(date, first, last) => {
                    return Err(Ended::Failed(format!(
                        "frames {first} to {last} of {date} have gone to files meanwhile"
                    )));
                }
                // The head says so, or coverage will.
                Tailed::Damaged(_) => {}
                Tailed::CaughtUp => return Ok(()),
            }
        }
    }

    fn batch(&mut self, batch: TailBatch) -> Result<(), Ended> {
        if self.source.is_left() {
            return Err(Ended::Left);
        }
        if self.begun.elapsed() > TAIL_TIME_MAX {
            return Err(Ended::Failed("it takes too long".to_owned()));
        }
        let batch = if self.wanted.codes.is_empty() {
            batch
        } else {
            batch.of_codes(&self.wanted.codes)
        };
        let rows = batch.with_path(self.wanted.dataset, &self.source.feed.feed);
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let mut text = Vec::new();
        match &mut self.arrow {
            Some(stream) => stream.write(&rows)?,
            None => write_ndjson(&rows, &mut text)?,
        }
        self.hand_on(text)
    }

    /// Hands on what is written, piece by piece.
    fn hand_on(&mut self, text: Vec<u8>) -> Result<(), Ended> {
        let bytes = match &mut self.arrow {
            Some(stream) => std::mem::take(stream.get_mut()),
            None => text,
        };
        let mut rest = Bytes::from(bytes);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES_MAX));
            if !self.source.hand_on(Ok(piece)) {
                return Err(Ended::Left);
            }
        }
        Ok(())
    }

    /// Sends what ends the stream.
    fn end(mut self) -> Result<(), Ended> {
        if let Some(stream) = &mut self.arrow {
            stream.end()?;
            return self.hand_on(Vec::new());
        }
        Ok(())
    }
}
