//! Which sealed files have no line yet, since an exporter is going to replace them: pure, but for [`Pending::of`].

use chrono::NaiveDate;

use crate::error::StoreError;
use crate::journal::list_segments;
use crate::layout::{DataDir, Dataset, Market, SealedName, SealedPath};

/// How far a market's date is exported. As long as its journal is there, an exporter goes on with it, at the latest with
/// the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Whether the journal has a segment of the date.
    pub(crate) has_journal: bool,
    /// The last frame that a trades file covers.
    pub(crate) covered: u64,
}

impl Pending {
    pub(crate) fn of(
        data: &DataDir,
        market: &Market,
        date: NaiveDate,
        files: &[SealedPath],
    ) -> Result<Self, StoreError> {
        let segments = list_segments(&data.journal(market))?;
        let trades = files
            .iter()
            .filter(|sealed| sealed.name.dataset == Dataset::Trades);
        Ok(Self {
            has_journal: segments.iter().any(|segment| segment.date == date),
            covered: trades.map(|sealed| sealed.name.last_frame).max().unwrap_or(0),
        })
    }

    /// Whether a file needs no line yet: coverage that the date's next records replace, and quarantine that was sealed
    /// before its trades file and then cut off. The next start seals both again.
    pub(crate) fn has(&self, name: &SealedName) -> bool {
        self.has_journal
            && match name.dataset {
                Dataset::Coverage => true,
                Dataset::Quarantine => name.first_frame > self.covered,
                Dataset::Trades => false,
            }
    }
}
