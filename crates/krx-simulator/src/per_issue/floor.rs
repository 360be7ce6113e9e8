//! The trading floor: every instrument and index of a day, half second by half second.
//!
//! Stocks trade what the tapes print: the full-market service is the conflation of what happens here.

use krx_exchange::Market;

use crate::config::DayConfig;
use crate::dice::Dice;
use crate::per_issue::book::Changed;
use crate::per_issue::derivative::{Contract, Deal, How, Schedule};
use crate::per_issue::index::Index;
use crate::per_issue::instrument::Instrument;
use crate::per_issue::trades::trades;
use crate::tape::{Print, PrintTime, Signal, Tape};
use crate::timetable::{HalfSecond, Session};

/// The first stream of dice that belongs to an instrument; smaller numbers are the tapes'.
const FIRST_STREAM: u64 = 1_000;

/// Sectors of a market, beside the index of the whole.
const SECTORS: u32 = 20;

/// How many orders come before a print, at most.
const STIRS_MAX: u32 = 4;

/// While an auction is called, one of so many instruments gets an order in half a second.
const CALLED: u32 = 40;

/// Indices are computed every so many half seconds.
const INDEX_STEPS: u32 = 4;

/// Each market's first index code, and its value at the start of the day in hundredths of a point.
const INDICES: [(Market, u32, i64); 2] = [(Market::Kospi, 1, 265_031), (Market::Kosdaq, 301, 84_512)];

/// What has just happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The book of an instrument changed.
    Book(u32, Changed),
    /// An instrument was traded, which changed its book.
    Trade(u32, Changed),
    /// Something was printed of an instrument that the book has no part in.
    Print(u32),
    /// It is time for an index.
    Index(u32),
}

/// A time of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) half_second: HalfSecond,
    /// From 0 to 49.
    pub(crate) hundredths: u32,
}

impl Moment {
    /// The number `HHMMSScc`.
    pub(crate) fn digits(self) -> u32 {
        let digits = self.half_second.digits(self.hundredths);
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
    }
}

/// Everything that is traded on a day.
#[derive(Debug)]
pub(crate) struct Floor {
    /// Each market's tape, and the place of its first issue among the instruments.
    tapes: [(Tape, u32); 2],
    /// Stocks of all markets, then derivatives.
    instruments: Vec<Instrument>,
    first_derivative: u32,
    /// How much a stock counts in its indices, and which these are: the market's and its sector's.
    membership: Vec<(u32, [u32; 2])>,
    indices: Vec<Index>,
    schedule: Schedule,
    dice: Dice,
    /// What happens in the half second, in order of time.
    events: Vec<Event>,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    hundredths: u32,
    instrument: u32,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// An order comes or goes.
    Stir,
    /// The same while an auction is called; the price that is expected, if it is known.
    Call(Option<i64>),
    Trade {
        price: i64,
        volume: u32,
        auction: bool,
    },
    Deal(Deal),
    Signal {
        price: i64,
        volume: u32,
        signal: Signal,
    },
}

impl Floor {
    /// The floor of the day that comes `later` days after the configured one.
    pub(crate) fn new(config: &DayConfig, later: u64) -> Floor {
        let seed = config.seed.wrapping_add(later);
        let universe = &config.universe;
        let mut instruments: Vec<Instrument> = Vec::new();
        let dice = |nth: usize| Dice::new(seed, FIRST_STREAM + u64::try_from(nth).unwrap_or_default());
        let mut indices = Vec::new();
        let mut membership = Vec::new();
        let tapes = INDICES.map(|(market, code, value)| {
            let place = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
            let (first, whole) = (place(instruments.len()), place(indices.len()));
            indices.extend((0..=SECTORS).map(|sector| Index::new(format!("{:03}", code + sector), value)));
            for (nth, issue) in (0..).zip(universe.issues(market).iter()) {
                let instrument = Instrument::stock(issue, dice(instruments.len()));
                let of = [whole, whole + 1 + nth % SECTORS];
                for index in of {
                    indices[index as usize].add(issue.weight, instrument.price);
                }
                membership.push((issue.weight, of));
                instruments.push(instrument);
            }
            let trades = universe.share(market, config.trades_per_day);
            (Tape::new(universe, market, seed, trades), first)
        });
        let first_derivative = u32::try_from(instruments.len()).unwrap_or(u32::MAX);
        let contracts = Contract::all();
        for contract in &contracts {
            instruments.push(contract.instrument(dice(instruments.len())));
        }
        Floor {
            tapes,
            first_derivative,
            membership,
            indices,
            schedule: Schedule::new(&contracts, config.trades_per_day, Dice::new(seed, 3)),
            dice: Dice::new(seed, 4),
            instruments,
            events: Vec::new(),
        }
    }

    /// All instruments: their places are the numbers in [`Seen`].
    pub(crate) fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// All indices: their places are the numbers in [`Seen::Index`].
    pub(crate) fn indices(&self) -> &[Index] {
        &self.indices
    }

