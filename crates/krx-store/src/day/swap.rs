//! Putting a sealed day in the place of the files that it was made of.
//!
//! ```text
//!   .krx/sealing/2026-11-20-KOSPI/ ◀──renameat2(RENAME_EXCHANGE)──▶ trades/date=2026-11-20/market=KOSPI/
//! ```
//!
//! Before the exchange the directory in `sealing` has the one file, behind it the files of before. A reader that
//! opens the partition finds the one or the other, never both and never neither. The files of before are removed a
//! moment later: whoever is listing their directory just then finds them all.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tracing::{info, warn};

use crate::checksums::{Checksums, list_names};
use crate::disk::free_bytes;
use crate::error::{StoreError, at};
use crate::export::{read_footer, sealed_names};
use crate::layout::{DataDir, Dataset, Market, SealedName, SealedPath};
use crate::lock::{self, Held};

/// How a market's date lies in `trades`.
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

/// How a market's date lies now.
///
/// # Errors
/// [`StoreError`], when the partition cannot be listed, or a footer cannot be read.
pub fn state(data: &DataDir, market: &Market, date: NaiveDate) -> Result<State, StoreError> {
    let dir = data.partition(Dataset::Trades, date, market);
    let names = sealed_names(&dir)?;
    let footers: Result<Vec<_>, _> = names
        .iter()
        .map(|name| read_footer(&dir.join(name.to_string())))
        .collect();
    Ok(match footers?.as_slice() {
        [] => State::Nothing,
        [only] if only.day.is_some() => State::Sealed,
        files => State::Files {
            files: files.len(),
            rows: files.iter().map(|footer| footer.rows).sum(),
        },
    })
}

/// The markets and dates that are not one file each, of the `days` dates up to and including `last`, the earliest
/// first.
///
/// # Errors
/// As [`state`].
pub fn unsealed(data: &DataDir, last: NaiveDate, days: u64) -> Result<Vec<(NaiveDate, Market)>, StoreError> {
    let first = last.checked_sub_days(Days::new(days.saturating_sub(1)));
    let mut found = Vec::new();
    for date in crate::read::dates(data)? {
        if date > last || first.is_some_and(|first| date < first) {
            continue;
        }
        for market in crate::read::markets(data, date)? {
            // One that cannot be looked at is not sealed either, and costs the others nothing.
            if !matches!(state(data, &market, date), Ok(State::Sealed | State::Nothing)) {
                found.push((date, market));
            }
        }
    }
    Ok(found)
}

/// How long the files of before outlive the exchange: longer than anyone takes from opening a directory to having
/// read its names.
const GRACE: Duration = Duration::from_secs(1);

