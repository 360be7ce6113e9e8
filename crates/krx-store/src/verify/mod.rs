//! Reading back what was committed: is it still what it was?
//!
//! ```text
//!   a date ─▶ its files, its list of checksums, its journal ─▶ findings ─▶ looked at again ─▶ those that remain
//! ```
//!
//! A recorder may be at work at the same time, committing files, replacing lists and removing segments. Any half-done
//! step is over by the time the date is looked at again, so only what is found every time is reported.
//! Nothing is locked and nothing is written.

mod coverage;
mod derived;
mod file;
mod finding;
mod journal;
mod listed;
mod look;
mod ranges;
mod registrations;
mod report;
mod siblings;

pub(crate) use file::look as look_at_file;
pub use finding::{Finding, Kind};
pub use look::{bytes_of, foreign, verify};
pub use report::{FeedDay, Report};
