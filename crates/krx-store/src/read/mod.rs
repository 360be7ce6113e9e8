//! Reading sealed files, in order of arrival: for whoever looks at a recorded day without Arrow.
//!
//! ```text
//!   files of a market and date ─▶ Arrivals ─▶ batches in order of (frame, item) ─▶ Trades ─▶ TradeRow
//!                                    └ a day in one file: a run at a time, put back in order
//! ```

mod arrivals;
mod codes;
mod columns;
mod quarantine;
mod trades;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

pub(crate) use arrivals::{Arrivals, Opened, open_trades};
pub use codes::codes;
pub(crate) use columns::Columns;
pub use quarantine::{Quarantine, QuarantineRow};
pub use trades::{TradeBatch, TradeRow, Trades};

use crate::checksums::{list_names, sealed_markets};
use crate::error::StoreError;
use crate::export::sealed_names;
use crate::layout::{DataDir, Dataset, Market};

/// The markets that have anything of a date, in any dataset.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed.
pub fn markets(data: &DataDir, date: NaiveDate) -> Result<BTreeSet<Market>, StoreError> {
    sealed_markets(data, date)
}

/// The dates that have trades.
///
/// # Errors
/// [`StoreError::Io`], when the dataset cannot be listed.
pub fn dates(data: &DataDir) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let names = list_names(&data.path().join(Dataset::Trades.as_str()))?;
    Ok(names
        .iter()
        .filter_map(|name| name.strip_prefix("date=")?.parse().ok())
        .collect())
}

/// A market's files of a date, in order of their frames.
fn files(
    data: &DataDir,
    dataset: Dataset,
    market: &Market,
    date: NaiveDate,
) -> Result<Vec<PathBuf>, StoreError> {
    let dir = data.partition(dataset, date, market);
    let names = sealed_names(&dir)?;
    Ok(names.iter().map(|name| dir.join(name.to_string())).collect())
}

/// What the Parquet library says of a file: it was sound when it was sealed.
fn undecodable(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Unsound {
        path,
        what: error.to_string(),
    }
}

/// A file that holds something else than a sealed file does.
fn not_ours(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Unsound {
        path: path.to_owned(),
        what: what.into(),
    }
}
