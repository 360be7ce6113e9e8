//! The calendar: table, rules and overrides combined.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, Weekday};

use crate::day::{Basis, Day};
use crate::hours::{FIRST_SESSION_OPEN, Hours, normal_hours};
use crate::table::{TABLE_FIRST, TABLE_LAST};
use crate::{rules, table};

/// What an operator knows better: a temporary holiday, changed hours. It takes precedence over everything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The date.
    pub date: NaiveDate,
    /// The regular session; `None` when KRX is closed.
    pub hours: Option<Hours>,
    /// Why.
    pub note: Option<String>,
}

/// The KRX calendar. By default it is the built-in one without overrides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    overrides: BTreeMap<NaiveDate, Override>,
}

impl Calendar {
    /// The built-in calendar with `overrides` on top. If a date has several, the last one counts.
    #[must_use]
    pub fn with_overrides(overrides: impl IntoIterator<Item = Override>) -> Self {
        Self {
            overrides: overrides.into_iter().map(|known| (known.date, known)).collect(),
        }
    }

    /// What is known about a date.
    #[must_use]
    pub fn day(&self, date: NaiveDate) -> Day {
        if let Some(known) = self.overrides.get(&date) {
            return Day {
                date,
                hours: known.hours,
                note: known.note.clone().map(Cow::Owned),
                basis: Basis::Override,
            };
        }
        if let Some(reason) = closed(date) {
            return built_in(date, None, Some(reason), Basis::Rule);
        }
        let hours = normal_hours(date);
        if self.is_first_session(date) {
            let hours = Hours {
                open: FIRST_SESSION_OPEN,
                ..hours
            };
            let note = Cow::Borrowed("First session of the year");
            return built_in(date, Some(hours), Some(note), Basis::Rule);
        }
        if let Some((hours, note)) = table::special_hours(date) {
            return built_in(date, Some(hours), Some(Cow::Borrowed(note)), Basis::Table);
        }
        let known = date > TABLE_LAST && rules::know(date);
        let basis = if known { Basis::Rule } else { Basis::Assumed };
        built_in(date, Some(hours), None, basis)
    }

    /// Whether KRX trades on `date`, as far as is known.
    #[must_use]
    pub fn is_trading(&self, date: NaiveDate) -> bool {
        match self.overrides.get(&date) {
            Some(known) => known.hours.is_some(),
            None => closed(date).is_none(),
        }
    }

    /// The first trading day after `date`; [`NaiveDate::MAX`] at the end of time.
    #[must_use]
    pub fn next_trading_after(&self, date: NaiveDate) -> NaiveDate {
        date.iter_days()
            .skip(1)
            .find(|next| self.is_trading(*next))
            .unwrap_or(NaiveDate::MAX)
    }

    /// Whether a trading day is its year's first. What happened before the table begins is not known.
    fn is_first_session(&self, date: NaiveDate) -> bool {
        date >= TABLE_FIRST
            && date.with_ordinal(1).is_some_and(|new_year| {
                !new_year
                    .iter_days()
                    .take_while(|day| *day < date)
                    .any(|day| self.is_trading(day))
            })
    }
}

/// Why KRX is closed, according to table and rules.
fn closed(date: NaiveDate) -> Option<Cow<'static, str>> {
    match date.weekday() {
        Weekday::Sat => Some(Cow::Borrowed("Saturday")),
        Weekday::Sun => Some(Cow::Borrowed("Sunday")),
        _ if date < TABLE_FIRST => None,
        _ if table::contains(date) => table::closing(date).map(|closing| closing.note()),
        _ => rules::closing(date).map(|closing| closing.note()),
    }
}

