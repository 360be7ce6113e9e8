//! `krx-recorder replay`: serves a recorded day as the exchange would.
//!
//! ```text
//!   files ─▶ Frames ──────▶ MessageBuilder ─▶ Supplier ─▶ krx_exchange::serve ──ws──▶ whatever reads the feed
//!        └─▶ IssueFrames ─▶ PushBuilder ───────┘  │          ▲
//!             (rows)         (text)       a thread for       └─ RecordedIssues, what of it can be registered
//!                                         each client
//! ```
//!
//! The simulator uses the same server, so only one place speaks the protocol.

mod announce;
mod frames;
mod issue_frames;
mod issues;
pub(super) mod message;
mod options;
mod push;
mod reader;
mod recording;
mod rows;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDate;
use krx_exchange::{
    Admits, Config, Cursor, Endpoint, EventFormat, ExchangeError, IssueDay, Market, Pace, PerIssueRules,
    Program, Supplier, TimeOfDay, listen, serve, supply,
};
use krx_store::service::PER_ISSUE;
use krx_store::{DataDir, FeedName, catalog};
use tokio::sync::mpsc;

pub(super) use options::Options;

use crate::process::exit::Failure;
use crate::process::signals::{self, Request};
use frames::{Frames, Source};
use issue_frames::IssueFrames;
use issues::{Known, RecordedIssues};
use reader::{Failed, Outgoing, Reader};
use recording::{Recording, look};

/// Serves what is committed for `date` until told to stop, or, with `--exit-at-end`, until the end of the day.
///
/// # Errors
/// [`Failure`]: nothing is recorded for the date, a feed is unknown, the address cannot be used, or a file cannot be
/// read.
pub(super) async fn replay(data_dir: &Path, date: NaiveDate, options: &Options) -> Result<(), Failure> {
    let (mut requests, _signals) = signals::listen()?;
    if !options.listen.ip().is_loopback() {
        return Err(exchange_failure(ExchangeError::NotLoopback(options.listen)));
    }
    let data = DataDir::new(data_dir);
    let mut recordings = Vec::new();
    for (feed, endpoint) in feeds(&data, date, options)? {
        recordings.push(look(&data, date, feed, endpoint)?);
    }
    let Some(first) = recordings.iter().filter_map(|recording| recording.begins).min() else {
        return Err(nothing_recorded(&data, date)?);
    };
    let start = options.from.unwrap_or(first);
    let listener = listen(options.listen).await.map_err(exchange_failure)?;
    let address = listener.local_addr().map_err(|source| Failure::System {
        doing: "finding the address listened on".into(),
        source,
    })?;
    announce::begin(date, &recordings, address, start, options);

    // A reader that fails keeps the supply open until the server has ended: closing it would say that the day is
    // complete.
    let (failed, mut failures) = mpsc::channel(1);
    let config = exchange_config(options, &recordings);
    let program = Replay {
        data,
        date,
        recordings,
        start,
        speed: options.speed,
        failed,
    };
    let mut failure = None;
    let shutdown = async {
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request::Stop | Request::OutOfTime) | None => return,
                    Some(Request::CommitNow | Request::Reload) => {}
                },
                Some(reading) = failures.recv() => { failure = Some(reading); return },
            }
        }
    };
    serve(listener, config, program, shutdown)
        .await
        .map_err(exchange_failure)?;
    match failure {
        Some((error, _supplier)) => Err(error.into()),
        None => Ok(()),
    }
}

/// What is served: the recorded day of each feed, read once for each client.
struct Replay {
    data: DataDir,
    date: NaiveDate,
    recordings: Vec<Recording>,
    start: TimeOfDay,
    speed: Pace,
    /// Where a reader that fails says so.
    failed: mpsc::Sender<Failed>,
}

impl Program for Replay {
    fn day(&self, market: Market) -> Cursor {
        let (supplier, supply) = supply();
        if let Some(recording) = self.at(Endpoint::FullMarket(market)) {
            let frames = Frames::new(&self.data, &recording.feed, self.date, recording.last_frame);
            self.read(frames, recording, supplier);
        }
        Cursor::new(supply, self.start, self.speed)
    }

    fn issues(&self) -> IssueDay {
        let (supplier, supply) = supply();
        let mut known = Arc::<Known>::default();
        if let Some(recording) = self.at(Endpoint::PerIssue) {
            known = Arc::clone(&recording.known);
            let frames = IssueFrames::new(&self.data, &recording.feed, self.date, recording.last_frame);
            self.read(frames, recording, supplier);
        }
        let waits = matches!(self.speed, Pace::Max);
        IssueDay::new(RecordedIssues::new(known, supply, waits), self.start, self.speed)
    }
}

