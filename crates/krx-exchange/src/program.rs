//! What an exchange has to send.

use crate::cursor::Cursor;
use crate::market::Market;
use crate::script::Script;

/// What an exchange sends, and what it does to its clients besides. A function that begins a market's day is a
/// program without scripts.
///
/// Both are asked for once for each feed, which is a market and a key, when its first session begins.
pub trait Program: Send {
    /// Begins the day of `market`. It must return at once: what takes time belongs on a thread that it starts.
    fn day(&self, market: Market) -> Cursor;

    /// What is done to the feed's sessions besides.
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
