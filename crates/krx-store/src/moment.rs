//! Instants in microseconds, and their dates and times of day in Korea Standard Time.
//!
//! Korea has had no daylight saving time since 1988, so the zone is nine hours, always.

use std::fmt;

use chrono::{DateTime, Days, FixedOffset, NaiveDate};
use serde::{Deserialize, Serialize};

const KST_OFFSET_US: i64 = 9 * 3600 * 1_000_000;
pub(crate) const DAY_US: i64 = 24 * 3600 * 1_000_000;
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub i64);

impl Moment {
    /// The wall clock, now.
    #[must_use]
    pub fn now() -> Self {
        Self(chrono::Utc::now().timestamp_micros())
    }

    /// The first instant of a date in Korea.
    #[must_use]
    pub fn midnight(date: NaiveDate) -> Self {
        Self((date - EPOCH).num_milliseconds() * 1000 - KST_OFFSET_US)
    }

    /// The date in Korea.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        let days = (self.0.saturating_add(KST_OFFSET_US)).div_euclid(DAY_US);
        let date = match u64::try_from(days) {
            Ok(days) => EPOCH.checked_add_days(Days::new(days)),
            Err(_) => EPOCH.checked_sub_days(Days::new(days.unsigned_abs())),
        };
        date.unwrap_or(NaiveDate::MAX)
    }

    /// As clocks in Korea show it.
    ///
    /// # Panics
    /// Never: nine hours are an offset.
    #[must_use]
    pub fn korean(self) -> DateTime<FixedOffset> {
        let zone = FixedOffset::east_opt(9 * 3600).expect("nine hours are an offset");
        let utc = DateTime::from_timestamp_micros(self.0).unwrap_or_default();
        utc.with_timezone(&zone)
    }

    /// Microseconds since midnight in Korea.
    #[must_use]
    pub fn micros_of_day(self) -> i64 {
        (self.0.saturating_add(KST_OFFSET_US)).rem_euclid(DAY_US)
    }

    /// The start of the time partition in which this instant lies. Partitions of `interval_us` are counted from
    /// midnight in Korea.
    #[must_use]
    pub fn partition(self, interval_us: i64) -> Self {
        Self(self.0 - self.micros_of_day() % interval_us.max(1))
    }
}

/// As Korean time, to the microsecond.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.micros_of_day() / 1_000_000, self.micros_of_day() % 1_000_000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{} {hours:02}:{minutes:02}:{seconds:02}.{micros:06}",
            self.date()
        )
    }
}

/// Whether `date` is more than `days` days before `today`.
pub(crate) fn is_past(date: NaiveDate, today: NaiveDate, days: u32) -> bool {
    let last = date.checked_add_days(Days::new(days.into()));
    last.is_some_and(|last| last < today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_changes_at_midnight_in_korea() {
        let midnight = Moment::midnight(NaiveDate::from_ymd_opt(2026, 11, 20).unwrap());
        assert_eq!(midnight.to_string(), "2026-11-20 00:00:00.000000");
        assert_eq!(Moment(midnight.0 - 1).to_string(), "2026-11-19 23:59:59.999999");
        assert_eq!(midnight.date().to_string(), "2026-11-20");
        assert_eq!(Moment(midnight.0 - 1).date().to_string(), "2026-11-19");
        assert_eq!(
            (midnight.micros_of_day(), Moment(midnight.0 - 1).micros_of_day()),
            (0, DAY_US - 1)
        );
        assert_eq!(midnight.0, 1_795_100_400_000_000);
    }

    #[test]
    fn partitions_are_aligned_to_the_wall_clock() {
        let nine =
            Moment(Moment::midnight(NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()).0 + 9 * 3_600_000_000);
        let five_minutes = 300_000_000;
        assert_eq!(Moment(nine.0 + 299_999_999).partition(five_minutes), nine);
        assert_eq!(
            Moment(nine.0 + 300_000_000).partition(five_minutes),
            Moment(nine.0 + five_minutes)
        );
    }

    #[test]
    fn absurd_clocks_do_not_panic() {
        for us in [i64::MIN, -1, 0, i64::MAX] {
            let _ = (Moment(us).date(), Moment(us).micros_of_day());
        }
    }
}
