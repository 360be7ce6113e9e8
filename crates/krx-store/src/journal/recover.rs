//! What the last run has left: the last frame and session of a date, and a torn tail set aside.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use tracing::warn;

use super::follow::list_segments;
use super::scan::{Scanned, SegmentReader};
use crate::durable;
use crate::error::{StoreError, at};
use crate::export;
use crate::layout::{DataDir, Market, SegmentName};

/// The highest numbers in use on a date; 0 when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Of a frame.
    pub frame: u64,
    /// Of a session.
    pub session: u32,
}

/// Looks up a date's highest numbers, in its sealed files and in what is left of its journal.
///
/// # Errors
/// [`StoreError`], when one of them cannot be read.
pub fn last_of_date(data: &DataDir, market: &Market, date: NaiveDate) -> Result<Last, StoreError> {
    let mut last = export::last_sealed(data, market, date)?;
    let dir = data.journal(market);
    // Numbers only rise along the segments of a date, so its last segment has the highest.
    if let Some(name) = list_segments(&dir)?
        .into_iter()
        .rev()
        .find(|name| name.date == date)
    {
        last.frame = last.frame.max(name.first_frame.saturating_sub(1));
        let mut reader = match SegmentReader::open(&dir.join(name.to_string())) {
            Ok(reader) => reader,
            // Followers report it as damaged; its numbers are lost with it.
            Err(StoreError::Header { .. }) => return Ok(last),
            Err(error) => return Err(error),
        };
        let limit = reader.file_bytes()?;
        loop {
            match reader.advance(limit)? {
                Scanned::Record(head) => {
                    last.frame = last.frame.max(head.frame);
                    last.session = last.session.max(head.session);
                }
                Scanned::Damage(_) => {}
                Scanned::End => break,
            }
        }
    }
    Ok(last)
}

/// Ends the last segment where its last record ends. What a torn write left behind it is kept beside the segment,
/// in a file whose name ends in `.torn`.
pub(super) fn end_last_segment(dir: &Path, name: SegmentName) -> Result<(), StoreError> {
    let path = dir.join(name.to_string());
    let mut reader = match SegmentReader::open(&path) {
        Ok(reader) => reader,
        // A crash between the making of a segment and the writing of its header leaves one without a header: it has
        // no record, and so nothing to lose.
        Err(StoreError::Header { .. }) if is_blank(&path)? => {
            return fs::remove_file(&path).map_err(at("removing the blank segment", &path));
        }
        Err(StoreError::Header { .. }) => {
            warn!(segment = %path.display(), "journal segment has no sound header; it is left as it is");
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
        File::create(&aside)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .map_err(at("setting aside the torn tail", &aside))?;
    }
    if limit > end {
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(end).and_then(|()| file.sync_all()))
            .map_err(at("ending the journal segment", &path))?;
    }
    durable::sync_dir(dir)
}

fn is_blank(path: &Path) -> Result<bool, StoreError> {
    let bytes = fs::read(path).map_err(at("reading", path))?;
    Ok(bytes.iter().all(|byte| *byte == 0))
}
