//! `krx-recorder calendar`: the trading days and hours of a year or a month.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::str::FromStr;

use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use krx_calendar::{ANNOUNCED_LAST, Basis, Calendar, Day, Hours, TABLE_FIRST, TABLE_LAST, normal_hours};
use krx_store::Moment;
use serde::Serialize;

use crate::config::calendar_file::YEARS;
use crate::process::exit::Failure;
use crate::process::out;

/// The year or month asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    /// A whole year.
    Year(i32),
    /// The month with this first day.
    Month(NaiveDate),
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (year, month) = match text.split_once('-') {
            None => (text, None),
            Some((year, month)) => (year, Some(month)),
        };
        let number = |text: &str, digits| {
            let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<i32>().ok()).flatten()
        };
        let year = number(year, 4).filter(|year| YEARS.contains(year));
        let period = match (year, month) {
            (Some(year), None) => Some(Self::Year(year)),
            (Some(year), Some(month)) => number(month, 2)
                .and_then(|month| NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, 1))
                .map(Self::Month),
            (None, _) => None,
        };
        period.ok_or_else(|| {
            let (first, last) = (YEARS.start(), YEARS.end());
            format!("write a year such as 2026 or a month such as 2026-11, from {first} to {last}")
        })
    }
}

impl Period {
    /// The first days of the months to print; without a period, this month and the next.
    fn months(period: Option<Self>, today: NaiveDate) -> Vec<NaiveDate> {
        let (first, count) = match period {
            Some(Self::Year(year)) => (NaiveDate::from_ymd_opt(year, 1, 1), 12),
            Some(Self::Month(first)) => (Some(first), 1),
            None => (today.with_day(1), 2),
        };
        let first = first.unwrap_or(today);
        (0..count)
            .filter_map(|months| first.checked_add_months(Months::new(months)))
            .collect()
    }
}

/// Prints the period; or, without one, the month of `now` and the next.
///
/// # Errors
/// [`Failure`], if it cannot be printed.
pub(super) fn print(
    calendar: &Calendar,
    period: Option<Period>,
    now: Moment,
    json: bool,
) -> Result<(), Failure> {
    let now = now.date().and_time(NaiveTime::MIN) + TimeDelta::microseconds(now.micros_of_day());
    let months = Period::months(period, now.date());
    let text = if json {
        json_of(calendar, &months)
    } else {
        Ok(text_of(calendar, &months, now))
    };
    out::print("printing the calendar", |out| out.write_all(text?.as_bytes()))
}

/// An object of the JSON array. Times are `HH:MM`, KST.
#[derive(Debug, Serialize)]
struct Row {
    date: NaiveDate,
    trading: bool,
    open: Option<String>,
    close: Option<String>,
    note: Option<String>,
    basis: &'static str,
    sessions: Vec<SessionRow>,
}

#[derive(Debug, Serialize)]
struct SessionRow {
    name: &'static str,
    from: String,
    to: String,
}

