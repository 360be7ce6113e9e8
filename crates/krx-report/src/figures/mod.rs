//! The day's figures, computed from rows, ledger and calendar. All pure.
//!
//! ```text
//!   trades, quarantine ─▶ fold (lag, volume, oddities, issue, resent) ─┐
//!   coverage ─▶ recorded ──────────────────────────────────────────────┴─▶ market ─┐
//!   calendar ─▶ exchange ──────────────────────────────────────────────────────────┴▶ verdict ─▶ day
//! ```

pub(crate) mod day;
pub(crate) mod exchange;
pub(crate) mod fold;
#[cfg(test)]
mod fold_tests;
pub(crate) mod issue;
pub(crate) mod lag;
pub(crate) mod market;
pub(crate) mod oddities;
pub(crate) mod recorded;
pub(crate) mod resent;
pub(crate) mod verdict;
pub(crate) mod volume;
