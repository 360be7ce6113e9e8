//! The calendar file: days that the operator knows better than the built-in calendar.
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
use toml::Value;

use super::ConfigError;
use super::file::refuse_unknown_keys;

/// Years that a date may have: one of another is mistyped.
pub(crate) const YEARS: std::ops::RangeInclusive<i32> = 1990..=2100;

const KEYS: &[(&str, &[&str])] = &[
    ("", &["day"]),
    ("day", &["date", "trading", "open", "close", "note"]),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    day: Vec<DayTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayTable {
    date: Value,
    trading: bool,
    open: Option<Value>,
    close: Option<Value>,
    note: Option<String>,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Vec<Override>, ConfigError> {
    let wrong = |problem| ConfigError::CalendarFile {
        path: path.to_owned(),
        problem,
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        wrong(format!(
            "it cannot be read ({error}): put it there, or leave out schedule.calendar_file"
        ))
    })?;
    parse(&text).map_err(wrong)
}

/// What the text says; or what is wrong with it, where, and what to write.
fn parse(text: &str) -> Result<Vec<Override>, String> {
    let syntax = |error: toml::de::Error| error.to_string().trim_end().to_owned();
    let table: toml::Table = text.parse().map_err(syntax)?;
    refuse_unknown_keys(KEYS, &table).map_err(|error| error.to_string())?;
    let file: File = toml::from_str(text).map_err(syntax)?;
    let mut days: Vec<Override> = Vec::new();
    for (index, table) in file.day.into_iter().enumerate() {
        let date = date_of(&table.date).map_err(|problem| format!("[[day]] {}: {problem}", index + 1))?;
        if days.iter().any(|day| day.date == date) {
            return Err(format!("{date} stands twice: leave one of them out"));
        }
        days.push(day_of(date, table).map_err(|problem| format!("{date}: {problem}"))?);
    }
    Ok(days)
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
            format!("date = {value} is no date such as \"2026-12-01\", of a year from {first} to {last}")
        })
}

fn day_of(date: NaiveDate, table: DayTable) -> Result<Override, String> {
    let hours = match (table.trading, table.open, table.close) {
        (false, None, None) => None,
        (false, ..) => {
            return Err("trading = false has no hours: leave out open and close, or write true".into());
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
    // It is printed, each on one line.
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
    .map_err(|_| format!("{key} = {value} is no time of day such as \"10:00\" (KST)"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            parse(WHOLE).unwrap(),
            [
                day("2026-12-01", None, Some("Temporary holiday")),
                day("2027-06-10", hours(time(10, 0), time(16, 30)), None),
                day("2026-12-25", hours(time(9, 0), time(15, 30)), None),
            ]
        );
        assert_eq!(parse("# nothing yet\n").unwrap(), []);
    }

    #[test]
    fn each_mistake_is_named_with_its_date_and_what_to_write() {
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
                "2026-12-01 stands twice: leave one of them out",
            ),
            (
                "\"2026-12-25\"",
                "\"2026-02-29\"",
                "[[day]] 3: date = \"2026-02-29\" is no date such as \"2026-12-01\", of a year from 1990 to 2100",
            ),
            (
                "2027-06-10",
                "2207-06-10",
                "[[day]] 2: date = 2207-06-10 is no date",
            ),
            (
                "2027-06-10",
                "2027-06-10T10:00:00",
                "[[day]] 2: date = 2027-06-10T10:00:00 is no date",
            ),
            ("2027-06-10", "20270610", "[[day]] 2: date = 20270610 is no date"),
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
                "2027-06-10: open = \"10\" is no time of day such as \"10:00\" (KST)",
            ),
            (
                "16:30:00",
                "16:30:30",
                "2027-06-10: close = 16:30:30 is no time of day",
            ),
            (
                "trading = false",
                "trading = false\nopen = \"09:00\"",
                "2026-12-01: trading = false has no hours",
            ),
            ("trading = false", "trading = \"no\"", "TOML"),
            ("trading = false", "", "missing field `trading`"),
            ("Temporary", "Two\\nlines", "2026-12-01: note must be one line"),
            ("[[day]]", "[[day]", "TOML"),
        ] {
            assert!(WHOLE.contains(from), "{from}");
            let problem = parse(&WHOLE.replace(from, to)).unwrap_err();
            assert!(problem.contains(expected), "{to}: {problem}");
        }
    }

    #[test]
    fn the_example_changes_nothing_until_its_marks_are_removed() {
        let example = include_str!("../../../../deploy/calendar.example.toml");
        assert_eq!(parse(example).unwrap(), []);
        let bare: String = example
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| *line == "[[day]]" || line.contains(" = "))
            .map(|line| format!("{line}\n"))
            .collect();
        let days = parse(&bare).unwrap();
        assert_eq!(
            days.iter().map(|day| day.hours.is_some()).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn the_keys_of_the_hints_are_the_keys_there_are() {
        let full = WHOLE.replace("close = 16:30:00\n", "close = 16:30:00\nnote = \"x\"\n");
        let table: toml::Table = full.parse().unwrap();
        let day = table["day"][1].as_table().unwrap();
        let mut keys = KEYS[1].1.to_vec();
        keys.sort_unstable();
        assert_eq!(day.keys().map(String::as_str).collect::<Vec<_>>(), keys);
    }
}
