//! Futures and options: which there are, and when they trade.

use crate::dice::Dice;
use crate::per_issue::instrument::{Instrument, Kind};
use crate::per_issue::ladder::Ladder;
use crate::sampler::Sampler;
use crate::timetable::{HalfSecond, Session, half_seconds};

/// For so many trades of stocks there is one of derivatives.
const STOCK_TRADES: u64 = 8;

/// The index on which the options are, in hundredths of a point.
const UNDERLYING: i64 = 30_875;

/// The strikes of the options, in whole points as their codes have them.
const STRIKES: [i64; 14] = [
    220, 280, 285, 290, 295, 300, 302, 305, 307, 310, 312, 315, 320, 330,
];

/// Futures: code, kind, base price and tick in hundredths of a point, and how often it trades.
const FUTURES: [(&str, Kind, i64, i64, u32); 7] = [
    ("101N6000", Kind::Future, 30_875, 5, 400),
    ("101N9000", Kind::Future, 30_920, 5, 30),
    ("105N3000", Kind::Future, 30_876, 2, 200),
    ("106N6000", Kind::Future, 123_450, 10, 60),
    ("167N6000", Kind::Future, 11_042, 1, 40),
    ("M2FA001", Kind::Future, 35_200, 5, 5),
    ("401N6N9S", Kind::Spread, -35, 5, 10),
];

/// A contract at the start of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contract {
    pub(crate) code: String,
    kind: Kind,
    /// In hundredths of a point.
    base_price: i64,
    tick: i64,
    /// How often it trades compared with the others.
    weight: u32,
}

impl Contract {
    /// All contracts, always the same ones.
    pub(crate) fn all() -> Vec<Contract> {
        let futures = FUTURES.map(|(code, kind, base_price, tick, weight)| Contract {
            code: code.to_owned(),
            kind,
            base_price,
            tick,
            weight,
        });
        let mut contracts = futures.to_vec();
        for (class, call) in [("201", true), ("301", false)] {
            for strike in STRIKES {
                contracts.push(Contract::option(format!("{class}N6{strike}"), call, strike));
            }
        }
        // The guide has one with a suffix.
        contracts.push(Contract::option("201N6220*006".to_owned(), true, 220));
        contracts
    }

    fn option(code: String, call: bool, strike: i64) -> Contract {
        let inside = if call {
            UNDERLYING - strike * 100
        } else {
            strike * 100 - UNDERLYING
        };
        // What time is worth is most at the money.
        let time_value = (400 - inside.abs() / 4).max(1);
        Contract {
            code,
            kind: Kind::Option,
            base_price: inside.max(0) + time_value,
            tick: 1,
            weight: u32::try_from(time_value / 4).unwrap_or(1) + 1,
        }
    }

    /// The instrument at the start of a day; `dice` are its own.
    pub(crate) fn instrument(&self, dice: Dice) -> Instrument {
        let (lowest, highest) = match self.kind {
            Kind::Spread => (
                self.base_price - 100 * self.tick,
                self.base_price + 100 * self.tick,
            ),
            Kind::Option => (1, self.base_price * 3 + 500),
            Kind::Future | Kind::Stock => (self.base_price * 92 / 100, self.base_price * 108 / 100),
        };
        let steps = |distance: i64| distance / self.tick * self.tick;
        let ladder = Ladder::Even {
            tick: self.tick,
            lowest: self.base_price - steps(self.base_price - lowest),
            highest: self.base_price + steps(highest - self.base_price),
        };
        Instrument::derivative(&self.code, self.kind, ladder, self.base_price, dice)
    }
}

/// Something that happens to a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deal {
    /// Its place among [`Contract::all`].
    pub(crate) contract: u32,
    /// Hundredths of a second into the half second.
    pub(crate) hundredths: u32,
    pub(crate) volume: u32,
    /// Steps of the price: -1, 0 or 1.
    pub(crate) step: i32,
    pub(crate) how: How,
}

/// How a deal is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Continuous,
    Auction,
    /// Outside the book.
    Block,
}

/// When derivatives trade: in the regular session, as busily as stocks.
#[derive(Debug)]
pub(crate) struct Schedule {
    sampler: Sampler,
    contracts: u32,
    dice: Dice,
    trades: u64,
    activity_total: u64,
    activity_done: u64,
    made: u64,
}

