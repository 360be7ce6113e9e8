//! Reading a journal's segments one after another, as a consumer follows a log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::position::Position;
use super::record::{RecordHead, Resumes};
use super::scan::{Scanned, SegmentReader};
use super::tail::{Readable, Tail};
use crate::catalog;
use crate::error::StoreError;
use crate::layout::SegmentName;

/// How much of a segment counts: later segments may say that they repeat the rest of it.
fn counted_bytes(dir: &Path, name: SegmentName) -> Result<u64, StoreError> {
    let mut counted = Resumes::WHOLE;
    for later in catalog::segments(dir)?.into_iter().filter(|later| *later > name) {
        let header = match SegmentReader::open(&dir.join(later.to_string())) {
            Ok(reader) => reader.header().clone(),
            Err(StoreError::Header { .. }) => continue,
            Err(error) => return Err(error),
        };
        match header.resumes {
            Some(resumes) if resumes.number < name.number => counted = 0,
            Some(resumes) if resumes.number == name.number => counted = counted.min(resumes.bytes),
            _ => {}
        }
    }
    Ok(counted)
}

/// What comes next in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A record; [`Follower::payload`] has its payload until the next call.
    Record(SegmentName, RecordHead),
    /// A stretch of a segment could not be read; what comes after it can.
    Damage(SegmentName, std::ops::Range<u64>),
    /// A segment has been read to its end, and a later one exists.
    SegmentEnd(SegmentName),
    /// There is nothing more, or nothing more is known to be on disk.
    CaughtUp,
}

/// A reader of one feed's journal, from its first segment on.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    /// That of the writer in this process; without one, no segment is being written.
    tail: Option<Arc<Tail>>,
    current: Option<Current>,
    /// The last segment that is finished with.
    left: Option<SegmentName>,
    pass_unreadable: bool,
}

#[derive(Debug)]
struct Current {
    name: SegmentName,
    reader: SegmentReader,
    /// How far it may be read, as last heard; asked for again only when that is reached.
    limit: u64,
}

impl Follower {
    /// Follows the segments in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf, tail: Option<Arc<Tail>>) -> Self {
        Self {
            dir,
            tail,
            current: None,
            left: None,
            pass_unreadable: false,
        }
    }

    /// Treats what the disk cannot read as damage from now on.
    pub(crate) fn pass_unreadable(&mut self) {
        self.pass_unreadable = true;
    }

    /// Skips all segments up to and including `name`.
    pub fn skip_to_after(&mut self, name: SegmentName) {
        self.left = Some(name);
    }

    /// Where the next record begins; `None` between two segments.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.current.as_ref().map(|current| Position {
            segment: current.name,
            offset: current.reader.position(),
        })
    }

    /// The payload of the record that [`Follower::advance`] has just returned.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.current
            .as_ref()
            .map_or(&[], |current| current.reader.payload())
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`StoreError`], when a segment cannot be read.
    pub fn advance(&mut self) -> Result<Followed, StoreError> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(name) = self.next_after(self.left)? else {
                    return Ok(Followed::CaughtUp);
                };
                match SegmentReader::open(&self.dir.join(name.to_string())) {
                    Ok(mut reader) => {
                        if self.pass_unreadable {
                            reader.pass_unreadable();
                        }
                        self.current = Some(Current {
                            name,
                            reader,
                            limit: 0,
                        });
                    }
                    // Without its header, a segment's records cannot be told from noise: all of it is damaged.
                    Err(StoreError::Header { .. }) => {
                        self.left = Some(name);
                        return Ok(Followed::Damage(name, 0..u64::MAX));
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            let name = current.name;
            match current.reader.advance(current.limit)? {
                Scanned::Record(head) => return Ok(Followed::Record(name, head)),
                Scanned::Damage(span) => return Ok(Followed::Damage(name, span)),
                Scanned::End => {}
            }
            let readable = self
                .tail
                .as_ref()
                .map_or(Readable::Whole, |tail| tail.readable(name));
            let limit = match readable {
                Readable::Whole => current.reader.file_bytes()?.min(counted_bytes(&self.dir, name)?),
                Readable::Until(offset) => offset,
            };
            if limit > current.limit {
                current.limit = limit;
            } else if readable == Readable::Whole && self.next_after(Some(name))?.is_some() {
                self.left = Some(name);
                self.current = None;
                return Ok(Followed::SegmentEnd(name));
            } else {
                return Ok(Followed::CaughtUp);
            }
        }
    }

    /// The first segment after `left`. Also `None` when one that is still being written has lost its name: it is about
    /// to be restored, and must not be skipped.
    fn next_after(&self, left: Option<SegmentName>) -> Result<Option<SegmentName>, StoreError> {
        let awaited = self.tail.as_ref().and_then(|tail| tail.first_written_after(left));
        let found = catalog::segments(&self.dir)?
            .into_iter()
            .find(|name| left.is_none_or(|left| *name > left));
        Ok(found.filter(|found| awaited.is_none_or(|awaited| *found <= awaited)))
    }
}
