//! The two markets, each with its own feed.

use std::fmt;

/// A market of the Korea Exchange that has a full-market feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Market {
    /// The main board, served at `/ws_ksp`.
    Kospi,
    /// The growth board, served at `/ws_kdq`.
    Kosdaq,
}

impl Market {
    /// Both markets, in the order in which they are merged when their messages have the same time.
    pub const ALL: [Market; 2] = [Market::Kospi, Market::Kosdaq];

    /// The market's name in files, options and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Market::Kospi => "KOSPI",
            Market::Kosdaq => "KOSDAQ",
        }
    }

    /// The market whose [`name`](Self::name) is `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Market> {
        Self::ALL.into_iter().find(|market| market.name() == name)
    }

    /// The path at which the market's feed is served.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Market::Kospi => "/ws_ksp",
            Market::Kosdaq => "/ws_kdq",
        }
    }

    /// The market whose feed is served at `path`.
    #[must_use]
    pub fn at_path(path: &str) -> Option<Market> {
        Self::ALL.into_iter().find(|market| market.path() == path)
    }
}

impl fmt::Display for Market {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
