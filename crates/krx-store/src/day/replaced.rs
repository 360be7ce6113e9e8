//! What a sealed day replaced: how long it is kept, and how it is removed.
//!
//! | a directory in `sealing` that holds | is | and is removed |
//! |---|---|---|
//! | `replaced.parquet` | what was replaced | an hour after the exchange |
//! | committed files whose frames one sealed day has | the same, from a seal killed before it recorded that | after it gets its `replaced.parquet` |
//! | anything else | left by a seal that was killed | at once, unless it has frames that the dataset lacks |
//!
//! The committed files in it are removed earlier when space is short, and at the next start of a recorder.
//! `replaced.parquet` then stays for the rest of the hour: a reader that has opened the directory but not yet read its
//! names must find one that it cannot open. An empty directory would pass for a feed without rows.
//!
//! `replaced.parquet` is a line of text: the milliseconds from the machine's start to the exchange. That clock is never
//! set. It starts again with the machine, which no reader survives: a time from an earlier start may end the hour at
//! once, and one in the future, or one that cannot be read, starts it again. The boot ID would tell starts apart, but
//! the recorder's service cannot see it (`ProcSubset=pid`).

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use chrono::NaiveDate;
use tracing::{info, warn};

use super::uptime::{Age, Uptime};
use crate::catalog::{self, read_footer};
use crate::checksums::{self, Checksums};
use crate::dataset::{Dataset, Footer};
use crate::disk::Output;
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir, REPLACED, SealingName};

/// What a directory in `sealing` says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    /// It does not say that it was replaced.
    None,
    /// It was replaced, at some time.
    Unreadable,
    Since(Uptime),
}

impl Marker {
    fn read(data: &DataDir, name: &SealingName) -> Result<Self, StoreError> {
        let path = data.sealing_dir(name).join(REPLACED);
        match fs::read(&path) {
            Ok(bytes) => Ok(std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .map_or(Self::Unreadable, Self::Since)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::None),
            Err(error) => Err(at("reading", &path)(error)),
        }
    }
}

/// What to do with a directory in `sealing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing yet.
    Leave,
    /// Remove it.
    Remove,
    /// Remove its committed files, but keep the note that it was replaced.
    Empty,
    /// Start its hour.
    Begin,
    /// A killed seal left it: its files say what it is.
    ClearUp,
}

/// Decides. What was replaced before `started` is removed: no recording in progress depends on it.
fn step(marker: Marker, now: Uptime, started: Option<Uptime>) -> Step {
    match marker {
        Marker::None => Step::ClearUp,
        Marker::Unreadable => Step::Begin,
        Marker::Since(since) => match since.age(now) {
            Age::Over => Step::Remove,
            Age::Unknown => Step::Begin,
            Age::InGrace if started.is_some_and(|started| since < started) => Step::Empty,
            Age::InGrace => Step::Leave,
        },
    }
}

/// The directories in `sealing`, the longest replaced first.
fn listed(data: &DataDir) -> Result<Vec<(SealingName, Marker)>, StoreError> {
    let mut found = Vec::new();
    for name in catalog::names(&data.sealing())? {
        if let Some(name) = data.parse_sealing(&name) {
            let marker = Marker::read(data, &name)?;
            found.push((name, marker));
        }
    }
    // Those without a time count as the oldest.
    found.sort_by_key(|(name, marker)| match marker {
        Marker::Since(since) => (Some(*since), name.clone()),
        _ => (None, name.clone()),
    });
    Ok(found)
}

