//! A date's ledger according to its files: the coverage file if it agrees with the committed files, or else what their
//! footers say.

use std::path::Path;

use chrono::NaiveDate;
use tracing::{error, warn};

use super::file::load;
use super::ledger::Ledger;
use super::slice::Slice;
use crate::catalog::{self, read_footer};
use crate::dataset::Footer;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, DataDir};

/// A ledger, and where it came from.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) ledger: Ledger,
    /// Whether the coverage file says the same.
    pub(crate) on_disk: bool,
}

/// The ledger of a feed and date according to its files, up to the last frame that one of them has.
///
/// # Errors
/// [`StoreError::Io`], when a directory or the coverage file cannot be read. A damaged file is not an error: what it
/// held becomes a gap.
pub(crate) fn restore(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Restored, StoreError> {
    let stored = match load(data, feed, date) {
        Ok(stored) => stored,
        Err(StoreError::ReadBack { path, what }) => {
            error!(%feed, path = %path.display(), what, "the coverage file cannot be used; it is rebuilt from the files of its date");
            None
        }
        Err(error) => return Err(error),
    };
    let files = Files::of(data, feed, date)?;
    match stored {
        // Retention keeps coverage for longer than the data it describes.
        Some(ledger) if files.agree_with(&ledger) || catalog::is_primary_expired(data, feed, date) => {
            Ok(Restored {
                ledger,
                on_disk: true,
            })
        }
        stored => Ok(Restored {
            ledger: files.ledger(date, stored.as_ref()),
            on_disk: false,
        }),
    }
}

/// The committed files of a feed and date.
pub(crate) struct Files {
    paths: Vec<std::path::PathBuf>,
    /// First and last frame of each stretch without a hole.
    frames: Vec<(u64, u64)>,
}

impl Files {
    pub(crate) fn of(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        let Some(primary) = catalog::primary_of(data, feed, date) else {
            return Ok(Self {
                paths: Vec::new(),
                frames: Vec::new(),
            });
        };
        let dir = data.partition(primary, date, feed);
        let mut names = catalog::files(data, primary, feed, date)?;
        // Of files that share frames, such as a backup restored beside a sealed day, the one with more of them counts.
        names.sort_by_key(|name| (name.first_frame, std::cmp::Reverse(name.last_frame)));
        let mut covered = 0;
        names.retain(|name| {
            let is_new = name.first_frame > covered;
            covered = covered.max(name.last_frame);
            is_new
        });
        Ok(Self {
            frames: names.iter().flat_map(|name| frames_of(&dir, name)).collect(),
            paths: names.iter().map(|name| dir.join(name.to_string())).collect(),
        })
    }

    /// Whether the date has no committed file.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether a ledger covers exactly the frames that the files have.
    pub(crate) fn agree_with(&self, ledger: &Ledger) -> bool {
        let count: u64 = self
            .frames
            .iter()
            .map(|(first, last)| (last + 1).saturating_sub(*first))
            .sum();
        let last = self.frames.last().map_or(0, |(_, last)| *last);
        (ledger.frames(), ledger.last_held()) == (count, last)
    }

    /// The ledger that the footers give. `stored` adds what came after the last frame, if it covers the same frames.
    pub(crate) fn ledger(&self, date: NaiveDate, stored: Option<&Ledger>) -> Ledger {
        let slices: Vec<_> = self
            .paths
            .iter()
            .filter_map(|path| match read_footer(path) {
                Ok(footer) => Slice::of(&footer),
                Err(error) => {
                    error!(%error, "a committed file cannot be read; coverage calls its time a gap");
                    None
                }
            })
            .collect();
        let covered = self.frames.last().map_or(0, |(_, last)| *last);
        let Some(mut ledger) = Ledger::of_slices(date, &slices) else {
            if covered == 0 {
                let stored = stored.filter(|stored| stored.frames() == 0);
                return stored.cloned().unwrap_or_else(|| Ledger::new(date));
            }
            return Ledger::lost(
                date,
                covered,
                "no file of the date says what was recorded".to_owned(),
            );
        };
        match stored {
            Some(stored)
                if stored.last_held() == ledger.last_held() && stored.folded() >= ledger.folded() =>
            {
                ledger.graft(stored);
            }
            Some(stored) if stored.last_held() > covered => {
                warn!(%date, last_held = stored.last_held(), covered, "coverage counts frames that no file has; it is rebuilt from the files");
            }
            _ => {}
        }
        ledger
    }
}

/// The frames that a file has. Only a sealed day may have holes between them, and its footer says so.
fn frames_of(dir: &Path, name: &CommittedName) -> Vec<(u64, u64)> {
    let by_name = vec![(name.first_frame, name.last_frame)];
    if !name.is_day() {
        return by_name;
    }
    read_footer(&dir.join(name.to_string())).map_or(by_name, |footer| footer.frames())
}

/// One slice in place of those of the files that are becoming one.
pub(crate) fn slice_of(date: NaiveDate, footers: &[Footer]) -> Option<Slice> {
    let slices: Vec<_> = footers.iter().filter_map(Slice::of).collect();
    Slice::merge(date, &slices)
}