/// A day without an override. Within the table, the table decides, whatever the rules would say.
fn built_in(date: NaiveDate, hours: Option<Hours>, note: Option<Cow<'static, str>>, elsewhere: Basis) -> Day {
    let basis = if table::contains(date) {
        Basis::Table
    } else {
        elsewhere
    };
    let by_rule = basis == Basis::Rule && !rules::is_weekend(date);
    Day {
        date,
        hours,
        note: note.map(|note| {
            if by_rule {
                Cow::Owned(format!("{note} (by rule)"))
            } else {
                note
            }
        }),
        basis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hours::at;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn hours(open: (u32, u32), close: (u32, u32)) -> Hours {
        Hours {
            open: at(open.0, open.1),
            close: at(close.0, close.1),
        }
    }

    /// Open and close or "closed", the note, and the basis.
    fn text(calendar: &Calendar, on: &str) -> String {
        let day = calendar.day(date(on));
        let hours = day.hours.map_or("closed".to_owned(), |hours| {
            format!("{}-{}", hours.open.format("%H:%M"), hours.close.format("%H:%M"))
        });
        let note = day.note.as_deref().unwrap_or("-");
        assert_eq!(day.is_trading(), calendar.is_trading(day.date), "{on}");
        assert_eq!(day.sessions().is_empty(), !day.is_trading(), "{on}");
        format!("{hours} {note} [{}]", day.basis.as_str())
    }

    #[test]
    fn what_each_kind_of_date_is_known_by() {
        for (on, expected) in [
            ("2026-11-20", "09:00-15:30 - [table]"),
            ("2026-11-21", "closed Saturday [table]"),
            ("2026-12-25", "closed Christmas Day [table]"),
            (
                "2026-08-17",
                "closed Substitute holiday for Liberation Day [table]",
            ),
            ("2026-01-02", "10:00-15:30 First session of the year [table]"),
            (
                "2026-11-19",
                "10:00-16:30 University entrance exam (CSAT) [table]",
            ),
            (
                "2027-11-18",
                "10:00-16:30 University entrance exam (CSAT), date not confirmed [table]",
            ),
            (
                "2028-01-03",
                "10:00-15:30 First session of the year (by rule) [rule]",
            ),
            ("2028-01-04", "09:00-15:30 - [rule]"),
            ("2028-01-08", "closed Saturday [rule]"),
            (
                "2028-10-05",
                "closed Substitute holiday for Chuseok (by rule) [rule]",
            ),
            // Nothing is known about an election until it is announced.
            ("2028-04-12", "09:00-15:30 - [rule]"),
            // Chuseok of 2051 is not known.
            ("2051-09-19", "09:00-15:30 - [assumed]"),
            ("2051-03-01", "closed Independence Movement Day (by rule) [rule]"),
            (
                "2051-01-02",
                "10:00-15:30 First session of the year (by rule) [rule]",
            ),
            // Before the table.
            ("2014-12-31", "09:00-15:00 - [assumed]"),
            ("2014-01-01", "09:00-15:00 - [assumed]"),
            ("2014-12-28", "closed Sunday [rule]"),
        ] {
            assert_eq!(text(&Calendar::default(), on), expected, "{on}");
        }
    }

    #[test]
    fn an_override_beats_everything() {
        let known = |on: &str, hours, note: Option<&str>| Override {
            date: date(on),
            hours,
            note: note.map(str::to_owned),
        };
        let calendar = Calendar::with_overrides([
            known("2026-11-23", None, Some("Temporary holiday")),
            known(
                "2026-11-28",
                Some(hours((9, 0), (12, 0))),
                Some("Saturday session"),
            ),
            known("2026-12-25", Some(hours((9, 0), (15, 30))), None),
            known("2027-01-04", None, None),
            known("2026-11-23", None, Some("Twice")),
        ]);
        for (on, expected) in [
            ("2026-11-23", "closed Twice [override]"),
            ("2026-11-28", "09:00-12:00 Saturday session [override]"),
            ("2026-12-25", "09:00-15:30 - [override]"),
            ("2027-01-04", "closed - [override]"),
            // The year now begins a day later.
            ("2027-01-05", "10:00-15:30 First session of the year [table]"),
            ("2027-01-06", "09:00-15:30 - [table]"),
        ] {
            assert_eq!(text(&calendar, on), expected, "{on}");
        }
        assert_ne!(calendar, Calendar::default());
        assert_eq!(
            calendar.next_trading_after(date("2026-11-20")),
            date("2026-11-24")
        );
        assert_eq!(
            calendar.next_trading_after(date("2026-11-27")),
            date("2026-11-28")
        );
    }

    #[test]
    fn what_comes_next() {
        let calendar = Calendar::default();
        for (on, next) in [
            ("2026-11-20", "2026-11-23"),
            ("2026-11-23", "2026-11-24"),
            ("2026-12-30", "2027-01-04"),
            ("2025-10-02", "2025-10-10"),
            ("2027-12-30", "2028-01-03"),
        ] {
            assert_eq!(calendar.next_trading_after(date(on)), date(next), "{on}");
        }
        assert_eq!(calendar.next_trading_after(NaiveDate::MAX), NaiveDate::MAX);
    }

    #[test]
    fn dates_at_the_ends_of_time_are_dates() {
        let calendar = Calendar::default();
        for date in [NaiveDate::MIN, NaiveDate::MAX] {
            let day = calendar.day(date);
            assert_eq!((day.date, day.is_trading()), (date, calendar.is_trading(date)));
        }
    }
}
