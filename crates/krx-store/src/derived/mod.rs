//! Datasets made of other datasets once a date is sealed: a row for each issue of a date, and minute bars.
//!
//! ```text
//!   trades, ticks, derivative_ticks of a sealed date ─▶ Source ─▶ each trade once ─▶ folded by issue (and minute)
//!   coverage, registrations ─▶ Recorded ──────────────────────────────────────────────────┴─▶ rows ─▶ date_file
//! ```
//!
//! The footer names the committed files that the rows are made of, and the regular session that they cover. Together these
//! decide every byte. So a second `seal` knows that there is nothing to do, `verify` can compare, and `rebuild` makes the
//! same file again (docs/adr/0049).

mod bars;
mod candle;
mod check;
mod daily;
mod fold;
mod inputs;
mod kind;
#[cfg(test)]
mod made_up;
mod make;
mod names;
mod once;
mod price;
mod recorded;
mod session;
mod source;

pub(crate) use check::{Checked, check};
pub use kind::Derived;
pub use make::{Made, Outcome, derive, due};
pub(crate) use make::{Plan, is_wanted, plan};
pub use session::{NoSession, Session, Sessions};
