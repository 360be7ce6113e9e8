//! The calendar file: days on which the operator overrides the built-in calendar.
//!
//! ```toml
//! [[day]]
//! date = "2026-12-01"
//! trading = false
//! note = "Temporary holiday"
//!
//! [[day]]
//! date = 2027-06-10
//! trading = true
//! open = "10:00"
//! close = "16:30"
//! ```

use std::path::Path;

use chrono::{Datelike, NaiveDate, NaiveTime};
use krx_calendar::{Hours, Override, normal_hours};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::document::{self, Shape};
use super::problem::{ConfigError, Problem, Problems, WrongFile};

/// The years a date may be in: any other is a typing error.
pub(crate) const YEARS: std::ops::RangeInclusive<i32> = 1990..=2100;

const KEYS: &[(&str, &[&str])] = &[
    ("", &["day"]),
    ("day", &["date", "trading", "open", "close", "note"]),
];

fn shape() -> Shape {
    Shape {
        keys: KEYS.iter().map(|(table, keys)| (*table, keys.to_vec())).collect(),
        arrays: &[("day", "days")],
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    day: Vec<Spanned<DayTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayTable {
    date: Option<Spanned<Value>>,
    trading: Option<bool>,
    open: Option<Value>,
    close: Option<Value>,
    note: Option<String>,
}

/// Reads the file.
///
/// # Errors
/// [`ConfigError::Wrong`], with everything that is wrong.
pub(super) fn read(path: &Path) -> Result<Vec<Override>, ConfigError> {
    let name = format!("the calendar file {}", path.display());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let words =
                format!("it cannot be read ({error}): put it there, or remove schedule.calendar_file");
            return Err(ConfigError::Wrong(vec![WrongFile {
                name: Some(name),
                problems: vec![Problem { line: None, words }],
            }]));
        }
    };
    let (days, problems) = parse(&text);
    problems.named(name).finish(Some(days))
}

/// What the text says, and what is wrong with it, where, and what to write instead.
fn parse(text: &str) -> (Vec<Override>, Problems) {
    let (file, mut problems): (File, _) = document::read(&shape(), text);
    let mut days: Vec<Override> = Vec::new();
    for table in file.day {
        let (span, mut table) = (table.span(), table.into_inner());
        let trading = problems.needed(&span, "day", "trading", table.trading);
        let Some(at) = problems.needed(&span, "day", "date", table.date.take()) else {
            continue;
        };
        let date = match date_of(at.get_ref()) {
            Ok(date) => date,
            Err(problem) => {
                problems.note(&at.span(), problem);
                continue;
            }
        };
        if days.iter().any(|day| day.date == date) {
            let words = format!("{date} is listed twice: remove one of them");
            problems.note(&at.span(), words);
        }
        let Some(trading) = trading else {
            continue;
        };
        match day_of(date, trading, table) {
            Ok(day) => days.push(day),
            Err(problem) => problems.note(&span, format!("{date}: {problem}")),
        }
    }
    (days, problems)
}

fn date_of(value: &Value) -> Result<NaiveDate, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    NaiveDate::parse_from_str(&text, "%Y-%m-%d")
        .ok()
        .filter(|date| YEARS.contains(&date.year()))
        .ok_or_else(|| {
            let (first, last) = (YEARS.start(), YEARS.end());
            format!("date = {value} is not a date such as \"2026-12-01\" from {first} to {last}")
        })
}

fn day_of(date: NaiveDate, trading: bool, table: DayTable) -> Result<Override, String> {
    let hours = match (trading, table.open, table.close) {
        (false, None, None) => None,
        (false, ..) => {
            return Err(
                "a day with trading = false has no hours: remove open and close, or set trading = true"
                    .into(),
            );
        }
        (true, None, None) => Some(normal_hours(date)),
        (true, Some(open), Some(close)) => {
            let (open, close) = (time_of("open", &open)?, time_of("close", &close)?);
            if open >= close {
                return Err(format!(
                    "open = {} must be earlier than close = {}",
                    open.format("%H:%M"),
                    close.format("%H:%M")
                ));
            }
            Some(Hours { open, close })
        }
        (true, Some(_), None) => return Err("open needs close: write both, or neither".into()),
        (true, None, Some(_)) => return Err("close needs open: write both, or neither".into()),
    };
    // Commands print each note on one line.
    if table.note.iter().any(|note| note.contains(char::is_control)) {
        return Err("note must be one line of plain text".into());
    }
    Ok(Override {
        date,
        hours,
        note: table.note,
    })
}

