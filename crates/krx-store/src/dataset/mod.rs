//! Datasets: tables of files with one schema each.
//!
//! A [`DatasetSpec`] is the one description of a dataset. Its Arrow schema, its encodings, its place on disk, what its
//! files are checked for, how it is sealed, how long it is kept, and its table in the documentation all come from it.
//! [`Footer`] is what every file says of itself.

mod column;
mod common;
mod document;
mod footer;
mod spec;

pub(crate) use column::ZONE;
pub use column::{Column, ColumnType, Encoding};
pub use common::{COVERAGE, QUARANTINE};
pub use document::{Document, DocumentColumn};
pub(crate) use footer::value_of;
pub use footer::{DayFooter, Footer};
pub use spec::{BATCH_ROWS, Dataset, DatasetSpec, Rows};
