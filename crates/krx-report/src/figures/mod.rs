//! The day's figures, computed from rows, ledger and calendar. All pure.
//!
//! ```text
//!   trades, quarantine ─▶ fold (lag, volume, oddities, issue, resent) ─────────┐
//!   pushes ─▶ feed (pauses, lag), quotes, ticks ─▶ shares, trd_vol ────────────┼▶ received, market ─┐
//!   registrations ─▶ active ─▶ those three                                     │  registered       ─┼▶ verdict ─▶ day
//!   coverage ─▶ recorded ──────────────────────────────────────────────────────┘                    │
//!   calendar ─▶ exchange ───────────────────────────────────────────────────────────────────────────┘
//! ```

pub(crate) mod active;
pub(crate) mod clock;
pub(crate) mod day;
pub(crate) mod exchange;
pub(crate) mod feed;
pub(crate) mod fold;
#[cfg(test)]
mod fold_tests;
pub(crate) mod issue;
pub(crate) mod lag;
pub(crate) mod market;
pub(crate) mod oddities;
pub(crate) mod pauses;
pub(crate) mod quarantine;
pub(crate) mod quotes;
pub(crate) mod received;
pub(crate) mod recorded;
pub(crate) mod registered;
pub(crate) mod resent;
pub(crate) mod shares;
pub(crate) mod ticks;
pub(crate) mod trd_vol;
pub(crate) mod verdict;
pub(crate) mod volume;
pub(crate) mod worry;