fn json_of(calendar: &Calendar, months: &[NaiveDate]) -> io::Result<String> {
    let rows: Vec<Row> = months
        .iter()
        .flat_map(|first| days(calendar, *first))
        .map(|day| Row {
            date: day.date,
            trading: day.is_trading(),
            open: day.hours.map(|hours| clock(hours.open)),
            close: day.hours.map(|hours| clock(hours.close)),
            basis: day.basis.as_str(),
            sessions: day
                .sessions()
                .iter()
                .map(|session| SessionRow {
                    name: session.kind.as_str(),
                    from: clock(session.from),
                    to: clock(session.to),
                })
                .collect(),
            note: day.note.map(String::from),
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

/// The days of the month that begins with `first`.
fn days(calendar: &Calendar, first: NaiveDate) -> impl Iterator<Item = Day> {
    first
        .iter_days()
        .take_while(move |date| date.month() == first.month())
        .map(|date| calendar.day(date))
}

/// A line for each month and each of its special days, caveats about the period, and the next session.
fn text_of(calendar: &Calendar, months: &[NaiveDate], now: NaiveDateTime) -> String {
    let mut text = String::new();
    for first in months {
        let trading = days(calendar, *first).filter(Day::is_trading).count();
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{}   {trading} trading days, {}{}",
            first.format("%Y-%m"),
            span(normal_hours(*first)),
            known_by(*first)
        );
        for day in days(calendar, *first).filter(is_special) {
            let _ = writeln!(text, "{}", line(&day));
        }
    }
    text.push('\n');
    for words in caveats(months) {
        let _ = writeln!(text, "{words}");
    }
    let _ = writeln!(text, "{} All times are KST.", session_words(calendar, now));
    text
}

/// How the days of a month that have no line of their own are known.
fn known_by(first: NaiveDate) -> &'static str {
    // Look at an ordinary weekday in the middle of the month.
    let weekday = first
        .iter_days()
        .skip(9)
        .find(|date| date.weekday().number_from_monday() < 6);
    match weekday.map(|date| Calendar::default().day(date).basis) {
        Some(Basis::Rule) => ", by rule",
        Some(Basis::Assumed) => ", assumed",
        _ => "",
    }
}

/// What needs a line: a weekday without trading, unusual hours, an override.
fn is_special(day: &Day) -> bool {
    let weekend = day.date.weekday().number_from_monday() > 5;
    let expected = (!weekend).then(|| normal_hours(day.date));
    day.basis == Basis::Override || day.hours != expected
}

fn line(day: &Day) -> String {
    let hours = day.hours.map_or_else(|| "closed".to_owned(), span);
    let note = day.note.as_deref().unwrap_or_default();
    let by = if day.basis == Basis::Override {
        "(override)"
    } else {
        ""
    };
    let why = format!("{note} {by}");
    let line = format!(
        "  {}   {hours:<14}   {}",
        day.date.format("%Y-%m-%d %a"),
        why.trim()
    );
    line.trim_end().to_owned()
}

/// What is uncertain about these months.
fn caveats(months: &[NaiveDate]) -> Vec<String> {
    let any = |is: &dyn Fn(&NaiveDate) -> bool| months.iter().any(is);
    let mut words = Vec::new();
    if any(&|first| *first > ANNOUNCED_LAST && *first <= TABLE_LAST) {
        words.push(format!(
            "{} is derived from the holiday law: KRX had announced nothing when this version was made.",
            TABLE_LAST.year()
        ));
    }
    if any(&|first| *first > TABLE_LAST) {
        words.push(format!(
            "After {TABLE_LAST} only rules apply: elections, temporary holidays and exam days are unknown, and \
             count as normal days."
        ));
    }
    if any(&|first| *first < TABLE_FIRST) {
        words.push(format!(
            "Nothing is known about weekdays before {TABLE_FIRST}: they count as trading days."
        ));
    }
    words
}

/// The current session, or else the next.
fn session_words(calendar: &Calendar, now: NaiveDateTime) -> String {
    let today = calendar.day(now.date());
    if let Some(hours) = today.hours.filter(|hours| now.time() < hours.close) {
        return if now.time() < hours.open {
            format!("Next session: today, {}.", span(hours))
        } else {
            format!("In session now, {}.", span(hours))
        };
    }
    let next = calendar.day(calendar.next_trading_after(now.date()));
    let hours = next.hours.map(span).unwrap_or_default();
    format!("Next session: {}, {hours}.", next.date.format("%Y-%m-%d %a"))
}

fn span(hours: Hours) -> String {
    format!("{} to {}", clock(hours.open), clock(hours.close))
}

fn clock(time: NaiveTime) -> String {
    time.format("%H:%M").to_string()
}

/// From this many days before its end, `check` warns loudly that the table ends: a quarter of a year is enough time to
/// install a new version.
const TABLE_END_DAYS: i64 = 90;

/// What `check` says about the calendar.
pub(crate) fn check_words(calendar: &Calendar, today: NaiveDate) -> String {
    let day = calendar.day(today);
    let note = day
        .note
        .as_ref()
        .map_or(String::new(), |note| format!(" ({note})"));
    let words = match day.hours {
        Some(hours) => format!("{today} is a trading day, {}{note}", span(hours)),
        None => {
            let next = calendar.next_trading_after(today);
            format!("{today} is closed{note}; the next trading day is {next}")
        }
    };
    let left = (TABLE_LAST - today).num_days();
    let remedy = "INSTALL A NEWER VERSION, or add the days you know about to schedule.calendar_file";
    match left {
        ..0 => format!("{words}; THE TABLE ENDED ON {TABLE_LAST}, only rules apply: {remedy}"),
        0..=TABLE_END_DAYS => format!("{words}; THE TABLE ENDS IN {left} DAYS, ON {TABLE_LAST}: {remedy}"),
        _ => format!("{words}; the table goes to {TABLE_LAST}"),
    }
}

#[cfg(test)]
mod tests {
    use krx_calendar::Override;

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    fn text(calendar: &Calendar, period: &str, now: &str) -> String {
        let period = (!period.is_empty()).then(|| period.parse().unwrap());
        text_of(calendar, &Period::months(period, at(now).date()), at(now))
    }

    #[test]
    fn a_period_is_a_year_or_a_month() {
        assert_eq!("2026".parse(), Ok(Period::Year(2026)));
        assert_eq!("2026-11".parse(), Ok(Period::Month(date("2026-11-01"))));
        assert_eq!(
            ("1990".parse(), "2100-12".parse()),
            (Ok(Period::Year(1990)), Ok(Period::Month(date("2100-12-01"))))
        );
        for wrong in [
            "",
            "26",
            "1989",
            "2101",
            "20260",
            "+2026",
            "2026-",
            "2026-13",
            "2026-00",
            "2026-1",
            "2026-11-20",
            "2026-+1",
            "-2026",
            "now",
            "２０２６",
        ] {
            let problem = wrong.parse::<Period>().unwrap_err();
            assert_eq!(
                problem, "write a year such as 2026 or a month such as 2026-11, from 1990 to 2100",
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn without_a_period_there_are_two_months() {
        let months = Period::months(None, date("2026-12-31"));
        assert_eq!(months, [date("2026-12-01"), date("2027-01-01")]);
        assert_eq!(
            Period::months(Some(Period::Year(2026)), date("2030-01-01")).len(),
            12
        );
        let may = date("2026-05-01");
        assert_eq!(
            Period::months(Some(Period::Month(may)), date("2030-01-01")),
            [may]
        );
    }

    #[test]
    fn each_special_day_has_a_line() {
        let calendar = Calendar::with_overrides([
            Override {
                date: date("2026-12-01"),
                hours: None,
                note: Some("Temporary holiday".into()),
            },
            Override {
                date: date("2026-12-05"),
                hours: Some(normal_hours(date("2026-12-05"))),
                note: None,
            },
            Override {
                date: date("2026-12-08"),
                hours: Some(normal_hours(date("2026-12-08"))),
                note: Some("Open after all".into()),
            },
        ]);
        assert_eq!(
            text(&calendar, "", "2026-11-22 12:00"),
            "\
2026-11   21 trading days, 09:00 to 15:30
  2026-11-19 Thu   10:00 to 16:30   University entrance exam (CSAT)
2026-12   21 trading days, 09:00 to 15:30
  2026-12-01 Tue   closed           Temporary holiday (override)
  2026-12-05 Sat   09:00 to 15:30   (override)
  2026-12-08 Tue   09:00 to 15:30   Open after all (override)
  2026-12-25 Fri   closed           Christmas Day
  2026-12-31 Thu   closed           Year-end closing

Next session: 2026-11-23 Mon, 09:00 to 15:30. All times are KST.
"
        );
    }

    #[test]
    fn uncertain_periods_are_marked() {
        let known = |period| text(&Calendar::default(), period, "2026-11-22 12:00");
        assert!(!known("2026").contains("derived"));
        assert!(known("2027-02").contains("2027 is derived from the holiday law"));
        let ruled = known("2028-01");
        assert!(
            ruled.starts_with("2028-01   18 trading days, 09:00 to 15:30, by rule\n"),
            "{ruled}"
        );
        assert!(
            ruled.contains("2028-01-03 Mon   10:00 to 15:30   First session of the year (by rule)\n"),
            "{ruled}"
        );
        assert!(ruled.contains("\nAfter 2027-12-31 only rules apply"), "{ruled}");
        assert!(known("2060-07").starts_with("2060-07   22 trading days, 09:00 to 15:30, assumed\n"));
        let early = known("2014-12");
        assert!(
            early.starts_with("2014-12   23 trading days, 09:00 to 15:00, assumed\n"),
            "{early}"
        );
        assert!(
            early.contains("\nNothing is known about weekdays before 2015-01-01"),
            "{early}"
        );
    }

    #[test]
    fn the_next_session_is_shown_before_and_after_the_close() {
        let words = |now| session_words(&Calendar::default(), at(now));
        assert_eq!(words("2026-11-19 09:59"), "Next session: today, 10:00 to 16:30.");
        assert_eq!(words("2026-11-19 10:00"), "In session now, 10:00 to 16:30.");
        assert_eq!(
            words("2026-11-19 16:30"),
            "Next session: 2026-11-20 Fri, 09:00 to 15:30."
        );
        assert_eq!(
            words("2026-12-31 10:00"),
            "Next session: 2027-01-04 Mon, 10:00 to 15:30."
        );
    }

    #[test]
    fn json_has_every_date_of_the_period() {
        let json = json_of(
            &Calendar::default(),
            &Period::months("2026".parse().ok(), date("2020-01-01")),
        )
        .unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(rows.len(), 365);
        let session =
            |name: &str, from: &str, to: &str| serde_json::json!({"name": name, "from": from, "to": to});
        assert_eq!(
            rows[1],
            serde_json::json!({
                "date": "2026-01-02", "trading": true, "open": "10:00", "close": "15:30",
                "note": "First session of the year", "basis": "table",
                "sessions": [
                    session("pre_open_auction", "09:30", "10:00"),
                    session("regular", "10:00", "15:30"),
                    session("closing_auction", "15:20", "15:30"),
                    session("closing_price", "15:40", "16:00"),
                    session("single_price", "16:00", "18:00"),
                ],
            })
        );
        assert_eq!(
            rows[0],
            serde_json::json!({
                "date": "2026-01-01", "trading": false, "open": null, "close": null,
                "note": "New Year's Day", "basis": "table", "sessions": [],
            })
        );
        assert_eq!(
            (&rows[4]["note"], &rows[4]["trading"]),
            (&serde_json::Value::Null, &true.into())
        );
    }

    #[test]
    fn check_warns_loudly_when_the_table_ends_within_90_days() {
        let words = |today| check_words(&Calendar::default(), date(today));
        assert_eq!(
            words("2026-11-19"),
            "2026-11-19 is a trading day, 10:00 to 16:30 (University entrance exam (CSAT)); the table goes to 2027-12-31"
        );
        assert_eq!(
            words("2026-12-25"),
            "2026-12-25 is closed (Christmas Day); the next trading day is 2026-12-28; the table goes to 2027-12-31"
        );
        assert!(words("2027-10-01").ends_with("the table goes to 2027-12-31"));
        assert!(
            words("2027-10-02")
                .contains("; THE TABLE ENDS IN 90 DAYS, ON 2027-12-31: INSTALL A NEWER VERSION")
        );
        assert!(words("2027-12-31").contains("; THE TABLE ENDS IN 0 DAYS"));
        assert!(words("2028-01-01").contains("; THE TABLE ENDED ON 2027-12-31, only rules apply"));
    }
}
