//! A market's day as prints: what changed of which issue, half second by half second; identical for the same seed.
//!
//! Each half second owes a share of the day's trades, in proportion to the timetable's activity. What it cannot print,
//! because an issue is printed at most once in it, it leaves to the next: on a very busy day every issue is printed in
//! every half second, and the rush spreads over the following hours.
//!
//! Both services are views of it. The full-market service sends each print as a record. To the per-issue service a print
//! is what a conflating feed leaves of the trades of an issue in half a second.

use std::sync::Arc;

use krx_exchange::Market;

use crate::dice::{Dice, high_half, low_half, scale};
use crate::issue::Issue;
use crate::price::{PriceBand, PriceGrid, Won};
use crate::sampler::Sampler;
use crate::timetable::{AUCTION_STEPS, HalfSecond, SIGNAL_STEPS, Session, half_seconds};
use crate::universe::Universe;

/// Of 100 issues that trade at all, how many find a price in an auction.
const AUCTION_PERCENT: usize = 89;

/// Of a day's 100 trades, how many come from one auction at most: this matters for days made small by an option.
const AUCTION_DAY_PERCENT: u64 = 2;

/// How many times more often than necessary an issue is picked at random before the next free one is taken.
const PICKS_MAX_FACTOR: u32 = 3;

/// The largest value of one ordinary trade, in won: prices decide how heavy the tail of the volumes is.
const TRADE_VALUE_MAX: u32 = 400_000_000;

/// A value of `trdTm` that is a signal, not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    BeforeFirstTrade,
    RegularClose,
    AfterHoursClose,
    SinglePriceClose,
    BuyInClose,
    SameDayBuyInClose,
    BlockBefore,
    BlockDuring,
    BlockAfter,
}

impl Signal {
    /// `trdTm` as sent.
    pub(crate) fn digits(self) -> &'static str {
        match self {
            Signal::BeforeFirstTrade => "0",
            Signal::RegularClose => "31000000",
            Signal::AfterHoursClose => "41000000",
            Signal::SinglePriceClose => "81000000",
            Signal::BuyInClose => "91000007",
            Signal::SameDayBuyInClose => "91000008",
            Signal::BlockBefore => "51000000",
            Signal::BlockDuring => "61000000",
            Signal::BlockAfter => "71000000",
        }
    }

    /// Whether something was traded outside the book.
    pub(crate) fn block(self) -> bool {
        matches!(
            self,
            Signal::BlockBefore | Signal::BlockDuring | Signal::BlockAfter
        )
    }
}

/// Block trades and buy-in signals: kind, from when, until when, how many a market has in a day.
const RARITIES: [(Signal, HalfSecond, HalfSecond, u32); 5] = [
    (
        Signal::BlockBefore,
        HalfSecond::at(8, 35, 0),
        HalfSecond::at(9, 0, 0),
        4,
    ),
    (
        Signal::BlockDuring,
        HalfSecond::at(9, 5, 0),
        HalfSecond::at(15, 0, 0),
        12,
    ),
    (
        Signal::BuyInClose,
        HalfSecond::at(15, 35, 0),
        HalfSecond::at(15, 36, 0),
        1,
    ),
    (
        Signal::SameDayBuyInClose,
        HalfSecond::at(15, 36, 0),
        HalfSecond::at(15, 37, 0),
        1,
    ),
    (
        Signal::BlockAfter,
        HalfSecond::at(15, 41, 0),
        HalfSecond::at(17, 50, 0),
        6,
    ),
];

/// What is printed of an issue: at most once in half a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    /// The issue's place among those of the market.
    pub(crate) issue: u32,
    pub(crate) price: Won,
    /// The quantity traded in the half second; 0 of most signals.
    pub(crate) volume: u32,
    pub(crate) time: PrintTime,
}

/// The time of a print, as far as it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrintTime {
    /// Hundredths of a second into the half second, from 0 to 49.
    At(u32),
    Signal(Signal),
}

