//! Exporting a date again from what is kept of its journal, and putting in place what is missing or damaged.
//!
//! ```text
//!   archive, raw segments ─▶ scratch journal ─▶ Exporter ─▶ scratch datasets ─▶ compared ─▶ rename, checksums
//! ```
//!
//! The export is the recorder's own, so a file that is made again is the one that was lost, byte for byte, as long
//! as version and settings are those of then. A file that is sound is never replaced.

mod access;
mod again;
mod merge;
mod report;
mod segments;

pub use access::Access;
pub use again::{feeds, rebuild};
pub use report::{Lost, Rebuilt};
