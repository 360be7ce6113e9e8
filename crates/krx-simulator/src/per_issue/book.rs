//! An order book: the best levels of both sides.

use crate::dice::Dice;
use crate::per_issue::ladder::Ladder;

/// How many levels a book has at most: a stock's has ten, a derivative's five.
pub(crate) const DEPTH_MAX: usize = 10;

/// One price of a side: there is always something to trade at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Level {
    pub(crate) price: i64,
    /// The quantity on offer, from 1.
    pub(crate) size: u32,
    /// The number of orders that make it up: from 1, and at most one for each unit.
    pub(crate) orders: u32,
}

/// Whose order came last: a buyer's takes from the asks, a seller's from the bids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taker {
    Seller,
    Buyer,
}

/// The levels of one side, the best one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Side {
    levels: [Level; DEPTH_MAX],
    len: usize,
}

/// The best levels of both sides. The best bid is below the best ask; at a limit of the day a side may be short or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Book {
    ladder: Ladder,
    depth: usize,
    /// How large a level is on average, by order of magnitude.
    lot: u32,
    asks: Side,
    bids: Side,
}

/// What a change of the book concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Nothing,
    /// Levels behind the best ones.
    Behind,
    /// The price or the size of a best level.
    Best,
}

impl Side {
    pub(crate) fn levels(&self) -> &[Level] {
        self.levels.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn best(&self) -> Option<Level> {
        self.levels().first().copied()
    }

    /// The quantity of all levels.
    pub(crate) fn total_size(&self) -> u64 {
        self.levels().iter().map(|level| u64::from(level.size)).sum()
    }

    /// The orders of all levels.
    pub(crate) fn total_orders(&self) -> u64 {
        self.levels().iter().map(|level| u64::from(level.orders)).sum()
    }

    fn push(&mut self, level: Level) {
        if let Some(place) = self.levels.get_mut(self.len) {
            *place = level;
            self.len += 1;
        }
    }

    fn remove_best(&mut self) {
        self.levels.copy_within(1.., 0);
        self.len = self.len.saturating_sub(1);
    }
}

impl Book {
    /// A book of `depth` levels a side around `price`, which is the best ask.
    pub(crate) fn new(ladder: Ladder, depth: usize, lot: u32, price: i64, dice: &mut Dice) -> Book {
        let mut book = Book {
            ladder,
            depth: depth.min(DEPTH_MAX),
            lot: lot.max(1),
            asks: Side::default(),
            bids: Side::default(),
        };
        book.rebuild(Some(price), ladder.below(price), dice);
        book
    }

    pub(crate) fn asks(&self) -> &Side {
        &self.asks
    }

    pub(crate) fn bids(&self) -> &Side {
        &self.bids
    }

    /// The best prices, 0 where there is none.
    pub(crate) fn best_prices(&self) -> (i64, i64) {
        let price = |side: &Side| side.best().map_or(0, |level| level.price);
        (price(&self.asks), price(&self.bids))
    }

    /// Orders come and go until `taker` can trade `volume` at `price`, which is then the best level of the other side.
    pub(crate) fn make_room(&mut self, taker: Taker, price: i64, volume: u32, dice: &mut Dice) -> Changed {
        let before = (self.asks, self.bids);
        let ladder = self.ladder;
        match taker {
            Taker::Buyer => {
                let near = ladder.below(price);
                let kept = self.bids.best().map(|best| best.price);
                let bid =
                    kept.filter(|&bid| bid < price && near.and_then(|near| ladder.below(near)) == Some(bid));
                self.rebuild(Some(price), bid.or(near), dice);
            }
            Taker::Seller => {
                let near = ladder.above(price);
                let kept = self.asks.best().map(|best| best.price);
                let ask =
                    kept.filter(|&ask| ask > price && near.and_then(|near| ladder.above(near)) == Some(ask));
                self.rebuild(ask.or(near), Some(price), dice);
            }
        }
        // Half of the time the trade takes the whole level.
        let more = dice.below(self.lot) * dice.below(2);
        let lot_orders = 1 + dice.below(3);
        let side = self.taken_from(taker);
        if let Some(best) = side.levels.first_mut()
            && best.size < volume
        {
            best.size = volume.saturating_add(more);
            best.orders = (best.orders + lot_orders).min(best.size);
        }
        self.changed_since(&before)
    }

