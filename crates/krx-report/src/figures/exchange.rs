//! KRX's day, and the trading days before it that were not recorded. Pure.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate, NaiveTime, Timelike};
use krx_calendar::{Calendar, SessionKind};
use krx_store::Moment;
use serde::Serialize;

use super::recorded::Span;
use crate::time;

/// What the calendar says of the date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExchangeDay {
    /// Whether KRX traded.
    pub trading: bool,
    /// Why not, or what was special about it.
    pub note: Option<String>,
    /// The start of the regular session.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub regular_from: Option<Moment>,
    /// Its end.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub regular_to: Option<Moment>,
    /// When the closing auction begins: until then, trading is continuous.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub continuous_to: Option<Moment>,
    /// The trading days immediately before it on which nothing was recorded.
    pub unrecorded_before: Vec<NaiveDate>,
}

impl ExchangeDay {
    /// What `calendar` says about `date`; `recorded` are the dates with records.
    #[must_use]
    pub fn of(calendar: &Calendar, recorded: &BTreeSet<NaiveDate>, date: NaiveDate) -> Self {
        let day = calendar.day(date);
        let sessions = day.sessions();
        let regular = sessions
            .iter()
            .find(|session| session.kind == SessionKind::Regular);
        let continuous = day.continuous();
        Self {
            trading: day.is_trading(),
            note: day.note.map(|note| note.into_owned()),
            regular_from: regular.map(|session| at(date, session.from)),
            regular_to: regular.map(|session| at(date, session.to)),
            continuous_to: continuous.map(|(_, to)| at(date, to)),
            unrecorded_before: unrecorded_before(calendar, recorded, date),
        }
    }

    /// The regular hours.
    #[must_use]
    pub fn regular(&self) -> Option<Span> {
        self.regular_from.zip(self.regular_to)
    }

    /// The part of them in which trading is continuous.
    #[must_use]
    pub fn continuous(&self) -> Option<Span> {
        self.regular_from.zip(self.continuous_to)
    }
}

/// The instant at `time` in Korea.
#[must_use]
pub(crate) fn at(date: NaiveDate, time: NaiveTime) -> Moment {
    Moment(Moment::midnight(date).0 + i64::from(time.num_seconds_from_midnight()) * 1_000_000)
}

/// The trading days immediately before `date` on which no feed was recorded, the earliest first; a month of them at
/// most. `recorded` are the dates with records.
fn unrecorded_before(calendar: &Calendar, recorded: &BTreeSet<NaiveDate>, date: NaiveDate) -> Vec<NaiveDate> {
    const DAYS_MAX: u64 = 31;
    let mut found = Vec::new();
    for before in (1..=DAYS_MAX).map_while(|days| date.checked_sub_days(Days::new(days))) {
        if recorded.contains(&before) {
            found.reverse();
            return found;
        }
        if calendar.day(before).is_trading() {
            found.push(before);
        }
    }
    // Nothing was recorded before: recording starts here, or after so long a pause that a list is useless.
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trading_days_right_before_are_those_without_records() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        let calendar = Calendar::with_overrides(Vec::new());
        let before = |recorded: &[&str], day: &str| {
            let recorded: BTreeSet<_> = recorded.iter().map(|day| date(day)).collect();
            let days = unrecorded_before(&calendar, &recorded, date(day));
            days.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        // A Friday before; then a weekend and two trading days.
        assert_eq!(
            before(&["2026-11-20"], "2026-11-25"),
            ["2026-11-23", "2026-11-24"]
        );
        assert_eq!(before(&["2026-11-20"], "2026-11-23"), Vec::<String>::new());
        assert_eq!(before(&[], "2026-11-23"), Vec::<String>::new());
        assert_eq!(before(&["2026-01-02"], "2026-11-23"), Vec::<String>::new());
    }
}
