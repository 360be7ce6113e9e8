//! When a market was and was not being recorded: what Koscom never sends again must at least be known to be missing.
//!
//! `ledger` folds a date's journal into intervals; `file` is the dataset that the exporter keeps of them, replaced as
//! a whole whenever it changes; `view` is what a person sees who asks now, the rest of the journal included.

mod file;
mod ledger;
mod view;

pub use file::coverage_schema;
pub(crate) use file::{is_as_written, load, store};
pub(crate) use ledger::bounds;
pub use ledger::{Interval, Ledger, Reason, State};
pub(crate) use view::{Rows, damage_detail};
pub use view::{dates, view};
