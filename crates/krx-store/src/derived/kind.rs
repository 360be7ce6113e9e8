//! Which derived datasets there are, and what each is made of.

use super::session::{Session, Sessions};
use crate::dataset::{BARS_1M, DAILY, DAILY_DERIVATIVES, Dataset};
use crate::service::{DERIVATIVE_TICKS, TICKS, TRADES};

/// A derived dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// A row for each stock.
    Daily,
    /// A row for each future and option.
    DailyDerivatives,
    /// Minute bars of stocks.
    Bars,
}

impl Derived {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Daily, Self::DailyDerivatives, Self::Bars];

    /// The dataset.
    #[must_use]
    pub fn dataset(self) -> Dataset {
        match self {
            Self::Daily => &DAILY,
            Self::DailyDerivatives => &DAILY_DERIVATIVES,
            Self::Bars => &BARS_1M,
        }
    }

    /// The datasets with the trades that it is made of.
    pub(super) fn sources(self) -> Vec<Dataset> {
        match self {
            Self::Daily | Self::Bars => vec![&TRADES, &TICKS],
            Self::DailyDerivatives => vec![&DERIVATIVE_TICKS],
        }
    }

    /// The session that its rows cover.
    pub(super) fn session(self, sessions: &Sessions) -> Option<Session> {
        match self {
            Self::Daily | Self::Bars => sessions.stocks,
            Self::DailyDerivatives => sessions.derivatives,
        }
    }
}
