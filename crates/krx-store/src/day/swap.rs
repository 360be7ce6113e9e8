//! Putting a sealed day in place of the files that it was made from.
//!
//! ```text
//!   .krx/sealing/2026-11-20-trades-KOSPI/ ◀──renameat2(RENAME_EXCHANGE)──▶ trades/date=2026-11-20/market=KOSPI/
//! ```
//!
//! Before the exchange the directory in `sealing` has the one file; afterwards it has the replaced files. A reader that
//! opens the partition finds one or the other, never both and never neither. The replaced files stay for an hour
//! ([`super::replaced`]), so a reader that is listing their directory finds them all.

use std::fs;
use std::path::Path;

use super::replaced::{self, mark, settle_before, settle_one};
use super::uptime::Uptime;
use crate::catalog::{self, read_footer};
use crate::dataset::Dataset;
use crate::disk::free_bytes;
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, DataDir, REPLACED, SealingName};
use crate::lock::{self, Held, hold_still};
use crate::rights;
use chrono::{Days, NaiveDate};

/// The state of a feed's date in a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no files.
    Nothing,
    /// It is one file.
    Sealed,
    /// It is several files.
    Files {
        /// Files.
        files: usize,
        /// Rows, by their footers.
        rows: u64,
    },
}

/// The present state of a feed's date.
///
/// # Errors
/// [`StoreError`], when the partition cannot be listed, or a footer cannot be read.
pub fn state(
    data: &DataDir,
    dataset: Dataset,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<State, StoreError> {
    let dir = data.partition(dataset, date, feed);
    let names = catalog::files_in(&dir, dataset)?;
    let footers: Result<Vec<_>, _> = names
        .iter()
        .map(|name| read_footer(&dir.join(name.to_string())))
        .collect();
    Ok(match footers?.as_slice() {
        [] => State::Nothing,
        [only] if only.day.is_some() => State::Sealed,
        files => State::Files {
            files: files.len(),
            rows: files.iter().map(|footer| footer.rows_of(dataset)).sum(),
        },
    })
}

/// What is not sealed yet of the `days` dates up to and including `last`, earliest first.
///
/// # Errors
/// As [`state`].
pub fn unsealed(
    data: &DataDir,
    last: NaiveDate,
    days: u64,
) -> Result<Vec<(NaiveDate, Dataset, FeedName)>, StoreError> {
    let first = last.checked_sub_days(Days::new(days.saturating_sub(1)));
    let mut found = Vec::new();
    for dataset in data.datasets() {
        if dataset.sealed_by.is_none() {
            continue;
        }
        for date in catalog::dates(data, dataset)? {
            if date > last || first.is_some_and(|first| date < first) {
                continue;
            }
            for feed in catalog::feeds_in(data, dataset, date)? {
                // One that cannot be examined is not sealed either, and does not hold up the others.
                let state = state(data, dataset, &feed, date);
                if !matches!(state, Ok(State::Sealed | State::Nothing)) {
                    found.push((date, dataset, feed));
                }
            }
        }
    }
    found.sort_by_key(|(date, ..)| *date);
    Ok(found)
}

/// Clears up the leftovers of seals, this one's or those of a killed process, and removes what was replaced an hour
/// ago, or before `started`.
///
/// # Errors
/// [`StoreError`], when the directory cannot be listed.
pub fn settle(sealing: &Sealing, now: Uptime, started: Option<Uptime>) -> Result<(), StoreError> {
    replaced::settle(&sealing.data, now, started)
}

/// Removes replaced files, the oldest first, until there is enough space; returns whether there is.
///
/// # Errors
/// [`StoreError`], of `is_enough`, or when the directory cannot be listed.
pub fn make_room(
    sealing: &Sealing,
    is_enough: &dyn Fn() -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    replaced::make_room(&sealing.data, is_enough)
}

/// The right to seal in a data directory, which one process has at a time.
#[derive(Debug)]
pub struct Sealing {
    data: DataDir,
    /// Bytes reserved for the journal.
    reserve_bytes: u64,
    /// With less free, replaced files are removed before their hour is over.
    low_bytes: u64,
    _lock: Held,
}

/// Whether the one file is in place.
pub(super) enum Placed {
    InPlace,
    /// A recorder has added files that it lacks; nothing was changed.
    FilesWereAdded,
}

impl Sealing {
    /// Takes the right, and clears up what a killed seal left.
    ///
    /// # Errors
    /// [`StoreError::SealingElsewhere`], when another process is sealing or rebuilding.
    pub fn take(data: &DataDir, reserve_bytes: u64) -> Result<Self, StoreError> {
        let dir = data.sealing();
        data.create_dir(&dir)?;
        data.create_dir(&data.staging())?;
        let Some(lock) = lock::try_dir(&dir)? else {
            return Err(StoreError::SealingElsewhere { path: dir });
        };
        let sealing = Self {
            data: data.clone(),
            reserve_bytes,
            low_bytes: 0,
            _lock: lock,
        };
        settle(&sealing, Uptime::now(), None)?;
        Ok(sealing)
    }

    /// Removes replaced files before their hour is over while less than this is free.
    #[must_use]
    pub fn with_low_bytes(self, low_bytes: u64) -> Self {
        Self { low_bytes, ..self }
    }

    /// Removes what is due, and gives up the right.
    ///
    /// # Errors
    /// [`StoreError`]; the leftovers are then cleared up by the next seal.
    pub fn finish(self) -> Result<(), StoreError> {
        settle(&self, Uptime::now(), None)
    }

    pub(crate) fn data(&self) -> &DataDir {
        &self.data
    }

    /// Whether there is room for a date of this size. Replaced files are removed before a date is refused.
    pub(crate) fn look_for_room(&self, bytes: u64) -> Result<(), StoreError> {
        let needed = self.reserve_bytes.saturating_add(bytes + bytes / 4);
        let wanted = needed.max(self.low_bytes);
        make_room(self, &|| Ok(free_bytes(self.data.path())? >= wanted))?;
        let free = free_bytes(self.data.path())?;
        if free >= needed {
            return Ok(());
        }
        Err(StoreError::NoRoomToSeal {
            path: self.data.path().to_owned(),
            free,
            needed,
        })
    }

    /// Whether the filesystem can exchange directories; tested before a day is read and written for it.
    pub(super) fn look_for_exchange(&self) -> Result<(), StoreError> {
        let (disk, dir) = (self.data.disk(), self.data.sealing());
        let [from, to] = ["probe-1", "probe-2"].map(|name| dir.join(name));
        disk.create_dir(&from)?;
        disk.create_dir(&to)?;
        let exchanged = disk.exchange(&from, &to);
        for dir in [&from, &to] {
            let _ = disk.remove_dir(dir);
        }
        exchanged
    }

    /// An empty directory in which a date is built. What was replaced long enough ago is removed first.
    pub(super) fn make_dir(
        &self,
        dataset: Dataset,
        feed: &FeedName,
        date: NaiveDate,
    ) -> Result<SealingName, StoreError> {
        settle_before(&self.data, dataset, feed, date)?;
        let mut name = SealingName {
            date,
            dataset,
            feed: feed.clone(),
            number: 1,
        };
        loop {
            let dir = self.data.sealing_dir(&name);
            if !dir.exists() {
                self.data.create_dir(&dir)?;
                return Ok(name);
            }
            if !dir.join(REPLACED).exists() {
                return Err(StoreError::Unsound {
                    path: dir,
                    what: "an interrupted seal left files in it that are not all in the dataset".to_owned(),
                });
            }
            name.number += 1;
        }
    }

    /// Removes the leftovers of a date that was not put in place.
    pub(super) fn clear(&self, name: &SealingName) -> Result<(), StoreError> {
        settle_one(&self.data, name, Uptime::now(), None)
    }

    /// The hour of the replaced files begins.
    pub(super) fn replaced(&self, name: &SealingName) -> Result<(), StoreError> {
        mark(&self.data, name, Uptime::now())
    }

    /// Puts the file built as `staged` in `built` in place of the files of `plan`.
    pub(super) fn place(
        &self,
        built: &SealingName,
        staged: &Path,
        name: CommittedName,
        plan: &[CommittedName],
    ) -> Result<Placed, StoreError> {
        let (dir, partition) = (
            self.data.sealing_dir(built),
            self.data.partition(built.dataset, built.date, &built.feed),
        );
        let disk = self.data.disk();
        disk.rename(staged, &dir.join(name.to_string()))?;
        let _still = hold_still(&self.data)?;
        if catalog::files_in(&partition, built.dataset)? != plan {
            disk.remove(&dir.join(name.to_string()))?;
            return Ok(Placed::FilesWereAdded);
        }
        // Anything else in either directory would be exchanged too.
        only_these(&partition, plan)?;
        only_these(&dir, &[name])?;
        take_over_rights(&dir, name, &partition, plan)?;
        disk.exchange(&dir, &partition)?;
        Ok(Placed::InPlace)
    }
}

/// Whether a directory is a real one, not a link, and holds exactly these committed files.
pub(super) fn only_these(dir: &Path, names: &[CommittedName]) -> Result<(), StoreError> {
    let unsound = |what: String| StoreError::Unsound {
        path: dir.to_owned(),
        what,
    };
    let found = fs::symlink_metadata(dir).map_err(at("looking at", dir))?;
    if !found.is_dir() {
        return Err(unsound(
            "it is a link: seal the directory that it points to".to_owned(),
        ));
    }
    for entry in fs::read_dir(dir).map_err(at("listing", dir))? {
        let entry = entry.map_err(at("listing", dir))?.file_name();
        let is_ours = |text: &str| names.iter().any(|name| name.to_string() == text);
        if !entry.to_str().is_some_and(is_ours) {
            let name = entry.to_string_lossy();
            return Err(unsound(format!(
                "it holds {name}, which is not the recorder's; move it away"
            )));
        }
    }
    Ok(())
}

/// Anyone who could read the replaced files can read the one in their place, whatever this process's umask.
fn take_over_rights(
    dir: &Path,
    name: CommittedName,
    partition: &Path,
    plan: &[CommittedName],
) -> Result<(), StoreError> {
    rights::take_over(partition, dir)?;
    plan.first().map_or(Ok(()), |before| {
        rights::take_over(&partition.join(before.to_string()), &dir.join(name.to_string()))
    })
}