/// Whether [`super::settle`], or with `is_short` [`super::make_room`], has anything to do. It takes no lock.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be read.
pub fn is_due(
    data: &DataDir,
    now: Uptime,
    started: Option<Uptime>,
    is_short: bool,
) -> Result<bool, StoreError> {
    for (name, marker) in listed(data)? {
        let is_due = match step(marker, now, started) {
            Step::Leave => is_short && has_files(data, &name)?,
            Step::Empty => has_files(data, &name)?,
            Step::Remove | Step::Begin | Step::ClearUp => true,
        };
        if is_due {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_files(data: &DataDir, name: &SealingName) -> Result<bool, StoreError> {
    Ok(!catalog::files_in(&data.sealing_dir(name), name.dataset)?.is_empty())
}

/// Clears up the leftovers of seals, this process's or those of a killed one, and removes what was replaced an hour
/// ago, or before `started`.
///
/// # Errors
/// [`StoreError`], when the directory cannot be listed.
pub(super) fn settle(data: &DataDir, now: Uptime, started: Option<Uptime>) -> Result<(), StoreError> {
    for name in catalog::names(&data.sealing())? {
        let path = data.sealing().join(&name);
        if name.starts_with("probe-") {
            let _ = data.disk().remove_dir(&path);
            continue;
        }
        let Some(name) = data.parse_sealing(&name) else {
            warn!(path = %path.display(), "not made by the recorder; it stays where it is");
            continue;
        };
        // Leftovers that cannot be cleared up must not keep other dates from being sealed.
        if let Err(error) = settle_one(data, &name, now, started) {
            warn!(path = %path.display(), %error, "the leftovers of a seal cannot be removed");
        }
    }
    Ok(())
}

/// As [`settle`], before a date is sealed: leftovers of other dates' seals were already reported.
pub(super) fn settle_before(
    data: &DataDir,
    dataset: Dataset,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<(), StoreError> {
    for (name, marker) in listed(data)? {
        if marker != Marker::None || (name.date == date && name.dataset == dataset && name.feed == *feed) {
            settle_one(data, &name, Uptime::now(), None)?;
        }
    }
    Ok(())
}

pub(super) fn settle_one(
    data: &DataDir,
    name: &SealingName,
    now: Uptime,
    started: Option<Uptime>,
) -> Result<(), StoreError> {
    match step(Marker::read(data, name)?, now, started) {
        Step::Leave => Ok(()),
        Step::Begin => {
            // If the time is unknown, it may also have been before the start.
            if started.is_some() {
                empty(data, name, now)?;
            }
            mark(data, name, now)
        }
        Step::Empty => empty(data, name, now).map(drop),
        Step::Remove => {
            if empty(data, name, now)? {
                let dir = data.sealing_dir(name);
                data.disk().remove_left_over(&dir.join(REPLACED))?;
                data.disk().remove_dir(&dir)?;
            }
            Ok(())
        }
        Step::ClearUp => clear_up(data, name, now),
    }
}

/// Removes replaced files, the oldest first, until there is enough space; returns whether there is.
///
/// # Errors
/// [`StoreError`], from `is_enough`, or when the directory cannot be listed.
pub(super) fn make_room(
    data: &DataDir,
    is_enough: &dyn Fn() -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    for (name, marker) in listed(data)? {
        if is_enough()? {
            return Ok(true);
        }
        let emptied = empty(data, &name, Uptime::now()).and_then(|_| match marker {
            // The disk may have been too full to record this.
            Marker::None => clear_up(data, &name, Uptime::now()),
            _ => Ok(()),
        });
        if let Err(error) = emptied {
            warn!(path = %data.sealing_dir(&name).display(), %error, "replaced files cannot be removed to make room");
        }
    }
    is_enough()
}

/// Removes what was replaced of a date that is itself about to be removed: after that its frames are in no dataset, and
/// it would stay for ever.
pub(crate) fn forget(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<(), StoreError> {
    for (name, marker) in listed(data)? {
        if name.date == date && name.dataset == dataset && marker != Marker::None {
            for (path, ..) in Held::of(data, &name)?.files {
                data.disk().remove_left_over(&path)?;
            }
        }
    }
    Ok(())
}

/// Records that a directory was replaced, and when its hour began.
pub(super) fn mark(data: &DataDir, name: &SealingName, now: Uptime) -> Result<(), StoreError> {
    let path = data.sealing_dir(name).join(REPLACED);
    let mut output = Output::create(data.disk(), &path)?;
    writeln!(output, "{now}").map_err(at("writing", &path))?;
    output.sync()?;
    data.disk().sync_parent(&path)
}

/// Removes the committed files of a replaced directory; returns whether they are gone. Those with frames that the
/// dataset lacks stay for another hour, with the same line in the log.
fn empty(data: &DataDir, name: &SealingName, now: Uptime) -> Result<bool, StoreError> {
    let held = Held::of(data, name)?;
    if held.files.is_empty() && held.others == 0 {
        return Ok(true);
    }
    let placed = Placed::of(data, name)?;
    if !placed.has_all_of(&held) {
        tell_kept(data, name, &held);
        if Marker::read(data, name)? != Marker::None {
            mark(data, name, now)?;
        }
        return Ok(false);
    }
    for (path, ..) in &held.files {
        data.disk().remove_left_over(path)?;
    }
    info!(feed = %name.feed, date = %name.date, files = held.files.len(), "the replaced files are removed");
    Ok(true)
}

fn tell_kept(data: &DataDir, name: &SealingName, held: &Held) {
    warn!(path = %data.sealing_dir(name).display(), files = held.files.len() + held.others,
        "an interrupted seal left frames that are not all in the dataset; they stay where they are, please look at them");
}

/// Clears up after a killed seal: an unfinished file, or the one file that was not put in place. Files that were
/// replaced start their hour, and the list of checksums is corrected. Files whose frames are not in the partition are
/// never removed.
fn clear_up(data: &DataDir, name: &SealingName, now: Uptime) -> Result<(), StoreError> {
    let held = Held::of(data, name)?;
    for path in &held.partial {
        data.disk().remove_left_over(path)?;
    }
    let placed = Placed::of(data, name)?;
    if !placed.has_all_of(&held) {
        tell_kept(data, name, &held);
        return Ok(());
    }
    let (date, feed) = (name.date, &name.feed);
    // The one file may have the name of one that it was made from.
    let (anew, gone): (Vec<_>, Vec<_>) = held
        .files
        .iter()
        .map(|(_, name, _)| CommittedPath {
            date,
            feed: feed.clone(),
            name: *name,
        })
        .partition(|path| placed.names.contains(&path.name));
    // The list first: without its lines nobody looks for the files.
    if !placed.names.is_empty() {
        let list = Checksums::of(data, date);
        list.record(&[], &gone)?;
        list.record_files(&anew)?;
        checksums::complete(data, feed, date)?;
    }
    if placed.day_has_all_of(&held) {
        return mark(data, name, now);
    }
    for (path, ..) in &held.files {
        data.disk().remove_left_over(path)?;
    }
    data.disk().remove_dir(&data.sealing_dir(name))
}

/// Frames, first and last.
type Range = (u64, u64);

/// What is in a directory in `sealing`.
struct Held {
    files: Vec<(PathBuf, CommittedName, Vec<Range>)>,
    /// Unfinished files.
    partial: Vec<PathBuf>,
    /// Names that the recorder does not use.
    others: usize,
}

impl Held {
    fn of(data: &DataDir, name: &SealingName) -> Result<Self, StoreError> {
        let dir = data.sealing_dir(name);
        let mut held = Self {
            files: Vec::new(),
            partial: Vec::new(),
            others: 0,
        };
        let dataset = name.dataset;
        for name in catalog::names(&dir)? {
            let path = dir.join(&name);
            match CommittedName::parse(dataset, &name) {
                Some(sealed) => {
                    let frames = read_footer(&path).map_or_else(
                        |_| vec![(sealed.first_frame, sealed.last_frame)],
                        |footer| footer.frames(),
                    );
                    held.files.push((path, sealed, frames));
                }
                None if name.ends_with(".partial") => held.partial.push(path),
                None if name == REPLACED => {}
                None => held.others += 1,
            }
        }
        Ok(held)
    }
}

/// What is in the partition.
struct Placed {
    names: Vec<CommittedName>,
    /// From footers that can be read: a name alone vouches for nothing.
    footers: Vec<Footer>,
}

impl Placed {
    fn of(data: &DataDir, name: &SealingName) -> Result<Self, StoreError> {
        let partition = data.partition(name.dataset, name.date, &name.feed);
        // A killed process may have left an exchange that is not on disk: what it replaced must outlive it.
        data.disk().sync_dirs(data.path(), &partition)?;
        data.disk().sync_dir(&data.sealing())?;
        let names = catalog::files_in(&partition, name.dataset)?;
        let footers = names
            .iter()
            .filter_map(|name| read_footer(&partition.join(name.to_string())).ok())
            .collect();
        Ok(Self { names, footers })
    }

    /// Whether a directory holds nothing but files whose frames are all in the partition.
    fn has_all_of(&self, held: &Held) -> bool {
        let ranges: Vec<_> = self.footers.iter().flat_map(Footer::frames).collect();
        held.others == 0 && has_all_of(&ranges, held)
    }

    /// Whether one sealed day in the partition has all frames of a directory's files. A built file that was never put
    /// in place cannot be such a day by itself: there would have been nothing to seal.
    fn day_has_all_of(&self, held: &Held) -> bool {
        let mut days = self.footers.iter().filter(|footer| footer.day.is_some());
        !held.files.is_empty() && days.any(|day| has_all_of(&day.frames(), held))
    }
}

fn has_all_of(ranges: &[Range], held: &Held) -> bool {
    let mut frames = held.files.iter().flat_map(|(_, _, frames)| frames);
    frames.all(|frames| is_covered(ranges, *frames))
}

/// Whether frames are in ranges, which are sorted by their ends.
fn is_covered(ranges: &[Range], (first, last): Range) -> bool {
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
    use std::time::Duration;

    use super::*;

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

    fn at(seconds: u64) -> Uptime {
        Uptime::default().later(Duration::from_secs(seconds))
    }

    #[test]
    fn what_was_replaced_goes_by_the_clock_that_nobody_sets() {
        let since = |seconds| Marker::Since(at(seconds));
        let cases = [
            (Marker::None, None, Step::ClearUp),
            (Marker::Unreadable, None, Step::Begin),
            (since(10_000), None, Step::Leave),
            (since(6_401), None, Step::Leave),
            (since(6_400), None, Step::Remove),
            // Not by this clock: the hour starts again, and ends.
            (since(10_001), None, Step::Begin),
            // A recorder has started since then.
            (since(9_000), Some(9_001), Step::Empty),
            (since(9_001), Some(9_001), Step::Leave),
            (since(6_400), Some(9_001), Step::Remove),
        ];
        for (marker, started, expected) in cases {
            let found = step(marker, at(10_000), started.map(at));
            assert_eq!(found, expected, "{marker:?} {started:?}");
        }
    }
}