    /// `taker` trades `volume` at the best level of the other side, which must have as much.
    pub(crate) fn take(&mut self, taker: Taker, volume: u32, dice: &mut Dice) -> Changed {
        let before = (self.asks, self.bids);
        let side = self.taken_from(taker);
        if let Some(best) = side.levels.first_mut() {
            best.size = best.size.saturating_sub(volume);
            best.orders = best.orders.min(best.size);
            if best.size == 0 {
                side.remove_best();
            }
        }
        let (ask, bid) = (self.asks.best(), self.bids.best());
        self.rebuild(ask.map(|level| level.price), bid.map(|level| level.price), dice);
        self.changed_since(&before)
    }

    /// An order arrives at some level, or part of one is cancelled.
    pub(crate) fn stir(&mut self, dice: &mut Dice) -> Changed {
        let (lot, depth) = (self.lot, u32::try_from(self.depth).unwrap_or(u32::MAX));
        // The nearer to the best level, the busier.
        let reach = 1 + dice.below(depth);
        let nth = dice.below(reach) as usize;
        let side = match dice.below(2) {
            0 => &mut self.asks,
            _ => &mut self.bids,
        };
        let Some(level) = side
            .levels
            .get_mut(..side.len)
            .and_then(|levels| levels.get_mut(nth))
        else {
            return Changed::Nothing;
        };
        if dice.below(5) < 3 || level.size == 1 {
            level.size = level.size.saturating_add(1 + dice.below(lot)).min(u32::MAX / 2);
            level.orders = level.orders.saturating_add(1).min(level.size);
        } else {
            level.size -= dice.below(level.size.min(lot.saturating_mul(2)));
            level.orders = level.orders.saturating_sub(1).clamp(1, level.size);
        }
        match nth {
            0 => Changed::Best,
            _ => Changed::Behind,
        }
    }

    /// Lets both sides begin at these prices: a level whose price was on its side before stays as it is.
    fn rebuild(&mut self, ask: Option<i64>, bid: Option<i64>, dice: &mut Dice) {
        let ladder = self.ladder;
        self.asks = self.side_from(&self.asks, ask, |price| ladder.above(price), dice);
        self.bids = self.side_from(&self.bids, bid, |price| ladder.below(price), dice);
    }

    fn side_from(
        &self,
        old: &Side,
        best: Option<i64>,
        next: impl Fn(i64) -> Option<i64>,
        dice: &mut Dice,
    ) -> Side {
        if best == old.best().map(|level| level.price) && old.len == self.depth {
            return *old;
        }
        let mut side = Side::default();
        let mut price = best;
        let mut from = 0;
        while let (Some(at), true) = (price, side.len < self.depth) {
            let known = old.levels().iter().skip(from).position(|level| level.price == at);
            let level = match known.and_then(|offset| old.levels().get(from + offset)) {
                Some(level) => {
                    from += known.unwrap_or_default() + 1;
                    *level
                }
                None => self.fresh(at, dice),
            };
            side.push(level);
            price = next(at);
        }
        side
    }

    fn fresh(&self, price: i64, dice: &mut Dice) -> Level {
        let size = 1 + dice.below(self.lot) + dice.below(self.lot);
        let orders = (1 + dice.below(12)).min(size);
        Level { price, size, orders }
    }

    fn taken_from(&mut self, taker: Taker) -> &mut Side {
        match taker {
            Taker::Buyer => &mut self.asks,
            Taker::Seller => &mut self.bids,
        }
    }

