//! Reads a tail and sends it, on a thread of its own.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::StatusCode;
use chrono::NaiveDate;
use krx_store::dataset::Dataset;
use krx_store::journal::Position;
use krx_store::tail::{
    ArrowStream, Extent, Synced, TailBatch, TailReader, Tailed, committed, schema_with_path, write_ndjson,
};
use krx_store::{DataDir, FeedName, Moment, StoreError, catalog};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::Refusal;
use super::request::{Format, Wanted};
use crate::pipeline::feed_view::FeedView;
use crate::status::connection::Connection;

/// How long a tail may take. One that follows ends then; the client asks again with what it has.
const TAIL_TIME_MAX: Duration = Duration::from_secs(3600);

/// How long a client may take nothing of what is sent.
const STALLED_MAX: Duration = Duration::from_secs(30);

/// How often one that waits for records looks whether its client is still there.
const GONE_LOOK: Duration = Duration::from_millis(500);

/// How often the wait for room is looked at while a client takes nothing.
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// How often a journal is looked at again that is being exported and removed.
const LOOKS_MAX: usize = 20;

/// What a tail is made of, and where it goes.
pub(super) struct Source {
    pub(super) data: DataDir,
    pub(super) feed: FeedView,
    pub(super) connection: Connection,
    pub(super) chunks: mpsc::Sender<io::Result<Bytes>>,
}

/// What is said of a tail before its rows.
#[derive(Clone, Debug)]
pub(super) struct Head {
    dataset: Dataset,
    feed: FeedName,
    /// The feed's state now.
    state: &'static str,
    /// The newest date, and after which of its frames the tail begins.
    newest: (NaiveDate, u64),
    extent: Extent,
    follow: bool,
}

impl Head {
    /// By key: the frames that the tail has, date by date and in short, and the state of the feed. A tail without frames has
    /// a first frame one after its last one.
    pub(super) fn says(&self) -> Vec<(&'static str, String)> {
        let frames = &self.extent.frames;
        let (date, after) = self.newest;
        let first = frames.first().map_or(after + 1, |of| of.first_frame);
        let last = frames.last().map_or(after, |of| of.last_frame);
        let date = frames.last().map_or(date, |of| of.date);
        let each =
            |of: &krx_store::tail::FramesOfDate| format!("{}:{}-{}", of.date, of.first_frame, of.last_frame);
        let each: Vec<_> = frames.iter().map(each).collect();
        let mut says = vec![
            ("dataset", self.dataset.to_string()),
            ("feed", self.feed.to_string()),
            ("state", self.state.to_owned()),
            ("date", date.to_string()),
            ("first_frame", first.to_string()),
            ("last_frame", last.to_string()),
            ("frames", each.join(",")),
            ("follow", self.follow.to_string()),
        ];
        says.extend(frames.last().map(|of| ("last_recv", of.last_recv.0.to_string())));
        if !self.extent.damaged.is_empty() {
            says.push(("damaged", self.extent.damaged.join("; ")));
        }
        says
    }
}

/// Why a tail ends early.
enum Ended {
    /// The client is gone, or has taken nothing for too long.
    Left,
    /// It cannot be read as its head says.
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
pub(super) fn run(source: Source, wanted: Wanted, head: oneshot::Sender<Result<Head, Refusal>>) {
    let feed = source.feed.feed.clone();
    // A frame that the decoder cannot take must not cost more than this answer.
    let sent = catch_unwind(AssertUnwindSafe(|| send(&source, &wanted, head)));
    let failed = match sent {
        Ok(Ok(())) => return,
        Ok(Err(Ended::Left)) => {
            debug!(%feed, "a tail ended: its client is gone or takes nothing");
            source.connection.end();
            return;
        }
        Ok(Err(Ended::Failed(why))) => why,
        Err(_) => "the decoder panicked: that is a bug, please report it".to_owned(),
    };
    warn!(%feed, error = failed, "a tail was broken off; its client may ask again");
    // What was sent must not be taken for all there is. If there is no room, the missing end says the same.
    let _ = source.chunks.try_send(Err(io::Error::other(failed)));
}

fn send(source: &Source, wanted: &Wanted, head: oneshot::Sender<Result<Head, Refusal>>) -> Result<(), Ended> {
    let begun = Instant::now();
    let mut tail = match Sending::begin(source, wanted) {
        Ok(tail) => tail,
        Err(Ended::Failed(why)) => {
            let words = format!("The tail cannot be read now: {why}. Ask again.");
            let _ = head.send(Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, words)));
            return Ok(());
        }
        Err(Ended::Left) => return Ok(()),
    };
    if head.send(Ok(tail.head.clone())).is_err() {
        return Ok(());
    }
    tail.rows()?;
    while wanted.follow && begun.elapsed() < TAIL_TIME_MAX {
        match source.feed.tail.wait(tail.until, GONE_LOOK) {
            None => break,
            Some(position) => {
                tail.until = position;
                tail.reader.synced_until(position);
                tail.rows()?;
            }
        }
        if source.chunks.is_closed() {
            return Err(Ended::Left);
        }
    }
    tail.end()
}

