//! When to be connected, and when silence is a fault. Pure: the time is an argument.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime, Timelike};
use krx_calendar::{Calendar, normal_hours};
use krx_store::Moment;

/// When a feed should be connected.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// At all times.
    Always,
    /// On trading dates.
    Calendar(Daily),
}

/// The hours of a trading date (KST).
#[derive(Clone, Debug, PartialEq)]
pub struct Daily {
    /// When to connect; earlier on a date whose session opens earlier than usual.
    pub open: NaiveTime,
    /// When to disconnect; later on a date whose session closes later than usual.
    pub close: NaiveTime,
    /// The trading dates.
    pub calendar: Arc<Calendar>,
}

/// What the schedule says about an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    /// Be connected.
    Open,
    /// Stay disconnected until then.
    ClosedUntil(Moment),
}

const DAY_US: i64 = 86_400_000_000;

impl Schedule {
    /// What to do at `now`.
    #[must_use]
    pub fn at(&self, now: Moment) -> Hours {
        let Self::Calendar(daily) = self else {
            return Hours::Open;
        };
        match daily.hours_on(now.date()) {
            Some((open, _)) if now < open => Hours::ClosedUntil(open),
            Some((_, close)) if now < close => Hours::Open,
            _ => Hours::ClosedUntil(daily.next_opening_after(now.date())),
        }
    }

    /// When the hours open at `now` end: the end of time if they never do, `None` if they are closed.
    #[must_use]
    pub fn closing(&self, now: Moment) -> Option<Moment> {
        match (self.at(now), self) {
            (Hours::ClosedUntil(_), _) => None,
            (Hours::Open, Self::Always) => Some(Moment(i64::MAX)),
            (Hours::Open, Self::Calendar(daily)) => daily.hours_on(now.date()).map(|(_, close)| close),
        }
    }

    /// When the next session opens, if today's is over or today has none.
    #[must_use]
    pub fn over_until(&self, now: Moment) -> Option<Moment> {
        match self.at(now) {
            Hours::ClosedUntil(opening) if opening.date() > now.date() => Some(opening),
            Hours::ClosedUntil(_) | Hours::Open => None,
        }
    }

    /// The last date on which nothing more is expected.
    #[must_use]
    pub fn last_over(&self, now: Moment) -> Option<NaiveDate> {
        let today = now.date();
        match self.over_until(now) {
            Some(_) => Some(today),
            None => today.pred_opt(),
        }
    }

    /// The hours of a date in which data is expected, from and to; `None` on a date without trading. [`Self::Always`]
    /// means the whole date.
    #[must_use]
    pub fn expected_on(&self, date: NaiveDate) -> Option<(Moment, Moment)> {
        match self {
            Self::Always => Some((midnight(date), Moment(midnight(date).0 + DAY_US))),
            Self::Calendar(daily) => daily.hours_on(date),
        }
    }

    /// Whether a feed that sends no data at `now` must be considered stalled: in continuous trading a feed of hundreds
    /// of issues is never silent for long.
    #[must_use]
    pub fn expects_data(&self, now: Moment) -> bool {
        match self {
            // The source of a recorder that runs at all times has its own hours.
            Self::Always => false,
            Self::Calendar(daily) => daily
                .calendar
                .day(now.date())
                .trades_continuously(time_of_day(now)),
        }
    }

    /// What the schedules of several feeds say together: open while any of them is, otherwise closed until the first
    /// opens. Without any schedule, open.
    #[must_use]
    pub fn together<'a>(schedules: impl IntoIterator<Item = &'a Self>, now: Moment) -> Hours {
        let mut opening: Option<Moment> = None;
        for schedule in schedules {
            match schedule.at(now) {
                Hours::Open => return Hours::Open,
                Hours::ClosedUntil(next) => opening = Some(opening.map_or(next, |opening| opening.min(next))),
            }
        }
        opening.map_or(Hours::Open, Hours::ClosedUntil)
    }

    /// Why there is no more session on the date of `now`, as a clause.
    #[must_use]
    pub fn why_over(&self, now: Moment) -> String {
        let Self::Calendar(daily) = self else {
            return String::new();
        };
        let day = daily.calendar.day(now.date());
        match (day.is_trading(), day.note) {
            (true, _) => format!("the hours of {} are over", day.date),
            (false, Some(note)) => format!("KRX is closed on {} ({note})", day.date),
            (false, None) => format!("KRX is closed on {}", day.date),
        }
    }
}

