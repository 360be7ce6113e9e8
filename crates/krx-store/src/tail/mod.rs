//! What a feed's journal has beyond its committed files, as rows: the newest records, before their file is there.
//!
//! ```text
//!   files:    [1 … 4711][4712 … 9020]
//!   journal:                  [ … 9020 │ 9021 … 9874 │ 9875 … ]
//!                                      └── tail ─────┘ synced  └ not known to be on disk
//! ```
//!
//! It takes no lock and writes nothing. Begun after the last frames of the files that were listed (`committed`), it has
//! the rest, so that files and tail hold each record once (I10). A frame that is committed meanwhile is in it all the same;
//! one whose journal is gone is not, and `Behind` says so: then list the files again.

mod batch;
mod cell;
mod extent;
mod ndjson;
mod output;
mod place;
mod reader;

pub use arrow_array::RecordBatch as Rows;
pub use arrow_schema::SchemaRef as Schema;
pub use batch::{TailBatch, schema_with_path};
pub use cell::Cell;
pub use extent::{Extent, FramesOfDate};
pub use ndjson::write_ndjson;
pub use output::{ArrowStream, ParquetFile, dataset_in};
pub use place::{FrameOfDate, NotAFrameOfDate};
pub use reader::{Synced, TailReader, Tailed, committed, last_committed};
