//! When to be connected, and when silence is a fault. Pure: the time is an argument.

use chrono::{NaiveDate, NaiveTime, Timelike};
use krx_calendar::Calendar;
use krx_store::Moment;
use krx_store::moment::midnight_ms;

/// When a feed is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At all times.
    Always,
    /// On trading dates, from `open` to `close` (KST).
    Daily {
        /// Connect.
        open: NaiveTime,
        /// Disconnect.
        close: NaiveTime,
    },
}

/// What the schedule says of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    /// Be connected.
    Open,
    /// Be not, until then.
    ClosedUntil(Moment),
}

impl Schedule {
    /// What to do at `now`.
    #[must_use]
    pub fn at(self, now: Moment) -> Hours {
        let Self::Daily { open, close } = self else {
            return Hours::Open;
        };
        let (date, time) = (now.date(), time_of_day(now));
        if !Calendar::default().is_trading(date) || time >= close {
            Hours::ClosedUntil(moment(Calendar::default().next_trading_after(date), open))
        } else if time < open {
            Hours::ClosedUntil(moment(date, open))
        } else {
            Hours::Open
        }
    }

    /// When the next session opens, if `now` is past today's or today has none.
    #[must_use]
    pub fn over_until(self, now: Moment) -> Option<Moment> {
        match self.at(now) {
            Hours::ClosedUntil(opening) if opening.date() > now.date() => Some(opening),
            Hours::ClosedUntil(_) | Hours::Open => None,
        }
    }

    /// The hours of a date in which data is expected, from and to; none on a date without trading. At all times means
    /// the whole date.
    #[must_use]
    pub fn expected_on(self, date: NaiveDate) -> Option<(Moment, Moment)> {
        match self {
            Self::Always => {
                let midnight = moment(date, NaiveTime::MIN);
                Some((midnight, Moment(midnight.0 + 86_400_000_000)))
            }
            Self::Daily { open, close } => Calendar::default()
                .is_trading(date)
                .then(|| (moment(date, open), moment(date, close))),
        }
    }

    /// Whether a market that sends no data at `now` must be taken for stalled.
    #[must_use]
    pub fn expects_data(self, now: Moment) -> bool {
        match self {
            // Whoever records at all times has a source of its own hours.
            Self::Always => false,
            Self::Daily { .. } => Calendar::default()
                .day(now.date())
                .trades_continuously(time_of_day(now)),
        }
    }
}

fn time_of_day(now: Moment) -> NaiveTime {
    let seconds = u32::try_from(now.micros_of_day() / 1_000_000).unwrap_or(0);
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap_or(NaiveTime::MIN)
}

fn moment(date: NaiveDate, time: NaiveTime) -> Moment {
    Moment((midnight_ms(date) + i64::from(time.num_seconds_from_midnight()) * 1000) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kst(text: &str) -> Moment {
        let at = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        moment(at.date(), at.time())
    }

    fn daily() -> Schedule {
        let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        Schedule::Daily {
            open: time(8, 20),
            close: time(20, 10),
        }
    }

    #[test]
    fn a_week_of_it() {
        let cases = [
            (
                "2026-11-20 08:19:59",
                Hours::ClosedUntil(kst("2026-11-20 08:20:00")),
            ),
            ("2026-11-20 08:20:00", Hours::Open),
            ("2026-11-20 20:09:59", Hours::Open),
            (
                "2026-11-20 20:10:00",
                Hours::ClosedUntil(kst("2026-11-23 08:20:00")),
            ),
            (
                "2026-11-21 12:00:00",
                Hours::ClosedUntil(kst("2026-11-23 08:20:00")),
            ),
            (
                "2026-11-22 00:00:00",
                Hours::ClosedUntil(kst("2026-11-23 08:20:00")),
            ),
            (
                "2026-11-23 00:00:00",
                Hours::ClosedUntil(kst("2026-11-23 08:20:00")),
            ),
        ];
        for (now, expected) in cases {
            assert_eq!(daily().at(kst(now)), expected, "{now}");
            assert_eq!(Schedule::Always.at(kst(now)), Hours::Open);
            // Before the opening the day is not over: whoever starts early waits for it.
            let later = match expected {
                Hours::ClosedUntil(opening) if !now.starts_with(&opening.date().to_string()) => Some(opening),
                _ => None,
            };
            assert_eq!(daily().over_until(kst(now)), later, "{now}");
        }
    }

    #[test]
    fn silence_counts_on_trading_dates_only() {
        assert!(daily().expects_data(kst("2026-11-20 10:00:00")));
        assert!(!daily().expects_data(kst("2026-11-20 15:25:00")));
        assert!(!daily().expects_data(kst("2026-11-21 10:00:00")));
        assert!(!Schedule::Always.expects_data(kst("2026-11-20 10:00:00")));
    }
}