impl Daily {
    /// The day's hours, longer if its session begins earlier or ends later than usual, but never shorter: what a
    /// shorter day would save is not worth an hour that can never be recorded again.
    fn hours_on(&self, date: NaiveDate) -> Option<(Moment, Moment)> {
        let hours = self.calendar.day(date).hours?;
        let normal = normal_hours(date);
        let us = |time: NaiveTime| i64::from(time.num_seconds_from_midnight()) * 1_000_000;
        let earlier = (us(normal.open) - us(hours.open)).max(0);
        let later = (us(hours.close) - us(normal.close)).max(0);
        let open = (us(self.open) - earlier).max(0);
        let close = (us(self.close) + later).min(DAY_US);
        let start = midnight(date).0;
        Some((Moment(start + open), Moment(start + close)))
    }

    fn next_opening_after(&self, date: NaiveDate) -> Moment {
        let next = self.calendar.next_trading_after(date);
        self.hours_on(next).map_or(midnight(next), |(open, _)| open)
    }
}

/// A moment formatted as `2026-11-23 08:20`, in KST.
#[must_use]
pub(crate) fn kst(moment: Moment) -> String {
    let minutes = moment.micros_of_day() / 60_000_000;
    format!("{} {:02}:{:02}", moment.date(), minutes / 60, minutes % 60)
}

fn time_of_day(now: Moment) -> NaiveTime {
    let seconds = u32::try_from(now.micros_of_day() / 1_000_000).unwrap_or(0);
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap_or(NaiveTime::MIN)
}

