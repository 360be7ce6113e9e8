//! One journal segment, raw or archived.

use std::io::ErrorKind;
use std::path::Path;

use super::finding::{Fault, Kind};
use crate::archive;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::{Scanned, SegmentReader};
use crate::layout::SegmentName;

/// How a segment may end: while a recorder is at work, in the middle of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// Another segment follows.
    No,
    /// It is the feed's newest, and no recorder is at work.
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
                "neither copy of its header is valid: {what}"
            ))]);
        }
        Err(StoreError::JournalVersion { version, .. }) => {
            let detail = format!("it has journal version {version}, which this program does not read");
            return Ok(vec![fault(detail)]);
        }
        Err(error) => return Err(error),
    };
    let header = reader.header();
    if (header.name, &header.feed) != (name, feed) {
        let detail = format!("its header is that of {} of {}", header.name, header.feed);
        return Ok(vec![fault(detail)]);
    }
    let mut faults: Vec<_> = reader
        .header_damage()
        .map(|damage| fault(format!("{damage}; its records can be read")))
        .into_iter()
        .collect();
    let limit = reader.file_bytes()?;
    loop {
        match reader.advance(limit)? {
            Scanned::Record(_) => {}
            Scanned::Damage(span) => faults.push(fault(format!(
                "bytes {} to {} are not records; what follows can be read",
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
        faults.push(fault(format!(
            "bytes {end} to {torn_end} are not records; {what}"
        )));
    }
    Ok(faults)
}

/// Reads an archived segment to its end and checks it against its checksum.
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

/// The error, if it is in the bytes rather than on the disk: zstd's own errors have no OS error number.
fn is_damage(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none() && error.kind() != ErrorKind::NotFound
}
