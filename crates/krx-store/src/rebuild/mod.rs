//! Exporting a date again from what is kept of its journal, and putting in place what is missing or damaged.
//!
//! ```text
//!   archive, raw segments ─▶ scratch journal ─▶ Exporter ─▶ scratch datasets ─▶ compared ─▶ rename, checksums
//! ```
//!
//! The export is the recorder's own, so a file that is made again is the one that was lost, byte for byte, as long
//! as version and settings are those of then. A file that is sound is never replaced.

mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::NaiveDate;
use serde::Serialize;

use merge::Merge;

use crate::archive;
use crate::checksums::{Checksums, List, sealed_files, sealed_markets};
use crate::day::{Layout, Sealing, Watch};
use crate::error::{StoreError, at};
use crate::export::{ExportConfig, Exporter, read_footer};
use crate::journal::{Scanned, SegmentReader, list_segments};
use crate::layout::{DataDir, Dataset, Market, SealedName, SealedPath, SegmentName};
use crate::lock::DataDirLock;
use crate::progress::Progress;
use crate::verify;

/// What was done for one market, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The market.
    pub market: Market,
    /// Segments of the date that were found, raw and archived.
    pub segments: u64,
    /// Files that are what the journal gives.
    pub identical: u64,
    /// Files that were missing or damaged, and are there again; paths relative to the data directory.
    pub restored: Vec<String>,
    /// Files that are sound, and not what the journal gives: another version wrote them, or other settings where
    /// the journal does not say them.
    pub differing: Vec<String>,
    /// Sound files whose frames the journal no longer has, or not all of them.
    pub unchecked: u64,
    /// Files that are missing or damaged still, and why.
    pub lost: Vec<Lost>,
    /// Frames that the journal no longer has: first and last.
    pub lacking: Vec<(u64, u64)>,
    /// Lines of the list of checksums that were added or put right.
    pub lines: u64,
}

/// A file that could not be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Relative to the data directory.
    pub path: String,
    /// Why not.
    pub detail: String,
}

/// Whether and how the data directory may be written while a date is rebuilt.
#[derive(Debug)]
pub struct Access {
    /// Held, unless a recorder is at work that is past the date.
    lock: Option<DataDirLock>,
    /// Days must not be sealed meanwhile, nor rebuilt by another process.
    _sealing: Sealing,
}

impl Access {
    /// Takes the data directory for rebuilding `date`. While a recorder is at work this works for dates that it is
    /// past in every market.
    ///
    /// # Errors
    /// [`StoreError::Locked`], when a recorder may still write to the date; [`StoreError::SealingElsewhere`], when another
    /// process seals or rebuilds.
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
            _sealing: Sealing::take(data, 0)?,
        })
    }
}

fn scratch(data: &DataDir) -> PathBuf {
    data.staging().join("rebuild")
}

