//! What the last run left: the last frame and session of a date, and a torn tail to set aside.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use tracing::warn;

use super::position::Position;
use super::record::record_bytes;
use super::scan::{Scanned, SegmentReader};
use crate::catalog;
use crate::disk::{Disk, Output};
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::{DataDir, SegmentName};

/// The highest numbers in use on a date; 0 if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Of a frame.
    pub frame: u64,
    /// Of a session.
    pub session: u32,
    /// Of a journal segment with committed frames. A lost journal is continued after it, so that its
    /// positions are never confused with those of the old journal.
    pub segment: u32,
}

/// What committed files and coverage say about a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The highest numbers in them.
    pub last: Last,
    /// How far into the journal they reach.
    pub folded: Option<Position>,
}

/// Looks up a date's highest numbers, in its committed files and in what is left of its journal.
///
/// # Errors
/// [`StoreError`], when one of them cannot be read.
pub(super) fn last_of_date(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    committed: Committed,
) -> Result<Last, StoreError> {
    let Committed { mut last, folded } = committed;
    let (dir, mut unknown_sessions) = (data.journal(feed), 0);
    // Numbers only rise along a date's segments: the last one with a record has the highest. A crash may leave segments
    // after it that have none.
    for name in catalog::segments(&dir)?
        .into_iter()
        .rev()
        .filter(|name| name.date == date)
    {
        last.frame = last.frame.max(name.first_frame.saturating_sub(1));
        let path = dir.join(name.to_string());
        let mut reader = match SegmentReader::open(&path) {
            Ok(reader) => reader,
            // Followers report it as damaged. The numbers in it are not known, so every number it could have is
            // skipped.
            Err(StoreError::Header { .. }) => {
                let bytes = used_bytes(&path)?;
                if folded.is_some_and(|folded| folded.segment == name && folded.offset >= bytes) {
                    // All of it is committed, so it holds no unknown numbers.
                    break;
                }
                last.frame = last.frame.max(name.first_frame + bytes / record_bytes(1) as u64);
                let sessions = bytes / record_bytes(SESSION_BYTES_MIN) as u64;
                unknown_sessions += u32::try_from(sessions).unwrap_or(0);
                continue;
            }
            Err(error) => return Err(error),
        };
        let (limit, mut records) = (reader.file_bytes()?, 0);
        loop {
            match reader.advance(limit)? {
                Scanned::Record(head) => {
                    records += 1;
                    last.frame = last.frame.max(head.frame);
                    last.session = last.session.max(head.session);
                }
                Scanned::Damage(_) => {}
                Scanned::End => break,
            }
        }
        if records > 0 {
            break;
        }
    }
    last.session += unknown_sessions;
    Ok(last)
}

/// The shortest event that begins a session: `{"event":"continued"}`.
const SESSION_BYTES_MIN: usize = 21;

/// A file's length without the zeros at its end.
fn used_bytes(path: &Path) -> Result<u64, StoreError> {
    let bytes = fs::read(path).map_err(at("reading the journal segment", path))?;
    Ok(bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last as u64 + 1))
}

/// Where damage ends: for a segment without a header, where its bytes do.
pub(crate) fn end_of_damage(dir: &Path, name: SegmentName, span: &std::ops::Range<u64>) -> Position {
    let offset = match span.end {
        u64::MAX => used_bytes(&dir.join(name.to_string())).unwrap_or(u64::MAX),
        end => end,
    };
    Position {
        segment: name,
        offset,
    }
}

/// Prepares a journal for appending: its last segment ends where its last record ends, and whatever a killed process
/// wrote without syncing is on disk, since what is written after it must not outlive it.
pub(super) fn settle(disk: &Disk, dir: &Path, names: &[SegmentName]) -> Result<(), StoreError> {
    for name in names {
        match SegmentReader::open(&dir.join(name.to_string())) {
            // A program that continued after a segment that it cannot read would skip what is in it.
            Err(error @ StoreError::JournalVersion { .. }) => return Err(error),
            Ok(reader) => {
                if let Some(damage) = reader.header_damage() {
                    warn!(segment = %name, damage, "one copy of a journal segment's header is damaged, and the other is used; check the disk");
                }
            }
            Err(_) => {}
        }
    }
    if let Some(name) = names.last() {
        end_last_segment(disk, dir, *name)?;
    }
    for name in names {
        let path = dir.join(name.to_string());
        match File::open(&path) {
            Ok(file) => disk.sync(&file, &path)?,
            // It was blank, and has been removed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(at("opening the journal segment", &path)(error)),
        }
    }
    disk.sync_dir(dir)
}

/// Ends the last segment after its last record. What a torn write left after that is kept beside the segment, in a file
/// whose name ends in `.torn`.
fn end_last_segment(disk: &Disk, dir: &Path, name: SegmentName) -> Result<(), StoreError> {
    let path = dir.join(name.to_string());
    let mut reader = match SegmentReader::open(&path) {
        Ok(reader) => reader,
        // A crash between creating a segment and writing its header leaves one without a header: it has no records, and
        // so nothing to lose.
        Err(StoreError::Header { .. }) if is_blank(&path)? => return disk.remove(&path),
        Err(StoreError::Header { .. }) => {
            warn!(segment = %path.display(), "both copies of a journal segment's header are damaged; it is left as it is, and no number that it may hold is used again");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let limit = reader.file_bytes()?;
    while reader.advance(limit)? != Scanned::End {}
    let (end, torn_end) = (reader.position(), reader.torn_end()?);
    if torn_end > end {
        let aside = path.with_extension("journal.torn");
        warn!(segment = %path.display(), bytes = torn_end - end, aside = %aside.display(), "journal ends in a torn record; it is set aside");
        let bytes = reader.raw(end..torn_end)?;
        let mut output = Output::create(disk, &aside)?;
        output
            .write_all(&bytes)
            .map_err(at("setting aside the torn tail", &aside))?;
        output.sync()?;
    }
    if limit > end {
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(at("opening the journal segment", &path))?;
        disk.truncate(&file, &path, end)?;
    }
    Ok(())
}

fn is_blank(path: &Path) -> Result<bool, StoreError> {
    let bytes = fs::read(path).map_err(at("reading", path))?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}
