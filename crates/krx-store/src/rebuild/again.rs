//! Exporting a date again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;

use super::access::Access;
use super::merge::Merge;
use super::report::Rebuilt;
use super::segments::{Kept, kept_segments, restore_run, runs};
use crate::catalog::{self, read_footer};
use crate::checksums::{Checksums, List};
use crate::day::{Layout, Sealing, Watch};
use crate::error::StoreError;
use crate::export::{ExportConfig, Exporter};
use crate::feed_name::FeedName;
use crate::layout::{CommittedPath, DataDir, SegmentName};
use crate::progress::Progress;

fn scratch(data: &DataDir) -> PathBuf {
    data.staging().join("rebuild")
}

/// The feeds that have anything on a date.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed.
pub fn feeds(data: &DataDir, date: NaiveDate) -> Result<BTreeSet<FeedName>, StoreError> {
    let mut feeds = catalog::feeds(data, date)?;
    for feed in catalog::journal_feeds(data)? {
        if kept_segments(data, &feed)?.keys().any(|name| name.date == date) {
            feeds.insert(feed);
        }
    }
    let list = Checksums::of(data, date).read().unwrap_or_default();
    feeds.extend(
        list.digests
            .keys()
            .filter_map(|path| Some(data.parse(path)?.feed)),
    );
    Ok(feeds)
}

/// Exports a feed's date again and restores what is missing or damaged; with `dry_run` it only reports.
///
/// # Errors
/// [`StoreError`], when the disk refuses, or an archived segment is damaged.
pub fn rebuild(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    config: ExportConfig,
    access: &Access,
    dry_run: bool,
) -> Result<Rebuilt, StoreError> {
    let scratch = scratch(data).join(feed.as_str());
    data.disk().remove_tree(&scratch)?;
    let segments = kept_segments(data, feed)?;
    let exported = Exported::of(data, feed, date, config, &segments, &scratch)?;
    let Exported {
        mut made,
        mut lacking,
        next_frame,
        runs,
    } = exported;
    let list = Checksums::of(data, date).read().unwrap_or_default();
    let covered = last_covered(data, feed, date, &list)?;
    if covered >= next_frame {
        lacking.push((next_frame, covered));
    }
    let is_whole = runs == 1 && lacking.is_empty();
    for day in sealed_days(data, feed, date, &list, &made)? {
        replace_by_sealed(data, &scratch, day, is_whole, &mut made)?;
    }
    let merge = Merge {
        data,
        feed,
        date,
        made,
        lacking,
        segments: segments.keys().filter(|name| name.date == date).count() as u64,
        list,
        // A recorder at work may be about to commit the same frames after its last file.
        frame_max: access.lock.as_ref().map_or(covered, |_| u64::MAX),
        dry_run,
    };
    let rebuilt = merge.run()?;
    data.disk().remove_tree(&scratch)?;
    Ok(rebuilt)
}

/// Files that were exported again, by their paths in the data directory.
type Made = BTreeMap<String, (CommittedPath, PathBuf)>;

/// What the journal of a date gave.
struct Exported {
    made: Made,
    /// Frames that no segment has, before the last that one has.
    lacking: Vec<(u64, u64)>,
    /// The first frame that no segment has any more.
    next_frame: u64,
    /// How many runs of segments without a hole there are.
    runs: usize,
}

impl Exported {
    /// Exports each run of a date's segments into a folder of its own.
    fn of(
        data: &DataDir,
        feed: &FeedName,
        date: NaiveDate,
        config: ExportConfig,
        segments: &BTreeMap<SegmentName, Kept>,
        scratch: &Path,
    ) -> Result<Self, StoreError> {
        // Exported segments of the scratch journal need not be archived.
        let config = ExportConfig {
            keep_days: 0,
            ..config
        };
        let runs = runs(segments.keys().copied(), date);
        let mut exported = Self {
            made: BTreeMap::new(),
            lacking: Vec::new(),
            next_frame: 1,
            runs: runs.len(),
        };
        for (index, run) in runs.iter().enumerate() {
            let dir = data.another(scratch.join(index.to_string()));
            let last_frame = restore_run(data, feed, segments, run, &dir)?;
            let first_frame = run[0].first_frame;
            let known = link_before(data, feed, date, first_frame, &dir)?;
            if first_frame > exported.next_frame {
                exported.lacking.push((exported.next_frame, first_frame - 1));
            }
            exported.next_frame = last_frame + 1;
            Exporter::new(&dir, feed, config, None, Arc::new(Progress::default())).run()?;
            for committed in catalog::committed(&dir, feed, date)? {
                if !known.contains(&committed) {
                    let path = dir.path().join(committed.to_string());
                    exported.made.insert(committed.to_string(), (committed, path));
                }
            }
        }
        Ok(exported)
    }
}

