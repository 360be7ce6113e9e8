//! Re-exporting a date from what is kept of its journal, to restore what is missing or damaged.
//!
//! ```text
//!   archive, raw segments ─▶ scratch journal ─▶ Exporter ─▶ scratch datasets ─▶ compared ─▶ rename, checksums
//! ```
//!
//! The export is the recorder's own, so a re-exported file is the lost one, byte for byte, as long as version and
//! settings are the same. A sound file is never replaced.

mod access;
mod again;
mod derived;
mod merge;
mod registrations;
mod report;
mod segments;

pub use access::Access;
pub use again::{feeds, rebuild};
pub use derived::{Remade, rebuild_derived};
pub use report::{Lost, Rebuilt};
