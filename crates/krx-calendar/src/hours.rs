//! The regular session's opening and close.

use chrono::{NaiveDate, NaiveTime};

/// The regular session of a day, Korea Standard Time. The closing auction is its last ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Trading begins, with the opening auction's trades.
    pub open: NaiveTime,
    /// Trading ends, with the closing auction's trades.
    pub close: NaiveTime,
}

/// Trades up to this many minutes after the close, when trading at the closing price begins, belong to the regular session:
/// the closing auction's trades are stamped after the close, and minutes after it if an issue's auction is prolonged.
pub(crate) const LAST_TRADES_MINUTES: i64 = 10;

/// Futures and options start trading this many minutes before stocks, and stop this many minutes after them: 08:45 to 15:45
/// on a normal day (KRX, contract specifications).
const DERIVATIVES_MINUTES: i64 = 15;

impl Hours {
    /// When the last trades of the session have been made: ten minutes after the close.
    #[must_use]
    pub fn last_trades(&self) -> NaiveTime {
        later(self.close, LAST_TRADES_MINUTES)
    }

    /// The hours of futures and options on a day on which stocks trade in these hours.
    pub(crate) fn of_derivatives(&self) -> Self {
        Self {
            open: earlier(self.open, DERIVATIVES_MINUTES),
            close: later(self.close, DERIVATIVES_MINUTES),
        }
    }
}

/// From this date the close is 15:30; it was 15:00 before.
const LATER_CLOSE_FIRST: NaiveDate = NaiveDate::from_ymd_opt(2016, 8, 1).expect("a date");

/// The hours of an ordinary day: 09:00 to 15:30, or to 15:00 before 2016-08-01.
#[must_use]
pub fn normal_hours(date: NaiveDate) -> Hours {
    let close = if date < LATER_CLOSE_FIRST {
        at(15, 0)
    } else {
        at(15, 30)
    };
    Hours {
        open: at(9, 0),
        close,
    }
}

/// The opening of the first session of a year; it closes as usual.
pub(crate) const FIRST_SESSION_OPEN: NaiveTime = at(10, 0);

/// `hour:minute`, for literals only.
pub(crate) const fn at(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day")
}

/// `minutes` before `time`, and not before midnight.
pub(crate) fn earlier(time: NaiveTime, minutes: i64) -> NaiveTime {
    match time.overflowing_sub_signed(chrono::TimeDelta::minutes(minutes)) {
        (earlier, 0) => earlier,
        _ => NaiveTime::MIN,
    }
}

/// `minutes` after `time`, and not after the day's last minute.
pub(crate) fn later(time: NaiveTime, minutes: i64) -> NaiveTime {
    match time.overflowing_add_signed(chrono::TimeDelta::minutes(minutes)) {
        (later, 0) => later,
        _ => at(23, 59),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_close_moved_on_2016_08_01() {
        let day = |day| normal_hours(NaiveDate::from_ymd_opt(2016, 7, 31).unwrap() + chrono::Days::new(day));
        assert_eq!(day(0).close, at(15, 0));
        assert_eq!(day(1).close, at(15, 30));
        assert_eq!((day(0).open, day(1).open), (at(9, 0), at(9, 0)));
    }

    #[test]
    fn a_day_ends_at_midnight() {
        assert_eq!(earlier(at(0, 20), 30), NaiveTime::MIN);
        assert_eq!(earlier(at(9, 0), 30), at(8, 30));
        assert_eq!(later(at(23, 50), 10), at(23, 59));
        assert_eq!(later(at(15, 30), 30), at(16, 0));
    }
}
