//! `krx-recorder replay`: serves a recorded day as the exchange would.
//!
//! ```text
//!   files ─▶ Frames ─▶ MessageBuilder ─▶ Supplier ─▶ krx_exchange::serve ──ws──▶ whatever reads the feed
//!                   (rows)    (text)             a thread for each feed
//! ```
//!
//! The simulator uses the same server, so only one place speaks the protocol.

mod announce;
mod frames;
pub(super) mod message;
mod options;
mod reader;
mod recording;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use chrono::NaiveDate;
use krx_exchange::{Admits, Config, Cursor, EventFormat, ExchangeError, listen, serve, supply};
use krx_store::service::FULL_MARKET;
use krx_store::{DataDir, FeedName, catalog};
use tokio::sync::mpsc;

pub(super) use options::Options;

use crate::process::exit::Failure;
use crate::process::signals::{self, Request};
use frames::Frames;
use reader::Reader;
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
    for (feed, market) in feeds(&data, date, options)? {
        recordings.push(look(&data, date, feed, market)?);
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
    let speed = options.speed;
    let program = move |market| {
        let (supplier, supply) = supply();
        if let Some(recording) = recordings.iter().find(|recording| recording.market == market) {
            let reader = Reader {
                frames: Frames::new(&data, &recording.feed, date, recording.last_frame),
                feed: recording.feed.clone(),
                date,
                start,
                trades: recording.trades,
            };
            let failed = failed.clone();
            // The runtime waits for it when it shuts down.
            drop(tokio::task::spawn_blocking(move || reader.run(supplier, &failed)));
        }
        Cursor::new(supply, start, speed)
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

fn exchange_config(options: &Options, recordings: &[Recording]) -> Config {
    Config {
        markets: recordings.iter().map(|recording| recording.market).collect(),
        admits: Admits::keys_if_any(options.key.clone()),
        // What both feeds received at the same time is sent at the same time.
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

/// The feeds to serve, each with the market that the server knows it by.
fn feeds(
    data: &DataDir,
    date: NaiveDate,
    options: &Options,
) -> Result<Vec<(FeedName, krx_exchange::Market)>, Failure> {
    let mut recorded = catalog::feeds(data, date)?;
    // What is served is that of the full-market service.
    recorded
        .retain(|feed| catalog::service_of(data, feed, date).is_none_or(|service| *service == FULL_MARKET));
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
    let mut feeds = Vec::new();
    for feed in &wanted {
        let Some(market) = krx_exchange::Market::named(feed.as_str()) else {
            let words = format!(
                "{feed} cannot be replayed: the server only has the feeds of KOSPI and KOSDAQ; {date} has {}: \
                 choose with --feed",
                list(&wanted)
            );
            return Err(Failure::Usage(words));
        };
        feeds.push((feed.clone(), market));
    }
    Ok(feeds)
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
