//! The grid of prices, and the band that they may not leave in a day.

/// A price in Korean won.
pub type Won = u32;

/// The rule for the distance between neighbouring prices of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceGrid {
    /// Stocks, rights and funds: the table in force since January 2023.
    Stock,
    /// Exchange-traded funds and notes.
    Fund,
}

impl PriceGrid {
    /// The distance in won from `price` to the next higher price.
    #[must_use]
    pub fn tick_size(self, price: Won) -> Won {
        match self {
            PriceGrid::Stock => match price {
                0..2_000 => 1,
                2_000..5_000 => 5,
                5_000..20_000 => 10,
                20_000..50_000 => 50,
                50_000..200_000 => 100,
                200_000..500_000 => 500,
                _ => 1_000,
            },
            PriceGrid::Fund => match price {
                0..2_000 => 1,
                _ => 5,
            },
        }
    }

    /// The highest price on the grid that is not above `price`.
    #[must_use]
    pub fn round_down(self, price: Won) -> Won {
        price - price % self.tick_size(price)
    }

    /// The lowest price on the grid that is not below `price`.
    #[must_use]
    pub fn round_up(self, price: Won) -> Won {
        let lower = self.round_down(price);
        if lower == price {
            price
        } else {
            lower + self.tick_size(lower)
        }
    }

    /// The next price above `price`, which must be on the grid.
    #[must_use]
    pub fn above(self, price: Won) -> Won {
        price + self.tick_size(price)
    }

    /// The next price below `price`, which must be on the grid; 1 has none and stays.
    #[must_use]
    pub fn below(self, price: Won) -> Won {
        // Where two bands meet, the step down is the lower band's.
        price
            .saturating_sub(self.tick_size(price.saturating_sub(1)))
            .max(1)
    }
}

/// The prices at which an issue may trade on one day: within 30 % of its base price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceBand {
    /// The lower limit in won, on the grid.
    pub lowest: Won,
    /// The upper limit in won, on the grid.
    pub highest: Won,
}

impl PriceBand {
    /// The band around `base_price`, in won, of an issue on `grid`.
    #[must_use]
    pub fn around(base_price: Won, grid: PriceGrid) -> PriceBand {
        let percent = |share: u64| {
            let limit = u64::from(base_price) * share;
            (
                u32::try_from(limit / 100).unwrap_or(u32::MAX),
                !limit.is_multiple_of(100),
            )
        };
        let (lowest, fraction) = percent(70);
        let lowest = grid.round_up(lowest + u32::from(fraction)).max(1);
        let highest = grid.round_down(percent(130).0).max(lowest);
        PriceBand { lowest, highest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_change_at_the_borders_of_the_bands() {
        for (price, above, below) in [
            (1_999, 2_000, 1_998),
            (2_000, 2_005, 1_999),
            (5_000, 5_010, 4_995),
            (20_000, 20_050, 19_990),
            (50_000, 50_100, 49_950),
            (200_000, 200_500, 199_900),
            (500_000, 501_000, 499_500),
        ] {
            assert_eq!(PriceGrid::Stock.above(price), above, "above {price}");
            assert_eq!(PriceGrid::Stock.below(price), below, "below {price}");
        }
        assert_eq!(PriceGrid::Fund.above(70_000), 70_005);
        assert_eq!(PriceGrid::Fund.below(2_000), 1_999);
        assert_eq!(PriceGrid::Stock.below(1), 1);
    }

    #[test]
    fn the_band_is_thirty_percent_rounded_inwards() {
        assert_eq!(
            PriceBand::around(81_000, PriceGrid::Stock),
            PriceBand {
                lowest: 56_700,
                highest: 105_300
            }
        );
        assert_eq!(
            PriceBand::around(9, PriceGrid::Stock),
            PriceBand {
                lowest: 7,
                highest: 11
            }
        );
        assert_eq!(
            PriceBand::around(1, PriceGrid::Stock),
            PriceBand {
                lowest: 1,
                highest: 1
            }
        );
        assert_eq!(
            PriceBand::around(1_637, PriceGrid::Stock),
            PriceBand {
                lowest: 1_146,
                highest: 2_125
            }
        );
    }
}
