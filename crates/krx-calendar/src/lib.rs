//! KRX trading days and hours.
//!
//! ```text
//!   overrides ──▶ table (2015 to 2027) ──▶ rules (after 2027) ──▶ a weekday is open
//! ```
//!
//! [`Calendar::day`] gives the answer of the first of these that has one, and [`Day::basis`] says which it was.
//!
//! A date wrongly taken for open costs a connection to a silent server; one wrongly taken for closed costs a day that
//! nobody can ever get back. So whatever is not known to be closed is open. All times are Korea Standard Time, and the
//! time is always an argument.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod calendar;
mod day;
mod holiday;
mod hours;
mod rules;
mod session;
mod table;

pub use calendar::{Calendar, Override};
pub use day::{Basis, Day};
pub use hours::{Hours, normal_hours};
pub use session::{Session, SessionKind};
pub use table::{ANNOUNCED_LAST, TABLE_FIRST, TABLE_LAST};
