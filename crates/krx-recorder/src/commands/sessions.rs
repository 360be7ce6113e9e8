//! `krx-recorder calendar --sessions`: a dry run of the schedule: when a recorder with this configuration connects,
//! expects data and closes.

use std::fmt::Write as _;
use std::io::{self, Write};

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use krx_calendar::Basis;
use krx_report::time::rfc3339;
use krx_store::{FeedName, Moment};
use serde::Serialize;

use crate::hours::absence::Absence;
use crate::hours::schedule::{Schedule, kst};
use crate::process::exit::Failure;
use crate::process::out;

/// How many trading days are shown by default: a week of them.
pub(super) const DEFAULT: &str = "5";
/// How many are shown at most: more than a year of them.
pub(super) const MAX: i64 = 366;

/// A calendar without trading days must not be searched for ever.
const DAYS_MAX: usize = 2 * 366;

/// Prints the next `count` trading dates on which one of the feeds connects, beginning with one that is in progress.
///
/// # Errors
/// [`Failure`], if they cannot be printed.
pub(super) fn print(
    feeds: &[(FeedName, Absence)],
    count: usize,
    now: Moment,
    json: bool,
) -> Result<(), Failure> {
    let sessions = sessions(feeds, count, now);
    out::print("printing the sessions", |out| {
        if json {
            let text = serde_json::to_string_pretty(&sessions).map_err(io::Error::other)?;
            return writeln!(out, "{text}");
        }
        out.write_all(text_of(feeds, &sessions, now).as_bytes())
    })
}

/// A date of a feed. Times are RFC 3339, in Korea.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Session {
    date: NaiveDate,
    feed: String,
    /// When the recorder connects.
    connect: String,
    /// From when on silence is a fault: in continuous trading.
    data_from: Option<String>,
    /// Until when.
    data_to: Option<String>,
    /// When it disconnects.
    close: String,
    /// What is special about the date.
    note: Option<String>,
    /// How the hours are known.
    basis: &'static str,
}

/// Those of each date, by feed as configured. A feed that is connected at all times has none.
fn sessions(feeds: &[(FeedName, Absence)], count: usize, now: Moment) -> Vec<Session> {
    let dates = now.date().iter_days().take(DAYS_MAX);
    let of_dates = dates.map(|date| {
        let of_feeds = feeds.iter().filter_map(|(feed, of)| session(feed, of, date, now));
        of_feeds.collect::<Vec<_>>()
    });
    of_dates
        .filter(|sessions| !sessions.is_empty())
        .take(count)
        .flatten()
        .collect()
}

fn session(feed: &FeedName, of: &Absence, date: NaiveDate, now: Moment) -> Option<Session> {
    if of.schedule == Schedule::Always {
        return None;
    }
    let (connect, close) = of.schedule.expected_on(date).filter(|(_, close)| *close > now)?;
    let day = of.calendar.day(date);
    let continuous = day.continuous().map(|(from, to)| (at(date, from), at(date, to)));
    Some(Session {
        date,
        feed: feed.to_string(),
        connect: rfc3339(connect),
        data_from: continuous.map(|(from, _)| rfc3339(from)),
        data_to: continuous.map(|(_, to)| rfc3339(to)),
        close: rfc3339(close),
        basis: day.basis.as_str(),
        note: day.note.map(String::from),
    })
}

fn at(date: NaiveDate, time: NaiveTime) -> Moment {
    let since_midnight = i64::from(time.num_seconds_from_midnight()) * 1_000_000;
    Moment(Moment::midnight(date).0 + since_midnight)
}