    fn changed_since(&self, (asks, bids): &(Side, Side)) -> Changed {
        if self.asks == *asks && self.bids == *bids {
            Changed::Nothing
        } else if self.asks.best() == asks.best() && self.bids.best() == bids.best() {
            Changed::Behind
        } else {
            Changed::Best
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::PriceGrid;

    /// What holds for each book at any time.
    fn check(book: &Book) {
        let (asks, bids) = (book.asks.levels(), book.bids.levels());
        if let (Some(ask), Some(bid)) = (asks.first(), bids.first()) {
            assert!(bid.price < ask.price, "{book:?}");
        }
        for (levels, next) in [
            (asks, Ladder::above as fn(Ladder, i64) -> Option<i64>),
            (bids, Ladder::below),
        ] {
            for pair in levels.windows(2) {
                assert_eq!(next(book.ladder, pair[0].price), Some(pair[1].price), "{book:?}");
            }
            for level in levels {
                assert!((1..=level.size).contains(&level.orders), "{book:?}");
                let price = level.price;
                assert!((book.ladder.lowest()..=book.ladder.highest()).contains(&price));
            }
            assert!(levels.len() <= book.depth);
            let worst = levels.last().map(|level| level.price);
            let full =
                levels.len() == book.depth || worst.is_none_or(|price| next(book.ladder, price).is_none());
            assert!(full, "a side is only short at a limit: {book:?}");
        }
    }

    #[test]
    fn whatever_happens_a_trade_takes_from_its_level_and_the_sides_never_cross() {
        let ladders = [
            (Ladder::of_stock(PriceGrid::Stock, 2_000), 10),
            (Ladder::of_stock(PriceGrid::Fund, 9), 10),
            (
                Ladder::Even {
                    tick: 5,
                    lowest: -50,
                    highest: 60,
                },
                5,
            ),
        ];
        let mut dice = Dice::new(1, 0);
        let (mut traded, mut used_up) = (0, 0);
        for (ladder, depth) in ladders {
            let mut price = ladder.lowest();
            let mut book = Book::new(ladder, depth, 40, price, &mut dice);
            for _ in 0..20_000 {
                check(&book);
                if dice.below(3) > 0 {
                    book.stir(&mut dice);
                    continue;
                }
                price = match dice.below(4) {
                    0 => ladder.above(price).unwrap_or(price),
                    1 => ladder.below(price).unwrap_or(price),
                    _ => price,
                };
                let taker = [Taker::Buyer, Taker::Seller][dice.below(2) as usize];
                let volume = 1 + dice.below(100);
                book.make_room(taker, price, volume, &mut dice);
                check(&book);
                let (before, other) = match taker {
                    Taker::Buyer => (book.asks, book.bids),
                    Taker::Seller => (book.bids, book.asks),
                };
                let best = before.best().unwrap();
                assert!(best.price == price && best.size >= volume);
                assert_eq!(book.take(taker, volume, &mut dice), Changed::Best);
                let (after, other_after) = match taker {
                    Taker::Buyer => (book.asks, book.bids),
                    Taker::Seller => (book.bids, book.asks),
                };
                assert_eq!(other, other_after, "the taker's side stays");
                traded += 1;
                if best.size == volume {
                    used_up += 1;
                    assert_eq!(after.levels()[..before.len - 1], before.levels()[1..]);
                } else {
                    assert_eq!(after.best().unwrap().size, best.size - volume);
                    assert_eq!(after.levels()[1..], before.levels()[1..]);
                }
            }
        }
        assert!(used_up > 100 && used_up < traded, "{used_up} of {traded}");
    }

    #[test]
    fn totals_are_the_sums_of_the_levels() {
        let mut dice = Dice::new(3, 0);
        let book = Book::new(
            Ladder::of_stock(PriceGrid::Stock, 81_000),
            10,
            40,
            81_000,
            &mut dice,
        );
        let sum = |side: &Side| {
            side.levels()
                .iter()
                .map(|level| u64::from(level.size))
                .sum::<u64>()
        };
        assert_eq!(book.asks().total_size(), sum(book.asks()));
        assert_eq!(book.best_prices(), (81_000, 80_900));
        assert!(book.bids().total_orders() >= 10);
    }
}
