//! Datasets: each is a set of files with one schema.
//!
//! A [`DatasetSpec`] describes a dataset: its Arrow schema, encodings, place on disk, checks, sealing, retention, and its
//! table in the documentation are all derived from it. What fills its columns is the decoder of its service, and what
//! reads them by name is in `read`. [`Footer`] is what every file says about itself.

mod column;
mod common;
mod derived;
mod document;
mod footer;
mod spec;
mod whole_date;

pub(crate) use column::ZONE;
pub use column::{Column, ColumnType, Encoding};
pub use common::{COMMON, COVERAGE, QUARANTINE, REGISTRATIONS};
pub use derived::{BARS_1M, DAILY, DAILY_DERIVATIVES};
pub use document::{Document, DocumentColumn};
pub(crate) use footer::value_of;
pub use footer::{DayFooter, Footer};
pub(crate) use spec::COMPRESSION_LEVEL;
pub use spec::{BATCH_ROWS, Dataset, DatasetSpec, GroupOrder, Rows};
pub use whole_date::{CLOCK, WHOLE_DATE};