    /// Lets half a second pass, and tells `observe` of each thing in turn. Returns its beginning; `None` when the day is
    /// over.
    pub(crate) fn half_second(
        &mut self,
        mut observe: impl FnMut(&Floor, Moment, Seen),
    ) -> Option<HalfSecond> {
        let time = self.collect()?;
        self.events.sort_by_key(|event| event.hundredths);
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let moment = Moment {
                half_second: time,
                hundredths: event.hundredths,
            };
            self.happen(event, moment, &mut observe);
        }
        self.events = events;
        let (session, age) = Session::at(time);
        if session.has_indices() && age.is_multiple_of(INDEX_STEPS) {
            let moment = Moment {
                half_second: time,
                hundredths: 49,
            };
            for index in 0..u32::try_from(self.indices.len()).unwrap_or(u32::MAX) {
                observe(self, moment, Seen::Index(index));
            }
        }
        Some(time)
    }

    /// Collects what happens in the next half second.
    fn collect(&mut self) -> Option<HalfSecond> {
        self.events.clear();
        let mut time = None;
        for (tape, first) in &mut self.tapes {
            let (now, prints) = tape.next_half_second()?;
            time = Some(now);
            let session = Session::at(now).0;
            for print in prints {
                let place = *first + print.issue;
                let instrument = &mut self.instruments[place as usize];
                collect_print(print, place, session, instrument, &mut self.events);
            }
        }
        let time = time?;
        self.collect_deals(time);
        self.collect_calls(time);
        Some(time)
    }

    fn collect_deals(&mut self, time: HalfSecond) {
        for deal in self.schedule.deals(time) {
            let instrument = self.first_derivative + deal.contract;
            for _ in 0..self.dice.below(STIRS_MAX) {
                self.events.push(Event {
                    hundredths: self.dice.below(deal.hundredths + 1),
                    instrument,
                    what: What::Stir,
                });
            }
            self.events.push(Event {
                hundredths: deal.hundredths,
                instrument,
                what: What::Deal(deal),
            });
        }
    }

    fn collect_calls(&mut self, time: HalfSecond) {
        if !matches!(Session::at(time).0, Session::PreOpen | Session::ClosingCall) {
            return;
        }
        let count = u32::try_from(self.instruments.len()).unwrap_or(u32::MAX);
        for _ in 0..count / CALLED {
            self.events.push(Event {
                hundredths: self.dice.below(50),
                instrument: self.dice.below(count),
                what: What::Call(None),
            });
        }
    }

    fn happen(&mut self, event: &Event, at: Moment, observe: &mut impl FnMut(&Floor, Moment, Seen)) {
        let place = event.instrument;
        let instrument = &mut self.instruments[place as usize];
        let time = at.digits();
        match event.what {
            What::Stir => {
                let changed = instrument.stir(time);
                observe(self, at, Seen::Book(place, changed));
            }
            What::Call(expected) => {
                let changed = instrument.call(expected, time);
                observe(self, at, Seen::Book(place, changed));
            }
            What::Trade {
                price,
                volume,
                auction,
            } => self.trade(place, price, volume, auction, at, observe),
            What::Deal(deal) => {
                let price = match deal.step {
                    1 => instrument.ladder.above(instrument.price),
                    -1 => instrument.ladder.below(instrument.price),
                    _ => None,
                };
                let price = price.unwrap_or(instrument.price);
                if deal.how == How::Block {
                    instrument.block(instrument.price, deal.volume, time);
                    observe(self, at, Seen::Print(place));
                } else {
                    self.trade(place, price, deal.volume, deal.how == How::Auction, at, observe);
                }
            }
            What::Signal {
                price,
                volume,
                signal,
            } => {
                let digits = signal.digits().parse().unwrap_or_default();
                let before = instrument.price;
                if signal.block() {
                    instrument.block(price, volume, digits);
                } else {
                    instrument.print(price, volume, digits);
                }
                self.count_in_indices(place, before, price, volume);
                observe(self, at, Seen::Print(place));
            }
        }
    }

    fn trade(
        &mut self,
        place: u32,
        price: i64,
        volume: u32,
        auction: bool,
        at: Moment,
        observe: &mut impl FnMut(&Floor, Moment, Seen),
    ) {
        let time = at.digits();
        let instrument = &mut self.instruments[place as usize];
        let before = instrument.price;
        let changed = instrument.prepare(price, volume, time);
        if changed != Changed::Nothing {
            observe(self, at, Seen::Book(place, changed));
        }
        let instrument = &mut self.instruments[place as usize];
        let changed = instrument.trade(price, volume, time, auction);
        self.count_in_indices(place, before, price, volume);
        observe(self, at, Seen::Trade(place, changed));
    }

    fn count_in_indices(&mut self, place: u32, before: i64, price: i64, volume: u32) {
        if let Some((weight, of)) = self.membership.get(place as usize) {
            for index in of {
                self.indices[*index as usize].traded(*weight, before, price, volume);
            }
        }
    }
}

/// Collects what is behind a print of the instrument at `place`.
fn collect_print(
    print: &Print,
    place: u32,
    session: Session,
    instrument: &mut Instrument,
    events: &mut Vec<Event>,
) {
    let price = i64::from(print.price);
    let mut happens = |hundredths, what| {
        events.push(Event {
            hundredths,
            instrument: place,
            what,
        });
    };
    match print.time {
        PrintTime::Signal(signal) => {
            if signal == Signal::BeforeFirstTrade {
                happens(0, What::Call(Some(price)));
            }
            let volume = print.volume;
            happens(
                0,
                What::Signal {
                    price,
                    volume,
                    signal,
                },
            );
        }
        PrintTime::At(hundredths) => {
            let dice = &mut instrument.dice;
            for _ in 0..dice.below(STIRS_MAX) {
                happens(dice.below(hundredths + 1), What::Stir);
            }
            let auction = matches!(session, Session::OpeningAuction | Session::ClosingAuction);
            if auction {
                // An auction is one trade.
                let volume = print.volume;
                happens(
                    hundredths,
                    What::Trade {
                        price,
                        volume,
                        auction,
                    },
                );
                return;
            }
            for trade in trades(instrument.price, price, print.volume, hundredths, dice) {
                happens(
                    trade.hundredths,
                    What::Trade {
                        price: trade.price,
                        volume: trade.volume,
                        auction,
                    },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
