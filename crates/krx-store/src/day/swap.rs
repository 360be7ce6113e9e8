//! Putting a sealed day in the place of the files that it was made of.
//!
//! ```text
//!   .krx/sealing/2026-11-20-KOSPI/ ◀──renameat2(RENAME_EXCHANGE)──▶ trades/date=2026-11-20/market=KOSPI/
//! ```
//!
//! Before the exchange the directory in `sealing` has the one file, behind it the files of before. A reader that
//! opens the partition finds the one or the other, never both and never neither. The files of before stay for an hour
//! ([`super::replaced`]): whoever is listing their directory finds them all.

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

/// How a feed's date lies in a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is nothing.
    Nothing,
    /// It is one file.
    Sealed,
    /// It is so many files, with so many rows.
    Files {
        /// Files.
        files: usize,
        /// Rows, by their footers.
        rows: u64,
    },
}

/// How a feed's date lies now.
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

/// What is not sealed yet of the `days` dates up to and including `last`, the earliest first.
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
                // One that cannot be looked at is not sealed either, and costs the others nothing.
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

/// Clears up what seals have left over, this one or those of a process that was killed, and removes what was replaced an
/// hour ago, or before `started`.
///
/// # Errors
/// [`StoreError`], when the directory cannot be listed.
pub fn settle(sealing: &Sealing, now: Uptime, started: Option<Uptime>) -> Result<(), StoreError> {
    replaced::settle(&sealing.data, now, started)
}

/// Removes committed files that were replaced, the oldest first, until there is enough space; whether there is.
///
/// # Errors
/// [`StoreError`], of `is_enough`, or when the directory cannot be listed.
pub fn make_room(
    sealing: &Sealing,
    is_enough: &dyn Fn() -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    replaced::make_room(&sealing.data, is_enough)
}

/// The right to seal in a data directory: one process at a time has it.
#[derive(Debug)]
pub struct Sealing {
    data: DataDir,
    /// Bytes that are left to the journal.
    reserve_bytes: u64,
    /// With less free, what was replaced goes before its hour is over.
    low_bytes: u64,
    _lock: Held,
}

/// Whether the one file is in place.
pub(super) enum Placed {
    InPlace,
    /// A recorder has added files that it does not have; nothing was changed.
    FilesWereAdded,
}

impl Sealing {
    /// Takes the right, and clears up what a seal that was killed has left over.
    ///
    /// # Errors
    /// [`StoreError::Locked`], when another process seals or rebuilds.
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

    /// What was replaced also goes before its hour is over while less than this is free.
    #[must_use]
    pub fn with_low_bytes(self, low_bytes: u64) -> Self {
        Self { low_bytes, ..self }
    }

    /// Removes what is over, and gives the right back.
    ///
    /// # Errors
    /// [`StoreError`]; what is left over then is cleared up by whoever seals next.
    pub fn finish(self) -> Result<(), StoreError> {
        settle(&self, Uptime::now(), None)
    }

    pub(super) fn data(&self) -> &DataDir {
        &self.data
    }

    /// Whether there is room for a date of so many bytes. What was replaced goes before one is refused.
    pub(super) fn look_for_room(&self, bytes: u64) -> Result<(), StoreError> {
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

    /// Whether the file system can exchange directories; found out before a day is read and written for it.
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

    /// A directory in which a date is built, empty. What was replaced long enough ago goes first.
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
                    what: "an interrupted seal has left files in it that are not all in the dataset"
                        .to_owned(),
                });
            }
            name.number += 1;
        }
    }

    /// Removes what is left over of a date that was not put in place.
    pub(super) fn clear(&self, name: &SealingName) -> Result<(), StoreError> {
        settle_one(&self.data, name, Uptime::now(), None)
    }

    /// The hour of what was replaced begins.
    pub(super) fn replaced(&self, name: &SealingName) -> Result<(), StoreError> {
        mark(&self.data, name, Uptime::now())
    }

    /// Puts the file that was built as `staged` in `built` in the place of the files of `plan`.
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
        // Whatever else lay in either directory would change places too.
        only_these(&partition, plan)?;
        only_these(&dir, &[name])?;
        take_over_rights(&dir, name, &partition, plan)?;
        disk.exchange(&dir, &partition)?;
        Ok(Placed::InPlace)
    }
}

/// Whether a directory is one, and no link to another place, and holds these committed files and nothing else.
pub(super) fn only_these(dir: &Path, names: &[CommittedName]) -> Result<(), StoreError> {
    let unsound = |what: String| StoreError::Unsound {
        path: dir.to_owned(),
        what,
    };
    let found = fs::symlink_metadata(dir).map_err(at("looking at", dir))?;
    if !found.is_dir() {
        return Err(unsound("it is a link: seal where it leads to".to_owned()));
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

/// Whoever could read the files of before can read the one in their place, whatever the umask of this process.
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
