//! The calendar's hours as rows of SQL.

use chrono::NaiveTime;
use krx_calendar::{Basis, Calendar, TABLE_FIRST, TABLE_LAST, normal_hours};

const LINE_ROWS: usize = 3;

/// The views with the special hours of `calendar` in the place of the built-in calendar's.
pub(super) fn with_calendar(views: &str, calendar: &Calendar) -> String {
    views.replace(&rows(&Calendar::default()), &rows(calendar))
}

/// The dates whose regular session has other hours than ordinary ones, with its beginning and end. It starts with the first date
/// on which the ordinary hours were those of today.
fn rows(calendar: &Calendar) -> String {
    let ordinary = normal_hours(TABLE_LAST);
    let special = TABLE_FIRST
        .iter_days()
        .skip_while(|date| normal_hours(*date) != ordinary)
        .map(|date| calendar.day(date))
        // Nothing is known of later dates.
        .take_while(|day| day.basis != Basis::Assumed)
        .filter_map(|day| Some((day.date, day.hours.filter(|hours| *hours != ordinary)?)));
    let rows: Vec<String> = special
        .map(|(date, hours)| {
            let [opens, closes] = [hours.open, hours.close].map(|time: NaiveTime| time.format("%H:%M:%S"));
            format!("('{date}', '{opens}', '{closes}')")
        })
        .collect();
    let lines: Vec<String> = rows.chunks(LINE_ROWS).map(|line| line.join(", ")).collect();
    format!("    {}", lines.join(",\n    "))
}

#[cfg(test)]
mod tests {
    use krx_calendar::{Hours, Override};

    use super::super::datasets::VIEWS;
    use super::*;

    #[test]
    fn the_file_of_views_has_the_special_hours_of_the_built_in_calendar() {
        let rows = rows(&Calendar::default());
        let text = format!("FROM (VALUES\n{rows}\n) AS special(date, opens, closes);");
        assert_eq!(VIEWS.matches(&text).count(), 1, "krx.sql should have\n{text}");
        assert!(rows.contains("('2026-01-02', '10:00:00', '15:30:00')"));
        assert!(rows.contains("('2026-11-19', '10:00:00', '16:30:00')"));
        assert!(rows.contains("('2050-01-03', '10:00:00', '15:30:00')"), "{rows}");
    }

    #[test]
    fn the_configurations_calendar_counts() {
        let on = |date: &str, hours| Override {
            date: date.parse().unwrap(),
            hours,
            note: None,
        };
        let hours = |open: &str, close: &str| {
            Some(Hours {
                open: open.parse().unwrap(),
                close: close.parse().unwrap(),
            })
        };
        let calendar = Calendar::with_overrides([
            on("2026-11-19", hours("09:00:00", "15:30:00")),
            on("2026-11-23", hours("09:30:00", "12:00:30")),
            on("2026-11-24", None),
        ]);
        let views = with_calendar(VIEWS, &calendar);
        assert!(!views.contains("2026-11-19', '10:00"));
        assert!(views.contains("('2026-11-23', '09:30:00', '12:00:30')"));
        assert!(!views.contains("'2026-11-24'"));
        assert_eq!(with_calendar(VIEWS, &Calendar::default()), VIEWS);
    }
}
