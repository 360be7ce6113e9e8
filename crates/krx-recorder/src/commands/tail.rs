//! `krx-recorder tail`: the newest records, which are in the journal and in no file yet.

mod output;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use clap::Args;
use krx_report::time::rfc3339;
use krx_store::dataset::{Dataset, QUARANTINE};
use krx_store::journal::Position;
use krx_store::tail::{FrameOfDate, Synced, TailBatch, TailReader, Tailed, committed};
use krx_store::{DataDir, FeedName, Moment, StoreError, catalog, feed_service, lock};

use self::output::{Format, Output};
use super::ask::ask;
use crate::process::exit::Failure;
use crate::process::out::tell;
use crate::process::runtime::in_runtime;
use crate::status;

/// How often a followed journal is looked at: well within the 100 ms that it may be behind.
const LOOK: Duration = Duration::from_millis(50);

/// How long a recorder that no longer answers may take to stop.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How often a journal is opened again whose files are being exported and removed.
const OPENINGS_MAX: usize = 20;

/// What to show.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// These feeds only; default: all that have the dataset.
    #[arg(value_name = "FEED")]
    feeds: Vec<FeedName>,
    /// The dataset; default: trades, or ticks where no feed has trades.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// These issues only.
    #[arg(long, value_name = "CODE,…", value_delimiter = ',')]
    code: Vec<String>,
    /// Begin after this frame instead of the last one in files, as 2026-11-20:4711. Repeatable, once for each date.
    #[arg(long, value_name = "DATE:FRAME")]
    after: Vec<FrameOfDate>,
    /// Keep printing as records become durable, until the recorder stops.
    #[arg(long)]
    follow: bool,
    /// How to print them; default: a table on a terminal, ndjson elsewhere.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write a Parquet file instead. It appears when it is whole; an existing one is replaced.
    #[arg(long, value_name = "FILE.parquet", conflicts_with_all = ["format", "follow"])]
    output: Option<PathBuf>,
}

