//! `krx-bench`: the recorder's stages over a frames file, each printing one JSON line as the peers in
//! `tests/bench/peers` do, the server that feeds both sides, a plain program to measure beside, and trading days to measure
//! reading and exporting with.

mod bare;
mod days;
mod export;
mod journaled;
mod latency;
mod options;
mod pace;
mod serve;
mod sockets;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use krx_bench::Frames;
use serde_json::json;

#[derive(Parser)]
#[command(name = "krx-bench", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Measure this often, and print the best.
    #[arg(long, default_value_t = 1, global = true)]
    repeat: u32,
}

#[derive(Subcommand)]
enum Command {
    /// Frames in memory to Arrow columns.
    Decode {
        /// The frames file.
        frames: PathBuf,
    },
    /// Frames in memory to committed Parquet, one thread.
    Seal {
        /// The frames file.
        frames: PathBuf,
        /// Measure nothing, and leave the files in this data directory.
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Serve the frames to each client that sends `init`, as fast as it takes them; prints the URL.
    Serve {
        /// The frames file.
        frames: PathBuf,
    },
    /// Socket to journal: the feed and the journal, without an exporter.
    Journal {
        /// The URL that `serve` printed.
        url: String,
        /// The frames file that it serves.
        frames: PathBuf,
    },
    /// Socket to committed Parquet: the whole recorder.
    Record {
        /// The URL that `serve` printed.
        url: String,
        /// The frames file that it serves.
        frames: PathBuf,
    },
    /// How long messages take to the journal and to the disk, one at a time at the pace of a running feed.
    Latency(latency::Options),
    /// Record as a plain program would, until SIGTERM.
    Bare(bare::Options),
    /// Export what `days --journal-only` left, each feed by a thread of its own, as a recorder does when it starts.
    Export {
        /// The data directory.
        data_dir: PathBuf,
        /// How many days the journal is archived for.
        #[arg(long, default_value_t = 0)]
        keep_days: u32,
    },
    /// Make up trading days, and record them into a data directory without a socket.
    Days(options::Options),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match &cli.command {
        Command::Bare(options) => bare::bare(options),
        Command::Days(options) => days::days(options),
        Command::Export { data_dir, keep_days } => export::export(data_dir, *keep_days),
        Command::Latency(options) => latency::latency(options),
        Command::Serve { frames } => serve::serve(&Frames::read(frames)?),
        Command::Decode { frames } => best(&cli, "krx decode", frames, |frames, _| {
            anyhow::ensure!(krx_bench::decode(frames) == frames.records, "records are missing");
            Ok(0)
        }),
        Command::Seal {
            frames,
            keep: Some(dir),
        } => {
            std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
            krx_bench::commit(&Frames::read(frames)?, dir).map(drop)
        }
        Command::Seal { frames, keep: None } => best(&cli, "krx seal", frames, |frames, dir| {
            Ok(krx_bench::commit(frames, dir)?
                .iter()
                .map(|sealed| sealed.bytes)
                .sum())
        }),
        Command::Journal { url, frames } => best(&cli, "krx journal", frames, |frames, dir| {
            sockets::journal(url, frames, dir)
        }),
        Command::Record { url, frames } => best(&cli, "krx record", frames, |frames, dir| {
            sockets::record(url, frames, dir)
        }),
    }
}

/// Runs `stage` in a fresh directory as often as asked for, and prints the fastest run.
fn best(cli: &Cli, peer: &str, frames: &Path, stage: impl Fn(&Frames, &Path) -> Result<u64>) -> Result<()> {
    let frames = Frames::read(frames)?;
    // The peers' lines name the dataset in the same way.
    let peer = match frames.dataset() {
        "trades" => peer.to_owned(),
        dataset => format!("{peer}-{dataset}"),
    };
    let mut best: Option<(f64, f64, u64)> = None;
    for _ in 0..cli.repeat.max(1) {
        let dir = tempfile::tempdir_in(".").context("making a directory to write to")?;
        let (cpu, start) = (cpu_seconds()?, Instant::now());
        let bytes = stage(&frames, dir.path())?;
        let run = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu, bytes);
        if best.is_none_or(|best| run.0 < best.0) {
            best = Some(run);
        }
    }
    let (seconds, cpu_seconds, bytes) = best.context("nothing was run")?;
    let line = json!({
        "peer": peer,
        "records": frames.records,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "records_per_second": frames.records as f64 / seconds,
        "bytes": bytes,
        "versions": { "krx-recorder": env!("CARGO_PKG_VERSION") },
    });
    println!("{line}");
    Ok(())
}

/// User and system time of this process, seconds (proc(5), /proc/PID/stat, fields 14 and 15, in ticks of 10 ms).
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2);
    Ok(fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0)
}