/// The right to seal in a data directory: one process at a time has it.
#[derive(Debug)]
pub struct Sealing {
    data: DataDir,
    /// Bytes that are left to the journal.
    reserve_bytes: u64,
    /// The dates that were exchanged, and whose files of before are not removed yet.
    exchanged: Mutex<Vec<(Market, NaiveDate, Instant)>>,
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
            exchanged: Mutex::default(),
            _lock: lock,
        };
        settle(&sealing)?;
        Ok(sealing)
    }

    /// Removes the files of before of all dates that were sealed, when every reader has had the time to list them.
    ///
    /// # Errors
    /// [`StoreError`]; what is left over then is cleared up by whoever seals next.
    pub fn finish(self) -> Result<(), StoreError> {
        if !list_names(&self.data.sealing())?.is_empty() {
            std::thread::sleep(GRACE);
        }
        settle(&self)
    }

    pub(super) fn data(&self) -> &DataDir {
        &self.data
    }

    pub(super) fn look_for_room(&self, bytes: u64) -> Result<(), StoreError> {
        let free = free_bytes(self.data.path())?;
        let reserve = self.reserve_bytes.saturating_add(bytes + bytes / 4);
        if free >= reserve {
            return Ok(());
        }
        Err(StoreError::NoRoomToSeal {
            path: self.data.path().to_owned(),
            free,
            needed: reserve,
        })
    }

    /// Whether the file system can exchange directories; found out before a day is read and written for it.
    pub(super) fn look_for_exchange(&self) -> Result<(), StoreError> {
        let dirs = ["probe-1", "probe-2"].map(|name| self.data.sealing().join(name));
        for dir in &dirs {
            match fs::create_dir(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(at("creating the directory", dir)(error));
                }
                _ => {}
            }
        }
        let [from, to] = &dirs;
        let exchanged = renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE);
        for dir in &dirs {
            let _ = fs::remove_dir(dir);
        }
        exchanged.map_err(|error| at("exchanging a directory with", to)(error.into()))
    }

    fn dir(&self, market: &Market, date: NaiveDate) -> PathBuf {
        self.data.sealing().join(format!("{date}-{market}"))
    }

    /// The directory in which a date is built, empty. Whatever was exchanged long enough ago goes first: a seal of many
    /// dates must not need the space of all of them.
    pub(super) fn make_dir(&self, market: &Market, date: NaiveDate) -> Result<PathBuf, StoreError> {
        let over: Vec<_> = {
            let mut exchanged = self.exchanged.lock().unwrap_or_else(PoisonError::into_inner);
            exchanged
                .extract_if(.., |(.., at)| at.elapsed() >= GRACE)
                .collect()
        };
        for (market, date, _) in &over {
            self.clear(market, *date)?;
        }
        self.clear(market, date)?;
        let dir = self.dir(market, date);
        if dir.exists() {
            return Err(StoreError::Unsound {
                path: dir,
                what: "an interrupted seal has left files in it that are not all in the dataset".to_owned(),
            });
        }
        self.data.create_dir(&dir)?;
        Ok(dir)
    }

    /// Removes what is left over of a date.
    pub(super) fn clear(&self, market: &Market, date: NaiveDate) -> Result<(), StoreError> {
        let dir = self.dir(market, date);
        if dir.is_dir() {
            clear_dir(&self.data, market, date, &dir)?;
        }
        Ok(())
    }

    /// Puts the file that was built as `staged` in the place of the files of `plan`.
    pub(super) fn place(
        &self,
        market: &Market,
        date: NaiveDate,
        staged: &Path,
        name: SealedName,
        plan: &[SealedName],
    ) -> Result<Placed, StoreError> {
        let (dir, partition) = (
            self.dir(market, date),
            self.data.partition(Dataset::Trades, date, market),
        );
        let disk = self.data.disk();
        disk.rename(staged, &dir.join(name.to_string()))?;
        let _still = hold_still(&self.data)?;
        if sealed_names(&partition)? != plan {
            disk.remove(&dir.join(name.to_string()))?;
            return Ok(Placed::FilesWereAdded);
        }
        // Whatever else lay in either directory would change places too.
        only_these(&partition, plan)?;
        only_these(&dir, &[name])?;
        take_over_modes(&dir, name, &partition, plan)?;
        disk.exchange(&dir, &partition)?;
        self.exchanged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((market.clone(), date, Instant::now()));
        Ok(Placed::InPlace)
    }
}

