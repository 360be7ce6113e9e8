//! The regular sessions of a date, from the calendar, as the derived datasets need them.

use chrono::{NaiveDate, NaiveTime, Timelike};
use krx_calendar::{Calendar, Hours};
use krx_store::Moment;
use krx_store::derived::{Session, Sessions};

/// The regular sessions of stocks and of derivatives on a date; none on a day on which KRX is closed.
#[must_use]
pub(crate) fn regular_sessions(calendar: &Calendar, date: NaiveDate) -> Sessions {
    let day = calendar.day(date);
    let at = |time: NaiveTime| {
        Moment(Moment::midnight(date).0 + i64::from(time.num_seconds_from_midnight()) * 1_000_000)
    };
    let session = |hours: Hours| Session::new(at(hours.open), at(hours.close), at(hours.last_trades()));
    Sessions {
        stocks: day.hours.and_then(session),
        derivatives: day.derivatives_hours().and_then(session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(date: &str) -> String {
        let sessions = regular_sessions(&Calendar::default(), date.parse().unwrap());
        let date: NaiveDate = date.parse().unwrap();
        let minutes = |session: Option<Session>| {
            let parts = session.map(|session| session.to_string()).unwrap_or_default();
            let minute = |part: &str| {
                (part.parse::<i64>().unwrap_or_default() - Moment::midnight(date).0) / 60_000_000
            };
            let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
            let parts = parts.split(',').filter(|part| !part.is_empty());
            parts.map(minute).map(clock).collect::<Vec<_>>().join(" ")
        };
        format!("{} | {}", minutes(sessions.stocks), minutes(sessions.derivatives))
    }

    #[test]
    fn derivatives_open_and_close_a_quarter_of_an_hour_around_stocks() {
        assert_eq!(text("2026-11-20"), "09:00 15:30 15:40 | 08:45 15:45 15:55");
        assert_eq!(
            text("2026-11-19"),
            "10:00 16:30 16:40 | 09:45 16:45 16:55",
            "the exam"
        );
        assert_eq!(
            text("2026-01-02"),
            "10:00 15:30 15:40 | 09:45 15:45 15:55",
            "the first of the year"
        );
        assert_eq!(text("2026-11-21"), " | ");
    }
}
