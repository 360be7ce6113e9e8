//! What must hold for any input whatever, for `cargo fuzz` to look for an input for which it does not.
//!
//! Each module is one target: its `check` takes bytes and panics where something does not hold. Where a result can
//! be had another way, as by `serde_json` or by the on-disk format's description, the two are compared.
#![forbid(unsafe_code)]

pub mod classifier;
pub mod conversation;
pub mod decoder;
#[cfg(feature = "store")]
pub mod file_names;
#[cfg(feature = "store")]
pub mod journal_scanner;
mod members;
pub mod per_issue;