/// Puts a sealed day in the place of the files that it was made of, if all of its frames are there.
fn replace_by_sealed(
    data: &DataDir,
    scratch: &Path,
    day: CommittedPath,
    is_whole: bool,
    made: &mut Made,
) -> Result<(), StoreError> {
    let dataset = day.name.dataset;
    let is_inside = |file: &CommittedPath| file.name.dataset == dataset && file.name.overlaps(&day.name);
    let (inside, rest) = std::mem::take(made)
        .into_iter()
        .partition::<Made, _>(|(_, (file, _))| is_inside(file));
    *made = rest;
    let inside: Vec<_> = inside.into_values().collect();
    if is_whole && let Some(path) = seal_again(data, scratch, &day, &inside)? {
        made.insert(day.to_string(), (day, path));
    }
    Ok(())
}

/// Links the committed files of the frames before a run into the scratch directory, for the exporter to continue after:
/// their footers hold the hours, the rules and the session count. Returns these files.
fn link_before(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    first_frame: u64,
    scratch: &DataDir,
) -> Result<Vec<CommittedPath>, StoreError> {
    let mut linked = Vec::new();
    for committed in catalog::committed(data, feed, date)? {
        let name = committed.name;
        let source = data.path().join(committed.to_string());
        let is_before = data.is_primary(name.dataset) && name.first_frame < first_frame && !name.is_day();
        if !is_before || read_footer(&source).is_err() {
            continue;
        }
        let target = scratch.path().join(committed.to_string());
        scratch
            .disk()
            .create_dir(target.parent().unwrap_or(Path::new(".")))?;
        scratch.disk().link(&source, &target)?;
        linked.push(committed);
    }
    Ok(linked)
}

/// The date's sealed days, one per dataset, existing or listed; not a file that the journal produces under that name.
fn sealed_days(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    list: &List,
    made: &Made,
) -> Result<Vec<CommittedPath>, StoreError> {
    let listed = list.digests.keys().filter_map(|path| data.parse(path));
    let listed = listed.filter(|file| file.feed == *feed);
    let files = catalog::committed(data, feed, date)?.into_iter().chain(listed);
    let mut days: BTreeMap<&str, CommittedPath> = BTreeMap::new();
    for file in files.filter(|file| file.name.dataset.sealed_by.is_some() && file.name.is_day()) {
        let known = days.get(file.name.dataset.name);
        let is_longer = known.is_none_or(|known| known.name.last_frame < file.name.last_frame);
        if is_longer && !made.contains_key(&file.to_string()) {
            days.insert(file.name.dataset.name, file);
        }
    }
    Ok(days.into_values().collect())
}

/// Seals the re-exported files as the day was sealed. Returns the file, if it covers the same frames.
fn seal_again(
    data: &DataDir,
    scratch: &Path,
    day: &CommittedPath,
    inside: &[(CommittedPath, PathBuf)],
) -> Result<Option<PathBuf>, StoreError> {
    let dataset = day.name.dataset;
    let dir = data.another(scratch.join(format!("day-{dataset}")));
    for (file, path) in inside {
        let target = dir.path().join(file.to_string());
        dir.disk().create_dir(target.parent().unwrap_or(Path::new(".")))?;
        dir.disk().name(path, &target)?;
    }
    dir.disk().create_dir(&dir.staging())?;
    let sealing = Sealing::take(&dir, 0)?;
    crate::day::seal(
        &sealing,
        dataset,
        &day.feed,
        day.date,
        &Layout::default(),
        Watch::nobody(),
    )?;
    let path = dir.path().join(day.to_string());
    Ok(path.exists().then_some(path))
}

/// The last frame of the feed's files of a date, including those that are listed but gone. Taken from the names, since
/// the newest file may be the damaged one.
fn last_covered(data: &DataDir, feed: &FeedName, date: NaiveDate, list: &List) -> Result<u64, StoreError> {
    let listed = list.digests.keys().filter_map(|path| data.parse(path));
    let listed = listed.filter(|committed| committed.feed == *feed);
    let files = catalog::committed(data, feed, date)?.into_iter().chain(listed);
    let primary = files.filter(|file| data.is_primary(file.name.dataset));
    Ok(primary
        .map(|committed| committed.name.last_frame)
        .max()
        .unwrap_or(0))
}
