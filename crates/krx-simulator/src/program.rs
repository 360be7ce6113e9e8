//! What the simulated exchange serves: made-up days, and the faults of its script.

use std::num::NonZeroU64;

use krx_exchange::{Cursor, Endpoint, IssueDay, Market, Messages, Next, Pace, Program, Script};

use crate::config::{DayConfig, PerIssueConfig};
use crate::day::Day;
use crate::fault::Fault;
use crate::per_issue::FloorIssues;
use crate::script::FaultScript;
use crate::timetable::HalfSecond;

/// What every feed is made from.
#[derive(Debug)]
pub(crate) struct Simulation {
    pub(crate) day: DayConfig,
    /// A rate applies to all markets together.
    pub(crate) pace: Pace,
    /// How many markets are served.
    pub(crate) markets: usize,
    pub(crate) per_issue: PerIssueConfig,
    /// Whether another day follows at the end of each.
    pub(crate) repeat: bool,
    pub(crate) faults: Vec<Fault>,
}

impl Program for Simulation {
    fn day(&self, market: Market) -> Cursor {
        let universe = &self.day.universe;
        let pace = match self.pace {
            Pace::Rate(rate) if self.markets > 1 => {
                Pace::Rate(NonZeroU64::new(universe.share(market, rate.get())).unwrap_or(NonZeroU64::MIN))
            }
            pace => pace,
        };
        let days = Days::new(self.day.clone(), market, self.repeat);
        Cursor::new(days, self.day.start.into(), pace)
    }

    fn issues(&self) -> IssueDay {
        let issues = FloorIssues::new(self.day.clone(), self.per_issue, self.repeat);
        IssueDay::new(
            issues,
            self.day.start.into(),
            self.per_issue.pace.unwrap_or(self.pace),
        )
    }

    fn script(&self, endpoint: Endpoint) -> Box<dyn Script> {
        Box::new(FaultScript::new(&self.faults, endpoint))
    }
}

/// A market's days, each with the next seed.
#[derive(Debug)]
struct Days {
    config: DayConfig,
    market: Market,
    repeat: bool,
    /// The current day; its seed is the configured one plus this number.
    day: Day,
    later: u64,
}

impl Days {
    fn new(config: DayConfig, market: Market, repeat: bool) -> Days {
        let day = day(&config, market, 0);
        Days {
            config,
            market,
            repeat,
            day,
            later: 0,
        }
    }
}

/// The day that comes `later` days after the first.
fn day(config: &DayConfig, market: Market, later: u64) -> Day {
    let trades = config.universe.share(market, config.trades_per_day);
    Day::new(&config.universe, market, config.seed.wrapping_add(later), trades)
}

impl Messages for Days {
    fn next(&mut self) -> Next {
        match self.day.next_message() {
            Some(message) if message.at <= self.config.start => Next::PassedOver,
            Some(message) => Next::Message(message.into()),
            None if self.repeat => {
                self.later += 1;
                self.day = day(&self.config, self.market, self.later);
                Next::DayOver {
                    another_after: Some(HalfSecond::DAY_END.since(self.config.start)),
                }
            }
            None => Next::DayOver { another_after: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use krx_exchange::TimedMessage;

    use super::*;

    fn small_day(start: HalfSecond) -> DayConfig {
        DayConfig {
            trades_per_day: 20_000,
            start,
            ..DayConfig::default()
        }
    }

    /// The messages of a day, and what comes after them.
    fn drain(days: &mut Days) -> (Vec<TimedMessage>, Option<Duration>) {
        let mut sent = Vec::new();
        loop {
            match days.next() {
                Next::Message(message) => sent.push(message),
                Next::PassedOver => {}
                Next::NotYet => panic!("a made-up day is always there"),
                Next::DayOver { another_after } => return (sent, another_after),
            }
        }
    }

    #[test]
    fn the_start_passes_over_what_is_earlier() {
        let start = HalfSecond::at(15, 29, 0);
        let mut days = Days::new(small_day(start), Market::Kospi, false);
        assert!(matches!(days.next(), Next::PassedOver));
        let (sent, another) = drain(&mut days);
        assert!(sent[0].at > start.into() && sent[0].at < HalfSecond::at(15, 31, 0).into());
        assert_eq!(another, None);
    }

    #[test]
    fn a_repeated_day_is_the_next_seeds_and_begins_when_the_last_one_has_ended() {
        let config = small_day(HalfSecond::DAY_START);
        let mut days = Days::new(config.clone(), Market::Kospi, true);
        let (first, another) = drain(&mut days);
        let length = HalfSecond::DAY_END.since(HalfSecond::DAY_START);
        assert_eq!(another, Some(length));
        let (second, _) = drain(&mut days);
        let trades = config.universe.share(Market::Kospi, config.trades_per_day);
        let mut next = Day::new(&config.universe, Market::Kospi, config.seed + 1, trades);
        assert_eq!(second[0].text, next.next_message().unwrap().text);
        assert_ne!(first[0].text, second[0].text);
    }
}
