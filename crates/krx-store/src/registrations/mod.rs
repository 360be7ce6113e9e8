//! In which state each wanted registration was: whether an issue was recorded at an instant, and if not, why not.
//!
//! ```text
//!   coverage:     idle │ start │ connected ················· │ reset │ connected ····
//!   tick10:005930      │ requested ·│ active ··············· │ requested    │ active ·
//!   quote:999999       │ requested ·│ refused ·············· │ requested    │ refused
//!   index:001                              (wanted) │ active │ requested    │ active ·
//! ```
//!
//! `log` folds the journal's registration events into stretches (`stretch`). When a session began and ended it takes from
//! the ledger, so that both datasets name the same instants and reasons. `file` is the dataset, replaced as a whole; it
//! is written before the files of the same frames are committed, so it is never behind them. `restore` is the log at
//! the beginning of an export.

mod file;
mod log;
mod restore;
mod stretch;

pub(crate) use file::{have_same_rows, is_as_written, is_in_part, load, store};
pub(crate) use log::RegistrationLog;
pub(crate) use restore::restore;
pub use stretch::Stretch;
pub(crate) use stretch::overlap;
