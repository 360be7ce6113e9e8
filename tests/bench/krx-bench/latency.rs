//! How long a message takes to be written to the journal, and to be on disk, at the pace of a running feed: the journal alone,
//! without a socket and the queue before it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use krx_bench::Frames;
use krx_store::journal::{Followed, Follower, JournalConfig, RecordKind, Tail, What};
use krx_store::{DataDir, Entry, Moment};
use serde_json::json;

/// What `krx-bench latency` is told.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The frames file.
    pub(crate) frames: PathBuf,
    /// Messages a second, at random moments.
    #[arg(long, default_value_t = 23.0)]
    pub(crate) rate: f64,
    /// How long, seconds.
    #[arg(long, default_value_t = 30.0)]
    pub(crate) seconds: f64,
    /// `journal.sync_interval`, ms.
    #[arg(long, default_value_t = 50)]
    pub(crate) sync_interval_ms: u64,
}

/// Journals messages at their pace, and prints quantiles of the time until each was written, and until it was on disk.
pub(crate) fn latency(options: &Options) -> Result<()> {
    let frames = Frames::read(&options.frames)?;
    anyhow::ensure!(
        !frames.is_empty() && options.rate > 0.0,
        "there is nothing to journal"
    );
    let dir = tempfile::tempdir_in(".").context("making a directory to write to")?;
    let data = DataDir::new(dir.path());
    let config = JournalConfig {
        sync_interval: Duration::from_millis(options.sync_interval_ms),
        segment_bytes: 64 << 20,
    };
    let feed = "KOSPI".parse()?;
    let mut writer = krx_store::open_writer(&data, &feed, config, std::sync::Arc::default())?;
    let (send, sent) = channel();
    let (tail, journal) = (writer.tail(), data.journal(&feed));
    let durable = thread::spawn(move || durable(&journal, &tail, &sent));
    let mut written = Vec::new();
    let (mut pace, mut due) = (Pace(1), Instant::now());
    let until = due + Duration::from_secs_f64(options.seconds);
    for frame in std::iter::repeat_with(|| frames.iter()).flatten() {
        due += pace.next(options.rate);
        if due > until {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // From when it was due: what waits for the one before it, waits too.
        send.send(due).context("the other thread has ended")?;
        let entry = Entry {
            at: Moment::now(),
            what: What::Frame(frame),
        };
        writer.append(&[entry])?;
        written.push(due.elapsed());
    }
    writer.close()?;
    let durable = durable
        .join()
        .map_err(|_| anyhow::anyhow!("the other thread panicked"))??;
    anyhow::ensure!(durable.len() == written.len(), "messages are missing");
    println!(
        "{}",
        json!({
            "messages": written.len(),
            "messages_per_second": options.rate,
            "sync_interval_ms": options.sync_interval_ms,
            "written_us": quantiles(written),
            "durable_us": quantiles(durable),
        })
    );
    Ok(())
}

/// For each message the time from when it was due until it was known to be on disk, and read from there.
fn durable(journal: &Path, tail: &std::sync::Arc<Tail>, sent: &Receiver<Instant>) -> Result<Vec<Duration>> {
    let mut follower = Follower::new(journal.to_owned(), Some(std::sync::Arc::clone(tail)));
    let (mut seen, mut found) = (None, Vec::new());
    loop {
        let synced = tail.wait(seen, Duration::from_secs(1));
        loop {
            match follower.advance()? {
                Followed::Record(_, head) if head.kind == RecordKind::Frame => {
                    let due = sent.recv().context("more is on disk than was sent")?;
                    found.push(due.elapsed());
                }
                Followed::CaughtUp => break,
                _ => {}
            }
        }
        match synced {
            Some(synced) => seen = synced,
            None => return Ok(found),
        }
    }
}

fn quantiles(mut all: Vec<Duration>) -> serde_json::Value {
    all.sort_unstable();
    let at = |part: usize| all.get((all.len() * part / 1000).min(all.len().saturating_sub(1)));
    let micros = |part| at(part).map(Duration::as_micros);
    json!({ "p50": micros(500), "p90": micros(900), "p99": micros(990), "max": micros(1000) })
}

/// Gaps between messages that come at random moments.
struct Pace(u64);

impl Pace {
    fn next(&mut self, rate: f64) -> Duration {
        // A linear congruential generator (Knuth, MMIX): the same moments again each time.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let part = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(-(1.0 - part).ln() / rate)
    }
}
