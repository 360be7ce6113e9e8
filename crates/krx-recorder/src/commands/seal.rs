//! `krx-recorder seal`: makes each feed's day one file.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use chrono::NaiveDate;
use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};
use krx_store::dataset::Dataset;
use krx_store::day::{Layout, Outcome, Sealing, State, Watch, seal as seal_day, state, unsealed};
use krx_store::derived;
use krx_store::{DataDir, FeedName, Moment, catalog};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::config::DataConfig;
use crate::hours::regular::regular_sessions;
use crate::process::exit::Failure;
use crate::process::out;

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Report {
    ok: bool,
    interrupted: bool,
    days: Vec<Day>,
}

/// A feed's day in a dataset.
#[derive(Debug, Serialize)]
struct Day {
    date: NaiveDate,
    dataset: &'static str,
    /// `null` for rows derived from all feeds.
    feed: Option<FeedName>,
    /// `sealed`, `already_sealed`, `nothing` or `failed`; for rows derived from all feeds, `made` or `failed`.
    outcome: &'static str,
    /// Relative to the dataset's directory. Like the figures below, only set if this call sealed the day.
    file: Option<String>,
    rows: u64,
    files_before: usize,
    bytes_before: u64,
    bytes: u64,
    seconds: f64,
    error: Option<String>,
}

/// Seals a date, or all unsealed dates before today, and prints what was done. A day that cannot be sealed does not
/// affect the others.
///
/// # Errors
/// The first day's failure; [`Failure::Interrupted`] on SIGINT and SIGTERM; [`Failure::NothingRecorded`] if nothing is
/// recorded for the date.
pub(super) fn seal(
    config: &DataConfig,
    date: Option<NaiveDate>,
    feed: Option<FeedName>,
    json: bool,
) -> Result<(), Failure> {
    let data = DataDir::new(&config.data_dir);
    // Before taking the lock, which would create a mistyped directory.
    let owner = std::fs::metadata(data.path()).map_err(|source| Failure::System {
        doing: format!(
            "reading the data directory {}; is it the right --data-dir?",
            data.path().display()
        ),
        source,
    })?;
    // The recorder could not add files to a partition created by root.
    if rustix::process::geteuid().is_root() && owner.uid() != 0 {
        let (path, user) = (data.path().display(), owner.uid());
        return Err(Failure::Usage(format!(
            "{path} belongs to user {user}; seal as that user: sudo -u '#{user}' krx-recorder seal …"
        )));
    }
    let wanted = wanted(&data, date, feed.as_ref())?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|source| Failure::System {
            doing: "setting the signal handlers".into(),
            source,
        })?;
    }
    let low_bytes = config.warn_free_bytes.max(config.export.reserve_bytes);
    let sealing = Sealing::take(&data, config.export.reserve_bytes)?.with_low_bytes(low_bytes);
    let mut report = Report::default();
    let mut failure = None;
    for (date, dataset, feed) in wanted {
        match one(&sealing, &data, dataset, &feed, date, &stop) {
            Ok(Some(day)) => report.days.push(day),
            Ok(None) => {
                report.interrupted = true;
                break;
            }
            Err(error) => {
                report.days.push(Day::without_file(
                    date,
                    dataset,
                    Some(feed),
                    Err(error.to_string()),
                ));
                // The first failure decides the exit code, and is reported at the end.
                failure = failure.or(Some(Failure::from(error)));
            }
        }
    }
    if !report.interrupted {
        let made = make_derived(&sealing, config, date, &stop, &mut report)?;
        failure = failure.or(made);
    }
    let finished = sealing.finish();
    report.ok = failure.is_none() && !report.interrupted;
    out::print("printing what was sealed", |out| print(out, &report, json))?;
    match failure {
        Some(failure) => Err(failure),
        None if report.interrupted => Err(Failure::Interrupted(
            "interrupted: the current day is as it was; run the same command again to continue".to_owned(),
        )),
        None => Ok(finished?),
    }
}

/// Makes the rows derived from a sealed date, or from all dates before today, where they are missing or outdated. Returns the
/// first failure.
fn make_derived(
    sealing: &Sealing,
    config: &DataConfig,
    date: Option<NaiveDate>,
    stop: &AtomicBool,
    report: &mut Report,
) -> Result<Option<Failure>, Failure> {
    let data = DataDir::new(&config.data_dir);
    let Some(last) = date.or_else(|| Moment::now().date().pred_opt()) else {
        return Ok(None);
    };
    let sessions = |date| regular_sessions(&config.calendar, date);
    let days = if date.is_some() { 1 } else { u64::MAX };
    let mut failure = None;
    for (date, derived) in derived::due(&data, last, days, &sessions, config.bars)? {
        let begin = Instant::now();
        let watch = Watch { rows: &|_| (), stop };
        let day = |outcome| Day::without_file(date, derived.dataset(), None, outcome);
        match derived::derive(sealing, derived, date, &sessions(date), false, watch) {
            Ok(derived::Outcome::Made(made)) => report.days.push(Day {
                file: made.path.split_once('/').map(|(_, file)| file.to_owned()),
                rows: made.rows,
                bytes: made.bytes,
                seconds: begin.elapsed().as_secs_f64(),
                ..day(Ok("made"))
            }),
            Ok(derived::Outcome::Stopped) => {
                report.interrupted = true;
                break;
            }
            Ok(_) => {}
            Err(error) => {
                report.days.push(day(Err(error.to_string())));
                failure = failure.or(Some(Failure::from(error)));
            }
        }
    }
    Ok(failure)
}

