//! What an exchange serves.

use crate::cursor::Cursor;
use crate::market::Market;
use crate::script::Script;

/// What an exchange sends, and what else it does to its clients. A function that begins a market's day is a program
/// without scripts.
///
/// Both are requested once for each feed, that is, each market and key, when its first session begins.
pub trait Program: Send {
    /// Begins the day of `market`. It must return at once: slow work belongs on a thread that it starts.
    fn day(&self, market: Market) -> Cursor;

    /// What else is done to the feed's sessions.
    fn script(&self, market: Market) -> Box<dyn Script> {
        let _ = market;
        Box::new(())
    }
}

impl<F: Fn(Market) -> Cursor + Send> Program for F {
    fn day(&self, market: Market) -> Cursor {
        self(market)
    }
}
