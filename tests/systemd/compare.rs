//! Compares what a recorder has recorded with what the simulator's ledger says that it sent, and with the recorder's own
//! coverage: `krx-compare LEDGER DATA_DIR`. For tests that are not written in Rust.

// A stream that takes nothing would make these panic.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use krx_harness::output::{end, say, usage};
use krx_harness::{Mode, RecorderConfig, compare, coverage};

const HELP: &str = "\
Usage: krx-compare LEDGER DATA_DIR

Compares what a recorder has recorded in DATA_DIR with what the simulator's LEDGER says that it sent.";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [ledger, data_dir] => end("krx-compare", &report(ledger, data_dir)),
        [asked] => {
            let help = asked.as_os_str() == "-h" || asked.as_os_str() == "--help";
            usage("krx-compare", HELP, help)
        }
        _ => usage("krx-compare", HELP, false),
    }
}

fn report(ledger: &Path, data_dir: &Path) -> Result<()> {
    let report = compare(ledger, data_dir, Mode::Prefix).context("the recording is not what was sent")?;
    say(format_args!("{report}"))?;
    for (market, report) in &report.markets {
        let sessions = report.sessions.values();
        let (sent, recorded) = sessions.fold((0, 0), |(sent, recorded), session| {
            (sent + session.texts_sent, recorded + session.texts_recorded)
        });
        say(format_args!(
            "{market}: {} sessions, {sent} texts sent, {recorded} recorded, {} lost at their ends",
            report.sessions.len(),
            sent - recorded
        ))?;
    }
    let folder = ledger.parent().context("the ledger is in a folder")?;
    let config = RecorderConfig {
        // The configuration wants a whole path.
        data_dir: std::path::absolute(data_dir).context("asking for the current folder")?,
        ..RecorderConfig::new(folder, "")
    };
    let coverage = coverage::check(&config).context("the coverage is not what was recorded")?;
    for ((state, reason), intervals) in coverage.intervals {
        say(format_args!("{intervals} intervals {state} {reason}"))?;
    }
    Ok(())
}
