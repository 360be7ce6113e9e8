//! The log at the beginning of an export: what its file says, if that fits the ledger.

use chrono::NaiveDate;
use tracing::{error, warn};

use super::file::load;
use super::log::RegistrationLog;
use crate::coverage::Ledger;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::DataDir;

/// The log of a feed and date according to its file. What it lacks of the ledger is not known any more: the journal of
/// that may be gone.
///
/// # Errors
/// [`StoreError::Io`], when the file cannot be read. A damaged file is not an error.
pub(crate) fn restore(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    ledger: &Ledger,
) -> Result<RegistrationLog, StoreError> {
    let stored = match load(data, feed, date) {
        Err(StoreError::ReadBack { path, what }) => {
            error!(%feed, path = %path.display(), what,
                "the registrations file cannot be used; it begins again, and krx-recorder rebuild restores it from the archive");
            None
        }
        other => other?,
    };
    if let Some(log) = &stored
        && log.folded() < ledger.folded()
    {
        warn!(%feed, %date, "the registrations file is older than the files beside it; the states between the two are unknown");
    }
    Ok(stored.unwrap_or_else(|| RegistrationLog::new(date)).at(ledger))
}
