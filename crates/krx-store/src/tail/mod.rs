//! What a feed's journal has beyond its committed files, as rows: the newest records, before their file is there.
//!
//! ```text
//!   files:    [1 … 4711][4712 … 9020]
//!   journal:                  [ … 9020 │ 9021 … 9874 │ 9875 … ]
//!                                      └── tail ─────┘ synced  └ not known to be on disk
//! ```
//!
//! It takes no lock and writes nothing. Together with the files that were listed before it was opened, it has each record
//! once (I10): it begins after the last frame of those files. A frame that is committed meanwhile is in it nevertheless;
//! one whose journal is gone is not, and `Behind` says so: then list the files again.

mod batch;
mod reader;

pub use batch::TailBatch;
pub use reader::{Synced, TailReader, Tailed};
