//! Picks issues by weight in constant time.

use crate::dice::{Dice, high_half, low_half, scale};

/// An alias table after Walker and Vose: one roll of the dice per pick, however skewed the weights.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    slots: Vec<Slot>,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Below this the slot's own index is picked, otherwise the alias.
    threshold: u32,
    alias: u32,
}

impl Sampler {
    /// A sampler of the indices of `weights`; if all weights are 0, they count as equal.
    pub(crate) fn new(weights: &[u32]) -> Sampler {
        let len = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let mut slots: Vec<Slot> = (0..len)
            .map(|index| Slot {
                threshold: u32::MAX,
                alias: index,
            })
            .collect();
        if total == 0 {
            return Sampler { slots, len };
        }
        // In units of 1/total of a slot, every slot holds exactly `total`.
        let mut shares: Vec<u64> = weights
            .iter()
            .map(|&weight| u64::from(weight) * u64::from(len))
            .collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..len).partition(|&index| shares[index as usize] < total);
        while let (Some(poor), Some(rich)) = (small.pop(), large.pop()) {
            let share = shares[poor as usize];
            let threshold = (u128::from(share) << 32) / u128::from(total);
            slots[poor as usize] = Slot {
                threshold: u32::try_from(threshold).unwrap_or(u32::MAX),
                alias: rich,
            };
            shares[rich as usize] -= total - share;
            if shares[rich as usize] < total {
                small.push(rich);
            } else {
                large.push(rich);
            }
        }
        Sampler { slots, len }
    }

    /// An index, with a probability proportional to its weight; 0 if there are none.
    pub(crate) fn pick(&self, dice: &mut Dice) -> u32 {
        let bits = dice.bits();
        let index = scale(high_half(bits), self.len);
        match self.slots.get(index as usize) {
            Some(slot) if low_half(bits) >= slot.threshold => slot.alias,
            _ => index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_follow_the_weights() {
        let weights = [1, 0, 10, 100, 889];
        let sampler = Sampler::new(&weights);
        let mut dice = Dice::new(7, 0);
        let mut counts = [0_u32; 5];
        for _ in 0..1_000_000 {
            counts[sampler.pick(&mut dice) as usize] += 1;
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let expected = weight * 1_000;
            assert!(count.abs_diff(expected) < 300 + expected / 50, "{counts:?}");
        }
        assert_eq!(counts[1], 0);
    }
}
