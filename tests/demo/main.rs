//! The demonstration: a compressed trading day, recorded, compared record by record, and ready to be read.
//!
//! ```text
//!   krx-simulator ──ws──▶ krx-recorder ──▶ data/demo-…/data ◀── your SQL
//!        └──▶ ledger ──▶ comparison ◀────────────┘
//! ```

// A stream that takes nothing would make these panic.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::collections::HashMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, FixedOffset, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use krx_harness::oracle::{MARKETS, Report};
use krx_harness::output::{end, say, usage};
use krx_harness::process::free_port;
use krx_harness::recorded::{Frames, TradeRow};
use krx_harness::recorder::status;
use krx_harness::{Mode, Recorder, RecorderConfig, Simulator, compare};

/// The day runs from 08:30 to 20:00; at this pace that is 69 seconds.
const SPEED: u64 = 600;
const DAY_MINUTES: u64 = 690;
const OPEN_MINUTE: u64 = 8 * 60 + 30;
const DAY: Duration = Duration::from_secs(DAY_MINUTES * 60 / SPEED);

/// Beyond the day itself: the simulator's start, and the last messages on their way.
const GRACE: Duration = Duration::from_secs(30);

const TRADES: &str = "3000000";

/// What a run must at least have recorded to be worth showing.
const RECORDS_MIN: u64 = 500_000;

/// Rows of one issue that are shown.
const SHOWN: usize = 5;

const HELP: &str = "\
Usage: krx-demo

Records a simulated trading day in about a minute, compares it record by record with what was sent, and shows how to
read it. Takes no arguments. What it records stays in data/demo-… below the current directory.

  -h, --help  print this";

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        None => end("krx-demo", &demo()),
        Some(argument) => usage("krx-demo", HELP, argument == "-h" || argument == "--help"),
    }
}

fn demo() -> Result<()> {
    let folder = fresh_folder()?;
    say(format_args!(
        "A trading day from 08:30 to 20:00 in {} seconds, recorded under {}",
        DAY.as_secs(),
        folder.display()
    ))?;
    let mut simulator = Simulator::start(
        &folder,
        &["--speed", &SPEED.to_string(), "--trades-per-day", TRADES],
    )?;
    let port = free_port()?;
    let config = RecorderConfig {
        rotate_interval: "30s".to_owned(),
        status_port: Some(port),
        // The configuration wants a whole path.
        data_dir: std::path::absolute(folder.join("data")).context("asking for the current folder")?,
        ..RecorderConfig::new(&folder, &simulator.url)
    };
    let mut recorder = config.start()?;
    recorder.wait_for_log("INFO connected ", MARKETS.len(), GRACE)?;
    watch(&mut simulator, &mut recorder, port)?;
    simulator.finish(&mut recorder, MARKETS.len())?;
    let stopping = Instant::now();
    recorder.stop()?;
    say(format_args!(
        "The recorder was stopped by SIGTERM, and has committed everything in {:.1?}.",
        stopping.elapsed()
    ))?;

    say(format_args!(
        "Comparing every record with what the simulator says that it sent …"
    ))?;
    let report = compare(&simulator.ledger, &config.data_dir, Mode::Exact)
        .context("the recording is not what was sent")?;
    ensure!(
        report.trades() >= RECORDS_MIN,
        "{} records are fewer than a demonstration should have",
        report.trades()
    );
    say(format_args!(
        "Equal: each of {} records was sent once, and is there once, with each of its values.\n\n{report}\n",
        report.trades()
    ))?;
    // It is as long as the recording is short: a hundred bytes per record.
    fs::remove_file(&simulator.ledger).context("removing the simulator's ledger")?;
    show(&config.data_dir, &report)
}

