//! Reloads the configuration on SIGHUP: schedule, calendar, registrations and log filter take effect at once. Any other change takes
//! effect at the next start, and is only pointed out.

use std::sync::Arc;

use krx_calendar::Calendar;
use krx_protocol::per_issue::{Instruments, WishList};
use krx_store::journal::RulesOf;
use krx_store::{DateRules, Event, Moment, Traded};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::config::{Config, ConfigError, FeedConfig, FeedService, PerIssueConfig};
use crate::feed::registering::Wanted;
use crate::hours::schedule::kst;
use crate::hours::schedule::{Hours, Schedule};
use crate::pipeline::Following;
use crate::pipeline::feed_view::Registered;
use crate::process::logging::Filter;

/// What is needed to reload the configuration.
pub struct Source {
    /// Reads it from where it was read at the start.
    pub load: Box<dyn Fn() -> Result<Config, ConfigError> + Send>,
    /// The log's filter.
    pub filter: Filter,
    /// Whether the recorder exits at the close, and so needs one.
    pub until_close: bool,
}

/// The part of the configuration that can be replaced.
pub(crate) struct Reload {
    source: Source,
    config: Config,
    /// Each feed's, in the order of the configuration.
    schedules: Vec<watch::Sender<Schedule>>,
    /// What each feed registers, if its service has registrations.
    registered: Vec<Option<Registering>>,
    /// The issues that any of them registers.
    traded: Arc<Traded>,
}

/// What a feed registers.
struct Registering {
    wishes: watch::Sender<WishList>,
    max: watch::Sender<usize>,
}

impl Registering {
    fn of(service: &FeedService) -> Option<Self> {
        let FeedService::PerIssue(config) = service else {
            return None;
        };
        Some(Self {
            wishes: watch::Sender::new(config.wishes.clone()),
            max: watch::Sender::new(config.registrations_max),
        })
    }

    /// Has this registered from now on. Returns whether that is another list.
    fn set(&self, config: &PerIssueConfig) -> bool {
        self.max.send_replace(config.registrations_max);
        let is_new = *self.wishes.borrow() != config.wishes;
        if is_new {
            self.wishes.send_replace(config.wishes.clone());
        }
        is_new
    }
}

impl Reload {
    /// Starts with the configuration that was read at the start.
    #[must_use]
    pub(crate) fn new(source: Source, config: &Config) -> Self {
        let traded = Arc::<Traded>::default();
        watch_stocks(&traded, config);
        Self {
            traded,
            source,
            config: config.clone(),
            schedules: config
                .feeds
                .iter()
                .map(|feed| watch::Sender::new(feed.schedule.clone()))
                .collect(),
            registered: config
                .feeds
                .iter()
                .map(|feed| Registering::of(&feed.service))
                .collect(),
        }
    }

    /// What a feed's pipeline follows.
    ///
    /// # Panics
    /// If there is no such feed.
    #[must_use]
    pub(crate) fn following(&self, feed: usize) -> Following {
        let registered = self.registered[feed].as_ref();
        Following {
            schedule: self.schedule(feed),
            rules: self.rules(feed),
            registered: registered.map(|registering| Registered {
                wanted: registering.wishes.subscribe(),
                max: registering.max.subscribe(),
            }),
            traded: Arc::clone(&self.traded),
        }
    }

    /// A feed's schedule, which follows every reload.
    ///
    /// # Panics
    /// If there is no such feed.
    #[must_use]
    pub(crate) fn schedule(&self, feed: usize) -> watch::Receiver<Schedule> {
        self.schedules[feed].subscribe()
    }

    /// What a feed is to register, which follows every reload.
    ///
    /// # Panics
    /// If there is no such feed.
    #[must_use]
    pub(crate) fn wanted(&self, feed: usize) -> Wanted {
        let registered = self.registered[feed].as_ref();
        registered.map(|registering| registering.wishes.subscribe())
    }