/// Whether trading moves the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prices {
    Moving,
    Fixed,
}

/// The state of an issue during the day.
#[derive(Debug)]
struct Quote {
    grid: PriceGrid,
    band: PriceBand,
    price: Won,
    /// The half second in which the issue was last printed.
    printed_at: Option<HalfSecond>,
}

/// One market's day, half second by half second.
#[derive(Debug)]
pub(crate) struct Tape {
    quotes: Vec<Quote>,
    /// The issues that are not halted.
    trading: Vec<u32>,
    sampler: Sampler,
    dice: Dice,
    /// The prints of the current half second, in order.
    prints: Vec<Print>,
    now: HalfSecond,
    /// Signals still to come, the next one last.
    rarities: Vec<(HalfSecond, Signal)>,
    /// How many issues trade in each auction.
    auction_len: usize,
    /// The issues that trade in the current auction, and how many of them already have.
    auction: Vec<u32>,
    auction_printed: usize,
    /// Trades of the day that are not an auction's.
    continuous: u64,
    /// Activity over the whole day, and so far.
    activity_total: u64,
    activity_done: u64,
    continuous_printed: u64,
}

impl Tape {
    /// The day of `market` with about `trades` trades, not counting signals.
    ///
    /// The same arguments give the same prints on every machine.
    pub(crate) fn new(universe: &Universe, market: Market, seed: u64, trades: u64) -> Tape {
        let issues: &Arc<[Issue]> = universe.issues(market);
        let count = u32::try_from(issues.len()).unwrap_or(u32::MAX);
        let mut dice = Dice::new(seed, 1 + u64::from(market == Market::Kosdaq));
        let trading: Vec<u32> = (0..count)
            .filter(|&index| !issues[index as usize].halted)
            .collect();
        let weights: Vec<u32> = trading
            .iter()
            .map(|&index| issues[index as usize].weight)
            .collect();
        let mut rarities: Vec<(HalfSecond, Signal)> = Vec::new();
        let times: Vec<HalfSecond> = half_seconds().collect();
        for (signal, from, until, count) in RARITIES {
            let window: Vec<HalfSecond> = times
                .iter()
                .copied()
                .filter(|time| (from..until).contains(time))
                .collect();
            let len = u32::try_from(window.len()).unwrap_or(u32::MAX);
            rarities.extend((0..count).map(|_| (window[dice.below(len) as usize], signal)));
        }
        rarities.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        let activity_total = times
            .iter()
            .map(|&time| u64::from(Session::at(time).0.activity(time)))
            .sum::<u64>()
            .max(1);
        let auction_len = auction_len(trading.len(), trades);
        let auctions = 2 * u64::try_from(auction_len).unwrap_or(u64::MAX);
        Tape {
            quotes: issues.iter().map(Quote::new).collect(),
            sampler: Sampler::new(&weights),
            trading,
            dice,
            prints: Vec::new(),
            now: HalfSecond::DAY_START,
            rarities,
            auction_len,
            auction: Vec::new(),
            auction_printed: 0,
            continuous: trades.saturating_sub(auctions),
            activity_total,
            activity_done: 0,
            continuous_printed: 0,
        }
    }

    /// The next half second and what is printed in it; `None` at the end of the day.
    pub(crate) fn next_half_second(&mut self) -> Option<(HalfSecond, &[Print])> {
        if self.now >= HalfSecond::DAY_END {
            return None;
        }
        let time = self.now;
        self.prints.clear();
        self.half_second();
        self.now = time.next();
        Some((time, &self.prints))
    }

