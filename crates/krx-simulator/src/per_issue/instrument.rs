//! An instrument during the day: its last trade, the day's figures, and its book.

use crate::dice::Dice;
use crate::issue::Issue;
use crate::per_issue::book::{Book, Changed, Taker};
use crate::per_issue::ladder::Ladder;
use crate::per_issue::standard_code::standard_code;

/// Levels of a stock's book.
const STOCK_DEPTH: usize = 10;

/// Levels of a derivative's book.
const DERIVATIVE_DEPTH: usize = 5;

/// What the average level of a stock's book is worth, in won.
const LEVEL_VALUE: u32 = 40_000_000;

/// The largest lot of a stock's book, in shares.
const LOT_MAX: u32 = 50_000;

/// The lot of a derivative's book, in contracts.
const DERIVATIVE_LOT: u32 = 60;

/// What a point of a derivative is worth, in won, for each hundredth: 250,000 won a point.
const WON_PER_HUNDREDTH: u64 = 2_500;

/// What kind of instrument it is, and so which fields it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stock,
    Future,
    /// A calendar spread of futures: its price is a difference, and may be negative.
    Spread,
    Option,
}

/// The side whose order came last, `lstAskbidTpCd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastSide {
    /// Neither: an auction or a block.
    None = 0,
    Sell = 1,
    Buy = 2,
}

/// An instrument. Prices of stocks are in won, of others in hundredths of a point.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) code: String,
    /// The standard code, `isuCd`.
    pub(crate) standard_code: String,
    pub(crate) kind: Kind,
    pub(crate) ladder: Ladder,
    /// The last price of the day before.
    pub(crate) base_price: i64,
    pub(crate) book: Book,
    /// The last price, also before the first trade.
    pub(crate) price: i64,
    /// Volume and `trdTm`, as a number, of what was last printed.
    pub(crate) volume: u32,
    pub(crate) trade_time: u32,
    pub(crate) side: LastSide,
    /// The prices of the day's trades; 0 before the first one.
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    traded: bool,
    /// Quantity and value of everything printed, in won.
    pub(crate) acc_volume: u64,
    pub(crate) acc_value: u64,
    /// The part of the quantity that was traded in negotiated blocks.
    pub(crate) block_volume: u64,
    /// At what price how much would be traded if the auction ended now; 0 outside auctions.
    pub(crate) expected_price: i64,
    pub(crate) expected_volume: u64,
    /// When the last order came, as the number `HHMMSScc`.
    pub(crate) order_time: u32,
    /// Whether the last trade changed the best prices.
    pub(crate) best_moved: bool,
    taker: Taker,
    pub(crate) dice: Dice,
}

impl Instrument {
    /// A stock at the start of a day; `dice` are its own.
    pub(crate) fn stock(issue: &Issue, dice: Dice) -> Instrument {
        let ladder = Ladder::of_stock(issue.grid, issue.base_price);
        let base = i64::from(issue.grid.round_down(issue.base_price));
        let lot = (LEVEL_VALUE / issue.base_price.max(1)).clamp(1, LOT_MAX);
        let price = base.clamp(ladder.lowest(), ladder.highest());
        Instrument::new(issue.code.as_str(), Kind::Stock, ladder, price, lot, dice)
    }

    /// A derivative at the start of a day.
    pub(crate) fn derivative(
        code: &str,
        kind: Kind,
        ladder: Ladder,
        base_price: i64,
        dice: Dice,
    ) -> Instrument {
        Instrument::new(code, kind, ladder, base_price, DERIVATIVE_LOT, dice)
    }

    fn new(code: &str, kind: Kind, ladder: Ladder, price: i64, lot: u32, mut dice: Dice) -> Instrument {
        let depth = match kind {
            Kind::Stock => STOCK_DEPTH,
            Kind::Future | Kind::Spread | Kind::Option => DERIVATIVE_DEPTH,
        };
        let book = Book::new(ladder, depth, lot, price, &mut dice);
        Instrument {
            code: code.to_owned(),
            standard_code: standard_code(code, kind == Kind::Stock),
            kind,
            ladder,
            base_price: price,
            book,
            price,
            volume: 0,
            trade_time: 0,
            side: LastSide::None,
            open: 0,
            high: 0,
            low: 0,
            traded: false,
            acc_volume: 0,
            acc_value: 0,
            block_volume: 0,
            expected_price: 0,
            expected_volume: 0,
            order_time: 0,
            best_moved: false,
            taker: Taker::Buyer,
            dice,
        }
    }

    /// An order comes or goes at `time`.
    pub(crate) fn stir(&mut self, time: u32) -> Changed {
        self.order_time = time;
        self.book.stir(&mut self.dice)
    }

    /// An order comes while an auction is being called: the expected price and volume change with it. In the closing
    /// auction the expected price is near the last one; before the first trade it is `expected`.
    pub(crate) fn call(&mut self, expected: Option<i64>, time: u32) -> Changed {
        let step = match self.dice.below(4) {
            0 => self.ladder.above(self.price),
            1 => self.ladder.below(self.price),
            _ => None,
        };
        self.expected_price = expected.or(step).unwrap_or(self.price);
        self.expected_volume += 1 + u64::from(self.dice.below(5_000));
        self.stir(time);
        Changed::Best
    }

