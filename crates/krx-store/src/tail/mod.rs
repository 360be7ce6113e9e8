//! What a feed's journal has beyond its committed files, as rows: the newest records, before their file is there.
//!
//! ```text
//!   files:    [1 … 4711][4712 … 9020]
//!   journal:                  [ … 9020 │ 9021 … 9874 │ 9875 … ]
//!                                      └── tail ─────┘ synced  └ not known to be on disk
//! ```
//!
//! It takes no lock and writes nothing. Together with the files that were listed before it was opened, it has each record
//! once (I10): begun after their last frames (`committed`), it has the rest. A frame that is committed meanwhile is in it nevertheless;
//! one whose journal is gone is not, and `Behind` says so: then list the files again.

mod batch;
mod cell;
mod output;
mod reader;

pub use arrow_array::RecordBatch as Rows;
pub use arrow_schema::SchemaRef as Schema;
pub use batch::{TailBatch, schema_with_path};
pub use cell::Cell;
pub use output::{ArrowStream, ParquetFile};
pub use reader::{Synced, TailReader, Tailed, committed};
