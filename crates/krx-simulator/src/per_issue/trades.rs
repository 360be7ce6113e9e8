//! The trades behind a print: what happened to an issue in half a second, before it was conflated.

use crate::dice::Dice;

/// How many trades a print stands for at most.
const TRADES_MAX: u32 = 4;

/// A trade behind a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trade {
    /// Hundredths of a second into the half second, at most the print's.
    pub(crate) hundredths: u32,
    pub(crate) price: i64,
    pub(crate) volume: u32,
}

/// The trades whose conflation is a print of `price`, `volume` and `hundredths`, of an issue whose last price was `last`.
///
/// The last of them has the print's price and time, all together have its volume; the earlier ones have this price or the
/// last one, in order of time.
pub(crate) fn trades(
    last: i64,
    price: i64,
    volume: u32,
    hundredths: u32,
    dice: &mut Dice,
) -> impl Iterator<Item = Trade> + use<> {
    let count = (1 + dice.below(TRADES_MAX)).min(volume.max(1));
    let at_last_price = dice.below(count);
    let mut left = volume;
    let mut rolls = [0; TRADES_MAX as usize];
    rolls.iter_mut().for_each(|roll| *roll = dice.bits());
    rolls.into_iter().zip(0..count).map(move |(roll, nth)| {
        let later = count - nth - 1;
        let most = left.saturating_sub(later);
        let volume = if later == 0 {
            left
        } else {
            1 + crate::dice::scale(crate::dice::high_half(roll), most)
        };
        left -= volume.min(left);
        Trade {
            hundredths: hundredths * (nth + 1) / count,
            price: if nth < at_last_price { last } else { price },
            volume,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trades_of_a_print_make_it_up() {
        let mut dice = Dice::new(1, 0);
        let mut counts = [0; TRADES_MAX as usize + 1];
        for volume in (1..2_000).chain([u32::MAX]) {
            for hundredths in [0, 7, 49] {
                let all: Vec<Trade> = trades(100, 105, volume, hundredths, &mut dice).collect();
                counts[all.len()] += 1;
                assert_eq!(
                    all.iter().map(|trade| u64::from(trade.volume)).sum::<u64>(),
                    u64::from(volume)
                );
                assert!(all.iter().all(|trade| trade.volume > 0), "{all:?}");
                let last = all.last().unwrap();
                assert_eq!((last.price, last.hundredths), (105, hundredths));
                assert!(
                    all.is_sorted_by_key(|trade| (trade.hundredths, trade.price)),
                    "{all:?}"
                );
            }
        }
        assert!(counts[1..].iter().all(|count| *count > 500), "{counts:?}");
    }
}