    fn half_second(&mut self) {
        self.print_rarities();
        let (session, age) = Session::at(self.now);
        match session {
            Session::PreOpen => self.trade(session, Some(Signal::BeforeFirstTrade), Prices::Moving),
            Session::Regular | Session::ClosingCall | Session::AfterMarket => {
                self.trade(session, None, Prices::Moving);
            }
            Session::AfterHours => self.trade(session, None, Prices::Fixed),
            Session::OpeningAuction | Session::ClosingAuction => self.auction(age),
            Session::RegularClosed => self.close_session(Signal::RegularClose, age),
            Session::AfterHoursClosed => self.close_session(Signal::AfterHoursClose, age),
            Session::AfterMarketClosed => self.close_session(Signal::SinglePriceClose, age),
            Session::Pause => {}
        }
    }

    /// Prints this half second's share of continuous trading.
    fn trade(&mut self, session: Session, signal: Option<Signal>, prices: Prices) {
        self.activity_done += u64::from(session.activity(self.now));
        let due =
            u128::from(self.continuous) * u128::from(self.activity_done) / u128::from(self.activity_total);
        let owed = u64::try_from(due)
            .unwrap_or(u64::MAX)
            .saturating_sub(self.continuous_printed);
        // Markets are uneven: one half second prints everything that is owed, another only half of it.
        let part = u64::from(256 + self.dice.below(257));
        let wanted = (owed * part).div_ceil(512);
        let count = u32::try_from(wanted).unwrap_or(u32::MAX).min(self.trading_len());
        let mut picks_left = count * PICKS_MAX_FACTOR;
        for nth in 0..count {
            let Some(index) = self.pick_free(&mut picks_left) else {
                return;
            };
            self.continuous_printed += 1;
            let price = self.quotes[index as usize].step(prices, &mut self.dice);
            match signal {
                Some(signal) => self.print(index, price, 0, PrintTime::Signal(signal)),
                None => {
                    let volume = volume(price, &mut self.dice);
                    self.print(index, price, volume, PrintTime::At(nth * 50 / count));
                }
            }
        }
    }

    /// An issue not yet printed in this half second, picked by weight until `picks_left` runs out; marks it as printed.
    fn pick_free(&mut self, picks_left: &mut u32) -> Option<u32> {
        while *picks_left > 0 {
            *picks_left -= 1;
            let index = *self.trading.get(self.sampler.pick(&mut self.dice) as usize)?;
            if self.take(index) {
                return Some(index);
            }
        }
        // The busy issues are used up; the rest are picked evenly.
        let len = self.trading_len();
        let start = self.dice.below(len);
        (0..len).map(|offset| (start + offset) % len).find_map(|place| {
            let index = self.trading[place as usize];
            self.take(index).then_some(index)
        })
    }

    /// Marks an issue as printed in this half second; false when it already was.
    fn take(&mut self, index: u32) -> bool {
        let quote = &mut self.quotes[index as usize];
        let free = quote.printed_at != Some(self.now);
        quote.printed_at = Some(self.now);
        free
    }

    /// Prints this half second's share of an auction: each issue that takes part trades exactly once.
    fn auction(&mut self, age: u32) {
        if age == 0 {
            self.draw_auction();
        }
        let steps_done = age as usize + 1;
        let until = self.auction.len() * steps_done / AUCTION_STEPS as usize;
        let batch = until - self.auction_printed;
        for nth in 0..batch {
            let index = self.auction[self.auction_printed + nth];
            if self.take(index) {
                let price = self.quotes[index as usize].step(Prices::Moving, &mut self.dice);
                // An auction trades in one print what would have been dozens of trades.
                let volume = volume(price, &mut self.dice).saturating_mul(1 + self.dice.below(40));
                let hundredths = u32::try_from(nth * 50 / batch).unwrap_or_default();
                self.print(index, price, volume, PrintTime::At(hundredths));
            }
        }
        self.auction_printed = until;
    }

    fn draw_auction(&mut self) {
        self.auction.clone_from(&self.trading);
        for left in (1..self.trading_len()).rev() {
            let other = self.dice.below(left + 1);
            self.auction.swap(left as usize, other as usize);
        }
        self.auction.truncate(self.auction_len);
        self.auction_printed = 0;
    }