    /// The calendar that was read last.
    #[must_use]
    pub(crate) fn calendar(&self) -> Arc<Calendar> {
        self.config.calendar.clone()
    }

    /// Reloads the configuration. Returns the event to journal for each feed, in order; or `None`, and changes nothing,
    /// if the configuration is not good.
    #[must_use]
    pub(crate) fn again(&mut self) -> Option<Vec<Event>> {
        let config = match (self.source.load)() {
            Ok(config) => config,
            Err(error) => {
                let error = error.on_one_line();
                error!(%error, "the configuration cannot be reloaded; the current one stays in force");
                return None;
            }
        };
        let is_endless = |feed: &FeedConfig| feed.schedule == Schedule::Always;
        if self.source.until_close && config.feeds.iter().any(is_endless) {
            error!(
                "schedule.mode = \"always\" has no close, but --until-close needs one; the current configuration \
                 stays in force"
            );
            return None;
        }
        self.source.filter.set(&config.log);
        let mut is_new_list = false;
        // A feed that was removed from the configuration continues as before until the next start.
        for (feed, registering) in self.config.feeds.iter_mut().zip(&self.registered) {
            let Some(again) = config.feeds.iter().find(|again| again.name == feed.name) else {
                continue;
            };
            feed.schedule = again.schedule.clone();
            if let (Some(registering), FeedService::PerIssue(per_issue)) = (registering, &again.service) {
                feed.service = again.service.clone();
                if registering.set(per_issue) {
                    is_new_list = true;
                    let registrations = per_issue.wishes.len();
                    info!(feed = %feed.name, registrations, "the list of registrations has changed");
                }
            }
        }
        if is_new_list {
            watch_stocks(&self.traded, &self.config);
        }
        self.config.calendar_file = config.calendar_file.clone();
        self.config.calendar = config.calendar.clone();
        self.config.log.filter = config.log.filter.clone();
        if self.config == config {
            info!("schedule, calendar, registrations and log filter reloaded");
        } else {
            warn!(
                "schedule, calendar, registrations and log filter reloaded; other keys have changed too, and take effect \
                 at the next start"
            );
        }
        let now = Moment::now();
        let date = now.date();
        let events = self
            .config
            .feeds
            .iter()
            .zip(&self.schedules)
            .map(|(feed, schedule)| {
                let again = feed.schedule.clone();
                if let Some(hours) = closes_at_once(&schedule.borrow(), &again, now) {
                    warn!(feed = %feed.name,
                        "the reloaded hours close the day at once: recording stops now; {hours}"
                    );
                }
                let expected = again.expected_on(date);
                schedule.send_replace(again);
                Event::Hours {
                    date,
                    expected: expected.map(|(from, to)| (from.0, to.0)),
                }
            });
        Some(events.collect())
    }

    /// The rules that are journaled for each date of a feed.
    #[must_use]
    pub(crate) fn rules(&self, feed: usize) -> RulesOf {
        let (schedule, export) = (self.schedule(feed), self.config.export);
        Box::new(move |date| DateRules {
            expected: schedule.borrow().expected_on(date),
            rotate_us: i64::try_from(export.rotate_interval.as_micros()).unwrap_or(i64::MAX),
            rows_max: export.rows_max,
        })
    }
}

/// Has the trades of all stocks counted that feeds register. Those of derivatives are in no full-market feed.
fn watch_stocks(traded: &Traded, config: &Config) {
    let lists = config.feeds.iter().filter_map(|feed| match &feed.service {
        FeedService::PerIssue(registered) => Some(&registered.wishes),
        FeedService::FullMarket => None,
    });
    let stocks = lists
        .flat_map(WishList::iter)
        .filter(|wish| wish.instruments == Instruments::Stocks);
    traded.watch(stocks.map(|wish| wish.pair.code.as_str()));
}

