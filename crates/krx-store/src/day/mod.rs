//! The sealed day: a market's date in one file, sorted so that a question about one issue reads little of it.
//!
//! ```text
//!   the date's files ─▶ runs in order of arrival ─▶ each sorted by code ─▶ .krx/sealing/…/*.partial
//!        └──── fingerprint of the rows ─────────── compared ──────────────────┘ read again
//!                                                                     └─▶ directories exchanged, checksums, removal
//! ```
//!
//! The rows of a run are those of one stretch of frames, so memory holds one run, whatever the day's size. The bytes
//! of the file are a function of the rows alone: a day that is sealed, gets late frames and is sealed again is the file
//! that sealing it once would have made.

mod check;
mod fingerprint;
mod layout;
mod run;
mod seal;
mod swap;

pub(crate) use check::RunOrder;
pub use fingerprint::Fingerprint;
pub use layout::Layout;
pub use seal::{Outcome, SealedDay, Watch, rewrite, seal};
pub(crate) use swap::hold_still;
pub use swap::{Sealing, State, settle, state};