impl Schedule {
    /// The schedule of a day with so many trades of stocks.
    pub(crate) fn new(contracts: &[Contract], stock_trades: u64, dice: Dice) -> Schedule {
        let weights: Vec<u32> = contracts.iter().map(|contract| contract.weight).collect();
        let activity = |time: HalfSecond| u64::from(activity(time));
        Schedule {
            sampler: Sampler::new(&weights),
            contracts: u32::try_from(contracts.len()).unwrap_or(u32::MAX),
            dice,
            trades: stock_trades / STOCK_TRADES,
            activity_total: half_seconds().map(activity).sum::<u64>().max(1),
            activity_done: 0,
            made: 0,
        }
    }

    /// The deals of the half second that begins at `time`, in order of time.
    pub(crate) fn deals(&mut self, time: HalfSecond) -> Vec<Deal> {
        let (session, age) = Session::at(time);
        if matches!(session, Session::OpeningAuction | Session::ClosingAuction) && age == 0 {
            return (0..self.contracts)
                .map(|contract| self.deal(contract, 0, How::Auction))
                .collect();
        }
        self.activity_done += u64::from(activity(time));
        let due = u128::from(self.trades) * u128::from(self.activity_done) / u128::from(self.activity_total);
        let count = u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(self.made);
        self.made += count;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (0..count)
            .map(|nth| {
                let contract = self.sampler.pick(&mut self.dice);
                let how = if self.dice.below(2_000) == 0 {
                    How::Block
                } else {
                    How::Continuous
                };
                let hundredths = u64::from(nth) * 50 / u64::from(count);
                self.deal(contract, u32::try_from(hundredths).unwrap_or(49), how)
            })
            .collect()
    }

    fn deal(&mut self, contract: u32, hundredths: u32, how: How) -> Deal {
        let step = match self.dice.below(4) {
            0 => 1,
            1 => -1,
            _ => 0,
        };
        let volume = match (how, self.dice.below(10)) {
            (How::Block, _) => 500 + self.dice.below(2_000),
            (_, 0..6) => 1,
            (_, 6..9) => 2 + self.dice.below(8),
            _ => 10 + self.dice.below(90),
        };
        Deal {
            contract,
            hundredths,
            volume,
            step,
            how,
        }
    }
}

fn activity(time: HalfSecond) -> u32 {
    match Session::at(time).0 {
        session @ Session::Regular => session.activity(time),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_contracts_are_those_of_the_guide_and_stand_on_their_ladders() {
        let contracts = Contract::all();
        let codes: HashSet<&str> = contracts.iter().map(|contract| contract.code.as_str()).collect();
        assert_eq!(codes.len(), contracts.len());
        for code in ["101N6000", "201N6220", "M2FA001", "105N3000", "201N6220*006"] {
            assert!(codes.contains(code), "{code}");
        }
        for contract in &contracts {
            let instrument = contract.instrument(Dice::new(1, 1));
            let ladder = instrument.ladder;
            assert!(ladder.lowest() <= instrument.price && instrument.price < ladder.highest());
            assert!(
                contract.kind == Kind::Spread || ladder.lowest() > 0,
                "{contract:?}"
            );
        }
    }

    #[test]
    fn the_day_has_its_trades_and_all_contracts_have_both_auctions() {
        let contracts = Contract::all();
        let mut schedule = Schedule::new(&contracts, 800_000, Dice::new(1, 2));
        let (mut continuous, mut auctions, mut blocks) = (0, 0, 0);
        for time in half_seconds() {
            let deals = schedule.deals(time);
            assert!(deals.is_sorted_by_key(|deal| deal.hundredths));
            for deal in deals {
                assert!(deal.volume > 0 && deal.hundredths < 50);
                match deal.how {
                    How::Continuous => continuous += 1,
                    How::Auction => auctions += 1,
                    How::Block => blocks += 1,
                }
            }
        }
        assert_eq!((continuous + blocks, auctions), (100_000, 2 * contracts.len()));
        assert!((20..100).contains(&blocks), "{blocks}");
    }
}
