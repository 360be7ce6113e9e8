//! A date's journal segments, assembled for another export.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use chrono::NaiveDate;

use crate::archive;
use crate::catalog;
use crate::disk::Disk;
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::journal::{Scanned, SegmentReader};
use crate::layout::{DataDir, SegmentName};

/// Where a segment is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Raw,
    Archived,
}

pub(super) fn kept_segments(
    data: &DataDir,
    feed: &FeedName,
) -> Result<BTreeMap<SegmentName, Kept>, StoreError> {
    // Raw ones first: a segment that is archived in between is then in both lists rather than in neither.
    let raw = catalog::segments(&data.journal(feed))?;
    let archived = catalog::archived(data, feed)?;
    let archived = archived.into_iter().map(|name| (name, Kept::Archived));
    Ok(raw
        .into_iter()
        .map(|name| (name, Kept::Raw))
        .chain(archived)
        .collect())
}

/// The date's segments in runs without a gap, each with the segment after it, whose first record ends the run's last
/// file. If the numbers have no gap, no frame is missing in between.
pub(super) fn runs(segments: impl Iterator<Item = SegmentName>, date: NaiveDate) -> Vec<Vec<SegmentName>> {
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

/// Writes a run's segments into a scratch journal: those of the run's date whole, the one after them up to its first
/// record. Returns the last frame of the run's date.
pub(super) fn restore_run(
    data: &DataDir,
    feed: &FeedName,
    kept: &BTreeMap<SegmentName, Kept>,
    run: &[SegmentName],
    scratch: &DataDir,
) -> Result<u64, StoreError> {
    let dir = scratch.journal(feed);
    scratch.disk().create_dir(&dir)?;
    let (date, mut last_frame) = (run[0].date, 0);
    for name in run {
        let target = dir.join(name.to_string());
        let raw = data.journal(feed).join(name.to_string());
        let is_raw = kept.get(name) == Some(&Kept::Raw);
        if name.date == date {
            // The exporter only reads and unlinks a segment: a second name does as well as a copy.
            if !(is_raw && scratch.disk().link(&raw, &target).is_ok()) {
                restore_copy(data, feed, *name, is_raw, &target)?;
            }
            last_frame = last_frame_of(&target, *name)?.max(last_frame);
        } else {
            restore_copy(data, feed, *name, is_raw, &target)?;
            end_behind_first_record(scratch.disk(), &target)?;
        }
    }
    Ok(last_frame)
}

fn restore_copy(
    data: &DataDir,
    feed: &FeedName,
    name: SegmentName,
    is_raw: bool,
    target: &Path,
) -> Result<(), StoreError> {
    let raw = data.journal(feed).join(name.to_string());
    if is_raw {
        match data.disk().copy(&raw, target) {
            // It was archived in the meantime.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            copied => return copied,
        }
    }
    archive::restore(data, feed, name, target)
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

fn end_behind_first_record(disk: &Disk, path: &Path) -> Result<(), StoreError> {
    let mut reader = match SegmentReader::open(path) {
        Ok(reader) => reader,
        Err(StoreError::Header { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let limit = reader.file_bytes()?;
    reader.advance(limit)?;
    let end = reader.position();
    let file = File::options()
        .write(true)
        .open(path)
        .map_err(at("opening the copied segment", path))?;
    disk.cut_off(&file, path, end)
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
