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
mod poison;
mod quarantine;
mod schema;
mod seal;
mod segment;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use chrono::NaiveDate;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use tracing::error;

pub use columns::TradeColumns;
pub(crate) use columns::{KINDS, SCHEMA as TRADES_SCHEMA};
pub use exporter::{ExportConfig, Exporter};
pub use poison::Poison;
pub use schema::{DayFooter, Footer, quarantine_schema, trades_schema};
pub(crate) use schema::{ZONE, common_properties, with_encodings, zoned};
pub(crate) use seal::StagedFile;
pub use segment::{OpenSegment, Sealed};

use crate::error::{StoreError, at, parquet_at};
use crate::journal::Last;
use crate::layout::{DataDir, Dataset, Market, SealedName};
use crate::moment::Moment;

/// The highest frame that a sealed file of the date covers, and the highest session known by then.
///
/// # Errors
/// [`StoreError`], when the partition or its last file cannot be read.
pub fn last_sealed(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Last, StoreError> {
    let dir = data.partition(Dataset::Trades, date, market);
    let names = sealed_names(&dir)?;
    let mut last = Last {
        frame: names.last().map_or(0, |name| name.last_frame),
        session: 0,
        segment: 0,
    };
    // A file that was damaged since must not stop a recording: the one before it has a session too.
    for name in names.iter().rev() {
        match read_footer(&dir.join(name.to_string())) {
            Ok(footer) => {
                last.session = footer.last_session.unwrap_or(0);
                last.segment = footer.slice.map_or(0, |slice| slice.segment());
                break;
            }
            Err(error) => error!(%error, "a sealed file cannot be read; see krx-recorder verify"),
        }
    }
    Ok(last)
}

/// The sealed files in a partition, in the order of their frames; a directory that does not exist has none.
pub(crate) fn sealed_names(dir: &Path) -> Result<Vec<SealedName>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("listing", dir)(error)),
    };
    let mut names: Vec<SealedName> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("listing", dir))?;
        names.extend(entry.file_name().to_str().and_then(SealedName::parse));
    }
    names.sort_unstable_by_key(|name| name.last_frame);
    Ok(names)
}

/// What a sealed file says of itself.
pub(crate) fn read_footer(path: &Path) -> Result<Footer, StoreError> {
    let file = fs::File::open(path).map_err(at("opening", path))?;
    let unsound = |what: &str| StoreError::Unsound {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    // No input makes the recorder panic; the library that decodes has no such rule for damaged files.
    let reader = catch_unwind(AssertUnwindSafe(|| SerializedFileReader::new(file)))
        .map_err(|_| unsound("the Parquet library panicked over its footer"))?
        .map_err(parquet_at("reading the footer of", path))?;
    Footer::read(reader.metadata().file_metadata()).ok_or_else(|| unsound("it has no footer of ours"))
}

/// When the rows of each row group of a trades file were received, first and last, and how many they are.
pub(crate) fn stretches(path: &Path) -> Result<Vec<(Moment, Moment, u64)>, StoreError> {
    let file = fs::File::open(path).map_err(at("opening", path))?;
    let reader = SerializedFileReader::new(file).map_err(parquet_at("reading the footer of", path))?;
    let groups = reader.metadata().row_groups().iter();
    Ok(groups
        .filter_map(|group| {
            let mut columns = group.columns().iter();
            let recv = columns.find(|column| column.column_path().string() == "recv_ts")?;
            let Some(Statistics::Int64(values)) = recv.statistics() else {
                return None;
            };
            let (first, last) = (*values.min_opt()?, *values.max_opt()?);
            Some((Moment(first), Moment(last), group.num_rows().cast_unsigned()))
        })
        .collect())
}
