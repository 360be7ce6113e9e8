//! `krx-recorder report`: a recorded date as one HTML file with charts, for whoever looks at it the next morning.
//!
//! ```text
//!   trades, quarantine ─▶ fold (lag, volume, oddities, issue) ─┐
//!   coverage, calendar ─▶ recorded ────────────────────────────┴▶ facts ─▶ verdict ─┬▶ html (days, measures, findings) ─▶ file
//!                                                                                   └▶ --json
//! ```
//!
//! Only `gather` and this file touch anything outside; all else is pure.

mod bars;
mod days;
pub mod facts;
mod findings;
pub mod fold;
#[cfg(test)]
mod fold_tests;
mod gather;
pub mod html;
#[cfg(test)]
mod html_tests;
pub mod issue;
pub mod lag;
mod measures;
pub mod oddities;
pub mod recorded;
mod svg;
mod table;
mod time;
mod timeline;
pub mod verdict;
pub mod volume;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use indicatif::{ProgressBar, ProgressStyle};
use krx_calendar::Calendar;
use krx_store::{DataDir, Moment};

use crate::exit::Failure;
use html::page;
use verdict::Verdict;

/// Looks at `date` and writes the page to `output`, or prints the figures as JSON.
///
/// # Errors
/// [`Failure::NothingRecorded`] when nothing is known of the date; [`Failure::Store`] when it cannot be read;
/// [`Failure::System`] when the page cannot be written.
pub fn report(
    data_dir: &Path,
    calendar: &Calendar,
    date: NaiveDate,
    output: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let data = DataDir::new(data_dir);
    let markets = gather::markets_of(&data, date)?.map_err(|dates| Failure::NothingRecorded {
        data_dir: data_dir.to_owned(),
        date: Some(date),
        dates,
    })?;
    let bar = progress_bar(|| gather::rows(&data, date, &markets))?;
    let now = Moment::now();
    let facts = gather::gather(&data, date, &markets, calendar, now, &|rows| bar.inc(rows));
    bar.finish_and_clear();
    let facts = facts?;
    let mut out = io::stdout().lock();
    let written = if json {
        serde_json::to_string(&facts)
            .map_err(io::Error::other)
            .and_then(|text| writeln!(out, "{text}"))
    } else {
        let default = PathBuf::from(format!("krx-report-{date}.html"));
        let output = output.unwrap_or(&default);
        replace(output, &page(&facts)).map_err(|source| Failure::System {
            doing: format!("writing {}; choose another place with --output", output.display()),
            source,
        })?;
        let Verdict { level, words, .. } = &facts.verdict;
        writeln!(out, "{} {words}\n{}", level.mark(), output.display())
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|source| Failure::System {
            doing: "printing the report".into(),
            source,
        }),
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(rows: impl FnOnce() -> Result<u64, krx_store::StoreError>) -> Result<ProgressBar, Failure> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:40} {human_pos}/{human_len} records {per_sec} {eta}";
    let bar = ProgressBar::new(rows()?);
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    Ok(bar)
}

/// Puts a file in place as a whole: whoever opens it sees the old one or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    let partial = path.with_file_name(format!(
        ".{}.{}.partial",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    });
    if written.is_err() {
        // What is left of it is of no use.
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_put_in_place_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        replace(&path, "one").unwrap();
        replace(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert!(replace(folder.path(), "three").is_err());
        assert!(replace(&folder.path().join("missing/report.html"), "four").is_err());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }
}