fn midnight(date: NaiveDate) -> Moment {
    Moment::midnight(date)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use krx_calendar::{Hours as Trading, Override};

    pub(crate) fn kst(text: &str) -> Moment {
        let at = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        Moment(midnight(at.date()).0 + i64::from(at.time().num_seconds_from_midnight()) * 1_000_000)
    }

    fn time(hour: u32, minute: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
    }

    pub(crate) fn daily(overrides: Vec<Override>) -> Schedule {
        Schedule::Calendar(Daily {
            open: time(8, 20),
            close: time(20, 10),
            calendar: Arc::new(Calendar::with_overrides(overrides)),
        })
    }

    #[test]
    fn a_week_and_a_holiday() {
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
                "2026-11-23 00:00:00",
                Hours::ClosedUntil(kst("2026-11-23 08:20:00")),
            ),
            // Christmas is a Friday.
            (
                "2026-12-25 10:00:00",
                Hours::ClosedUntil(kst("2026-12-28 08:20:00")),
            ),
        ];
        for (now, expected) in cases {
            assert_eq!(daily(vec![]).at(kst(now)), expected, "{now}");
            assert_eq!(Schedule::Always.at(kst(now)), Hours::Open);
            // Before the opening the day is not over: a recorder started early waits for it.
            let later = match expected {
                Hours::ClosedUntil(opening) if !now.starts_with(&opening.date().to_string()) => Some(opening),
                _ => None,
            };
            assert_eq!(daily(vec![]).over_until(kst(now)), later, "{now}");
        }
    }

    #[test]
    fn several_feeds_are_open_while_one_of_them_is() {
        let Schedule::Calendar(usual) = daily(vec![]) else {
            panic!("a calendar")
        };
        let early = Schedule::Calendar(Daily {
            open: time(6, 0),
            close: time(9, 0),
            ..usual.clone()
        });
        let both = [early, Schedule::Calendar(usual)];
        for (now, expected) in [
            (
                "2026-11-20 05:00:00",
                Hours::ClosedUntil(kst("2026-11-20 06:00:00")),
            ),
            ("2026-11-20 07:00:00", Hours::Open),
            ("2026-11-20 20:00:00", Hours::Open),
            (
                "2026-11-20 21:00:00",
                Hours::ClosedUntil(kst("2026-11-23 06:00:00")),
            ),
        ] {
            assert_eq!(Schedule::together(&both, kst(now)), expected, "{now}");
        }
        let with_always = [both[0].clone(), Schedule::Always];
        assert_eq!(
            Schedule::together(&with_always, kst("2026-11-21 05:00:00")),
            Hours::Open
        );
    }

    #[test]
    fn a_day_with_other_hours_is_never_recorded_for_a_shorter_time() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
        let with = |open, close| {
            let hours = Some(Trading { open, close });
            daily(vec![Override {
                date,
                hours,
                note: None,
            }])
            .expected_on(date)
        };
        let on = |from: &str, to: &str| {
            Some((
                kst(&format!("2026-11-24 {from}:00")),
                kst(&format!("2026-11-24 {to}:00")),
            ))
        };
        assert_eq!(with(time(9, 0), time(15, 30)), on("08:20", "20:10"));
        assert_eq!(with(time(10, 0), time(16, 30)), on("08:20", "21:10"));
        assert_eq!(with(time(7, 0), time(12, 0)), on("06:20", "20:10"));
        // Never beyond the date.
        let (from, to) = with(time(0, 10), time(23, 0)).unwrap();
        assert_eq!(from, kst("2026-11-24 00:00:00"));
        assert_eq!(to, kst("2026-11-25 00:00:00"));
    }

    #[test]
    fn a_date_is_over_when_nothing_more_is_expected_on_it() {
        let over = |schedule: &Schedule, now| schedule.last_over(kst(now)).unwrap().to_string();
        let daily = daily(vec![]);
        for (now, expected) in [
            ("2026-11-20 00:00:00", "2026-11-19"),
            ("2026-11-20 08:19:59", "2026-11-19"),
            ("2026-11-20 20:09:59", "2026-11-19"),
            ("2026-11-20 20:10:00", "2026-11-20"),
            ("2026-11-21 12:00:00", "2026-11-21"),
            ("2026-12-25 10:00:00", "2026-12-25"),
        ] {
            assert_eq!(over(&daily, now), expected, "{now}");
        }
        assert_eq!(over(&Schedule::Always, "2026-11-20 23:59:59"), "2026-11-19");
    }

    #[test]
    fn silence_counts_in_continuous_trading_only() {
        let schedule = daily(vec![]);
        for (now, expected) in [
            ("2026-11-20 08:59:59", false),
            ("2026-11-20 09:00:00", true),
            ("2026-11-20 15:19:59", true),
            ("2026-11-20 15:20:00", false),
            ("2026-11-21 10:00:00", false),
            ("2026-12-25 10:00:00", false),
            // The university entrance examination.
            ("2026-11-19 09:59:59", false),
            ("2026-11-19 16:10:00", true),
        ] {
            assert_eq!(schedule.expects_data(kst(now)), expected, "{now}");
        }
        assert!(!Schedule::Always.expects_data(kst("2026-11-20 10:00:00")));
    }

    #[test]
    fn it_explains_why_there_is_no_session() {
        let schedule = daily(vec![]);
        assert!(
            schedule
                .why_over(kst("2026-11-20 21:00:00"))
                .contains("hours of 2026-11-20 are over")
        );
        assert!(schedule.why_over(kst("2026-11-21 10:00:00")).contains("Saturday"));
        assert!(
            schedule
                .why_over(kst("2026-12-25 10:00:00"))
                .contains("Christmas")
        );
    }
}
