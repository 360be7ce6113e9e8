//! From journal to sealed Parquet.
//!
//! ```text
//!   Follower ─▶ Exporter ─▶ Decoder ─▶ TradeColumns ─▶ OpenSegment (staging) ─▶ seal: fsync, read back, rename
//!                  │ cut: where one segment ends                                  └──▶ fsync of the directory
//! ```
//!
//! Where a segment ends is a function of the journal's content alone (`cut`), and so are the batches in which rows
//! are encoded: the same journal gives the same bytes, however often the exporter was stopped in between.

mod columns;
mod cut;
mod exporter;
mod quarantine;
mod schema;
mod seal;
mod segment;

use std::fs;

use chrono::NaiveDate;
use parquet::file::reader::{FileReader, SerializedFileReader};

pub use columns::TradeColumns;
pub use exporter::{ExportConfig, Exporter};
pub use schema::{Footer, quarantine_schema, trades_schema};
pub use segment::{OpenSegment, Sealed};

use crate::error::{StoreError, at, parquet_at};
use crate::journal::Last;
use crate::layout::{DataDir, Dataset, Market, SealedName};

/// The highest frame that a sealed file of the date covers, and the highest session known by then.
///
/// # Errors
/// [`StoreError`], when the partition or its last file cannot be read.
pub fn last_sealed(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Last, StoreError> {
    let dir = data.partition(Dataset::Trades, date, market);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Last::default()),
        Err(error) => return Err(at("listing", &dir)(error)),
    };
    let mut newest: Option<SealedName> = None;
    for entry in entries {
        let entry = entry.map_err(at("listing", &dir))?;
        let name = entry.file_name().to_str().and_then(SealedName::parse);
        newest = newest.into_iter().chain(name).max_by_key(|name| name.last_frame);
    }
    let Some(name) = newest else {
        return Ok(Last::default());
    };
    let path = dir.join(name.to_string());
    let file = fs::File::open(&path).map_err(at("opening", &path))?;
    let reader = SerializedFileReader::new(file).map_err(parquet_at("reading the footer of", &path))?;
    let footer = schema::Footer::read(reader.metadata().file_metadata());
    Ok(Last {
        frame: name.last_frame,
        session: footer.and_then(|footer| footer.last_session).unwrap_or(0),
    })
}