    /// Orders come and go until a trade at `price` can take `volume` from the book.
    pub(crate) fn prepare(&mut self, price: i64, volume: u32, time: u32) -> Changed {
        self.taker = match price.cmp(&self.price) {
            std::cmp::Ordering::Greater => Taker::Buyer,
            std::cmp::Ordering::Less => Taker::Seller,
            std::cmp::Ordering::Equal if self.dice.below(3) == 0 => match self.taker {
                Taker::Buyer => Taker::Seller,
                Taker::Seller => Taker::Buyer,
            },
            std::cmp::Ordering::Equal => self.taker,
        };
        let changed = self.book.make_room(self.taker, price, volume, &mut self.dice);
        if changed != Changed::Nothing {
            self.order_time = time;
        }
        changed
    }

    /// The trade that was [prepared](Self::prepare). In an auction nobody comes last, and nothing more is expected.
    pub(crate) fn trade(&mut self, price: i64, volume: u32, time: u32, auction: bool) -> Changed {
        let best = self.book.best_prices();
        let changed = self.book.take(self.taker, volume, &mut self.dice);
        self.side = match self.taker {
            _ if auction => LastSide::None,
            Taker::Seller => LastSide::Sell,
            Taker::Buyer => LastSide::Buy,
        };
        if auction {
            (self.expected_price, self.expected_volume) = (0, 0);
        }
        if self.traded {
            self.high = self.high.max(price);
            self.low = self.low.min(price);
        } else {
            (self.open, self.high, self.low) = (price, price, price);
            self.traded = true;
        }
        self.print(price, volume, time);
        self.best_moved = self.book.best_prices() != best;
        changed
    }

    /// Something is printed that the book has no part in: a signal, or a block of `volume`.
    pub(crate) fn print(&mut self, price: i64, volume: u32, time: u32) {
        self.price = price;
        self.volume = volume;
        self.trade_time = time;
        self.best_moved = false;
        self.acc_volume += u64::from(volume);
        let won = match self.kind {
            Kind::Stock => 1,
            Kind::Future | Kind::Spread | Kind::Option => WON_PER_HUNDREDTH,
        };
        let value = price
            .unsigned_abs()
            .saturating_mul(u64::from(volume))
            .saturating_mul(won);
        self.acc_value = self.acc_value.saturating_add(value);
    }

    /// A negotiated block.
    pub(crate) fn block(&mut self, price: i64, volume: u32, time: u32) {
        self.side = LastSide::None;
        self.block_volume += u64::from(volume);
        self.print(price, volume, time);
    }

    /// The change of the price since the day before.
    pub(crate) fn change(&self) -> i64 {
        self.price - self.base_price
    }

    /// `cmpprevddTpCd`: 1 upper limit, 2 up, 3 flat, 4 lower limit, 5 down.
    pub(crate) fn change_kind(&self) -> i64 {
        change_kind(
            self.change(),
            self.price >= self.ladder.highest(),
            self.price <= self.ladder.lowest(),
        )
    }
}

/// `cmpprevddTpCd` of a change, at a limit of the day or not.
pub(crate) fn change_kind(change: i64, upper: bool, lower: bool) -> i64 {
    match (change.signum(), upper, lower) {
        (1, true, _) => 1,
        (1, false, _) => 2,
        (-1, _, true) => 4,
        (-1, _, false) => 5,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::universe::Universe;
    use krx_exchange::Market;

    fn stock() -> Instrument {
        let issue = &Universe::synthetic().issues(Market::Kospi)[0].clone();
        Instrument::stock(issue, Dice::new(1, 5))
    }

    #[test]
    fn the_days_figures_are_those_of_its_trades() {
        let mut stock = stock();
        let base = stock.price;
        let up = stock.ladder.above(base).unwrap();
        for (price, volume, time) in [(base, 10, 9_000_000), (up, 5, 9_000_010), (base, 1, 9_000_020)] {
            stock.prepare(price, volume, time);
            stock.trade(price, volume, time, false);
        }
        stock.block(up, 1_000, 61_000_000);
        assert_eq!((stock.open, stock.high, stock.low), (base, up, base));
        assert_eq!((stock.acc_volume, stock.block_volume), (1_016, 1_000));
        let value = 11 * base + 1_005 * up;
        assert_eq!(i64::try_from(stock.acc_value), Ok(value));
        assert_eq!((stock.change(), stock.change_kind()), (up - base, 2));
    }

    #[test]
    fn a_higher_price_is_a_buyers_and_an_auction_has_no_side() {
        let mut stock = stock();
        let up = stock.ladder.above(stock.price).unwrap();
        stock.prepare(up, 3, 1);
        assert_eq!(stock.book.asks().best().map(|level| level.price), Some(up));
        stock.trade(up, 3, 1, false);
        assert_eq!(stock.side, LastSide::Buy);
        let down = stock.ladder.below(up).unwrap();
        stock.prepare(down, 3, 2);
        assert_eq!(stock.book.bids().best().map(|level| level.price), Some(down));
        stock.trade(down, 3, 2, false);
        assert_eq!(stock.side, LastSide::Sell);
        stock.call(None, 3);
        assert!(stock.expected_price > 0 && stock.expected_volume > 0);
        stock.prepare(down, 3, 4);
        stock.trade(down, 3, 4, true);
        assert_eq!((stock.side, stock.expected_price), (LastSide::None, 0));
    }

    #[test]
    fn changes_are_classed_as_the_guide_lists_them() {
        let kinds = [(5, true), (5, false), (0, false), (-5, true), (-5, false)];
        assert_eq!(
            kinds.map(|(change, limit)| change_kind(change, limit, limit)),
            [1, 2, 3, 4, 5]
        );
    }
}
