//! How long to wait before the next attempt to connect: exponential, with full jitter and a cap.

use std::time::Duration;

/// The attempts since the last session that brought data.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// No attempt yet.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max,
            attempt: 0,
        }
    }

    /// Data came: the next wait is a short one again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// The next wait; `fraction` is random in 0..1 (full jitter: many clients of one server do not come back together).
    pub fn next(&mut self, fraction: f64) -> Duration {
        let ceiling = self
            .initial
            .saturating_mul(1 << self.attempt.min(16))
            .min(self.max);
        self.attempt += 1;
        ceiling.mul_f64(fraction.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_below_a_ceiling_that_doubles_up_to_the_cap(initial_ms in 1..1000_u64, factor in 1..100_u64, fraction in 0.0..1.0_f64) {
            let (initial, max) = (Duration::from_millis(initial_ms), Duration::from_millis(initial_ms * factor));
            let mut backoff = Backoff::new(initial, max);
            let mut ceiling = initial;
            for _ in 0..40 {
                prop_assert!(backoff.next(fraction) <= ceiling);
                ceiling = (ceiling * 2).min(max);
            }
            prop_assert_eq!(backoff.next(1.0), max);
            backoff.reset();
            prop_assert_eq!(backoff.next(1.0), initial.min(max));
        }
    }
}
