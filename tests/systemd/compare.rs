//! Compares what a recorder has recorded with what the simulator's ledger says that it sent, and with the recorder's own
//! coverage: `krx-compare LEDGER DATA_DIR`. For tests that are not written in Rust.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use krx_tests::{Mode, RecorderConfig, compare, coverage};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [ledger, data_dir] = arguments.as_slice() else {
        eprintln!("usage: krx-compare LEDGER DATA_DIR");
        return ExitCode::from(64);
    };
    match report(ledger, data_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("krx-compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn report(ledger: &Path, data_dir: &Path) -> Result<()> {
    let report = compare(ledger, data_dir, Mode::Prefix).context("the recording is not what was sent")?;
    println!("{report}");
    for (market, report) in &report.markets {
        let sessions = report.sessions.values();
        let (sent, recorded) = sessions.fold((0, 0), |(sent, recorded), session| {
            (sent + session.texts_sent, recorded + session.texts_recorded)
        });
        println!(
            "{market}: {} sessions, {sent} texts sent, {recorded} recorded, {} lost at their ends",
            report.sessions.len(),
            sent - recorded
        );
    }
    let folder = ledger.parent().context("the ledger is in a folder")?;
    let config = RecorderConfig {
        data_dir: data_dir.to_owned(),
        ..RecorderConfig::new(folder, "")
    };
    let coverage = coverage::check(&config).context("the coverage is not what was recorded")?;
    for ((state, reason), intervals) in coverage.intervals {
        println!("{intervals} intervals {state} {reason}");
    }
    Ok(())
}