/// Whether the newest journal segment of each market is of a later date.
fn is_past(data: &DataDir, date: NaiveDate) -> Result<bool, StoreError> {
    for market in verify::journal_markets(data)? {
        let newest = list_segments(&data.journal(&market))?.last().copied();
        if newest.is_some_and(|newest| newest.date <= date) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The markets that have anything of a date.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed.
pub fn markets(data: &DataDir, date: NaiveDate) -> Result<BTreeSet<Market>, StoreError> {
    let mut markets = sealed_markets(data, date)?;
    for market in verify::journal_markets(data)? {
        if kept_segments(data, &market)?.keys().any(|name| name.date == date) {
            markets.insert(market);
        }
    }
    let list = Checksums::of(data, date).read().unwrap_or_default();
    markets.extend(
        list.digests
            .keys()
            .filter_map(|path| Some(SealedPath::parse(path)?.market)),
    );
    Ok(markets)
}

/// Exports a market's date again and puts in place what is missing or damaged; with `dry_run` it only tells.
///
/// # Errors
/// [`StoreError`], when the disk refuses, or an archived segment is damaged.
pub fn rebuild(
    data: &DataDir,
    market: &Market,
    date: NaiveDate,
    config: ExportConfig,
    access: &Access,
    dry_run: bool,
) -> Result<Rebuilt, StoreError> {
    let scratch = scratch(data).join(market.as_str());
    remove_tree(&scratch)?;
    let segments = kept_segments(data, market)?;
    let (mut made, mut lacking) = (BTreeMap::new(), Vec::new());
    let mut next_frame = 1;
    let runs = runs(segments.keys().copied(), date);
    for (index, run) in runs.iter().enumerate() {
        let dir = DataDir::on(data.disk().clone(), scratch.join(index.to_string()));
        let last_frame = restore_run(data, market, &segments, run, &dir)?;
        let first_frame = run[0].first_frame;
        let known = link_before(data, market, date, first_frame, &dir)?;
        if first_frame > next_frame {
            lacking.push((next_frame, first_frame - 1));
        }
        next_frame = last_frame + 1;
        // What is exported of the scratch journal is of no use any more.
        let config = ExportConfig {
            keep_days: 0,
            ..config
        };
        Exporter::new(&dir, market, config, None, Arc::new(Progress::default())).run()?;
        for sealed in sealed_files(&dir, market, date)? {
            if known.contains(&sealed) {
                continue;
            }
            let path = dir.path().join(sealed.to_string());
            made.insert(sealed.to_string(), (sealed, path));
        }
    }
    let list = Checksums::of(data, date).read().unwrap_or_default();
    let covered = last_covered(data, market, date, &list)?;
    if covered >= next_frame {
        lacking.push((next_frame, covered));
    }
    if let Some(day) = sealed_day(data, market, date, &list, &made)? {
        let is_inside =
            |sealed: &SealedPath| sealed.name.dataset == Dataset::Trades && overlap(&sealed.name, &day.name);
        let inside: Vec<_> = made
            .values()
            .filter(|(sealed, _)| is_inside(sealed))
            .cloned()
            .collect();
        made.retain(|_, (sealed, _)| !is_inside(sealed));
        let is_whole = runs.len() == 1 && lacking.is_empty();
        if is_whole && let Some(path) = seal_again(data, market, date, &scratch, &day, &inside)? {
            made.insert(day.to_string(), (day, path));
        }
    }
    let merge = Merge {
        data,
        market,
        date,
        made,
        lacking,
        segments: segments.keys().filter(|name| name.date == date).count() as u64,
        list,
        // Behind its last file a recorder at work may be about to seal the same frames.
        frame_max: access.lock.as_ref().map_or(covered, |_| u64::MAX),
        dry_run,
    };
    let rebuilt = merge.run()?;
    remove_tree(&scratch)?;
    Ok(rebuilt)
}

/// Puts the committed files of the frames before a run beside it, which the exporter then goes on behind: what their
/// footers say of the hours, the rules and the session counts for the run, too. Those files.
fn link_before(
    data: &DataDir,
    market: &Market,
    date: NaiveDate,
    first_frame: u64,
    scratch: &DataDir,
) -> Result<Vec<SealedPath>, StoreError> {
    let mut linked = Vec::new();
    for sealed in sealed_files(data, market, date)? {
        let name = sealed.name;
        let source = data.path().join(sealed.to_string());
        let is_before = name.dataset == Dataset::Trades && name.first_frame < first_frame && !is_day(&name);
        if !is_before || read_footer(&source).is_err() {
            continue;
        }
        let target = scratch.path().join(sealed.to_string());
        scratch
            .disk()
            .create_dir(target.parent().unwrap_or(Path::new(".")))?;
        fs::hard_link(&source, &target).map_err(at("linking", &target))?;
        linked.push(sealed);
    }
    Ok(linked)
}

/// The one file that the date has, or had by its list; a file that the journal gives by that name is none.
fn sealed_day(
    data: &DataDir,
    market: &Market,
    date: NaiveDate,
    list: &List,
    made: &BTreeMap<String, (SealedPath, PathBuf)>,
) -> Result<Option<SealedPath>, StoreError> {
    let listed = list.digests.keys().filter_map(|path| SealedPath::parse(path));
    let listed = listed.filter(|sealed| sealed.market == *market);
    let files = sealed_files(data, market, date)?.into_iter().chain(listed);
    Ok(files
        .filter(|sealed| is_day(&sealed.name) && !made.contains_key(&sealed.to_string()))
        .max_by_key(|sealed| sealed.name.last_frame))
}

/// Whether a name is one that a sealed day has.
fn is_day(name: &SealedName) -> bool {
    *name == SealedName::day(name.partition.date(), name.first_frame, name.last_frame)
}

/// Seals what was exported again, as the day was; its file, if it is of the same frames.
fn seal_again(
    data: &DataDir,
    market: &Market,
    date: NaiveDate,
    scratch: &Path,
    day: &SealedPath,
    inside: &[(SealedPath, PathBuf)],
) -> Result<Option<PathBuf>, StoreError> {
    let dir = DataDir::on(data.disk().clone(), scratch.join("day"));
    for (sealed, path) in inside {
        let target = dir.path().join(sealed.to_string());
        dir.disk().create_dir(target.parent().unwrap_or(Path::new(".")))?;
        fs::rename(path, &target).map_err(at("moving", path))?;
    }
    dir.disk().create_dir(&dir.staging())?;
    let sealing = Sealing::take(&dir, 0)?;
    let watch = Watch {
        rows: &|_| (),
        stop: &AtomicBool::new(false),
    };
    crate::day::seal(&sealing, market, date, &Layout::default(), watch)?;
    let path = dir.path().join(day.to_string());
    Ok(path.exists().then_some(path))
}

/// The last frame of the market's files of a date, those that are listed and gone included. By their names: the newest
/// file may be the one that is damaged.
fn last_covered(data: &DataDir, market: &Market, date: NaiveDate, list: &List) -> Result<u64, StoreError> {
    let listed = list.digests.keys().filter_map(|path| SealedPath::parse(path));
    let listed = listed.filter(|sealed| sealed.market == *market);
    let files = sealed_files(data, market, date)?.into_iter().chain(listed);
    let trades = files.filter(|sealed| sealed.name.dataset == Dataset::Trades);
    Ok(trades.map(|sealed| sealed.name.last_frame).max().unwrap_or(0))
}

fn remove_tree(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at("removing", dir)(error)),
        _ => Ok(()),
    }
}

