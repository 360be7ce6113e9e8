//! `krx-recorder verify`: checks that recorded data is still as it was written.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use chrono::NaiveDate;
use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};
use krx_store::dataset::Dataset;
use krx_store::verify::{FeedDay, Finding, Kind, Report, bytes_of, foreign, verify as look};
use krx_store::{DataDir, FeedName, Moment};

use crate::hours::absence::Absence;
use crate::process::exit::Failure;
use crate::process::out;

/// Rereads a date, or all dates, and prints the findings.
///
/// # Errors
/// [`Failure::Data`] if something is wrong, [`Failure::System`] if something could not be read.
pub(super) fn verify(
    data_dir: &Path,
    feeds: &[(FeedName, Absence)],
    date: Option<NaiveDate>,
    json: bool,
) -> Result<(), Failure> {
    let data = DataDir::new(data_dir);
    let mut dates = krx_store::catalog::all_dates(&data)?;
    if let Some(date) = date {
        dates.retain(|recorded| *recorded == date);
    }
    let mut report = with_progress(&data, &dates)?;
    if date.is_none() {
        report.findings.extend(foreign(&data)?);
    }
    let yesterday = Moment::now().date().pred_opt().unwrap_or_default();
    for (feed, absence) in feeds {
        let absent = absence.days(&data, feed, yesterday)?;
        let days = absent.days.into_iter().filter(|_| absent.believed);
        let asked = days.filter(|day| date.is_none_or(|date| date == *day));
        report.findings.extend(asked.map(|day| unaccounted(feed, day)));
    }
    report.ok = report.findings.is_empty();
    out::print("printing the findings", |out| {
        if !json {
            return print(out, &data, &report, date);
        }
        let text = serde_json::to_string(&report).map_err(io::Error::other)?;
        writeln!(out, "{text}")
    })?;
    outcome(&report, data_dir)
}

/// A trading day that is missing without any explanation on record.
fn unaccounted(feed: &FeedName, date: NaiveDate) -> Finding {
    Finding {
        path: format!("coverage/date={date}/feed={feed}"),
        kind: Kind::Unaccounted,
        detail: "coverage says nothing about this trading day: no recorder ran".to_owned(),
        date: Some(date),
    }
}

fn outcome(report: &Report, data_dir: &Path) -> Result<(), Failure> {
    let dir = data_dir.display();
    if report.is_partial() {
        return Err(Failure::System {
            doing: format!(
                "verifying {dir}: not everything could be read; check the disk, then verify again"
            ),
            source: io::Error::other("see the findings of kind unreadable"),
        });
    }
    match report.findings.len() {
        0 => Ok(()),
        1 => Err(Failure::Data(format!("1 finding in {dir}"))),
        count => Err(Failure::Data(format!("{count} findings in {dir}"))),
    }
}

