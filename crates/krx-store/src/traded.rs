//! How often some issues have traded by what the full-market feeds bring: the exporters count, as they decode, and feeds of
//! the per-issue service look, to find registrations that bring nothing (docs/adr/0041).
//!
//! ```text
//!   what is registered ──▶ Traded::watch ──▶ Watched ◀── count ── exporters of the full-market feeds
//!                                              └──▶ iter: feeds of the per-issue service
//! ```
//!
//! Nobody waits for anybody here: the table of codes is replaced as a whole, and its counters are atomic.

use std::collections::HashMap;
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
        (!watched.counts.is_empty() && is_recent()).then_some(watched)
    }
}

/// Issue codes, each with its count.
#[derive(Debug, Default)]
pub struct Watched {
    /// The hash of the standard library is not the fastest, but a trade every 120 µs, as on the busiest day, does not
    /// ask for a faster one.
    counts: HashMap<Box<str>, Count>,
}

#[derive(Debug, Default)]
struct Count {
    trades: AtomicU32,
    last_us: AtomicI64,
}

impl Watched {
    fn of<'a>(codes: impl IntoIterator<Item = &'a str>) -> Self {
        let codes = codes.into_iter();
        Self {
            counts: codes.map(|code| (code.into(), Count::default())).collect(),
        }
    }

    /// Counts a trade that was received at `recv`, if its code is watched.
    pub fn count(&self, code: &str, recv: Moment) {
        if let Some(count) = self.counts.get(code) {
            count.last_us.store(recv.0, Relaxed);
            count.trades.fetch_add(1, Release);
        }
    }

    /// Each code, with its trades since it is watched and when the last of them was received. The order stays the same.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32, Moment)> {
        self.counts.iter().map(|(code, count)| {
            let trades = count.trades.load(Acquire);
            (&**code, trades, Moment(count.last_us.load(Relaxed)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(watched: &Watched) -> Vec<(&str, u32, i64)> {
        let counted = watched.iter().map(|(code, trades, last)| (code, trades, last.0));
        let mut counted: Vec<_> = counted.collect();
        counted.sort_unstable();
        counted
    }

    #[test]
    fn trades_of_watched_issues_are_counted_and_no_others() {
        let traded = Traded::default();
        let now = Moment::now();
        assert!(traded.to_count(now).is_none(), "nothing is watched");
        traded.watch(["005930", "00088K", "Q500061", "005930", "KR7005930003"]);
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
            ("00088K", 0, 0),
            ("005930", 2, 7),
            ("KR7005930003", 1, 4),
            ("Q500061", 0, 0),
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
}