/// Where a segment is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Raw,
    Archived,
}

fn kept_segments(data: &DataDir, market: &Market) -> Result<BTreeMap<SegmentName, Kept>, StoreError> {
    // Raw ones first: one that goes to the archive meanwhile is then in both lists, not in neither.
    let raw = list_segments(&data.journal(market))?;
    let archived = archive::list(data, market)?;
    let archived = archived.into_iter().map(|name| (name, Kept::Archived));
    Ok(raw
        .into_iter()
        .map(|name| (name, Kept::Raw))
        .chain(archived)
        .collect())
}

/// The segments of a date in runs without a gap, each with the segment behind it, whose first record ends the last
/// file of the run. Numbers without a gap mean that no frame is missing in between.
fn runs(segments: impl Iterator<Item = SegmentName>, date: NaiveDate) -> Vec<Vec<SegmentName>> {
    let mut runs: Vec<Vec<SegmentName>> = Vec::new();
    let mut previous: Option<SegmentName> = None;
    for name in segments {
        let adjoins = previous.is_some_and(|previous| {
            previous.date == date && u64::from(previous.number) + 1 == u64::from(name.number)
        });
        match runs.last_mut() {
            Some(run) if adjoins => run.push(name),
            _ if name.date == date => runs.push(vec![name]),
            _ => {}
        }
        previous = Some(name);
    }
    runs
}

