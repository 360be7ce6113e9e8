//! What is known about a date.

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveTime};

use crate::hours::{Hours, earlier};
use crate::session::{CLOSING_AUCTION_MINUTES, Session, sessions};

/// A date of the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The date, in Korea.
    pub date: NaiveDate,
    /// The regular session; `None` when KRX is closed.
    pub hours: Option<Hours>,
    /// Why it is closed, or what is special about it.
    pub note: Option<Cow<'static, str>>,
    /// How this is known.
    pub basis: Basis,
}

/// How it is known whether KRX trades on a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It is in the built-in table.
    Table,
    /// It follows from a rule: the holiday law as it was when this was built, and KRX's customs.
    Rule,
    /// The operator says so.
    Override,
    /// Nothing is known about this weekday. It counts as a trading day, since recording nothing is the worse mistake.
    Assumed,
}

impl Basis {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Rule => "rule",
            Self::Override => "override",
            Self::Assumed => "assumed",
        }
    }
}

impl Day {
    /// Whether KRX trades.
    #[must_use]
    pub fn is_trading(&self) -> bool {
        self.hours.is_some()
    }

    /// The regular session of futures and options, which begins before the session of stocks and ends after it. A contract that
    /// expires on this day stops trading earlier. `None` when KRX is closed.
    #[must_use]
    pub fn derivatives_hours(&self) -> Option<Hours> {
        self.hours.as_ref().map(Hours::of_derivatives)
    }

    /// The sessions in the order in which they begin; the closing auction lies within the regular session. Empty when
    /// KRX is closed.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.hours
            .map_or_else(Vec::new, |hours| sessions(self.date, hours))
    }

    /// Continuous trading (KST), from and to: from the opening until ten minutes before the close, when the closing auction
    /// begins. `None` when KRX is closed.
    #[must_use]
    pub fn continuous(&self) -> Option<(NaiveTime, NaiveTime)> {
        let hours = self.hours?;
        Some((hours.open, earlier(hours.close, CLOSING_AUCTION_MINUTES)))
    }

    /// Whether `time` (KST) lies in continuous trading, when a market of hundreds of issues is never silent for long.
    #[must_use]
    pub fn trades_continuously(&self, time: NaiveTime) -> bool {
        self.continuous()
            .is_some_and(|(from, to)| (from..to).contains(&time))
    }
}

#[cfg(test)]
mod tests {
    use crate::Calendar;

    #[test]
    fn silence_is_a_fault_in_continuous_trading_only() {
        let calendar = Calendar::default();
        for (date, time, expected) in [
            ("2026-11-20", "08:59:59", false),
            ("2026-11-20", "09:00:00", true),
            ("2026-11-20", "15:19:59", true),
            ("2026-11-20", "15:20:00", false),
            // An hour later, both or the opening only.
            ("2026-11-19", "09:59:59", false),
            ("2026-11-19", "16:19:59", true),
            ("2026-11-19", "16:20:00", false),
            ("2026-01-02", "09:30:00", false),
            ("2026-01-02", "15:20:00", false),
            // Closed.
            ("2026-11-21", "12:00:00", false),
            ("2026-12-25", "12:00:00", false),
        ] {
            let day = calendar.day(date.parse().unwrap());
            assert_eq!(
                day.trades_continuously(time.parse().unwrap()),
                expected,
                "{date} {time}"
            );
        }
    }
}