    /// Prints this half second's share of the closing signals; every issue gets one.
    fn close_session(&mut self, signal: Signal, age: u32) {
        let count = u32::try_from(self.quotes.len()).unwrap_or(u32::MAX);
        let part = |steps: u32| u64::from(count) * u64::from(steps) / u64::from(SIGNAL_STEPS);
        for index in part(age)..part(age + 1) {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let price = self.quotes[index as usize].price;
            self.print(index, price, 0, PrintTime::Signal(signal));
        }
    }

    fn print_rarities(&mut self) {
        while let Some((_, signal)) = self.rarities.pop_if(|(time, _)| *time <= self.now) {
            let mut picks_left = PICKS_MAX_FACTOR;
            let Some(index) = self.pick_free(&mut picks_left) else {
                return;
            };
            let price = self.quotes[index as usize].price;
            let volume = if signal.block() {
                5_000 * (1 + self.dice.below(60))
            } else {
                0
            };
            self.print(index, price, volume, PrintTime::Signal(signal));
        }
    }

    fn print(&mut self, issue: u32, price: Won, volume: u32, time: PrintTime) {
        self.prints.push(Print {
            issue,
            price,
            volume,
            time,
        });
    }

    fn trading_len(&self) -> u32 {
        u32::try_from(self.trading.len()).unwrap_or(u32::MAX)
    }
}

impl Quote {
    fn new(issue: &Issue) -> Quote {
        let band = PriceBand::around(issue.base_price, issue.grid);
        let price = issue
            .grid
            .round_down(issue.base_price)
            .clamp(band.lowest, band.highest);
        Quote {
            grid: issue.grid,
            band,
            price,
            printed_at: None,
        }
    }

    /// The price of the next trade: half the time the last one's, otherwise one step up or down.
    fn step(&mut self, prices: Prices, dice: &mut Dice) -> Won {
        let next = match (prices, dice.below(4)) {
            (Prices::Moving, 0) => self.grid.above(self.price),
            (Prices::Moving, 1) => self.grid.below(self.price),
            _ => self.price,
        };
        self.price = next.clamp(self.band.lowest, self.band.highest);
        self.price
    }
}

/// How many of `trading` issues trade in each auction of a day of `trades` trades.
fn auction_len(trading: usize, trades: u64) -> usize {
    let day_part = usize::try_from(trades.saturating_mul(AUCTION_DAY_PERCENT) / 100).unwrap_or(usize::MAX);
    (trading * AUCTION_PERCENT / 100).min(day_part)
}

/// A traded quantity at `price`: many single shares, some round lots, and a heavy tail.
fn volume(price: Won, dice: &mut Dice) -> u32 {
    let bits = dice.bits();
    let detail = low_half(bits);
    match scale(high_half(bits), 100) {
        0..28 => 1,
        28..48 => 2 + scale(detail, 8),
        48..62 => 10 * (1 + scale(detail, 10)),
        62..70 => 100 * (1 + scale(detail, 10)),
        _ => {
            let largest = (TRADE_VALUE_MAX / price).clamp(20, 200_000);
            // The reciprocal of a uniform number has Pareto's tail: twice the volume is half as likely.
            let tail = (8 << 32) / (u64::from(detail) + 1);
            u32::try_from(tail).unwrap_or(u32::MAX).clamp(1, largest)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_price_that_meets_its_limit_stays_within() {
        let mut issue = Universe::synthetic().issues(Market::Kospi)[0].clone();
        issue.base_price = 9;
        let mut quote = Quote::new(&issue);
        let mut dice = Dice::new(1, 0);
        let met: HashSet<Won> = (0..10_000)
            .map(|_| quote.step(Prices::Moving, &mut dice))
            .collect();
        assert_eq!(met, (7..=11).collect());
        let fixed = quote.price;
        assert!((0..100).all(|_| quote.step(Prices::Fixed, &mut dice) == fixed));
    }
}
