//! When a feed was and was not being recorded: what Koscom never sends again must at least be known to be missing.
//!
//! `ledger` folds a date's journal into intervals (`interval`); `slice` is what each committed file says of them in its footer; `file`
//! is the dataset, replaced as a whole whenever it changes; `restore` makes the ledger of both; `view` is what a person
//! sees who asks now, the rest of the journal included.

mod file;
mod interval;
mod ledger;
mod restore;
mod slice;
mod view;

pub(crate) use file::{is_as_written, load, read, store};
pub use interval::{Interval, Reason, State};
pub use ledger::Ledger;
pub(crate) use ledger::bounds;
pub(crate) use restore::{Files, Restored, restore, slice_of};
pub use slice::Slice;
pub(crate) use view::damage_detail;
pub use view::{dates, view};