/// Describes the new hours if they are closed at `now` and the old ones were open.
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
    use std::collections::BTreeSet;

    use chrono::NaiveTime;
    use krx_calendar::Override;

    use super::*;
    use crate::config::Overrides;
    use crate::hours::schedule::tests::{daily, kst as at};

    #[test]
    fn each_feed_has_its_own_hours_and_follows_a_reload() {
        let overrides = Overrides {
            data_dir: Some("/nowhere".into()),
            base_url: Some("ws://127.0.0.1:1".into()),
            member_name: Some("x".into()),
            always: true,
        };
        let config = Config::load(None, &overrides).unwrap();
        let (mut changed, date) = (config.clone(), "2026-11-20".parse().unwrap());
        changed.feeds[1].schedule = daily(vec![]);
        changed.feeds.swap(0, 1);
        let source = Source {
            load: Box::new(move || Ok(changed.clone())),
            filter: Filter::default(),
            until_close: false,
        };
        let mut reload = Reload::new(source, &config);
        let rules = [reload.rules(0), reload.rules(1)];
        let whole_day = Schedule::Always.expected_on(date);
        assert_eq!(rules.each_ref().map(|rules| rules(date).expected), [whole_day; 2]);
        let events = reload.again().unwrap();
        let hours = daily(vec![]).expected_on(date);
        assert_eq!(
            rules.each_ref().map(|rules| rules(date).expected),
            [whole_day, hours],
            "by the feeds' names"
        );
        let today = Moment::now().date();
        let expected = [Schedule::Always, daily(vec![])].map(|schedule| Event::Hours {
            date: today,
            expected: schedule.expected_on(today).map(|(from, to)| (from.0, to.0)),
        });
        assert_eq!(events, expected);
        assert_eq!(*reload.schedule(0).borrow(), Schedule::Always);
    }

    #[test]
    fn what_is_registered_and_how_much_may_be_follow_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("krx.toml");
        let write = |max: usize, codes: &str| {
            let text = format!(
                "data_dir = \"/d\"\n[koscom]\nbase_url = \"wss://gateway.example\"\nmember_name = \"x\"\n[[feed]]\nmarket = \
                 \"KOSPI\"\npath = \"/\"\n[[feed]]\nname = \"ISSUES\"\nservice = \"per_issue\"\npath = \
                 \"/ws/\"\nregistrations_max = {max}\n[[feed.register]]\npresets = [\"tick\"]\ncodes = [{codes}]\n"
            );
            std::fs::write(&path, text).unwrap();
        };
        let load = {
            let path = path.clone();
            move || Config::load(Some(&path), &Overrides::default())
        };
        write(20, "\"005930\"");
        let config = load().unwrap();
        let source = Source {
            load: Box::new(load),
            filter: Filter::default(),
            until_close: false,
        };
        let mut reload = Reload::new(source, &config);
        assert!(reload.following(0).registered.is_none() && reload.wanted(0).is_none());
        let (seen, mut session) = (reload.following(1).registered.unwrap(), reload.wanted(1).unwrap());
        let both = || (seen.wanted.borrow().len(), *seen.max.borrow());
        assert_eq!(both(), (1, 20));
        write(10, "\"005930\"");
        reload.again().unwrap();
        assert_eq!(both(), (1, 10));
        assert!(!session.has_changed().unwrap(), "the list is the same");
        write(10, "\"005930\", \"000660\"");
        let watched = |reload: &Reload| {
            let watched = reload.traded.watched();
            watched
                .iter()
                .map(|(code, ..)| code.to_owned())
                .collect::<BTreeSet<_>>()
        };
        let of = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(watched(&reload), of(&["005930"]));
        reload.again().unwrap();
        assert_eq!(watched(&reload), of(&["005930", "000660"]));
        assert_eq!(both(), (2, 10));
        assert_eq!(session.borrow_and_update().len(), 2);
        // A list that is not good changes nothing.
        write(1, "\"005930\", \"000660\"");
        assert_eq!(reload.again(), None);
        assert_eq!(both(), (2, 10));
    }

    #[test]
    fn hours_that_close_the_day_at_once_are_reported_with_the_next_opening() {
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
