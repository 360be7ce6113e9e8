//! How often some issues have traded by what the full-market feeds bring: the exporters count, as they decode, and feeds of
//! the per-issue service look, to find registrations that bring nothing (docs/adr/0041).
//!
//! ```text
//!   what is registered ──▶ Traded::watch ──▶ Watched ◀── count ── exporters of the full-market feeds
//!                                              └──▶ iter: feeds of the per-issue service
//! ```
//!
//! Nobody waits for anybody here: the table of codes is replaced as a whole, and its counters are atomic.

use std::sync::atomic::{
    AtomicI64, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, PoisonError, RwLock};

use crate::moment::Moment;

/// What was received longer ago is not counted. An exporter that catches up reads as fast as ever, and what it finds says
/// nothing about now.
const RECENT_US: i64 = 60_000_000;

/// The issues that are watched. One for all feeds of a recorder.
#[derive(Debug, Default)]
pub struct Traded {
    /// The lock is held only to copy or to replace the pointer.
    watched: RwLock<Arc<Watched>>,
}

impl Traded {
    /// From now on these codes are watched, and no others; the counts begin at 0.
    pub fn watch<'a>(&self, codes: impl IntoIterator<Item = &'a str>) {
        let watched = Arc::new(Watched::of(codes));
        *self.watched.write().unwrap_or_else(PoisonError::into_inner) = watched;
    }

    /// What is watched now.
    #[must_use]
    pub fn watched(&self) -> Arc<Watched> {
        Arc::clone(&self.watched.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is to be counted of a frame that was received at `recv`; `None` if nothing is.
    pub(crate) fn to_count(&self, recv: Moment) -> Option<Arc<Watched>> {
        let watched = self.watched();
        let is_recent = || recv.0 > Moment::now().0 - RECENT_US;
        (!watched.keys.is_empty() && is_recent()).then_some(watched)
    }
}

/// A code in 16 bytes, filled up with zeros; all zeros is no code.
type Key = [u64; 2];

const FREE: Key = [0; 2];

/// A table of codes, each with its count. Twice as many places as codes, so that a code that is not there, as most are, is
/// usually known by one look.
#[derive(Debug, Default)]
pub struct Watched {
    /// As many as a power of two; none if there is no code.
    keys: Box<[Key]>,
    counts: Box<[Count]>,
    codes: Vec<(Box<str>, usize)>,
}

#[derive(Debug, Default)]
struct Count {
    trades: AtomicU32,
    last_us: AtomicI64,
}

impl Watched {
    fn of<'a>(codes: impl IntoIterator<Item = &'a str>) -> Self {
        let codes: Vec<_> = codes
            .into_iter()
            .filter_map(|code| Some((code, key_of(code)?)))
            .collect();
        if codes.is_empty() {
            return Self::default();
        }
        let places = (2 * codes.len()).next_power_of_two();
        let mut table = Self {
            keys: vec![FREE; places].into(),
            counts: (0..places).map(|_| Count::default()).collect(),
            codes: Vec::new(),
        };
        for (code, key) in codes {
            let place = table.place_of(key);
            if table.keys[place] == FREE {
                table.keys[place] = key;
                table.codes.push((code.into(), place));
            }
        }
        table
    }

    /// Where a code is, or where it would be.
    #[inline]
    fn place_of(&self, [low, high]: Key) -> usize {
        // Multiplying moves the difference of any two codes into the upper bits.
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (low ^ high.rotate_left(29)).wrapping_mul(MULTIPLIER) >> 32;
        let last = self.keys.len() - 1;
        let mut place = usize::try_from(mixed).unwrap_or(0) & last;
        while self.keys[place] != FREE && self.keys[place] != [low, high] {
            place = (place + 1) & last;
        }
        place
    }

    /// Counts a trade that was received at `recv`, if its code is watched.
    #[inline]
    pub fn count(&self, code: &str, recv: Moment) {
        let Some(key) = key_of(code).filter(|_| !self.keys.is_empty()) else {
            return;
        };
        let place = self.place_of(key);
        if self.keys[place] == key {
            let count = &self.counts[place];
            count.last_us.store(recv.0, Relaxed);
            count.trades.fetch_add(1, Release);
        }
    }

    /// Each code, with its trades since it is watched and when the last of them was received. The order stays the same.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32, Moment)> {
        self.codes.iter().map(|(code, place)| {
            let count = &self.counts[*place];
            let trades = count.trades.load(Acquire);
            (&**code, trades, Moment(count.last_us.load(Relaxed)))
        })
    }
}

#[inline]
fn key_of(code: &str) -> Option<Key> {
    let key = if let &[a, b, c, d, e, f] = code.as_bytes() {
        // Nearly all codes have six characters.
        [u64::from_le_bytes([a, b, c, d, e, f, 0, 0]), 0]
    } else {
        let mut bytes = [0; 16];
        bytes.get_mut(..code.len())?.copy_from_slice(code.as_bytes());
        [0, 8].map(|from| u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap_or_default()))
    };
    Some(key).filter(|key| *key != FREE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(watched: &Watched) -> Vec<(&str, u32, i64)> {
        let counted = watched.iter().map(|(code, trades, last)| (code, trades, last.0));
        counted.collect()
    }

    #[test]
    fn trades_of_watched_issues_are_counted_and_no_others() {
        let traded = Traded::default();
        let now = Moment::now();
        assert!(traded.to_count(now).is_none(), "nothing is watched");
        traded.watch([
            "005930",
            "00088K",
            "Q500061",
            "005930",
            "",
            "KR7005930003",
            "17 bytes are many",
        ]);
        let watched = traded.to_count(now).unwrap();
        for (code, at) in [
            ("005930", 5),
            ("00593", 6),
            ("005930", 7),
            ("0059300", 8),
            ("", 9),
            ("KR7005930003", 4),
        ] {
            watched.count(code, Moment(at));
        }
        let expected = [
            ("005930", 2, 7),
            ("00088K", 0, 0),
            ("Q500061", 0, 0),
            ("KR7005930003", 1, 4),
        ];
        assert_eq!(counted(&watched), expected);
        assert_eq!(counted(&traded.watched()), expected);
        assert!(traded.to_count(Moment(now.0 - RECENT_US)).is_none(), "long ago");
        traded.watch(["005930"]);
        assert_eq!(counted(&traded.watched()), [("005930", 0, 0)]);
        traded.watch([]);
        assert!(traded.to_count(now).is_none());
        traded.watched().count("005930", now);
    }

    #[test]
    fn every_code_is_found_among_as_many_as_a_recorder_can_have() {
        let codes: Vec<_> = (0..4_000).map(|number| format!("{:06}", number * 10)).collect();
        let watched = Watched::of(codes.iter().map(String::as_str));
        let expected: Vec<_> = (0_u32..)
            .zip(&codes)
            .map(|(index, code)| (code.as_str(), index % 3 + 1))
            .collect();
        for &(code, trades) in &expected {
            for _ in 0..trades {
                watched.count(code, Moment(1));
            }
            watched.count(&format!("X{}", &code[1..]), Moment(1));
        }
        let found: Vec<_> = watched.iter().map(|(code, trades, _)| (code, trades)).collect();
        assert_eq!(found, expected);
    }
}
