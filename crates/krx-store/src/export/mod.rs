//! From journal to committed Parquet.
//!
//! ```text
//!   Follower ─▶ Exporter ─▶ FrameDecoder ─▶ OpenSegment (staging) ─▶ commit: fsync, read back, rename, fsync of the directory
//!                  │ cut: where one segment ends
//! ```
//!
//! Where a segment ends depends on the journal's content alone (`cut`), and so do the batches in which rows are
//! encoded: the same journal gives the same bytes, however often the exporter was interrupted.

mod cut;
mod damage;
mod dates;
mod exported;
mod exporter;
mod poison;
mod quarantine;
mod segment;

pub use exporter::{ExportConfig, Exporter};
pub use poison::Poison;
pub(crate) use quarantine::QuarantineColumns;
pub use segment::{Committed, OpenSegment};