/// A directory of this run's own: nothing that exists is ever touched.
fn fresh_folder() -> Result<PathBuf> {
    let korea = FixedOffset::east_opt(9 * 3600).context("nine hours")?;
    let now = Utc::now().with_timezone(&korea).format("%Y%m%d-%H%M%S");
    let folder = PathBuf::from(format!("data/demo-{now}"));
    fs::create_dir_all("data").context("creating data/")?;
    fs::create_dir(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// Shows the progress until the day of both markets is complete.
fn watch(simulator: &mut Simulator, recorder: &mut Recorder, port: u16) -> Result<()> {
    let bar = ProgressBar::new(DAY.as_millis().try_into()?);
    bar.set_style(ProgressStyle::with_template("{msg} [{bar:40}] {percent}%")?.progress_chars("=> "));
    let terminal = std::io::stderr().is_terminal();
    let (started, mut complete, mut next_line) = (Instant::now(), 0, Duration::ZERO);
    while complete < MARKETS.len() {
        sleep(Duration::from_millis(200));
        complete += usize::from(simulator.poll_for("day_complete").is_some());
        ensure!(
            recorder.process.ended()?.is_none(),
            "the recorder has ended:\n{}",
            recorder.log_end()
        );
        let elapsed = started.elapsed();
        ensure!(
            elapsed < DAY + GRACE,
            "the day is not complete after {elapsed:.0?}"
        );
        let message = format!("{} {}", simulated(elapsed), so_far(port).unwrap_or_default());
        if terminal {
            bar.set_position(elapsed.as_millis().try_into()?);
            bar.set_message(message);
        } else if elapsed >= next_line {
            say(format_args!("{message}"))?;
            next_line += Duration::from_secs(5);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// The simulated time of day.
fn simulated(elapsed: Duration) -> String {
    let minutes = OPEN_MINUTE + (elapsed.as_secs() * SPEED / 60).min(DAY_MINUTES);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// What the recorder's status says.
fn so_far(port: u16) -> Option<String> {
    let status = status(port).ok()?;
    let sum = |key: &str| -> Option<u64> {
        status["feeds"]
            .as_array()?
            .iter()
            .map(|feed| feed[key].as_u64())
            .sum()
    };
    Some(format!(
        "{:>6} frames received, {:>7} rows committed in {:>3} files",
        sum("frames_journaled")?,
        sum("rows_committed")?,
        sum("files_committed")?
    ))
}

/// Shows the first rows of the issue that was traded most, and how to read them.
fn show(data_dir: &Path, report: &Report) -> Result<()> {
    let (market, _) = report
        .markets
        .iter()
        .max_by_key(|(_, report)| report.trades)
        .context("a market")?;
    let (mut counts, mut first) = (
        HashMap::<String, usize>::new(),
        HashMap::<String, Vec<TradeRow>>::new(),
    );
    let (mut frames, mut date) = (Frames::open(data_dir, market)?, None);
    while let Some(frame) = frames.next()? {
        date = date.or(Some(frame.date));
        for row in frame.trades.into_iter().filter(|row| row.kind == "trade") {
            *counts.entry(row.code.clone()).or_default() += 1;
            let rows = first.entry(row.code.clone()).or_default();
            if rows.len() < SHOWN {
                rows.push(row);
            }
        }
    }
    let (code, count) = counts
        .iter()
        .max_by_key(|(code, count)| (**count, *code))
        .context("a trade")?;
    say(format_args!(
        "{code}, the issue traded most in {market} ({count} trades), begins so:\n"
    ))?;
    say(format_args!(
        "{:<8} {:<23} {:>9} {:>7}",
        "code", "trade_ts", "price", "volume"
    ))?;
    for row in &first[code] {
        let at = row
            .trade_ts
            .and_then(DateTime::from_timestamp_millis)
            .context("a trade has a time")?;
        let at = at.naive_utc() + chrono::TimeDelta::hours(9);
        say(format_args!(
            "{:<8} {:<23} {:>9} {:>7}",
            row.code,
            at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            row.price,
            row.volume
        ))?;
    }
    let date = date.context("a date")?;
    show_queries(data_dir, &date.to_string(), market, code)
}

/// How to read the same rows with other programs.
fn show_queries(data_dir: &Path, date: &str, market: &str, code: &str) -> Result<()> {
    let trades = data_dir.join("trades");
    let trades = trades.display();
    say(format_args!(
        "
The same in DuckDB:

  SET TimeZone = 'Asia/Seoul';
  SELECT code, trade_ts, price, volume
  FROM read_parquet('{trades}/**/*.parquet', hive_partitioning = true)
  WHERE date = '{date}' AND market = '{market}' AND code = '{code}' AND kind = 'trade'
  ORDER BY frame, item LIMIT {SHOWN};

and in pandas:

  import pandas as pd
  trades = pd.read_parquet('{trades}', filters=[
      ('date', '==', '{date}'), ('market', '==', '{market}'),
      ('code', '==', '{code}'), ('kind', '==', 'trade'),
  ])
  print(trades.sort_values(['frame', 'item'])[['code', 'trade_ts', 'price', 'volume']].head({SHOWN}))

The data stay in {}; remove them with: rm -r {}",
        data_dir.display(),
        data_dir.parent().unwrap_or(data_dir).display()
    ))?;
    Ok(())
}
