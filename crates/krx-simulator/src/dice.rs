//! Chance that comes out the same on every machine.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A seeded source of chance: the same seed gives the same numbers on every platform.
///
/// It draws only integers, with its own method, so that neither floating-point libraries nor another version of
/// `rand`'s distributions can change a day.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Dice for one purpose: different `stream`s of the same `seed` are independent.
    pub(crate) fn new(seed: u64, stream: u64) -> Dice {
        // An odd multiplier keeps neighbouring seeds and streams from meeting.
        Dice(Xoshiro256PlusPlus::seed_from_u64(
            seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ))
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `bound - 1`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        scale(high_half(self.bits()), bound)
    }
}

/// The upper 32 of 64 bits.
pub(crate) fn high_half(bits: u64) -> u32 {
    u32::try_from(bits >> 32).unwrap_or(u32::MAX)
}

/// The lower 32 of 64 bits.
pub(crate) fn low_half(bits: u64) -> u32 {
    high_half(bits << 32)
}

/// Maps a number evenly spread over all `u32` to one from 0 to `bound - 1`.
pub(crate) fn scale(evenly_spread: u32, bound: u32) -> u32 {
    high_half(u64::from(evenly_spread) * u64::from(bound))
}
