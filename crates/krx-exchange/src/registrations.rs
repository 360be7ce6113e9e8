//! What a session has registered, within its limit.

use std::collections::{BTreeMap, BTreeSet};

use krx_protocol::per_issue::Pair;
use serde_json::Value;

/// The registrations of one session after another. Each has a number, which is never used again.
#[derive(Debug)]
pub(crate) struct Registrations {
    max: usize,
    last_number: u64,
    by_pair: BTreeMap<Pair, Registered>,
    numbers: BTreeSet<u64>,
}

#[derive(Debug)]
struct Registered {
    number: u64,
    /// The `id` of the last request for the pair.
    request: Value,
}

/// What becomes of a `subscribe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has this number, in place of an earlier one for the same pair if there was one.
    Taken { number: u64, instead_of: Option<u64> },
    /// There are as many as there may be.
    Full,
}

impl Registrations {
    /// No registrations yet, and at most `max` in a session.
    pub(crate) fn new(max: usize) -> Registrations {
        Registrations {
            max,
            last_number: 0,
            by_pair: BTreeMap::new(),
            numbers: BTreeSet::new(),
        }
    }

    /// Registers `pair` for the request `id`. A pair that is registered already is registered anew and counts once: the
    /// guide does not say, and nothing else leaves a client that repeats itself with what it asked for.
    pub(crate) fn add(&mut self, pair: &Pair, id: &Value) -> Place {
        let instead_of = self.remove(pair);
        if self.by_pair.len() >= self.max {
            return Place::Full;
        }
        self.last_number += 1;
        let number = self.last_number;
        let request = id.clone();
        self.by_pair.insert(pair.clone(), Registered { number, request });
        self.numbers.insert(number);
        Place::Taken { number, instead_of }
    }

    /// Cancels what is registered for `pair`.
    pub(crate) fn remove(&mut self, pair: &Pair) -> Option<u64> {
        let number = self.by_pair.remove(pair)?.number;
        self.numbers.remove(&number);
        Some(number)
    }

    /// Cancels everything that the request `id` registered.
    pub(crate) fn remove_request(&mut self, id: &Value) -> Vec<u64> {
        self.remove_if(|_, registered| registered.request == *id)
    }

    /// Cancels `percent` of a hundred, spread evenly over their pairs.
    pub(crate) fn remove_share(&mut self, percent: u32) -> Vec<u64> {
        let percent = usize::try_from(percent.min(100)).unwrap_or(100);
        let mut nth = 0;
        self.remove_if(|_, _| {
            nth += 1;
            nth * percent / 100 > (nth - 1) * percent / 100
        })
    }

    /// Cancels everything: the session is over.
    pub(crate) fn clear(&mut self) -> Vec<u64> {
        self.remove_if(|_, _| true)
    }

    fn remove_if(&mut self, mut chosen: impl FnMut(&Pair, &Registered) -> bool) -> Vec<u64> {
        let mut removed = Vec::new();
        self.by_pair.retain(|pair, registered| {
            let gone = chosen(pair, registered);
            if gone {
                removed.push(registered.number);
            }
            !gone
        });
        for number in &removed {
            self.numbers.remove(number);
        }
        removed
    }

    /// Whether `number` is registered.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }

    /// Whether `pair` is registered.
    pub(crate) fn has_pair(&self, pair: &Pair) -> bool {
        self.by_pair.contains_key(pair)
    }

    /// Some registration other than `number`.
    pub(crate) fn other_than(&self, number: u64) -> Option<u64> {
        self.numbers.iter().copied().find(|&other| other != number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::Preset;

    use super::*;

    fn pair(nth: usize) -> Pair {
        Pair {
            preset: Preset::ALL[nth % 6],
            code: format!("{:06}", nth / 6),
        }
    }

    fn taken(number: u64) -> Place {
        Place::Taken {
            number,
            instead_of: None,
        }
    }

    fn filled(count: usize) -> Registrations {
        let mut registrations = Registrations::new(count);
        for nth in 0..count {
            registrations.add(&pair(nth), &Value::from(nth));
        }
        registrations
    }

    #[test]
    fn there_are_no_more_than_the_limit_and_room_after_one_is_cancelled() {
        for max in [20, 200] {
            let mut registrations = filled(max);
            assert_eq!(registrations.add(&pair(max), &Value::from(1_000)), Place::Full);
            assert_eq!(registrations.remove(&pair(3)), Some(4));
            assert_eq!(registrations.remove(&pair(3)), None);
            let number = u64::try_from(max).unwrap() + 1;
            assert_eq!(registrations.add(&pair(max), &Value::from(1_000)), taken(number));
            assert!(registrations.has(number) && !registrations.has(4));
        }
        assert_eq!(Registrations::new(0).add(&pair(0), &Value::from(1)), Place::Full);
    }

    #[test]
    fn a_pair_counts_once_and_its_last_request_stands() {
        let mut registrations = filled(2);
        let again = registrations.add(&pair(0), &Value::from("again"));
        assert_eq!(
            again,
            Place::Taken {
                number: 3,
                instead_of: Some(1)
            }
        );
        assert!(!registrations.has(1) && registrations.has(3));
        assert!(registrations.remove_request(&Value::from(0)).is_empty());
        assert_eq!(registrations.remove_request(&Value::from("again")), [3]);
        assert_eq!(registrations.other_than(3), Some(2));
        assert_eq!(registrations.other_than(2), None);
    }

    #[test]
    fn everything_under_one_request_is_cancelled_together() {
        let mut registrations = Registrations::new(10);
        for nth in 0..6 {
            registrations.add(&pair(nth), &Value::from(nth % 2));
        }
        assert_eq!(registrations.remove_request(&Value::from(1)), [2, 4, 6]);
        assert_eq!(registrations.clear(), [1, 3, 5]);
        assert!(registrations.is_empty());
        assert_eq!(
            registrations.add(&pair(0), &Value::from(1)),
            taken(7),
            "no number twice"
        );
    }

    #[test]
    fn a_share_is_as_large_as_asked_for() {
        for (percent, count) in [(0, 0), (1, 2), (50, 100), (99, 198), (100, 200), (400, 200)] {
            let mut registrations = filled(200);
            assert_eq!(registrations.remove_share(percent).len(), count, "{percent}");
            assert_eq!(registrations.by_pair.len(), 200 - count);
            assert_eq!(registrations.numbers.len(), 200 - count);
        }
    }
}