impl Replay {
    fn at(&self, endpoint: Endpoint) -> Option<&Recording> {
        self.recordings
            .iter()
            .find(|recording| recording.endpoint == endpoint)
    }

    /// Starts the thread that reads a feed's day.
    fn read<S>(&self, frames: S, recording: &Recording, supplier: Supplier<<S::Message as Outgoing>::Timed>)
    where
        S: Source<Message: Outgoing<Timed: 'static>> + Send + 'static,
    {
        let reader = Reader {
            frames,
            feed: recording.feed.clone(),
            date: self.date,
            start: self.start,
            rows: recording.rows,
        };
        let failed = self.failed.clone();
        // The runtime waits for it when it shuts down.
        drop(tokio::task::spawn_blocking(move || reader.run(supplier, &failed)));
    }
}

fn exchange_config(options: &Options, recordings: &[Recording]) -> Config {
    let market = |recording: &Recording| match recording.endpoint {
        Endpoint::FullMarket(market) => Some(market),
        Endpoint::PerIssue => None,
    };
    let is_per_issue = |recording: &Recording| recording.endpoint == Endpoint::PerIssue;
    Config {
        markets: recordings.iter().filter_map(market).collect(),
        per_issue: recordings.iter().any(is_per_issue).then(PerIssueRules::default),
        admits: Admits::keys_if_any(options.key.clone()),
        // What all feeds received at the same time is sent at the same time.
        one_clock: true,
        exit_at_end: options.exit_at_end,
        events: if options.json {
            EventFormat::Json
        } else {
            EventFormat::Text
        },
        ..Config::default()
    }
}

/// The feeds to serve, each with where the server has it.
fn feeds(data: &DataDir, date: NaiveDate, options: &Options) -> Result<Vec<(FeedName, Endpoint)>, Failure> {
    let recorded = catalog::feeds(data, date)?;
    if recorded.is_empty() {
        return Err(nothing_recorded(data, date)?);
    }
    let asked: BTreeSet<FeedName> = options.feed.iter().cloned().collect();
    if let Some(missing) = asked.iter().find(|feed| !recorded.contains(feed)) {
        let words = format!(
            "{missing} is not recorded on {date}; choose another --feed: {}",
            list(&recorded)
        );
        return Err(Failure::Usage(words));
    }
    let wanted = if asked.is_empty() { recorded } else { asked };
    let mut feeds: Vec<(FeedName, Endpoint)> = Vec::new();
    for feed in &wanted {
        let Some(endpoint) = endpoint_of(data, feed, date) else {
            let words = format!(
                "{feed} cannot be replayed: the server only has the feeds of KOSPI and KOSDAQ, and one of the \
                 per-issue service; {date} has {}: choose with --feed",
                list(&wanted)
            );
            return Err(Failure::Usage(words));
        };
        if let Some((other, _)) = feeds.iter().find(|(_, known)| *known == endpoint) {
            let words = format!(
                "{other} and {feed} are both of the per-issue service, of which a replay serves one feed: choose \
                 with --feed from {}",
                list(&wanted)
            );
            return Err(Failure::Usage(words));
        }
        feeds.push((feed.clone(), endpoint));
    }
    Ok(feeds)
}

/// Where the server has what a feed recorded.
fn endpoint_of(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Option<Endpoint> {
    match catalog::service_of(data, feed, date) {
        Some(service) if *service == PER_ISSUE => Some(Endpoint::PerIssue),
        _ => Market::named(feed.as_str()).map(Endpoint::FullMarket),
    }
}

fn list(feeds: &BTreeSet<FeedName>) -> String {
    let names: Vec<_> = feeds.iter().map(FeedName::as_str).collect();
    names.join(", ")
}

fn nothing_recorded(data: &DataDir, date: NaiveDate) -> Result<Failure, Failure> {
    Ok(Failure::NothingRecorded {
        data_dir: data.path().to_owned(),
        date: Some(date),
        dates: catalog::recorded_dates(data)?
            .into_iter()
            .filter(|known| *known != date)
            .collect(),
    })
}

fn exchange_failure(error: ExchangeError) -> Failure {
    match error {
        ExchangeError::NotLoopback(address) => Failure::Usage(format!(
            "{address} is not a loopback address: a replay serves 127.0.0.1 or [::1] only"
        )),
        error => Failure::System {
            doing: "serving the replay".into(),
            source: io::Error::other(error),
        },
    }
}
