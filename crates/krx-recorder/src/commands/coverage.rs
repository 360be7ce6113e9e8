//! `krx-recorder coverage`: what was recorded on a date, and what was not.

use std::io::{self, Write};

use chrono::NaiveDate;
use krx_report::IntervalRow;
use krx_store::coverage::{self, Interval, State};
use krx_store::{DataDir, DataDirLock, FeedName, Moment};
use serde::Serialize;

use crate::hours::absence::Absence;
use crate::process::exit::Failure;
use crate::process::out;

/// A row of the output: the dataset's columns, with date and feed.
#[derive(Debug, Serialize)]
struct Row {
    date: NaiveDate,
    feed: String,
    #[serde(flatten)]
    interval: IntervalRow,
}

/// Puts trading days on which no recorder ran on record, and prints them.
///
/// # Errors
/// [`Failure`], if a recorder is running, which did this when it started; or if the disk refuses.
pub(super) fn complete(data: &DataDir, feeds: &[(FeedName, Absence)], json: bool) -> Result<(), Failure> {
    // A typing error must not create a directory.
    if !data.path().is_dir() {
        return Err(Failure::NothingRecorded {
            data_dir: data.path().to_owned(),
            date: None,
            dates: Vec::new(),
        });
    }
    let _lock = DataDirLock::take(data)?;
    let (now, mut accounted) = (Moment::now(), None::<NaiveDate>);
    let (mut written, mut doubtful) = (Vec::new(), 0);
    for (feed, absence) in feeds {
        let last = absence.schedule.last_over(now).unwrap_or_default();
        accounted = Some(accounted.map_or(last, |earlier| earlier.min(last)));
        let absent = absence.record(data, feed, last)?;
        if !absent.believed {
            doubtful += absent.days.len();
            continue;
        }
        written.extend(absent.days.into_iter().map(|date| Absent {
            date,
            feed: feed.to_string(),
        }));
    }
    out::print(PRINTING, |out| {
        if json {
            serde_json::to_writer_pretty(&mut *out, &written)?;
            writeln!(out)
        } else if doubtful > 0 {
            writeln!(
                out,
                "{doubtful} trading days are not accounted for, and were not put on record: the clock is trusted only once \
                 five of the last 31 days are recorded"
            )
        } else if written.is_empty() {
            let last = accounted.unwrap_or_default();
            writeln!(out, "every trading day up to {last} is accounted for")
        } else {
            written
                .iter()
                .try_for_each(|day| writeln!(out, "{} {}: no recorder ran", day.feed, day.date))
        }
    })
}

const PRINTING: &str = "printing the coverage";

/// A day that was put on record.
#[derive(Debug, Serialize)]
struct Absent {
    date: NaiveDate,
    feed: String,
}

