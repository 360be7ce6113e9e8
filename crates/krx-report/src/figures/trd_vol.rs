//! What `trdVol` of the full-market feed is, by comparison with the trades of registered stocks: as the macro `trd_vol` of
//! `krx.sql` has it. Pure.

use std::collections::HashMap;

use serde::Serialize;

use super::ticks::Tick;
use super::volume::{Verdict, VolumeFacts};

/// With fewer records compared, there is no answer.
const COMPARED_MIN: u64 = 100;
/// The answer holds for at least this share of them.
const AGREEING: f64 = 0.95;

/// The meaning that records agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// What was traded since the issue's record before.
    SinceLast,
    /// What the last trade alone was.
    LastTrade,
    /// What was traded on the day so far.
    Cumulative,
}

/// How many records fit each meaning of `trdVol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrdVolFacts {
    /// Records that could be compared: both they and the issue's record before have the time, and they the price, of a
    /// trade that was pushed.
    pub compared: u64,
    /// Those in which it is what was traded since the record before.
    pub since_last: u64,
    /// Those in which it is what the last trade alone was.
    pub last_trade: u64,
    /// Those in which it is what was traded on the day so far.
    pub cumulative: u64,
    /// What holds for 95 % of them, and for more than any other; `None` if nothing does, or if there are fewer than 100.
    pub answer: Option<Answer>,
}

/// Whether `trdVol` is cumulative: by comparison, or else by the volumes alone.
pub(crate) fn is_cumulative(compared: Option<&TrdVolFacts>, volume: &VolumeFacts) -> bool {
    match compared.and_then(|of| of.answer) {
        Some(answer) => answer == Answer::Cumulative,
        None => volume.verdict == Verdict::Cumulative,
    }
}

/// What was traded at a time of the clock.
#[derive(Clone, Copy, Debug)]
struct Instant {
    time: i32,
    price: i64,
    last_volume: i64,
    acc_volume: Option<i64>,
    /// The shares traded up to then.
    so_far: i64,
}

/// The trades of registered stocks, against which records are held.
#[derive(Debug, Default)]
pub(crate) struct TrdVol {
    instants: HashMap<Box<str>, Vec<Instant>>,
    facts: TrdVolFacts,
}

impl TrdVol {
    /// Takes the trades of a stock, each once.
    pub(crate) fn issue(&mut self, code: &str, ticks: &[Tick]) {
        let mut trades: Vec<&Tick> = ticks.iter().filter(|tick| tick.is_trade()).collect();
        if trades.is_empty() {
            return;
        }
        // Stable: of those received at once, the last that was sent stays last.
        trades.sort_by_key(|tick| (tick.time, tick.recv));
        let mut so_far = 0_i64;
        let at_once = trades.chunk_by(|one, other| one.time == other.time);
        let instants = at_once.filter_map(|trades| {
            let last = trades.last()?;
            so_far = trades
                .iter()
                .fold(so_far, |sum, tick| sum.saturating_add(tick.shares()));
            Some(Instant {
                time: last.time,
                price: last.price,
                last_volume: last.shares(),
                acc_volume: trades.iter().filter_map(|tick| tick.acc_volume()).max(),
                so_far,
            })
        });
        self.instants.insert(code.into(), instants.collect());
    }

    /// Compares the trades of a market, which come in order of arrival.
    pub(crate) fn market(&mut self) -> Market<'_> {
        Market {
            instants: &self.instants,
            sum: &mut self.facts,
            facts: TrdVolFacts::default(),
            before: HashMap::new(),
        }
    }

    /// The answer, after all markets; `None` if no trade of a stock was pushed.
    pub(crate) fn facts(&self) -> Option<TrdVolFacts> {
        let facts = self.facts;
        let all = [
            (facts.since_last, Answer::SinceLast),
            (facts.last_trade, Answer::LastTrade),
            (facts.cumulative, Answer::Cumulative),
        ];
        let most = all.iter().map(|(count, _)| *count).max().unwrap_or(0);
        let mut best = all.iter().filter(|(count, _)| *count == most);
        let answer = match (best.next(), best.next()) {
            (Some((_, answer)), None) => Some(*answer),
            _ => None,
        };
        let is_clear = facts.compared >= COMPARED_MIN && most as f64 >= AGREEING * facts.compared as f64;
        (!self.instants.is_empty()).then_some(TrdVolFacts {
            answer: answer.filter(|_| is_clear),
            ..facts
        })
    }
}

/// The records of one market, held against the trades that were pushed.
#[derive(Debug)]
pub(crate) struct Market<'a> {
    instants: &'a HashMap<Box<str>, Vec<Instant>>,
    sum: &'a mut TrdVolFacts,
    facts: TrdVolFacts,
    /// The time of each stock's record before.
    before: HashMap<&'a str, i32>,
}

impl Market<'_> {
    /// A trade.
    pub(crate) fn trade(&mut self, code: &str, time: i32, price: i64, volume: i64) {
        let Some((code, instants)) = self.instants.get_key_value(code) else {
            return;
        };
        let Some(before) = self.before.insert(code, time) else {
            return;
        };
        let at = |time: i32| {
            let place = instants.binary_search_by_key(&time, |instant| instant.time);
            place.ok().map(|place| &instants[place])
        };
        let (Some(now), Some(before)) = (at(time).filter(|now| now.price == price), at(before)) else {
            return;
        };
        self.facts.compared += 1;
        self.facts.since_last += u64::from(volume == now.so_far.saturating_sub(before.so_far));
        self.facts.last_trade += u64::from(volume == now.last_volume);
        self.facts.cumulative += u64::from(Some(volume) == now.acc_volume);
    }

    /// All of them were compared. A market that is read again counts once.
    pub(crate) fn finish(self) {
        self.sum.compared += self.facts.compared;
        self.sum.since_last += self.facts.since_last;
        self.sum.last_trade += self.facts.last_trade;
        self.sum.cumulative += self.facts.cumulative;
    }
}

#[cfg(test)]
#[path = "trd_vol_tests.rs"]
mod tests;
