//! Records per minute of receipt, on one date.

use chrono::NaiveDate;

use crate::coverage::bounds;
use crate::moment::{DAY_US, Moment};

/// Minutes of a date.
pub const MINUTES: usize = 1440;

const MINUTE_US: i64 = 60_000_000;

/// A date's minutes.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    date: NaiveDate,
    minutes: Box<[u32; MINUTES]>,
}

impl Chart {
    pub(super) fn new(date: NaiveDate) -> Self {
        Self {
            date,
            minutes: Box::new([0; MINUTES]),
        }
    }

    pub(super) fn date(&self) -> NaiveDate {
        self.date
    }

    pub(super) fn minutes(&self) -> &[u32; MINUTES] {
        &self.minutes
    }

    pub(super) fn add(&mut self, minute: usize, records: u64) {
        let minute = &mut self.minutes[minute.min(MINUTES - 1)];
        *minute = minute.saturating_add(u32::try_from(records).unwrap_or(u32::MAX));
    }

    /// Adds records that came at an even rate from `first` to `last`.
    pub(super) fn spread(&mut self, first: Moment, last: Moment, records: u64) {
        let (midnight, _) = bounds(self.date);
        let (first, last) = (us_of(midnight, first), us_of(midnight, last.max(first)));
        let length = i128::from(last - first + 1);
        let until = |us: i64| i128::from(records) * i128::from(us.clamp(first, last + 1) - first) / length;
        for minute in first / MINUTE_US..=last / MINUTE_US {
            let share = until((minute + 1) * MINUTE_US) - until(minute * MINUTE_US);
            self.add(
                usize::try_from(minute).unwrap_or(0),
                u64::try_from(share).unwrap_or(0),
            );
        }
    }
}

/// The minute in which an instant lies, of the date that began at `midnight`; or the nearest one.
pub(super) fn minute_of(midnight: Moment, at: Moment) -> usize {
    usize::try_from(us_of(midnight, at) / MINUTE_US).unwrap_or(0)
}

fn us_of(midnight: Moment, at: Moment) -> i64 {
    at.0.saturating_sub(midnight.0).clamp(0, DAY_US - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date");

    fn at(seconds: i64) -> Moment {
        Moment(bounds(DATE).0.0 + seconds * 1_000_000)
    }

    #[test]
    fn what_is_spread_is_all_there_and_in_its_minutes() {
        let mut chart = Chart::new(DATE);
        chart.spread(at(90), Moment(at(270).0 - 1), 1000);
        assert_eq!(chart.minutes[..6], [0, 166, 334, 333, 167, 0]);
        chart.spread(at(30), at(30), 7);
        assert_eq!(chart.minutes[0], 7);
        // Received after midnight by a clock that was set, into a file of the date.
        chart.spread(at(86_399), at(90_000), 5);
        assert_eq!(chart.minutes[MINUTES - 1], 5);
        for records in [1, 2, 59, 61, 1_000_003] {
            let mut chart = Chart::new(DATE);
            chart.spread(at(1), at(3_333), records);
            assert_eq!(
                chart.minutes.iter().map(|count| u64::from(*count)).sum::<u64>(),
                records
            );
        }
    }

    #[test]
    fn minutes_are_those_of_korea_and_never_leave_the_date() {
        assert_eq!(minute_of(at(0), at(9 * 3600 + 59)), 540);
        assert_eq!(minute_of(at(0), at(-1)), 0);
        assert_eq!(minute_of(at(0), at(86_400)), MINUTES - 1);
    }
}