/// The days to seal.
fn wanted(
    data: &DataDir,
    date: Option<NaiveDate>,
    feed: Option<&FeedName>,
) -> Result<Vec<(NaiveDate, Dataset, FeedName)>, Failure> {
    let is_wanted = |found: &FeedName| feed.is_none_or(|feed| feed == found);
    let mut wanted = match date {
        Some(date) => {
            let feeds: BTreeSet<_> = catalog::feeds(data, date)?;
            if feeds.is_empty() {
                return Err(nothing(data, Some(date))?);
            }
            if let Some(feed) = feed.filter(|feed| !feeds.contains(feed)) {
                let known: Vec<_> = feeds.iter().map(FeedName::as_str).collect();
                let words = format!(
                    "nothing is recorded for {feed} on {date}, only for {}",
                    known.join(", ")
                );
                return Err(Failure::Usage(words));
            }
            let mut wanted = Vec::new();
            for dataset in data.datasets() {
                if dataset.sealed_by.is_some() {
                    let feeds = catalog::feeds_in(data, dataset, date)?;
                    wanted.extend(feeds.into_iter().map(|feed| (date, dataset, feed)));
                }
            }
            wanted
        }
        None if catalog::recorded_dates(data)?.is_empty() => return Err(nothing(data, None)?),
        None => match Moment::now().date().pred_opt() {
            Some(yesterday) => unsealed(data, yesterday, u64::MAX)?,
            None => Vec::new(),
        },
    };
    wanted.retain(|(.., found)| is_wanted(found));
    Ok(wanted)
}

fn nothing(data: &DataDir, date: Option<NaiveDate>) -> Result<Failure, Failure> {
    Ok(Failure::NothingRecorded {
        data_dir: data.path().to_owned(),
        date,
        dates: catalog::recorded_dates(data)?.into_iter().collect(),
    })
}

/// Seals a day, with a progress bar on a terminal; `None` if it was asked to stop.
fn one(
    sealing: &Sealing,
    data: &DataDir,
    dataset: Dataset,
    feed: &FeedName,
    date: NaiveDate,
    stop: &AtomicBool,
) -> Result<Option<Day>, krx_store::StoreError> {
    let bar = bar(data, dataset, feed, date);
    let begin = Instant::now();
    let watch = Watch {
        rows: &|rows| bar.inc(rows),
        stop,
    };
    let outcome = seal_day(sealing, dataset, feed, date, &Layout::default(), watch);
    bar.finish_and_clear();
    Ok(match outcome? {
        Outcome::Stopped => None,
        Outcome::Sealed(sealed) => Some(Day {
            outcome: "sealed",
            file: Some(format!(
                "date={date}/{}/{}",
                dataset.partition_name(feed),
                sealed.name
            )),
            rows: sealed.rows,
            files_before: sealed.files,
            bytes_before: sealed.bytes_before,
            bytes: sealed.bytes,
            seconds: begin.elapsed().as_secs_f64(),
            ..Day::without_file(date, dataset, Some(feed.clone()), Ok("sealed"))
        }),
        Outcome::AlreadySealed => Some(Day::without_file(
            date,
            dataset,
            Some(feed.clone()),
            Ok("already_sealed"),
        )),
        Outcome::Nothing => Some(Day::without_file(
            date,
            dataset,
            Some(feed.clone()),
            Ok("nothing"),
        )),
    })
}

/// Counts each row twice: it is written once and checked once.
fn bar(data: &DataDir, dataset: Dataset, feed: &FeedName, date: NaiveDate) -> ProgressBar {
    let rows = match state(data, dataset, feed, date) {
        Ok(State::Files { rows, .. }) if io::stderr().is_terminal() => rows,
        _ => return ProgressBar::hidden(),
    };
    let style = "{prefix} {bar:40} {percent}% {eta}";
    let bar = ProgressBar::new(2 * rows).with_prefix(format!("{date} {dataset} {feed}"));
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

impl Day {
    fn without_file(
        date: NaiveDate,
        dataset: Dataset,
        feed: Option<FeedName>,
        outcome: Result<&'static str, String>,
    ) -> Self {
        Self {
            date,
            dataset: dataset.name,
            feed,
            outcome: outcome.as_ref().map_or("failed", |outcome| outcome),
            file: None,
            rows: 0,
            files_before: 0,
            bytes_before: 0,
            bytes: 0,
            seconds: 0.0,
            error: outcome.err(),
        }
    }

    fn line(&self) -> String {
        let what = match (self.outcome, &self.error) {
            (_, Some(error)) if self.feed.is_none() => format!("NOT MADE: {error}"),
            (_, Some(error)) => format!("NOT SEALED: {error}"),
            ("made", _) => format!(
                "{} rows, {} made of the sealed day, {:.1} s",
                HumanCount(self.rows),
                DecimalBytes(self.bytes),
                self.seconds
            ),
            ("sealed", _) => format!(
                "{} rows, {} in {} files before, {} now, {:.1} s",
                HumanCount(self.rows),
                DecimalBytes(self.bytes_before),
                self.files_before,
                DecimalBytes(self.bytes),
                self.seconds
            ),
            ("already_sealed", _) => "already sealed".to_owned(),
            _ => "no rows".to_owned(),
        };
        format!(
            "{} {:<8} {:<8} {what}",
            self.date,
            self.dataset,
            self.feed.as_ref().map_or("", FeedName::as_str)
        )
    }
}

fn print(out: &mut impl Write, report: &Report, json: bool) -> io::Result<()> {
    if json {
        let text = serde_json::to_string(report).map_err(io::Error::other)?;
        return writeln!(out, "{text}");
    }
    if report.days.is_empty() && !report.interrupted {
        writeln!(out, "nothing to seal: every date before today is sealed")?;
    }
    report
        .days
        .iter()
        .try_for_each(|day| writeln!(out, "{}", day.line()))
}