/// Verifies, with a progress bar on a terminal.
fn with_progress(data: &DataDir, dates: &BTreeSet<NaiveDate>) -> Result<Report, Failure> {
    if !io::stderr().is_terminal() {
        return Ok(look(data, dates, &|_| {})?);
    }
    let style = "{bar:40} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
    let bar = ProgressBar::new(bytes_of(data, dates)?);
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let report = look(data, dates, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    Ok(report?)
}

fn print(out: &mut impl Write, data: &DataDir, report: &Report, date: Option<NaiveDate>) -> io::Result<()> {
    for day in &report.days {
        writeln!(out, "{}", line(data, day, &report.findings))?;
    }
    if report.dates.is_empty() {
        match date {
            Some(date) => writeln!(out, "{date}: nothing is recorded")?,
            None => writeln!(out, "nothing is recorded")?,
        }
    }
    for finding in &report.known {
        writeln!(out, "known: {finding}")?;
    }
    for finding in &report.findings {
        writeln!(out, "\n{finding}\n    {}", advice(finding))?;
    }
    Ok(())
}

/// The line for a date and feed.
fn line(data: &DataDir, day: &FeedDay, findings: &[Finding]) -> String {
    let partition_of = |dataset: Dataset| {
        let partition = data.partition(dataset, day.date, &day.feed);
        let relative = partition.strip_prefix(data.path()).unwrap_or(&partition);
        format!("{}/", relative.display())
    };
    let partitions: Vec<_> = data.datasets().into_iter().map(partition_of).collect();
    let journal = format!("/{}/", day.feed);
    let is_ours = |finding: &&Finding| {
        let of_journal = finding.path.starts_with(".krx/") && finding.path.contains(&journal);
        let of_dataset = partitions
            .iter()
            .any(|partition| finding.path.starts_with(partition));
        finding.date == Some(day.date) && (of_journal || of_dataset)
    };
    let found = match findings.iter().filter(is_ours).count() {
        0 => "sound".to_owned(),
        1 => "1 FINDING".to_owned(),
        count => format!("{count} FINDINGS"),
    };
    format!(
        "{} {:<8} {:>5} files {:>10} frames {:>12} rows {:>6} quarantined {:>10} {:>4} segments  {found}",
        day.date,
        day.feed.as_str(),
        day.files,
        HumanCount(day.frames).to_string(),
        HumanCount(day.rows).to_string(),
        HumanCount(day.quarantined).to_string(),
        DecimalBytes(day.bytes).to_string(),
        day.segments,
    )
}

/// What to do.
fn advice(finding: &Finding) -> String {
    let date = finding.date.map(|date| date.to_string()).unwrap_or_default();
    match finding.kind {
        Kind::Foreign => "move it out of the data directory".to_owned(),
        Kind::Journal => {
            "keep the file; what was exported from it is not affected, and what follows the damage is exported too"
                .to_owned()
        }
        Kind::Archive => {
            "it only serves to rebuild committed files: as long as they are sound, nothing is lost".to_owned()
        }
        Kind::Derived => format!("krx-recorder rebuild {date} makes it again"),
        Kind::Unaccounted => "krx-recorder coverage --complete, or the next start, puts that on record".to_owned(),
        Kind::Unreadable => "check the disk and the permissions, then verify again".to_owned(),
        _ => format!("krx-recorder rebuild {date}, or restore it from a backup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str, kind: Kind) -> Finding {
        Finding {
            path: path.to_owned(),
            kind,
            detail: "…".to_owned(),
            date: NaiveDate::from_ymd_opt(2026, 11, 20),
        }
    }

    #[test]
    fn each_feed_has_its_own_findings() {
        let day = |feed: &str| FeedDay {
            date: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
            feed: feed.parse().unwrap(),
            files: 3,
            rows: 1_234_567,
            quarantined: 0,
            frames: 4711,
            bytes: 5_000_000,
            segments: 1,
        };
        let findings = [
            finding("trades/date=2026-11-20/market=KOSPI/x.parquet", Kind::Digest),
            finding("coverage/date=2026-11-20/feed=KOSPI/x.parquet", Kind::Digest),
            finding(".krx/journal/KOSPI/x.journal", Kind::Journal),
            finding(".krx/checksums/2026-11-20.sha256", Kind::List),
        ];
        let data = DataDir::new("/data");
        let kospi = line(&data, &day("KOSPI"), &findings);
        assert!(
            kospi.ends_with("3 FINDINGS") && kospi.contains("1,234,567"),
            "{kospi}"
        );
        assert!(line(&data, &day("KOSDAQ"), &findings).ends_with("sound"));
    }

    #[test]
    fn unreadable_files_give_no_verdict() {
        let report = |kinds: &[Kind]| Report {
            findings: kinds.iter().map(|kind| finding("x", *kind)).collect(),
            ..Report::default()
        };
        let exit = |kinds: &[Kind]| {
            outcome(&report(kinds), Path::new("data")).map_err(|failure| failure.exit() as u8)
        };
        assert_eq!(exit(&[]), Ok(()));
        assert_eq!(exit(&[Kind::Digest]), Err(65));
        assert_eq!(exit(&[Kind::Digest, Kind::Unreadable]), Err(74));
    }
}
