//! One journal segment, raw or archived.

use std::io::ErrorKind;
use std::path::Path;

use super::finding::{Fault, Kind};
use crate::archive;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::{Scanned, SegmentReader};
use crate::layout::SegmentName;

/// How a segment ends: that of a recorder at work may end in the middle of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// It has a segment behind it.
    No,
    /// It is the feed's newest, and its recorder is at rest.
    AtRest,
    /// It is being written.
    Written,
}

/// Reads a segment's header and all of its records.
///
/// # Errors
/// [`StoreError::Io`], when the disk does not give it back.
pub(super) fn look(
    path: &Path,
    feed: &FeedName,
    name: SegmentName,
    last: Last,
) -> Result<Vec<Fault>, StoreError> {
    let fault = |detail: String| Fault::new(Kind::Journal, detail);
    let mut reader = match SegmentReader::open(path) {
        Ok(reader) => reader,
        Err(StoreError::Header { what, .. }) => {
            return Ok(vec![fault(format!(
                "neither copy of its header is sound: {what}"
            ))]);
        }
        Err(StoreError::JournalVersion { version, .. }) => {
            let detail =
                format!("it is of version {version} of the journal, which this program does not read");
            return Ok(vec![fault(detail)]);
        }
        Err(error) => return Err(error),
    };
    let header = reader.header();
    if (header.name, &header.feed) != (name, feed) {
        let detail = format!("its header is of {} of {}", header.name, header.feed);
        return Ok(vec![fault(detail)]);
    }
    let mut faults: Vec<_> = reader
        .header_damage()
        .map(|damage| fault(format!("{damage}; what it holds can be read")))
        .into_iter()
        .collect();
    let limit = reader.file_bytes()?;
    loop {
        match reader.advance(limit)? {
            Scanned::Record(_) => {}
            Scanned::Damage(span) => faults.push(fault(format!(
                "bytes {} to {} are no records; what follows can be read",
                span.start, span.end
            ))),
            Scanned::End => break,
        }
    }
    let (end, torn_end) = (reader.position(), reader.torn_end()?);
    if torn_end > end && last != Last::Written {
        let what = match last {
            Last::AtRest => {
                "a crash tore the last write, or they are damaged; the next start sets them aside"
            }
            Last::No | Last::Written => "nothing that follows can be read",
        };
        faults.push(fault(format!("bytes {end} to {torn_end} are no records; {what}")));
    }
    Ok(faults)
}

/// Reads an archived segment to its end, against its checksum.
///
/// # Errors
/// [`StoreError::Io`], when the disk does not give it back.
pub(super) fn look_archived(path: &Path) -> Result<Vec<Fault>, StoreError> {
    match archive::check(path) {
        Ok(_) => Ok(Vec::new()),
        Err(StoreError::Io { source, .. }) if is_damage(&source) => Ok(vec![Fault::new(
            Kind::Archive,
            format!("it cannot be decompressed: {source}"),
        )]),
        Err(error) => Err(error),
    }
}

/// What is wrong with the bytes, and not with the disk: zstd's own errors have no number of the system's.
fn is_damage(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() != ErrorKind::NotFound
}