/// Whether a directory is one, and no link to another place, and holds these sealed files and nothing else.
pub(super) fn only_these(dir: &Path, names: &[SealedName]) -> Result<(), StoreError> {
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
fn take_over_modes(
    dir: &Path,
    name: SealedName,
    partition: &Path,
    plan: &[SealedName],
) -> Result<(), StoreError> {
    let mut pairs = vec![(partition.to_owned(), dir.to_owned())];
    pairs.extend(
        plan.first()
            .map(|before| (partition.join(before.to_string()), dir.join(name.to_string()))),
    );
    for (from, to) in pairs {
        let (old, new) = (fs::metadata(&from), fs::metadata(&to));
        let old = old.map_err(at("reading the mode of", &from))?;
        if old.gid() != new.map_err(at("reading the mode of", &to))?.gid() {
            chown(&to, None, Some(old.gid())).map_err(at("setting the group of", &to))?;
        }
        fs::set_permissions(&to, old.permissions()).map_err(at("setting the mode of", &to))?;
    }
    Ok(())
}

/// Keeps others from adding files to the partitions until it is dropped: a file that is renamed into a directory while
/// that is exchanged would go with it.
pub(crate) fn hold_still(data: &DataDir) -> Result<Held, StoreError> {
    lock::wait_for(&data.staging())
}

/// Clears up what seals have left over, theirs or those of a process that was killed.
///
/// # Errors
/// [`StoreError`], when the disk refuses.
pub fn settle(sealing: &Sealing) -> Result<(), StoreError> {
    let data = &sealing.data;
    for name in list_names(&data.sealing())? {
        if name.starts_with("probe-") {
            let _ = fs::remove_dir(data.sealing().join(&name));
            continue;
        }
        let place = name.split_at_checked(DATE_LEN).and_then(|(date, market)| {
            let market = market.strip_prefix('-')?;
            Some((date.parse::<NaiveDate>().ok()?, market.parse::<Market>().ok()?))
        });
        let dir = data.sealing().join(&name);
        match place {
            // What cannot be cleared up must not keep other dates from being sealed.
            Some((date, market)) => {
                if let Err(error) = clear_dir(data, &market, date, &dir) {
                    warn!(path = %dir.display(), %error, "what a seal has left over cannot be cleared up");
                }
            }
            None => warn!(path = %dir.display(), "this is none of ours; it stays where it is"),
        }
    }
    Ok(())
}

/// Whether there is anything to clear up.
///
/// # Errors
/// [`StoreError::Io`], when the directory cannot be listed.
pub fn has_left_overs(data: &DataDir) -> Result<bool, StoreError> {
    Ok(!list_names(&data.sealing())?.is_empty())
}

/// Of `2026-11-20`.
const DATE_LEN: usize = 10;

/// Removes a directory in `sealing`: a file that was not finished, the one file that was not put in place, or files
/// in whose place one was put. Never a file whose frames are not in the partition.
fn clear_dir(data: &DataDir, market: &Market, date: NaiveDate, dir: &Path) -> Result<(), StoreError> {
    let partition = data.partition(Dataset::Trades, date, market);
    // A process that was killed may have left an exchange that is not on disk: what it replaced must outlive it.
    data.disk().sync_dirs(data.path(), &partition)?;
    data.disk().sync_dir(&data.sealing())?;
    let present = sealed_names(&partition)?;
    // By footers that can be read: a name alone vouches for nothing.
    let ranges: Vec<_> = present
        .iter()
        .filter_map(|name| read_footer(&partition.join(name.to_string())).ok())
        .flat_map(|footer| footer.frames())
        .collect();
    let (mut removed, mut kept) = (Vec::new(), 0);
    for name in list_names(dir)? {
        let path = dir.join(&name);
        let Some(sealed) = SealedName::parse(&name) else {
            if name.ends_with(".partial") {
                data.disk().remove_left_over(&path)?;
            } else {
                kept += 1;
            }
            continue;
        };
        let frames = read_footer(&path).map_or_else(
            |_| vec![(sealed.first_frame, sealed.last_frame)],
            |footer| footer.frames(),
        );
        if frames.iter().all(|frames| is_covered(&ranges, *frames)) {
            removed.push((path, sealed));
        } else {
            kept += 1;
        }
    }
    if kept > 0 {
        warn!(path = %dir.display(), files = kept,
            "what an interrupted seal left over is not all in the dataset; it stays where it is, please look at it");
        return Ok(());
    }
    // The list first: without its lines nobody looks for the files.
    let gone: Vec<_> = removed
        .iter()
        .filter(|(_, name)| !present.contains(name))
        .map(|(_, name)| SealedPath {
            date,
            market: market.clone(),
            name: *name,
        })
        .collect();
    // The one file may have the name of one that it was made of.
    let anew: Vec<_> = removed
        .iter()
        .filter(|(_, name)| present.contains(name))
        .map(|(_, name)| SealedPath {
            date,
            market: market.clone(),
            name: *name,
        })
        .collect();
    if !present.is_empty() {
        let list = Checksums::of(data, date);
        list.record(&[], &gone)?;
        list.record_files(&anew)?;
        crate::checksums::complete(data, market, date)?;
    }
    for (path, _) in &removed {
        data.disk().remove_left_over(path)?;
    }
    data.disk().remove_dir(dir)?;
    if !removed.is_empty() {
        info!(%market, %date, files = removed.len(), "the files of before are removed");
    }
    Ok(())
}

/// Whether frames are in ranges that are sorted by their ends.
fn is_covered(ranges: &[(u64, u64)], (first, last): (u64, u64)) -> bool {
    let mut next = first;
    for (from, to) in ranges {
        if *from <= next && *to >= next {
            next = *to + 1;
        }
    }
    next > last
}

#[cfg(test)]
mod tests {
    use super::is_covered;

    #[test]
    fn frames_are_covered_when_each_is_in_a_range() {
        let ranges = [(1, 5), (6, 9), (12, 20)];
        for (frames, covered) in [
            ((1, 5), true),
            ((2, 9), true),
            ((1, 10), false),
            ((10, 11), false),
            ((11, 12), false),
            ((12, 20), true),
            ((12, 21), false),
        ] {
            assert_eq!(is_covered(&ranges, frames), covered, "{frames:?}");
        }
        assert!(!is_covered(&[], (1, 1)));
    }
}