/// A line for each date and hours, with the feeds that have them.
fn text_of(feeds: &[(FeedName, Absence)], sessions: &[Session], now: Moment) -> String {
    let clock = |time: &str| time.get(11..16).unwrap_or_default().to_owned();
    let mut lines: Vec<(String, Vec<&str>, String)> = Vec::new();
    for session in sessions {
        let data = match (&session.data_from, &session.data_to) {
            (Some(from), Some(to)) => format!("expect data {} to {}", clock(from), clock(to)),
            _ => "expect no data".to_owned(),
        };
        // The end of a date is not the beginning of the next one.
        let close = match clock(&session.close).as_str() {
            "00:00" => "24:00".to_owned(),
            time => time.to_owned(),
        };
        let hours = format!("connect {}, {data}, close {close}", clock(&session.connect));
        let note = match (&session.note, session.basis == Basis::Override.as_str()) {
            (Some(note), true) => format!("   {note} (override)"),
            (None, true) => "   (override)".to_owned(),
            (Some(note), false) => format!("   {note}"),
            (None, false) => String::new(),
        };
        let date = format!("{} {}", session.date, session.date.weekday());
        let words = format!("{hours}{note}");
        match lines.last_mut() {
            Some((of, feeds, same)) if *of == date && *same == words => feeds.push(&session.feed),
            _ => lines.push((date, vec![&session.feed], words)),
        }
    }
    let names = |feeds: &[&str]| feeds.join(", ");
    let width = lines
        .iter()
        .map(|(_, feeds, _)| names(feeds).len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    // Writing into a string cannot fail.
    for (date, feeds, words) in &lines {
        let _ = writeln!(text, "{date}   {:<width$}   {words}", names(feeds));
    }
    let always: Vec<String> = feeds
        .iter()
        .filter(|(_, of)| of.schedule == Schedule::Always)
        .map(|(feed, _)| feed.to_string())
        .collect();
    if !always.is_empty() {
        let _ = writeln!(
            text,
            "{}: connected at all times; silence is no fault",
            always.join(", ")
        );
    }
    if lines.is_empty() && always.is_empty() {
        let _ = writeln!(text, "no session within two years");
    }
    let _ = writeln!(text, "\nIt is {} now. All times are KST.", kst(now));
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use krx_calendar::{Calendar, Override};

    use super::*;
    use crate::hours::schedule::Daily;
    use crate::hours::schedule::tests::kst as at;

    fn absence(open: &str, close: &str, calendar: &Arc<Calendar>) -> Absence {
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        Absence {
            schedule: Schedule::Calendar(Daily {
                open: time(open),
                close: time(close),
                calendar: Arc::clone(calendar),
            }),
            calendar: Arc::clone(calendar),
        }
    }

    fn feeds(overrides: Vec<Override>) -> Vec<(FeedName, Absence)> {
        let calendar = Arc::new(Calendar::with_overrides(overrides));
        let usual = absence("08:20", "20:10", &calendar);
        let short = absence("08:50", "15:40", &calendar);
        let always = Absence {
            schedule: Schedule::Always,
            ..usual.clone()
        };
        [
            ("KOSPI", usual.clone()),
            ("KOSDAQ", usual),
            ("ISSUES", short),
            ("INDEX", always),
        ]
        .map(|(name, of)| (name.parse().unwrap(), of))
        .to_vec()
    }

    #[test]
    fn each_date_has_a_line_for_all_feeds_with_the_same_hours() {
        let closed = Override {
            date: "2026-11-24".parse().unwrap(),
            hours: None,
            note: Some("Temporary holiday".into()),
        };
        let feeds = feeds(vec![closed]);
        // A Wednesday in the evening, before an exam day; then a weekend and a day that the file closes.
        let now = at("2026-11-18 20:10:00");
        let text = text_of(&feeds, &sessions(&feeds, 3, now), now);
        assert_eq!(
            text,
            "\
2026-11-19 Thu   KOSPI, KOSDAQ   connect 08:20, expect data 10:00 to 16:20, close 21:10   University entrance exam (CSAT)
2026-11-19 Thu   ISSUES          connect 08:50, expect data 10:00 to 16:20, close 16:40   University entrance exam (CSAT)
2026-11-20 Fri   KOSPI, KOSDAQ   connect 08:20, expect data 09:00 to 15:20, close 20:10
2026-11-20 Fri   ISSUES          connect 08:50, expect data 09:00 to 15:20, close 15:40
2026-11-23 Mon   KOSPI, KOSDAQ   connect 08:20, expect data 09:00 to 15:20, close 20:10
2026-11-23 Mon   ISSUES          connect 08:50, expect data 09:00 to 15:20, close 15:40
INDEX: connected at all times; silence is no fault

It is 2026-11-18 20:10 now. All times are KST.
"
        );
        let dates: Vec<_> = sessions(&feeds, 5, now)
            .iter()
            .map(|of| of.date.to_string())
            .collect();
        assert!(!dates.contains(&"2026-11-24".to_owned()), "{dates:?}");
    }

    #[test]
    fn a_session_in_progress_is_the_first() {
        let feeds = feeds(Vec::new());
        let first = |now| sessions(&feeds, 1, at(now));
        // The short feed's is over, the others' is not.
        let names: Vec<_> = first("2026-11-20 16:00:00")
            .into_iter()
            .map(|of| of.feed)
            .collect();
        assert_eq!(names, ["KOSPI", "KOSDAQ"]);
        assert_eq!(first("2026-11-20 20:10:00")[0].date.to_string(), "2026-11-23");
        let session = &first("2026-11-20 03:00:00")[0];
        assert_eq!(
            serde_json::to_value(session).unwrap(),
            serde_json::json!({
                "date": "2026-11-20", "feed": "KOSPI", "connect": "2026-11-20T08:20:00.000000+09:00",
                "data_from": "2026-11-20T09:00:00.000000+09:00", "data_to": "2026-11-20T15:20:00.000000+09:00",
                "close": "2026-11-20T20:10:00.000000+09:00", "note": null, "basis": "table",
            })
        );
    }

    #[test]
    fn it_says_what_the_schedule_does() {
        let feeds = feeds(Vec::new());
        for session in sessions(&feeds, 300, at("2026-11-20 21:00:00")) {
            let of = &feeds
                .iter()
                .find(|(name, _)| name.as_str() == session.feed)
                .unwrap()
                .1;
            let moment = |text: &str| {
                let at = chrono::DateTime::parse_from_rfc3339(text).unwrap();
                Moment(at.timestamp_micros())
            };
            let before = |moment: Moment| Moment(moment.0 - 1);
            let (connect, close) = (moment(&session.connect), moment(&session.close));
            assert!(
                of.schedule.closing(connect) == Some(close) && of.schedule.closing(before(connect)).is_none()
            );
            assert!(of.schedule.closing(close).is_none(), "{session:?}");
            let (from, to) = (
                moment(&session.data_from.unwrap()),
                moment(&session.data_to.unwrap()),
            );
            let expected = [before(from), from, before(to), to].map(|at| of.schedule.expects_data(at));
            assert_eq!(expected, [false, true, true, false], "{}", session.date);
        }
    }

    #[test]
    fn always_has_no_sessions() {
        let mut feeds = feeds(Vec::new());
        let now = at("2026-11-20 21:00:00");
        let all = feeds.split_off(3);
        assert_eq!(sessions(&all, 5, now), []);
        assert_eq!(
            text_of(&all, &[], now),
            "INDEX: connected at all times; silence is no fault\n\nIt is 2026-11-20 21:00 now. All times are KST.\n"
        );
        assert!(text_of(&[], &[], now).starts_with("no session within two years\n"));
    }
}
