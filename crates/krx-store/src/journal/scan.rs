//! Reading one segment, record by record, past any damage.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{
    HEADER_BYTES, HEADER_COPY_AT, HeaderFault, RECORD_HEADER_BYTES, RecordHead, SEGMENT_HEADER_BYTES,
    SegmentHeader, VERSION, checksum, record_bytes,
};
use crate::error::{StoreError, at, reading_journal};
use crate::sabotage::{self, Defect};

/// How much is read at a time: large enough that system calls cost nothing, small enough for a core's cache.
const CHUNK_BYTES: usize = 256 << 10;

/// The unit in which a disk succeeds or fails to read.
const PAGE_BYTES: u64 = 4096;

/// What comes next in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// A record whose checksum is right; [`SegmentReader::payload`] has its payload until the next call.
    Record(RecordHead),
    /// Bytes that are not a record, with a record after them.
    Damage(Range<u64>),
    /// No further record ends below the limit.
    End,
}

/// A segment being read.
#[derive(Debug)]
pub struct SegmentReader {
    file: File,
    path: PathBuf,
    header: SegmentHeader,
    header_damage: Option<&'static str>,
    /// Where the next record begins.
    at: u64,
    payload: Range<usize>,
    window: Vec<u8>,
    window_start: u64,
    window_len: usize,
    pass_unreadable: bool,
}

