//! What an exchange serves.

use crate::cursor::Cursor;
use crate::endpoint::Endpoint;
use crate::issues::IssueDay;
use crate::market::Market;
use crate::script::Script;

/// What an exchange sends, and what else it does to its clients. A function that begins a market's day is a program
/// without scripts.
///
/// All are requested once for each feed, that is, each endpoint and key, when its first session begins.
pub trait Program: Send {
    /// Begins the day of `market`. It must return at once: slow work belongs on a thread that it starts.
    fn day(&self, market: Market) -> Cursor;

    /// Begins a day of the per-issue service. By default it has no issues.
    fn issues(&self) -> IssueDay {
        IssueDay::empty()
    }

    /// What else is done to the feed's sessions.
    fn script(&self, endpoint: Endpoint) -> Box<dyn Script> {
        let _ = endpoint;
        Box::new(())
    }
}

impl<F: Fn(Market) -> Cursor + Send> Program for F {
    fn day(&self, market: Market) -> Cursor {
        self(market)
    }
}
