//! The demonstration: a compressed trading day, recorded, compared record by record, and ready to be read.
//!
//! ```text
//!   krx-simulator ──ws──▶ krx-recorder ──▶ data/demo-…/data ◀── your SQL
//!        └──▶ ledger ──▶ comparison ◀────────────┘
//! ```
//!
//! It is of both services: the full-market feeds of both markets, and a per-issue feed of some issues.

// A stream that takes nothing would make these panic.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod shown;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{FixedOffset, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use krx_harness::issues::IssueReport;
use krx_harness::oracle::MARKETS;
use krx_harness::output::{end, say, usage};
use krx_harness::process::free_port;
use krx_harness::recorder::status;
use krx_harness::{Group, IssueList, Mode, Recorder, RecorderConfig, Simulator, compare, compare_issues};

/// The day runs from 08:30 to 20:00; at this pace that is 69 seconds.
const SPEED: u64 = 600;
const DAY_MINUTES: u64 = 690;
const OPEN_MINUTE: u64 = 8 * 60 + 30;
const DAY: Duration = Duration::from_secs(DAY_MINUTES * 60 / SPEED);

/// Those of both markets, and the per-issue one.
const FEEDS: usize = MARKETS.len() + 1;

/// Beyond the day itself: the simulator's start, and the last messages on their way.
const GRACE: Duration = Duration::from_secs(30);

const TRADES: &str = "3000000";

/// What a run must at least have recorded to be worth showing.
const RECORDS_MIN: u64 = 500_000;

/// Stocks that the per-issue feed records: the busiest of the simulator's own.
const STOCKS: [&str; 5] = ["594460", "370710", "026715", "379960", "352210"];

/// A future, and a sector's index.
const FUTURE: &str = "101N6000";
const INDEX: &str = "001";

const HELP: &str = "\
Usage: krx-demo

Records a simulated trading day of both services in about a minute, compares it record by record with what was sent, and
shows how to read it. Takes no arguments. What it records stays in data/demo-… below the current directory.

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
    let (port, list) = (free_port()?, registered());
    let config = RecorderConfig {
        rotate_interval: "30s".to_owned(),
        status_port: Some(port),
        // The configuration wants a whole path.
        data_dir: std::path::absolute(folder.join("data")).context("asking for the current folder")?,
        more: feeds(&list),
        ..RecorderConfig::new(&folder, &simulator.url)
    };
    let mut recorder = config.start()?;
    recorder.wait_for_log("INFO connected ", FEEDS, GRACE)?;
    watch(&mut simulator, &mut recorder, port)?;
    simulator.finish(&mut recorder, FEEDS)?;
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
    let of_issues = compare_all_issues(&simulator, &config.data_dir, &list)?;
    say(format_args!(
        "Equal: each of {} records was sent once, and is there once, with each of its values.\n\n{report}\n",
        report.trades()
    ))?;
    say(format_args!("The same of the per-issue feed:\n\n{of_issues}\n"))?;
    // It is as long as the recording is short: a hundred bytes per record, and more per book.
    fs::remove_file(&simulator.ledger).context("removing the simulator's ledger")?;
    let code = shown::trades(&config.data_dir, &report)?;
    let code = STOCKS.iter().find(|stock| **stock == code).unwrap_or(&STOCKS[0]);
    shown::issue(&config.data_dir, &list, code)?;
    shown::farewell(&config.data_dir)
}

/// What the per-issue feed registers: trades and ten-level books of stocks, those of a future, and an index.
fn registered() -> IssueList {
    const PRESETS: [&str; 2] = ["tick10", "quote10"];
    IssueList::of(vec![
        Group::of(&PRESETS, &STOCKS),
        Group::of_derivatives(&PRESETS, &[FUTURE]),
        Group::of(&["index"], &[INDEX]),
    ])
}

/// The tables of all feeds in the configuration.
fn feeds(list: &IssueList) -> String {
    let of_markets = MARKETS.map(|market| {
        let path = if market == "KOSPI" { "/ws_ksp" } else { "/ws_kdq" };
        format!("[[feed]]\nmarket = \"{market}\"\npath = \"{path}\"\n\n")
    });
    of_markets.concat() + &list.to_toml()
}

/// Compares what the per-issue feed recorded with what was sent.
fn compare_all_issues(simulator: &Simulator, data_dir: &Path, list: &IssueList) -> Result<IssueReport> {
    let report = compare_issues(&simulator.ledger, data_dir, list, Mode::Exact)
        .context("the recording of the per-issue feed is not what was sent")?;
    for dataset in [
        "ticks",
        "books",
        "derivative_ticks",
        "derivative_books",
        "indices",
    ] {
        ensure!(report.rows_of(dataset) > 0, "nothing was recorded of {dataset}");
    }
    Ok(report)
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

/// Shows the progress until the day of every feed is complete.
fn watch(simulator: &mut Simulator, recorder: &mut Recorder, port: u16) -> Result<()> {
    let bar = ProgressBar::new(DAY.as_millis().try_into()?);
    bar.set_style(ProgressStyle::with_template("{msg} [{bar:40}] {percent}%")?.progress_chars("=> "));
    let terminal = std::io::stderr().is_terminal();
    let (started, mut complete, mut next_line) = (Instant::now(), 0, Duration::ZERO);
    while complete < FEEDS {
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
