//! The per-issue datasets: which preset of which instruments fills which.

use super::fields::{
    self, BOOKS, CHANGES, DERIVATIVE_BOOKS, DERIVATIVE_QUOTES, DERIVATIVE_TICKS, Field, INDICES, QUOTES,
    TICKS,
};
use super::preset::{Instruments, Preset};

/// A dataset of the per-issue service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Trades of stocks.
    Ticks,
    /// Best bid and ask of stocks.
    Quotes,
    /// Ten-level books of stocks.
    Books,
    /// Trades of futures and options.
    DerivativeTicks,
    /// Best bid and ask of futures and options.
    DerivativeQuotes,
    /// Five-level books of futures and options.
    DerivativeBooks,
    /// Sector indices.
    Indices,
    /// Chosen items, each when it changes.
    Changes,
}

impl Table {
    /// All of them, in order: `ALL[table as usize] == table`.
    pub const ALL: [Self; 8] = [
        Self::Ticks,
        Self::Quotes,
        Self::Books,
        Self::DerivativeTicks,
        Self::DerivativeQuotes,
        Self::DerivativeBooks,
        Self::Indices,
        Self::Changes,
    ];

    /// The most columns that [`Table::fields`] of any table has.
    pub const FIELDS_MAX: usize = fields::FIELDS_MAX;

    /// The table for what is pushed for a preset; `None` for a preset that such instruments do not have.
    #[inline]
    #[must_use]
    pub fn of(preset: Preset, instruments: Instruments) -> Option<Self> {
        Some(match (preset, instruments) {
            (Preset::Change, _) => Self::Changes,
            // The preset says it already, whatever kind of issue was configured.
            (Preset::Index, _) => Self::Indices,
            (Preset::Tick | Preset::Tick10, Instruments::Stocks) => Self::Ticks,
            (Preset::Quote, Instruments::Stocks) => Self::Quotes,
            (Preset::Quote10, Instruments::Stocks) => Self::Books,
            (Preset::Tick | Preset::Tick10, Instruments::Derivatives) => Self::DerivativeTicks,
            (Preset::Quote, Instruments::Derivatives) => Self::DerivativeQuotes,
            (Preset::Quote10, Instruments::Derivatives) => Self::DerivativeBooks,
            (_, Instruments::Indices) => return None,
        })
    }

    /// The dataset's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Quotes => "quotes",
            Self::Books => "books",
            Self::DerivativeTicks => "derivative_ticks",
            Self::DerivativeQuotes => "derivative_quotes",
            Self::DerivativeBooks => "derivative_books",
            Self::Indices => "indices",
            Self::Changes => "changes",
        }
    }

    /// Its columns in order, except those that all datasets have: code, kind, reception, place and extra.
    #[inline]
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Ticks => &TICKS,
            Self::Quotes => &QUOTES,
            Self::Books => &BOOKS,
            Self::DerivativeTicks => &DERIVATIVE_TICKS,
            Self::DerivativeQuotes => &DERIVATIVE_QUOTES,
            Self::DerivativeBooks => &DERIVATIVE_BOOKS,
            Self::Indices => &INDICES,
            Self::Changes => &CHANGES,
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