fn time_of(key: &str, value: &Value) -> Result<NaiveTime, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // A bare TOML time has seconds.
    NaiveTime::parse_from_str(
        text.strip_suffix(":00")
            .filter(|text| text.len() == 5)
            .unwrap_or(&text),
        "%H:%M",
    )
    .map_err(|_| format!("{key} = {value} is not a time of day such as \"10:00\" (KST)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Vec<Override> {
        let (days, problems) = parse(text);
        problems.finish(Some(days)).unwrap()
    }

    const WHOLE: &str = r#"
[[day]]
date = "2026-12-01"
trading = false
note = "Temporary holiday"
[[day]]
date = 2027-06-10
trading = true
open = "10:00"
close = 16:30:00
[[day]]
date = "2026-12-25"
trading = true
"#;

    #[test]
    fn each_day_is_an_override() {
        let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        let day = |date: &str, hours, note: Option<&str>| Override {
            date: date.parse().unwrap(),
            hours,
            note: note.map(str::to_owned),
        };
        let hours = |open, close| Some(Hours { open, close });
        assert_eq!(
            good(WHOLE),
            [
                day("2026-12-01", None, Some("Temporary holiday")),
                day("2027-06-10", hours(time(10, 0), time(16, 30)), None),
                day("2026-12-25", hours(time(9, 0), time(15, 30)), None),
            ]
        );
        assert_eq!(good("# nothing yet\n"), []);
    }

    #[test]
    fn each_mistake_is_reported_with_its_date_and_a_remedy() {
        for (from, to, expected) in [
            (
                "note =",
                "nots =",
                "unknown key `day.nots`; did you mean `day.note`?",
            ),
            ("[[day]]", "[[days]]", "unknown key `days`; did you mean `day`?"),
            (
                "2026-12-25",
                "2026-12-01",
                "2026-12-01 is listed twice: remove one of them",
            ),
            (
                "\"2026-12-25\"",
                "\"2026-02-29\"",
                "line 12: date = \"2026-02-29\" is not a date such as \"2026-12-01\" from 1990 to 2100",
            ),
            (
                "2027-06-10",
                "2207-06-10",
                "line 7: date = 2207-06-10 is not a date",
            ),
            (
                "2027-06-10",
                "2027-06-10T10:00:00",
                "line 7: date = 2027-06-10T10:00:00 is not a date",
            ),
            ("2027-06-10", "20270610", "line 7: date = 20270610 is not a date"),
            (
                "open = \"10:00\"\n",
                "",
                "2027-06-10: close needs open: write both, or neither",
            ),
            (
                "close = 16:30:00\n",
                "",
                "2027-06-10: open needs close: write both, or neither",
            ),
            (
                "\"10:00\"",
                "\"16:30\"",
                "2027-06-10: open = 16:30 must be earlier than close = 16:30",
            ),
            (
                "\"10:00\"",
                "\"10\"",
                "2027-06-10: open = \"10\" is not a time of day such as \"10:00\" (KST)",
            ),
            (
                "16:30:00",
                "16:30:30",
                "2027-06-10: close = 16:30:30 is not a time of day",
            ),
            (
                "trading = false",
                "trading = false\nopen = \"09:00\"",
                "2026-12-01: a day with trading = false has no hours",
            ),
            (
                "trading = false",
                "trading = \"no\"",
                "line 4: day.trading: invalid type: string \"no\", expected true or false",
            ),
            ("trading = false", "", "line 2: [[day]]: `trading` is missing"),
            ("Temporary", "Two\\nlines", "2026-12-01: note must be one line"),
            ("[[day]]", "[[day]", "line 2: "),
            (
                "[[day]]",
                "[day]",
                "[day]: write [[day]], in double brackets: there can be several days",
            ),
        ] {
            assert!(WHOLE.contains(from), "{from}");
            let (days, problems) = parse(&WHOLE.replace(from, to));
            let problem = problems.finish(Some(days)).unwrap_err().to_string();
            assert!(problem.contains(expected), "{to}: {problem}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_lines() {
        let text = WHOLE
            .replace("note =", "nots =")
            .replace("\"10:00\"", "\"10\"")
            .replace("2026-12-25", "2026-12-32")
            .replace("\ntrading = false", "");
        let (days, problems) = parse(&text);
        let error = problems
            .named("the calendar file".to_owned())
            .finish(Some(days))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the calendar file has 4 errors:\n  \
             line 2: [[day]]: `trading` is missing\n  \
             line 4: unknown key `day.nots`; did you mean `day.note`?\n  \
             line 5: 2027-06-10: open = \"10\" is not a time of day such as \"10:00\" (KST)\n  \
             line 11: date = \"2026-12-32\" is not a date such as \"2026-12-01\" from 1990 to 2100"
        );
    }

    #[test]
    fn the_example_changes_nothing_until_it_is_uncommented() {
        let example = include_str!("../../../../deploy/calendar.example.toml");
        assert_eq!(good(example), []);
        let bare: String = example
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| *line == "[[day]]" || line.contains(" = "))
            .map(|line| format!("{line}\n"))
            .collect();
        let days = good(&bare);
        assert_eq!(
            days.iter().map(|day| day.hours.is_some()).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn the_keys_used_for_hints_match_the_real_ones() {
        let full = WHOLE.replace("close = 16:30:00\n", "close = 16:30:00\nnote = \"x\"\n");
        let table: toml::Table = full.parse().unwrap();
        let day = table["day"][1].as_table().unwrap();
        let mut keys = KEYS[1].1.to_vec();
        keys.sort_unstable();
        assert_eq!(day.keys().map(String::as_str).collect::<Vec<_>>(), keys);
    }
}
