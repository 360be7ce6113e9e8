//! Reading the configuration again on SIGHUP: schedule, calendar and log filter count from then on. All else counts
//! from the next start, and is only pointed out.

use krx_store::journal::RulesOf;
use krx_store::{DateRules, Event, Moment};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::config::{Config, ConfigError};
use crate::hours::schedule::kst;
use crate::hours::schedule::{Hours, Schedule};
use crate::process::logging::Filter;

/// What it takes to read the configuration again.
pub struct Source {
    /// Reads it from where it was read at the start.
    pub load: Box<dyn Fn() -> Result<Config, ConfigError> + Send>,
    /// The log's filter.
    pub filter: Filter,
    /// Whether the recorder is to end at the close, and so needs one.
    pub until_close: bool,
}

/// The part of the configuration that can be replaced.
pub(crate) struct Reload {
    source: Source,
    config: Config,
    schedule: watch::Sender<Schedule>,
}

impl Reload {
    /// Begins with the configuration that was read at the start.
    #[must_use]
    pub(crate) fn new(source: Source, config: &Config) -> Self {
        Self {
            source,
            config: config.clone(),
            schedule: watch::Sender::new(config.schedule.clone()),
        }
    }

    /// The schedule, now and as it will be.
    #[must_use]
    pub(crate) fn schedule(&self) -> watch::Receiver<Schedule> {
        self.schedule.subscribe()
    }

    /// Reads the configuration again. What is to be journaled when it was good; one that is not changes nothing.
    #[must_use]
    pub(crate) fn again(&mut self) -> Option<Event> {
        let config = match (self.source.load)() {
            Ok(config) => config,
            Err(error) => {
                let error = error.on_one_line();
                error!(%error, "the configuration cannot be read again; the one in force stays in force");
                return None;
            }
        };
        if self.source.until_close && config.schedule == Schedule::Always {
            error!(
                "schedule.mode = \"always\" has no close, and --until-close needs one; the configuration in force stays in force"
            );
            return None;
        }
        self.source.filter.set(&config.log);
        self.config.schedule = config.schedule.clone();
        self.config.calendar_file = config.calendar_file.clone();
        self.config.calendar = config.calendar.clone();
        self.config.log.filter = config.log.filter.clone();
        if self.config == config {
            info!("schedule, calendar and log filter are read again");
        } else {
            warn!(
                "schedule, calendar and log filter are read again; other keys have changed too, and count from the next start on"
            );
        }
        let now = Moment::now();
        let date = now.date();
        if let Some(hours) = closes_at_once(&self.schedule.borrow(), &config.schedule, now) {
            warn!(
                "the hours that were read again close the day at once: nothing more is recorded now; {hours}"
            );
        }
        let expected = config.schedule.expected_on(date);
        self.schedule.send_replace(config.schedule);
        Some(Event::Hours {
            date,
            expected: expected.map(|(from, to)| (from.0, to.0)),
        })
    }

    /// What is journaled of each date.
    #[must_use]
    pub(crate) fn rules(&self) -> RulesOf {
        let (schedule, export) = (self.schedule(), self.config.export);
        Box::new(move |date| DateRules {
            expected: schedule.borrow().expected_on(date),
            rotate_us: i64::try_from(export.rotate_interval.as_micros()).unwrap_or(i64::MAX),
            rows_max: export.rows_max,
        })
    }
}

/// The new hours in words, when they are closed at `now` and the old ones were not.
fn closes_at_once(old: &Schedule, new: &Schedule, now: Moment) -> Option<String> {
    let (Hours::Open, Hours::ClosedUntil(opening)) = (old.at(now), new.at(now)) else {
        return None;
    };
    let today = match new.expected_on(now.date()) {
        Some((from, to)) => {
            let minutes = to.micros_of_day() / 60_000_000;
            format!(
                "today's hours are {} to {:02}:{:02}",
                kst(from),
                minutes / 60,
                minutes % 60
            )
        }
        None => new.why_over(now),
    };
    Some(format!("{today}; the next session opens {} KST", kst(opening)))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveTime;
    use krx_calendar::Override;

    use super::*;
    use crate::hours::schedule::tests::{daily, kst as at};

    #[test]
    fn hours_that_close_the_day_at_once_are_told_with_when_it_goes_on() {
        let (old, now) = (daily(vec![]), at("2026-11-20 10:00:00"));
        let with = |open, close| {
            let Schedule::Calendar(mut hours) = daily(vec![]) else {
                panic!("a calendar")
            };
            hours.open = NaiveTime::from_hms_opt(open, 0, 0).unwrap();
            hours.close = NaiveTime::from_hms_opt(close, 0, 0).unwrap();
            Schedule::Calendar(hours)
        };
        assert_eq!(
            closes_at_once(&old, &with(8, 9), now).unwrap(),
            "today's hours are 2026-11-20 08:00 to 09:00; the next session opens 2026-11-23 08:00 KST"
        );
        assert_eq!(
            closes_at_once(&old, &with(12, 20), now).unwrap(),
            "today's hours are 2026-11-20 12:00 to 20:00; the next session opens 2026-11-20 12:00 KST"
        );
        let holiday = daily(vec![Override {
            date: now.date(),
            hours: None,
            note: Some("Temporary holiday".into()),
        }]);
        assert_eq!(
            closes_at_once(&old, &holiday, now).unwrap(),
            "KRX is closed on 2026-11-20 (Temporary holiday); the next session opens 2026-11-23 08:20 KST"
        );
        assert_eq!(closes_at_once(&old, &with(8, 21), now), None);
        assert_eq!(closes_at_once(&old, &holiday, at("2026-11-20 21:00:00")), None);
    }
}