/// Shows what the journals of a data directory have beyond its files. `address` is the status port of the recorder, if it
/// is known.
///
/// # Errors
/// [`Failure::Usage`], when nothing there is as asked for; [`Failure::Unavailable`], when a recorder is running and does not
/// say how far its journal is on disk; [`Failure::Store`], when a journal cannot be read.
pub(super) fn tail(data_dir: &Path, address: Option<SocketAddr>, options: &Options) -> Result<(), Failure> {
    let data = DataDir::new(data_dir);
    let (dataset, feeds) = chosen(&data, options)?;
    if feeds.len() > 1 && !options.after.is_empty() {
        return Err(Failure::Usage(
            "--after is a frame of one feed, and each feed counts its own: name the feed".to_owned(),
        ));
    }
    if !options.code.is_empty() && dataset == &QUARANTINE {
        return Err(Failure::Usage(
            "quarantine has no issue codes: leave out --code".to_owned(),
        ));
    }
    let source = lock::is_held(&data)?.then(|| port(address)).transpose()?;
    if source.is_none() && options.follow {
        return Err(Failure::Unavailable(format!(
            "no recorder is running in {}: there is nothing to follow; without --follow, tail shows what the last one has left",
            data_dir.display()
        )));
    }
    if source.is_none() {
        tell("no recorder is running: this is what is on disk after its stop or crash");
    }
    let after: BTreeMap<NaiveDate, u64> = options
        .after
        .iter()
        .map(|after| (after.date, after.frame))
        .collect();
    let mut tails = Vec::new();
    for feed in feeds {
        let tail = Tail::open(&data, feed, dataset, &after, options)?;
        tails.push(tail);
    }
    let mut output = match Output::begin(options.format, options.output.as_deref(), dataset) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        begun => begun.map_err(|source| unwritten(options, source))?,
    };
    let mut written = show(&data, &mut tails, source, &mut output);
    if source.is_none() && written.is_ok() && lock::is_held(&data)? {
        return Err(Failure::Unavailable(
            "a recorder has started meanwhile, and goes on in the same journal: ask again".to_owned(),
        ));
    }
    if options.follow && written.is_ok() {
        written = follow(&data, &mut tails, source, &mut output);
    }
    match written.and_then(|()| output.finish().map_err(Shown::Unwritten)) {
        Err(Shown::Unwritten(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Err(Shown::Unwritten(source)) => return Err(unwritten(options, source)),
        Err(Shown::Failed(failure)) => return Err(failure),
        Ok(()) => {}
    }
    tails.iter().for_each(|tail| tell(tail.told()));
    Ok(())
}

fn unwritten(options: &Options, source: io::Error) -> Failure {
    let doing = match &options.output {
        Some(path) => format!("writing {}; choose another place with --output", path.display()),
        None => "printing the tail: writing to standard output".to_owned(),
    };
    Failure::System { doing, source }
}

/// Why nothing more is shown.
enum Shown {
    Unwritten(io::Error),
    Failed(Failure),
}

impl From<Failure> for Shown {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Shows all that there is now.
fn show(
    data: &DataDir,
    tails: &mut [Tail<'_>],
    source: Option<SocketAddr>,
    output: &mut Output,
) -> Result<(), Shown> {
    let answer = match source {
        None => None,
        Some(address) => Some((address, synced(data, address)?)),
    };
    for tail in tails {
        let until = match &answer {
            None => Synced::AtRest,
            Some((address, synced)) => Synced::Until(*synced.get(tail.feed.as_str()).ok_or_else(|| {
                let feed = &tail.feed;
                Failure::Unavailable(format!(
                    "the recorder at {address} does not record {feed}; leave that feed out, or pass --listen with the port of the \
                     recorder that does"
                ))
            })?),
        };
        tail.show(until, output)?;
    }
    Ok(())
}

/// Goes on until the recorder stops, and shows what it has left.
fn follow(
    data: &DataDir,
    tails: &mut [Tail<'_>],
    source: Option<SocketAddr>,
    output: &mut Output,
) -> Result<(), Shown> {
    let mut answered = Instant::now();
    loop {
        while lock::is_held(data).map_err(Failure::from)? {
            std::thread::sleep(LOOK);
            match show(data, tails, source, output) {
                Ok(()) => answered = Instant::now(),
                // It does not answer yet while it starts, nor any more while it stops and exports what it has received.
                Err(Shown::Failed(Failure::Unavailable(_))) if answered.elapsed() < STOP_MAX => {}
                Err(other) => return Err(other),
            }
        }
        show(data, tails, None, output)?;
        if !lock::is_held(data).map_err(Failure::from)? {
            tell("the recorder has stopped");
            return Ok(());
        }
        // Another one has started meanwhile, and goes on.
        answered = Instant::now();
    }
}

/// The dataset, and the feeds that have it.
fn chosen(data: &DataDir, options: &Options) -> Result<(Dataset, Vec<FeedName>), Failure> {
    let all = catalog::journal_feeds(data)?;
    if let Some(unknown) = options.feeds.iter().find(|feed| !all.contains(*feed)) {
        let known: Vec<_> = all.iter().map(FeedName::as_str).collect();
        return Err(Failure::Usage(format!(
            "{unknown} has no journal in {}; the feeds there are: {}",
            data.path().display(),
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        )));
    }
    let mut services = Vec::new();
    for feed in all
        .into_iter()
        .filter(|feed| options.feeds.is_empty() || options.feeds.contains(feed))
    {
        let last = catalog::segments(&data.journal(&feed))?
            .last()
            .map(|name| name.date);
        let service = feed_service::of_date(data, &feed, last.unwrap_or_else(|| Moment::now().date()))?;
        services.push((feed, service));
    }
    let datasets = || {
        services
            .iter()
            .flat_map(|(_, service)| service.datasets.iter().copied())
    };
    let named = |name: &str| {
        datasets()
            .chain([&QUARANTINE])
            .find(|dataset| dataset.name == name)
    };
    let dataset = match &options.dataset {
        Some(name) => named(name).ok_or_else(|| {
            let mut names: Vec<_> = datasets()
                .chain([&QUARANTINE])
                .map(|dataset| dataset.name)
                .collect();
            names.sort_unstable();
            names.dedup();
            Failure::Usage(format!(
                "no feed here has the dataset {name}; there are {}",
                names.join(", ")
            ))
        })?,
        None => named("trades")
            .or_else(|| named("ticks"))
            .ok_or_else(|| Failure::NothingRecorded {
                data_dir: data.path().to_owned(),
                date: None,
                dates: Vec::new(),
            })?,
    };
    let feeds = services
        .into_iter()
        .filter(|(_, service)| service.fills(dataset))
        .map(|(feed, _)| feed);
    Ok((dataset, feeds.collect()))
}

fn port(address: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    address.ok_or_else(|| {
        Failure::Unavailable(
            "a recorder is running, and only it knows how far its journal is on disk: give its status port, with --listen or a \
             --config that has status.listen"
                .to_owned(),
        )
    })
}

/// How far each feed's journal is on disk, as the recorder of the data directory says.
fn synced(data: &DataDir, address: SocketAddr) -> Result<BTreeMap<String, Option<Position>>, Failure> {
    let answer = in_runtime(ask(address, "/synced.json"))?;
    let all: status::SyncedJournals = serde_json::from_slice(&answer).map_err(|error| {
        Failure::Unavailable(format!(
            "what answers at {address} is not a recorder of this version ({error})"
        ))
    })?;
    if data.path().canonicalize().ok().as_ref() != Some(&all.data_dir) {
        return Err(Failure::Unavailable(format!(
            "the recorder at {address} writes to {}, and not to {}: with --listen, name the status port of the one that does",
            all.data_dir.display(),
            data.path().display()
        )));
    }
    Ok(all.feeds.into_iter().map(|of| (of.feed, of.synced)).collect())
}

/// A feed's tail.
struct Tail<'a> {
    data: &'a DataDir,
    feed: FeedName,
    dataset: Dataset,
    options: &'a Options,
    /// After which frame of each date to go on.
    after: BTreeMap<NaiveDate, u64>,
    reader: Option<TailReader>,
    first: Option<(NaiveDate, u64)>,
    last: Option<(NaiveDate, u64, Moment)>,
}

impl<'a> Tail<'a> {
    fn open(
        data: &'a DataDir,
        feed: FeedName,
        dataset: Dataset,
        after: &BTreeMap<NaiveDate, u64>,
        options: &'a Options,
    ) -> Result<Self, Failure> {
        // Files that come from now on are not among those that were listed, however long it takes to get to this feed.
        let mut begin = committed(data, &feed, dataset)?;
        begin.extend(after.iter().map(|(date, frame)| (*date, *frame)));
        Ok(Self {
            data,
            feed,
            dataset,
            options,
            after: begin,
            reader: None,
            first: None,
            last: None,
        })
    }

    /// Shows what is new, up to a place in the journal.
    fn show(&mut self, until: Synced, output: &mut Output) -> Result<(), Shown> {
        if until == Synced::Until(None) {
            return Ok(());
        }
        for _ in 0..OPENINGS_MAX {
            match self.advance(until, output) {
                // The journal was exported and removed: its files are gone.
                Err(Shown::Failed(Failure::Store(StoreError::Io { source, .. })))
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    self.reader = None;
                }
                done => return done,
            }
        }
        self.advance(until, output)
    }

    fn advance(&mut self, until: Synced, output: &mut Output) -> Result<(), Shown> {
        let mut reader = match (self.reader.take(), until) {
            (Some(mut reader), Synced::Until(position)) => {
                reader.synced_until(position);
                reader
            }
            _ => TailReader::open(self.data, &self.feed, self.dataset, self.after.clone(), until)
                .map_err(Failure::from)?,
        };
        loop {
            match reader.advance().map_err(Failure::from)? {
                Tailed::Rows(batch) => {
                    self.after.insert(batch.date, batch.last_frame);
                    self.first.get_or_insert((batch.date, batch.first_frame));
                    self.last = Some((batch.date, batch.last_frame, batch.last_recv));
                    self.write(batch, output).map_err(Shown::Unwritten)?;
                }
                Tailed::Behind(date, first, last) => {
                    self.after.insert(date, last);
                    tell(format!(
                        "{}: frames {first} to {last} of {date} have gone to files meanwhile: list the files again",
                        self.feed
                    ));
                }
                Tailed::Damaged(words) => {
                    tell(format!("{}: {words}: records may be missing there", self.feed));
                }
                Tailed::CaughtUp => {
                    // One of a journal at rest has nothing more to say.
                    self.reader = Some(reader).filter(|_| until != Synced::AtRest);
                    return Ok(());
                }
            }
        }
    }

    fn write(&self, batch: TailBatch, output: &mut Output) -> io::Result<()> {
        let batch = if self.options.code.is_empty() {
            batch
        } else {
            batch.of_codes(&self.options.code)
        };
        output.write(&batch.with_path(self.dataset, &self.feed))
    }

    /// Which frames it had.
    fn told(&self) -> String {
        let feed = &self.feed;
        match (self.first, self.last) {
            (Some((from, first)), Some((to, last, recv))) => {
                let of_first = if from == to {
                    String::new()
                } else {
                    format!(" of {from}")
                };
                format!(
                    "{feed}: frames {first}{of_first} to {last} of {to}, the last received at {}",
                    rfc3339(recv)
                )
            }
            _ => match self.after.iter().next_back() {
                Some((date, frame)) if *frame > 0 => format!("{feed}: nothing after frame {frame} of {date}"),
                _ => format!("{feed}: nothing"),
            },
        }
    }
}
