//! The sealed day: a feed's date of a dataset in one file, laid out so that a query for one issue reads little of it.
//!
//! ```text
//!   the date's files ─▶ runs in order of arrival ─▶ each divided by code ─▶ .krx/sealing/…/*.partial
//!        └──── fingerprint of the rows ─────────── compared ──────────────────┘ read again
//!                                                                     └─▶ directories exchanged, checksums, removal an hour later
//!
//!   run 1: [0000D0 … 004990] [005010 … 008930] …   a row group is a range of codes, in order of arrival inside
//!   run 2: [0000D0 … 004840] [004870 … 009150] …
//! ```
//!
//! A dataset that is sorted (`GroupOrder`) has its runs sorted by code, and in order of arrival within each.
//!
//! The rows of a run come from one stretch of frames, so memory holds one run, whatever the day's size. The file's
//! bytes depend on the rows alone: sealing a day, adding late frames and sealing it again gives the same file as
//! sealing once.

mod check;
mod layout;
mod replaced;
mod run;
mod seal;
mod swap;
mod uptime;

pub(crate) use check::RunOrder;
pub use layout::Layout;
pub(crate) use replaced::forget;
pub use replaced::is_due;
pub use seal::{Outcome, SealedDay, Watch, seal};
pub use swap::{Sealing, State, make_room, settle, state, unsealed};
pub use uptime::{GRACE, Uptime};