/// A tail that is being sent.
struct Sending<'a> {
    source: &'a Source,
    wanted: &'a Wanted,
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
        let is_gone = |error: &StoreError| matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound);
        for _ in 1..LOOKS_MAX {
            match Self::look(source, wanted) {
                Err(Ok(error)) if is_gone(&error) => {}
                Err(error) => return Err(error.map_or_else(Ended::from, Ended::from)),
                Ok(begun) => return Ok(begun),
            }
        }
        Self::look(source, wanted).map_err(|error| error.map_or_else(Ended::from, Ended::from))
    }

    fn look(source: &'a Source, wanted: &'a Wanted) -> Result<Self, Result<StoreError, io::Error>> {
        let (data, feed) = (&source.data, &source.feed.feed);
        let until = source.feed.tail.synced();
        let (after, newest) = begin_after(data, feed, wanted).map_err(Ok)?;
        let extent = Extent::of(data, feed, &after, until).map_err(Ok)?;
        let reader =
            TailReader::open(data, feed, wanted.dataset, after.clone(), Synced::Until(until)).map_err(Ok)?;
        let head = Head {
            dataset: wanted.dataset,
            feed: feed.clone(),
            state: source.feed.status.state().as_str(),
            newest: (newest, after.get(&newest).copied().unwrap_or(0)),
            extent,
            follow: wanted.follow,
        };
        let arrow = match wanted.format {
            Format::Arrow => {
                let says = head.says().into_iter();
                let says: HashMap<_, _> = says.map(|(key, value)| (format!("krx.{key}"), value)).collect();
                let schema = schema_with_path(wanted.dataset);
                Some(ArrowStream::begin_saying(Vec::new(), &schema, says).map_err(Err)?)
            }
            Format::Ndjson => None,
        };
        Ok(Self {
            source,
            wanted,
            head,
            reader,
            until,
            arrow,
        })
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

    /// Hands on what is written, once there is room.
    fn hand_on(&mut self, text: Vec<u8>) -> Result<(), Ended> {
        let bytes = match &mut self.arrow {
            Some(stream) => std::mem::take(stream.get_mut()),
            None => text,
        };
        let mut chunk = Ok(Bytes::from(bytes));
        let asked = Instant::now();
        while asked.elapsed() < STALLED_MAX {
            match self.source.chunks.try_send(chunk) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Ended::Left),
                Err(mpsc::error::TrySendError::Full(back)) => chunk = back,
            }
            std::thread::sleep(ROOM_LOOK);
        }
        Err(Ended::Left)
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

/// After which frame of each date it begins, and which is the newest date: that of the journal's last segment.
fn begin_after(
    data: &DataDir,
    feed: &FeedName,
    wanted: &Wanted,
) -> Result<(BTreeMap<NaiveDate, u64>, NaiveDate), StoreError> {
    let (mut after, asked) = (committed(data, feed, wanted.dataset)?, &wanted.after);
    let last = catalog::segments(&data.journal(feed))?
        .last()
        .map(|name| name.date);
    let newest = last.unwrap_or_else(|| Moment::now().date());
    after.extend(asked.newest.map(|frame| (newest, frame)));
    after.extend(asked.dates.iter().map(|(date, frame)| (*date, *frame)));
    Ok((after, newest))
}

#[cfg(test)]
mod tests {
    use krx_store::service::TRADES;
    use krx_store::tail::FramesOfDate;

    use super::*;

    fn said(frames: &[(&str, u64, u64)]) -> HashMap<&'static str, String> {
        let of = |(date, first_frame, last_frame): &(&str, u64, u64)| FramesOfDate {
            date: date.parse().unwrap(),
            first_frame: *first_frame,
            last_frame: *last_frame,
            last_recv: Moment(7),
        };
        let head = Head {
            dataset: &TRADES,
            feed: "KOSPI".parse().unwrap(),
            state: "live",
            newest: ("2026-11-20".parse().unwrap(), 4711),
            extent: Extent {
                frames: frames.iter().map(of).collect(),
                damaged: Vec::new(),
            },
            follow: false,
        };
        head.says().into_iter().collect()
    }

    #[test]
    fn a_head_names_the_frames_of_each_date_and_where_an_empty_tail_is() {
        let none = said(&[]);
        assert_eq!(
            (none["first_frame"].as_str(), none["last_frame"].as_str()),
            ("4712", "4711")
        );
        assert_eq!(
            (none["frames"].as_str(), none["date"].as_str()),
            ("", "2026-11-20")
        );
        assert!(!none.contains_key("last_recv"), "nothing was received");
        let two = said(&[("2026-11-19", 90, 95), ("2026-11-20", 1, 3)]);
        assert_eq!(two["frames"], "2026-11-19:90-95,2026-11-20:1-3");
        assert_eq!(
            (two["first_frame"].as_str(), two["last_frame"].as_str()),
            ("90", "3")
        );
        assert_eq!(
            (two["date"].as_str(), two["last_recv"].as_str()),
            ("2026-11-20", "7")
        );
    }
}
