//! When a feed was and was not being recorded: Koscom never sends anything again, so at least it must be known what is
//! missing.
//!
//! `ledger` has a date's intervals (`interval`), which `fold` makes from its journal; `slice` is what each committed
//! file's footer says about them; `file` is the dataset, replaced as a whole whenever it changes; `restore` rebuilds the
//! ledger from both; `view` is what somebody sees who asks now, including the rest of the journal.

mod file;
mod fold;
mod interval;
mod ledger;
mod restore;
mod slice;
mod state;
mod view;

pub(crate) use file::{is_as_written, load, read, store};
pub use interval::{Interval, Reason, State};
pub(crate) use ledger::Connection;
pub use ledger::Ledger;
pub(crate) use restore::{Files, Restored, restore, slice_of};
pub use slice::Slice;
pub(crate) use state::bounds;
pub(crate) use view::damage_detail;
pub use view::{dates, view};
