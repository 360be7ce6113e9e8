//! What the journal lacks: stretches that cannot be read, and frames that are missing without a trace.

use std::ops::Range;

use tracing::{error, warn};

use super::cut::CommitReason;
use super::exporter::Exporter;
use crate::coverage::damage_detail;
use crate::error::StoreError;
use crate::journal::end_of_damage;
use crate::layout::SegmentName;
use crate::progress::Progress;

impl Exporter {
    /// Part of a journal segment cannot be read. The segment is kept under another name for inspection.
    pub(super) fn damage(&mut self, name: SegmentName, span: &Range<u64>) -> Result<(), StoreError> {
        Progress::add(&self.progress.journal_damage, 1);
        self.enter_date(name.date)?;
        let end = end_of_damage(&self.data.journal(&self.feed), name, span);
        if self.date.as_ref().is_some_and(|date| date.ledger.has(end)) {
            error!(feed = %self.feed, segment = %name, from = span.start, to = end.offset,
                "journal is damaged; what this stretch held is exported already");
            return Ok(());
        }
        error!(feed = %self.feed, segment = %name, from = span.start, to = end.offset,
            "journal is damaged; what this stretch held is lost, what follows is exported");
        let path = self.data.journal(&self.feed).join(name.to_string());
        let kept = path.with_extension("journal.damaged");
        if !kept.exists()
            && let Err(error) = self.data.disk().link(&path, &kept)
        {
            warn!(segment = %path.display(), %error, "the damaged segment cannot be kept beside the journal");
        }
        self.commit(CommitReason::Damage)?;
        if let Some(date) = &mut self.date {
            date.ledger.damage(damage_detail(name, span));
        }
        Ok(())
    }

    /// Accounts for frames up to this one that never came: damage took them without leaving a trace. They should be
    /// missing between two files, not within one.
    pub(super) fn see_frames_up_to(&mut self, frame: u64) -> Result<(), StoreError> {
        let last = self.last_seen();
        if frame <= last {
            return Ok(());
        }
        error!(feed = %self.feed, first = last + 1, last = frame, "frames are missing in the journal");
        self.commit(CommitReason::Damage)?;
        if let Some(date) = &mut self.date {
            date.last_seen = frame;
        }
        Ok(())
    }
}
