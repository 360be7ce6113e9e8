//! The built-in table against facts spelled out a second time.
#![allow(clippy::unwrap_used)]

use chrono::{Datelike, NaiveDate};
use krx_calendar::{Basis, Calendar, Day, TABLE_FIRST, TABLE_LAST, normal_hours};

fn days() -> impl Iterator<Item = Day> {
    TABLE_FIRST
        .iter_days()
        .take_while(|date| *date <= TABLE_LAST)
        .map(|date| Calendar::default().day(date))
}

#[test]
fn each_year_has_its_number_of_trading_days() {
    let years = [
        (2015, 248),
        (2016, 246),
        (2017, 243),
        (2018, 244),
        (2019, 246),
        (2020, 248),
        (2021, 248),
        (2022, 246),
        (2023, 245),
        (2024, 244),
        (2025, 242),
        (2026, 244),
        (2027, 245),
    ];
    for (year, expected) in years {
        let trading = days().filter(|day| day.date.year() == year && day.is_trading());
        assert_eq!(trading.count(), expected, "{year}");
    }
}

#[test]
fn special_hours_are_first_sessions_and_exam_days() {
    let found: Vec<_> = days()
        .filter_map(|day| {
            Some((
                day.date,
                day.hours.filter(|hours| *hours != normal_hours(day.date))?,
            ))
        })
        .map(|(date, hours)| {
            let time = |time: chrono::NaiveTime| time.format("%H:%M").to_string();
            format!("{date} {}-{}", time(hours.open), time(hours.close))
        })
        .collect();
    assert_eq!(
        found,
        [
            "2015-01-02 10:00-15:00",
            "2015-11-12 10:00-16:00",
            "2016-01-04 10:00-15:00",
            "2016-11-17 10:00-16:30",
            "2017-01-02 10:00-15:30",
            "2017-11-16 10:00-16:30",
            "2017-11-23 10:00-16:30",
            "2018-01-02 10:00-15:30",
            "2018-11-15 10:00-16:30",
            "2019-01-02 10:00-15:30",
            "2019-11-14 10:00-16:30",
            "2020-01-02 10:00-15:30",
            "2020-12-03 10:00-16:30",
            "2021-01-04 10:00-15:30",
            "2021-11-18 10:00-16:30",
            "2022-01-03 10:00-15:30",
            "2022-11-17 10:00-16:30",
            "2023-01-02 10:00-15:30",
            "2023-11-16 10:00-16:30",
            "2024-01-02 10:00-15:30",
            "2024-11-14 10:00-16:30",
            "2025-01-02 10:00-15:30",
            "2025-11-13 10:00-16:30",
            "2026-01-02 10:00-15:30",
            "2026-11-19 10:00-16:30",
            "2027-01-04 10:00-15:30",
            "2027-11-18 10:00-16:30",
        ]
    );
}

#[test]
fn the_year_ends_on_its_last_weekday_but_one() {
    let ends = [
        (2015, 30),
        (2016, 29),
        (2017, 28),
        (2018, 28),
        (2019, 30),
        (2020, 30),
        (2021, 30),
        (2022, 29),
        (2023, 28),
        (2024, 30),
        (2025, 30),
        (2026, 30),
        (2027, 30),
    ];
    for (year, last) in ends {
        let found = days()
            .filter(|day| day.date.year() == year && day.is_trading())
            .last();
        let expected = NaiveDate::from_ymd_opt(year, 12, last);
        assert_eq!(found.map(|day| day.date), expected);
    }
}

#[test]
fn closings_that_another_calendar_misses() {
    for (date, note) in [
        ("2025-01-27", "Temporary holiday"),
        ("2025-06-03", "Presidential election"),
        ("2026-06-03", "Local elections"),
        ("2026-07-17", "Constitution Day"),
        ("2027-05-03", "Substitute holiday for Labour Day"),
        ("2027-07-19", "Substitute holiday for Constitution Day"),
    ] {
        let day = Calendar::default().day(date.parse().unwrap());
        assert_eq!(
            (day.is_trading(), day.note.as_deref()),
            (false, Some(note)),
            "{date}"
        );
    }
}

#[test]
fn every_date_of_the_table_is_known_and_every_closing_has_its_reason() {
    for day in days() {
        assert_eq!(day.basis, Basis::Table, "{}", day.date);
        assert!(day.is_trading() || day.note.is_some(), "{}", day.date);
    }
}
