//! Reading the configuration again on SIGHUP: schedule, calendar and log filter count from then on. All else counts
//! from the next start, and is only pointed out.

use krx_store::journal::RulesOf;
use krx_store::{DateRules, Event, Moment};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::config::{Config, ConfigError};
use crate::logging::Filter;
use crate::schedule::Schedule;

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
pub struct Reload {
    source: Source,
    config: Config,
    schedule: watch::Sender<Schedule>,
}

impl Reload {
    /// Begins with the configuration that was read at the start.
    #[must_use]
    pub fn new(source: Source, config: &Config) -> Self {
        Self {
            source,
            config: config.clone(),
            schedule: watch::Sender::new(config.schedule.clone()),
        }
    }

    /// The schedule, now and as it will be.
    #[must_use]
    pub fn schedule(&self) -> watch::Receiver<Schedule> {
        self.schedule.subscribe()
    }

    /// Reads the configuration again. What is to be journaled when it was good; one that is not changes nothing.
    #[must_use]
    pub fn again(&mut self) -> Option<Event> {
        let config = match (self.source.load)() {
            Ok(config) => config,
            Err(error) => {
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
        let date = Moment::now().date();
        let expected = config.schedule.expected_on(date);
        self.schedule.send_replace(config.schedule);
        Some(Event::Hours {
            date,
            expected: expected.map(|(from, to)| (from.0, to.0)),
        })
    }

    /// What is journaled of each date.
    #[must_use]
    pub fn rules(&self) -> RulesOf {
        let (schedule, export) = (self.schedule(), self.config.export);
        Box::new(move |date| DateRules {
            expected: schedule.borrow().expected_on(date),
            rotate_us: i64::try_from(export.rotate_interval.as_micros()).unwrap_or(i64::MAX),
            rows_max: export.rows_max,
        })
    }
}