/// Writes a run's segments into a scratch journal: those of the run's date whole, the one behind them up to its first
/// record. The last frame of the run's date.
fn restore_run(
    data: &DataDir,
    market: &Market,
    kept: &BTreeMap<SegmentName, Kept>,
    run: &[SegmentName],
    scratch: &DataDir,
) -> Result<u64, StoreError> {
    let dir = scratch.journal(market);
    scratch.disk().create_dir(&dir)?;
    let (date, mut last_frame) = (run[0].date, 0);
    for name in run {
        let target = dir.join(name.to_string());
        let raw = data.journal(market).join(name.to_string());
        let is_raw = kept.get(name) == Some(&Kept::Raw);
        if name.date == date {
            // The exporter only reads a segment, and unlinks it: a second name does as well as a copy.
            if !(is_raw && fs::hard_link(&raw, &target).is_ok()) {
                restore_copy(data, market, *name, is_raw, &target)?;
            }
            last_frame = last_frame_of(&target, *name)?.max(last_frame);
        } else {
            restore_copy(data, market, *name, is_raw, &target)?;
            end_behind_first_record(&target)?;
        }
    }
    Ok(last_frame)
}

fn restore_copy(
    data: &DataDir,
    market: &Market,
    name: SegmentName,
    is_raw: bool,
    target: &Path,
) -> Result<(), StoreError> {
    let raw = data.journal(market).join(name.to_string());
    if is_raw {
        match fs::copy(&raw, target) {
            Ok(_) => return Ok(()),
            // It went to the archive meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(at("copying the journal segment", &raw)(error)),
        }
    }
    archive::restore(data, market, name, target)
}

fn last_frame_of(path: &Path, name: SegmentName) -> Result<u64, StoreError> {
    let mut last_frame = name.first_frame.saturating_sub(1);
    let mut reader = match SegmentReader::open(path) {
        Ok(reader) => reader,
        Err(StoreError::Header { .. }) => return Ok(last_frame),
        Err(error) => return Err(error),
    };
    let limit = reader.file_bytes()?;
    loop {
        match reader.advance(limit)? {
            Scanned::Record(head) => last_frame = last_frame.max(head.frame),
            Scanned::Damage(_) => {}
            Scanned::End => return Ok(last_frame),
        }
    }
}

fn end_behind_first_record(path: &Path) -> Result<(), StoreError> {
    let mut reader = match SegmentReader::open(path) {
        Ok(reader) => reader,
        Err(StoreError::Header { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let limit = reader.file_bytes()?;
    reader.advance(limit)?;
    let end = reader.position();
    File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(end))
        .map_err(at("shortening", path))
}

fn overlap(a: &SealedName, b: &SealedName) -> bool {
    a.first_frame <= b.last_frame && b.first_frame <= a.last_frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u32, day: u32) -> SegmentName {
        SegmentName {
            number,
            date: NaiveDate::from_ymd_opt(2026, 11, day).unwrap(),
            first_frame: 1,
        }
    }

    #[test]
    fn runs_end_at_gaps_and_take_one_segment_more() {
        let numbers = |segments: &[SegmentName]| {
            let runs = runs(segments.iter().copied(), segment(1, 20).date);
            runs.iter()
                .map(|run| run.iter().map(|name| name.number).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[]), Vec::<Vec<u32>>::new());
        assert_eq!(numbers(&[segment(1, 19), segment(2, 21)]), Vec::<Vec<u32>>::new());
        let days = [
            segment(1, 19),
            segment(2, 20),
            segment(3, 20),
            segment(4, 21),
            segment(5, 21),
        ];
        assert_eq!(numbers(&days), [vec![2, 3, 4]]);
        assert_eq!(
            numbers(&[segment(2, 20), segment(4, 20), segment(6, 21)]),
            [vec![2], vec![4]]
        );
        // The clock was set back between two runs of the recorder.
        assert_eq!(
            numbers(&[segment(2, 20), segment(3, 21), segment(4, 20)]),
            [vec![2, 3], vec![4]]
        );
    }
}
