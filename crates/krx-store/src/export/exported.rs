//! What becomes of journal segments that are exported: they are passed over by the next start, archived, and removed.

use chrono::NaiveDate;
use tracing::{debug, error, warn};

use super::exporter::{Behind, Exporter};
use crate::coverage::{self, Restored};
use crate::error::StoreError;
use crate::journal::Position;
use crate::layout::SegmentName;
use crate::moment::Moment;
use crate::sabotage::{self, Defect};
use crate::{archive, catalog, checksums};

impl Exporter {
    /// Skips segments that committed files and the ledger cover completely, judging by their names.
    pub(super) fn skip_what_is_committed(&mut self) -> Result<(), StoreError> {
        let names = catalog::segments(&self.data.journal(&self.feed))?;
        let mut dates: Vec<_> = names.iter().map(|name| name.date).collect();
        dates.dedup();
        for date in dates {
            if let Err(error) = checksums::complete(&self.data, &self.feed, date) {
                let words = "committed files stay without checksums";
                match self.again {
                    false => error!(feed = %self.feed, %date, %error, "{words}"),
                    true => debug!(feed = %self.feed, %date, %error, "{words}"),
                }
            }
        }
        self.expire_archive();
        let mut covered: Option<(NaiveDate, u64, Option<Position>)> = None;
        for pair in names.windows(2) {
            let (name, next) = (pair[0], pair[1]);
            let (_, frame, folded) = match covered {
                Some(known) if known.0 == name.date => known,
                _ => {
                    let frame = self.covered(name.date)?;
                    let Restored { ledger, on_disk } = coverage::restore(&self.data, &self.feed, name.date)?;
                    let folded = ledger.folded().filter(|_| on_disk);
                    *covered.insert((name.date, frame, folded))
                }
            };
            let in_ledger = folded.is_some_and(|folded| folded.segment > name);
            if name.date != next.date || next.first_frame > frame + 1 || !in_ledger {
                break;
            }
            self.follower.skip_to_after(name);
            self.behind.push_back(Behind {
                name,
                last_frame: next.first_frame.saturating_sub(1),
                folded: None,
            });
        }
        self.remove_exported()
    }

    pub(super) fn segment_end(&mut self, name: SegmentName) -> Result<(), StoreError> {
        let last_frame = self
            .last_frame_read
            .take()
            .unwrap_or(name.first_frame.saturating_sub(1));
        // Before a date's last segment may be removed: a date without journal is never returned to.
        let mut later = catalog::segments(&self.data.journal(&self.feed))?.into_iter();
        if later
            .find(|later| *later > name)
            .is_some_and(|later| later.date != name.date)
        {
            self.leave_date()?;
        } else {
            self.save_ledger()?;
        }
        let folded = self.date.as_ref().filter(|date| date.date == name.date);
        self.behind.push_back(Behind {
            name,
            last_frame,
            folded: folded.and_then(|date| date.ledger.folded()),
        });
        self.remove_exported()
    }

    /// An old file that cannot be removed takes space, but is no reason to stop exporting.
    pub(super) fn expire_archive(&self) {
        let today = Moment::now().date();
        if let Err(error) = archive::expire(&self.data, &self.feed, today, self.config.keep_days) {
            error!(feed = %self.feed, %error, "segments older than keep_days cannot be removed from the archive");
        }
    }

    /// Removes segments already read, once committed files cover them and coverage has their events; with `keep_days`
    /// they are archived first. The newest segment is never among them: it keeps the numbers from which the next run
    /// continues.
    pub(super) fn remove_exported(&mut self) -> Result<(), StoreError> {
        while let Some(Behind {
            name,
            last_frame,
            folded,
        }) = self.behind.front()
        {
            let (name, folded) = (*name, *folded);
            let current = self.date.as_ref().filter(|current| current.date == name.date);
            let covered = match current {
                Some(current) => current.covered,
                None => self.covered(name.date)?,
            };
            // A date that was left has its whole ledger on disk.
            let is_told = current.is_none_or(|current| {
                let saved = current.saved.as_ref();
                folded.is_none_or(|folded| saved.is_some_and(|saved| saved.has(folded)))
            });
            if (covered < *last_frame || !is_told) && !sabotage::is(Defect::DeleteEarly) {
                break;
            }
            let path = self.data.journal(&self.feed).join(name.to_string());
            let archives = self.config.keep_days > 0;
            // A segment that somebody removed can no longer be archived, and must not hold up the others.
            if archives && !path.try_exists().unwrap_or(true) {
                warn!(feed = %self.feed, segment = %name, "the journal segment is gone: it was exported but not archived");
            } else if archives && let Err(error) = archive::keep(&self.data, &self.feed, name) {
                error!(feed = %self.feed, segment = %name, %error,
                    "the segment could not be archived; it stays in the journal, and is retried after the next commit");
                break;
            }
            let (disk, dir) = (self.data.disk(), self.data.journal(&self.feed));
            disk.remove_left_over(&path)?;
            disk.sync_dir(&dir)?;
            self.behind.pop_front();
        }
        Ok(())
    }
}