impl SegmentReader {
    /// Opens a segment by the first sound copy of its header.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Header`] when neither copy of the header is sound;
    /// [`StoreError::JournalVersion`] when its version is another.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(at("opening the journal segment", path))?;
        let first = read_header(&file, path, 0);
        let second = read_header(&file, path, HEADER_COPY_AT as u64);
        let (header, header_damage) = match (first, second) {
            // A header holds nothing besides the name, the salt and what the segment resumes, so either copy will do.
            (Ok(Ok(header)), Ok(Ok(_))) => (header, None),
            (Ok(Ok(header)), _) => (header, Some("the second copy of its header is damaged")),
            (_, Ok(Ok(header))) => (header, Some("the first copy of its header is damaged")),
            (Ok(Err(HeaderFault::Version(version))), _) | (_, Ok(Err(HeaderFault::Version(version)))) => {
                return Err(StoreError::JournalVersion {
                    path: path.to_owned(),
                    version,
                    ours: VERSION,
                });
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
            (Ok(Err(HeaderFault::Damaged(what))), _) => {
                return Err(StoreError::Header {
                    path: path.to_owned(),
                    what,
                });
            }
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            header,
            header_damage,
            at: SEGMENT_HEADER_BYTES as u64,
            payload: 0..0,
            window: Vec::new(),
            window_start: 0,
            window_len: 0,
            pass_unreadable: false,
        })
    }

    /// Treats pages that the disk cannot read as zeros from now on, so that they count as damage like any other.
    pub(super) fn pass_unreadable(&mut self) {
        self.pass_unreadable = true;
    }

    /// The segment's header.
    #[must_use]
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// What is wrong with the other copy of the header, if anything; the records can be read all the same.
    #[must_use]
    pub fn header_damage(&self) -> Option<&'static str> {
        self.header_damage
    }

    /// Where the next record begins, bytes from the start of the file.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The file's length, bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn file_bytes(&self) -> Result<u64, StoreError> {
        Ok(self
            .file
            .metadata()
            .map_err(at("reading the length of", &self.path))?
            .len())
    }

    /// The payload of the record that [`SegmentReader::advance`] has just returned.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.window[self.payload.clone()]
    }

    /// The next record that ends at or before `limit`, bytes from the start of the file.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn advance(&mut self, limit: u64) -> Result<Scanned, StoreError> {
        if let Some((head, payload)) = self.record_at(self.at, limit)? {
            self.at += record_bytes(head.len) as u64;
            self.payload = payload;
            return Ok(Scanned::Record(head));
        }
        let from = self.at;
        let mut candidate = from + 8;
        while candidate + RECORD_HEADER_BYTES as u64 <= limit {
            if self.record_at(candidate, limit)?.is_some() {
                self.at = candidate;
                return Ok(Scanned::Damage(from..candidate));
            }
            candidate += 8;
        }
        Ok(Scanned::End)
    }

    /// Where the last non-zero byte lies between [`SegmentReader::position`] and the file's end: what a torn write
    /// left. Equal to the position when there is nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn torn_end(&mut self) -> Result<u64, StoreError> {
        let (start, end) = (self.at, self.file_bytes()?);
        let mut torn_end = start;
        let mut at = start;
        while at < end {
            let len = usize::try_from((end - at).min(CHUNK_BYTES as u64)).expect("a chunk's length");
            let bytes = self.bytes(at, len, end)?.unwrap_or_default();
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                torn_end = at + last as u64 + 1;
            }
            at += len as u64;
        }
        Ok(torn_end)
    }

    /// Reads `len` bytes at `at`, outside any record.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn raw(&mut self, span: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; usize::try_from(span.end - span.start).unwrap_or(0)];
        self.file
            .read_exact_at(&mut bytes, span.start)
            .map_err(reading_journal(&self.path))?;
        Ok(bytes)
    }

    /// The record at `offset`, if there is a whole, sound one below `limit`; returns its payload's place in the window.
    fn record_at(
        &mut self,
        offset: u64,
        limit: u64,
    ) -> Result<Option<(RecordHead, Range<usize>)>, StoreError> {
        let Some(header) = self.bytes(offset, RECORD_HEADER_BYTES, limit)? else {
            return Ok(None);
        };
        let Some((head, _)) = RecordHead::parse(header) else {
            return Ok(None);
        };
        let salt = self.header.salt;
        let Some(record) = self.bytes(offset, record_bytes(head.len), limit)? else {
            return Ok(None);
        };
        // The window may have moved, and another process may have changed the file: what is checked must be what is
        // used.
        let Some((head, crc)) = RecordHead::parse(record).filter(|(again, _)| again.len == head.len) else {
            return Ok(None);
        };
        let payload = &record[RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + head.len];
        let sound = checksum(salt, &record[..RECORD_HEADER_BYTES], payload) == crc;
        if !sound && !sabotage::is(Defect::NoCrc) {
            return Ok(None);
        }
        let start =
            usize::try_from(offset - self.window_start).expect("inside the window") + RECORD_HEADER_BYTES;
        Ok(Some((head, start..start + head.len)))
    }

    /// `len` bytes at `offset` through the window; `None` when they extend past `limit` or the file's end.
    fn bytes(&mut self, offset: u64, len: usize, limit: u64) -> Result<Option<&[u8]>, StoreError> {
        let end = offset + len as u64;
        if end > limit {
            return Ok(None);
        }
        let inside = offset >= self.window_start && end <= self.window_start + self.window_len as u64;
        if !inside {
            let want = len
                .max(CHUNK_BYTES)
                .min(usize::try_from(limit - offset).unwrap_or(usize::MAX));
            if self.window.len() < want {
                self.window.resize(want, 0);
            }
            self.window_start = offset;
            self.window_len = self.fill(want)?;
        }
        let start = usize::try_from(offset - self.window_start).expect("inside the window");
        Ok((start + len <= self.window_len).then(|| &self.window[start..start + len]))
    }

    fn fill(&mut self, want: usize) -> Result<usize, StoreError> {
        let mut filled = 0;
        while filled < want {
            let offset = self.window_start + filled as u64;
            match self.file.read_at(&mut self.window[filled..want], offset) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) if self.pass_unreadable => {
                    // A page at a time, so that whatever is readable around the bad page is read.
                    let rest = usize::try_from(PAGE_BYTES - offset % PAGE_BYTES).unwrap_or(1);
                    let end = want.min(filled + rest);
                    if self
                        .file
                        .read_exact_at(&mut self.window[filled..end], offset)
                        .is_err()
                    {
                        self.window[filled..end].fill(0);
                    }
                    filled = end;
                }
                Err(error) => return Err(reading_journal(&self.path)(error)),
            }
        }
        Ok(filled)
    }
}

/// Reads the copy of a header that begins at `offset`.
fn read_header(
    file: &File,
    path: &Path,
    offset: u64,
) -> Result<Result<SegmentHeader, HeaderFault>, StoreError> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(SegmentHeader::parse(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Ok(Err(HeaderFault::Damaged("the file is too short")))
        }
        Err(error) => Err(reading_journal(path)(error)),
    }
}
