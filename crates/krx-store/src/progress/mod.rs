//! How far a feed has got, from socket to committed file. Every figure that is shown or served comes from here, and
//! reading it never touches the disk.
//!
//! ```text
//!   Writer ──▶ counters, Place ──┐
//!   sync thread ──▶ Syncs ───────┼──▶ status
//!   Exporter ──▶ Tally ──▶ Board ┘    (Board: one mutex, held for a copy; the writer never takes it)
//! ```

mod board;
mod chart;
mod figures;
mod seed;
mod tally;

pub use board::{CommittedFile, Day, GapSum, Gaps};
pub use chart::MINUTES;
pub use figures::Progress;
pub use seed::seed;
pub use tally::Tally;
