//! Which committed files have no line yet because an exporter will replace them: pure, but for [`Pending::of`].

use chrono::NaiveDate;

use crate::catalog;
use crate::dataset::Rows;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir};

/// How far a feed's date is exported. As long as its journal exists, an exporter will continue it, at the latest after
/// the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Whether the journal has a segment of the date.
    pub(crate) has_journal: bool,
    /// The last frame that a file of the primary dataset covers.
    pub(crate) covered: u64,
}

impl Pending {
    pub(crate) fn of(
        data: &DataDir,
        feed: &FeedName,
        date: NaiveDate,
        files: &[CommittedPath],
    ) -> Result<Self, StoreError> {
        let segments = catalog::segments(&data.journal(feed))?;
        let primary = files.iter().filter(|file| data.is_primary(file.name.dataset));
        Ok(Self {
            has_journal: segments.iter().any(|segment| segment.date == date),
            covered: primary.map(|file| file.name.last_frame).max().unwrap_or(0),
        })
    }

    /// Whether a file needs no line yet: coverage that the date's next records will replace, or a file committed before
    /// the primary file of its frames, which never came. The next start commits both again.
    pub(crate) fn has(&self, name: &CommittedName) -> bool {
        self.has_journal
            && match name.dataset.rows {
                Rows::OfTheDate | Rows::OfAllFeeds => true,
                Rows::OfFrames => name.first_frame > self.covered,
            }
    }
}
