//! The right to rebuild a date.

use chrono::NaiveDate;

use crate::catalog;
use crate::day::Sealing;
use crate::error::StoreError;
use crate::layout::DataDir;
use crate::lock::DataDirLock;

/// Whether and how the data directory may be written to while a date is rebuilt.
#[derive(Debug)]
pub struct Access {
    /// Held unless a recorder is at work that is past the date.
    pub(super) lock: Option<DataDirLock>,
    /// Keeps other processes from sealing or rebuilding meanwhile.
    pub(super) sealing: Sealing,
}

impl Access {
    /// Locks the data directory for rebuilding `date`. While a recorder is at work, this works for dates that every
    /// feed is past.
    ///
    /// # Errors
    /// [`StoreError::Locked`], when a recorder may still write to the date; [`StoreError::SealingElsewhere`], when
    /// another process is sealing or rebuilding.
    pub fn take(data: &DataDir, date: NaiveDate) -> Result<Self, StoreError> {
        let lock = match DataDirLock::take(data) {
            Ok(lock) => Some(lock),
            Err(locked @ StoreError::Locked { .. }) => {
                if !is_past(data, date)? {
                    return Err(locked);
                }
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            lock,
            sealing: Sealing::take(data, 0)?,
        })
    }
}

/// Whether the newest journal segment of each feed is of a later date.
fn is_past(data: &DataDir, date: NaiveDate) -> Result<bool, StoreError> {
    for feed in catalog::journal_feeds(data)? {
        let newest = catalog::segments(&data.journal(&feed))?.last().copied();
        if newest.is_some_and(|newest| newest.date <= date) {
            return Ok(false);
        }
    }
    Ok(true)
}
