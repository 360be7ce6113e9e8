//! The prices at which orders for an instrument may stand on a day.

use crate::price::{PriceBand, PriceGrid, Won};

/// The possible prices of an instrument, in its units: won of stocks, hundredths of a point of derivatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ladder {
    /// A stock's.
    Stock { grid: PriceGrid, band: PriceBand },
    /// A derivative's: multiples of `tick` from `lowest` to `highest`, which are multiples, too.
    Even { tick: i64, lowest: i64, highest: i64 },
}

impl Ladder {
    /// A stock's ladder of a day, by its base price.
    pub(crate) fn of_stock(grid: PriceGrid, base_price: Won) -> Ladder {
        let band = PriceBand::around(base_price, grid);
        Ladder::Stock { grid, band }
    }

    /// The lower limit.
    pub(crate) fn lowest(self) -> i64 {
        match self {
            Ladder::Stock { band, .. } => i64::from(band.lowest),
            Ladder::Even { lowest, .. } => lowest,
        }
    }

    /// The upper limit.
    pub(crate) fn highest(self) -> i64 {
        match self {
            Ladder::Stock { band, .. } => i64::from(band.highest),
            Ladder::Even { highest, .. } => highest,
        }
    }

    /// The next price above `price`, which must be on the ladder; `None` at the upper limit.
    pub(crate) fn above(self, price: i64) -> Option<i64> {
        let above = match self {
            Ladder::Stock { grid, .. } => i64::from(grid.above(Won::try_from(price).ok()?)),
            Ladder::Even { tick, .. } => price + tick,
        };
        (above <= self.highest()).then_some(above)
    }

    /// The next price below `price`, which must be on the ladder; `None` at the lower limit.
    pub(crate) fn below(self, price: i64) -> Option<i64> {
        let below = match self {
            Ladder::Stock { grid, .. } => i64::from(grid.below(Won::try_from(price).ok()?)),
            Ladder::Even { tick, .. } => price - tick,
        };
        (below >= self.lowest() && below < price).then_some(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_at_the_limits() {
        let stock = Ladder::of_stock(PriceGrid::Stock, 9);
        assert_eq!((stock.lowest(), stock.highest()), (7, 11));
        assert_eq!((stock.above(10), stock.above(11)), (Some(11), None));
        assert_eq!((stock.below(8), stock.below(7)), (Some(7), None));
        let one = Ladder::of_stock(PriceGrid::Stock, 1);
        assert_eq!((one.above(1), one.below(1)), (None, None));
        let spread = Ladder::Even {
            tick: 5,
            lowest: -10,
            highest: 5,
        };
        assert_eq!((spread.above(-5), spread.above(5)), (Some(0), None));
        assert_eq!((spread.below(0), spread.below(-10)), (Some(-5), None));
    }
}