/// The ledgers of `date`: those of the feeds about which something is known, and of those for which it is a trading day
/// on which no recorder ran.
fn ledgers_of(
    data: &DataDir,
    feeds: &[(FeedName, Absence)],
    known: &[(NaiveDate, FeedName)],
    date: NaiveDate,
) -> Result<Vec<(FeedName, Vec<Interval>)>, Failure> {
    let now = Moment::now();
    let mut found = Vec::new();
    for (_, feed) in known.iter().filter(|(known, _)| *known == date) {
        found.push((feed.clone(), coverage::view(data, feed, date, now)?));
    }
    for (feed, absence) in feeds {
        let last = absence.schedule.last_over(now).unwrap_or_default();
        if let Some(hours) = absence.hours(date)
            && let absent = absence.days(data, feed, last)?
            && absent.days.contains(&date)
            && (absent.believed || known.last().is_some_and(|(newest, _)| *newest > date))
        {
            found.push((feed.clone(), krx_store::absence::not_running(date, hours)));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Prints the ledger of `date`, or of the last date about which something is known.
///
/// # Errors
/// [`Failure`], if nothing is known about the date, or the data directory cannot be read.
pub(super) fn print(
    data: &DataDir,
    feeds: &[(FeedName, Absence)],
    date: Option<NaiveDate>,
    json: bool,
) -> Result<(), Failure> {
    let known = coverage::dates(data)?;
    let asked = date.or_else(|| known.last().map(|(date, _)| *date));
    let ledgers = match asked {
        Some(date) => ledgers_of(data, feeds, &known, date)?,
        None => Vec::new(),
    };
    let Some(date) = asked.filter(|_| !ledgers.is_empty()) else {
        return Err(Failure::NothingRecorded {
            data_dir: data.path().to_owned(),
            date,
            dates: known.iter().map(|(date, _)| *date).collect(),
        });
    };
    out::print(PRINTING, |out| {
        if json {
            return print_json(out, date, &ledgers);
        }
        ledgers
            .iter()
            .try_for_each(|(feed, intervals)| print_table(out, date, feed, intervals))
    })
}

fn print_json(
    out: &mut impl Write,
    date: NaiveDate,
    ledgers: &[(FeedName, Vec<Interval>)],
) -> io::Result<()> {
    let rows: Vec<Row> = ledgers
        .iter()
        .flat_map(|(feed, intervals)| intervals.iter().map(move |interval| (feed, interval)))
        .map(|(feed, interval)| Row {
            date,
            feed: feed.to_string(),
            interval: interval.into(),
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &rows)?;
    writeln!(out)
}

fn print_table(
    out: &mut impl Write,
    date: NaiveDate,
    feed: &FeedName,
    intervals: &[Interval],
) -> io::Result<()> {
    writeln!(out, "{feed} {date} (KST)")?;
    writeln!(
        out,
        "  {:<15} {:<15} {:>11}  {:<5} {:<14} {:>7} {:>10} {:>12}  detail",
        "from", "to", "length", "state", "reason", "session", "frames", "rows"
    )?;
    for interval in intervals {
        let session = interval
            .session
            .map_or_else(String::new, |session| session.to_string());
        writeln!(
            out,
            "  {:<15} {:<15} {:>11}  {:<5} {:<14} {session:>7} {:>10} {:>12}  {}",
            clock(date, interval.from),
            clock(date, interval.to),
            length(interval.to.0 - interval.from.0),
            interval.state.as_str(),
            interval.reason.as_str(),
            interval.frames,
            interval.rows,
            interval.detail.as_deref().unwrap_or_default(),
        )?;
    }
    let total = |state| {
        let of_state = intervals.iter().filter(move |interval| interval.state == state);
        let (count, us) = of_state.fold((0, 0), |(count, us), interval| {
            (count + 1, us + interval.to.0 - interval.from.0)
        });
        (count, length(us))
    };
    let ((live, live_length), (gaps, gap_length)) = (total(State::Live), total(State::Gap));
    let (stretches, many) = (
        if live == 1 { "stretch" } else { "stretches" },
        if gaps == 1 { "" } else { "s" },
    );
    writeln!(
        out,
        "  recorded for {live_length} in {live} {stretches}; {gaps} gap{many}, {gap_length} in all\n"
    )
}

/// A time of day; the end of the day is 24:00.
fn clock(date: NaiveDate, moment: Moment) -> String {
    if moment.date() > date {
        "24:00:00.000000".to_owned()
    } else {
        moment.korean().format("%H:%M:%S%.6f").to_string()
    }
}

pub(crate) fn length(us: i64) -> String {
    let (ms, seconds) = (us / 1000, us / 1_000_000);
    if seconds < 60 {
        format!("{}.{:03} s", seconds, ms % 1000)
    } else {
        format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_korean_and_the_day_ends_at_24() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let midnight = Moment::midnight(date).0;
        let nine = Moment(midnight + 9 * 3_600_000_000 + 1);
        assert_eq!(clock(date, nine), "09:00:00.000001");
        assert_eq!(clock(date, Moment(midnight + 86_400_000_000)), "24:00:00.000000");
        assert_eq!(
            [length(1_234_567), length(59_999_999), length(3_661_000_000)],
            ["1.234 s", "59.999 s", "1:01:01"]
        );
    }
}
