//! The journal's format. All integers are little-endian.
//!
//! A segment is preallocated. Its 64-byte header is stored twice, at 0 and at 4096: the records cannot be read without
//! it, and one lost page must not cost 64 MiB. Zeros fill the space between. The records begin at 4160, and continue up
//! to the first zeros.
//!
//! ```text
//!   segment header                      record (starts at a multiple of 8)
//!    0  magic "KRXJRNL\0"                0  payload's length, u32
//!    8  version, u32                     4  CRC32C of salt, bytes 0..4 and 8..32, and payload, u32
//!   12  date as yyyymmdd, u32            8  kind, u8 (1 frame, 2 event), and three zeros
//!   16  feed, 16 bytes, zero-padded     12  session, u32 (0: none yet)
//!   32  first frame, u64                16  frame, u64 (an event: the last frame before it, or 0)
//!   40  salt, u64, random               24  receive time, µs since the Unix epoch, i64
//!   48  number of the segment, u32      32  payload: a message as received, or an event as JSON
//!   52  what counts of the journal       …  zeros up to a multiple of 8
//!       before: a segment's number, u32
//!   56  and how much of it, in units of
//!       8 bytes, u32
//!   60  CRC32C of bytes 0..60, u32
//! ```
//!
//! Bytes 52..60 are normally zeros: everything before the segment counts. After a failed write or sync it is not known
//! what the disk holds of the last segments; the next one then begins with everything that may not be on disk, and says
//! up to where the journal before it counts ([`Resumes`]).
//!
//! Magic, version and checksum have the same place in every version, so that a segment of another version is recognised
//! as one rather than taken for damaged.
//!
//! The salt makes a stale record of another segment, left in a disk block that was used before, fail its check.

use chrono::{Datelike, NaiveDate};

use crate::feed_name::FeedName;
use crate::layout::SegmentName;
use crate::moment::Moment;

/// The longest payload a record may have; far above any message limit that can be configured.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// One copy of a segment's header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Where the second copy begins: in another page, since pages are what a disk loses.
pub(crate) const HEADER_COPY_AT: usize = 4096;
/// Where a segment's records begin.
pub(crate) const SEGMENT_HEADER_BYTES: usize = HEADER_COPY_AT + HEADER_BYTES;
pub(crate) const RECORD_HEADER_BYTES: usize = 32;
const MAGIC: [u8; 8] = *b"KRXJRNL\0";
pub(crate) const VERSION: u32 = 2;

/// Up to where the journal before a segment counts: the rest is repeated in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resumes {
    /// The last segment that counts; 0 if none does.
    pub number: u32,
    /// How many of its bytes count, or [`Resumes::WHOLE`].
    pub bytes: u64,
}

impl Resumes {
    /// Means that a segment counts as a whole, however long it is.
    pub const WHOLE: u64 = (u32::MAX as u64) * 8;

    fn to_units(self) -> u32 {
        u32::try_from(self.bytes / 8).unwrap_or(u32::MAX)
    }
}

/// What a segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Number, date and first frame, as in the file's name.
    pub name: SegmentName,
    /// The feed.
    pub feed: FeedName,
    /// Random; goes into each record's checksum.
    pub salt: u64,
    /// Where the journal before it ends, if not all of it counts.
    pub resumes: Option<Resumes>,
}

impl SegmentHeader {
    /// Everything before the records.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        let copy = self.copy();
        bytes[..HEADER_BYTES].copy_from_slice(&copy);
        bytes[HEADER_COPY_AT..].copy_from_slice(&copy);
        bytes
    }

    fn copy(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let date = self.name.date;
        let yyyymmdd = date.year().unsigned_abs() * 10_000 + date.month() * 100 + date.day();
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&yyyymmdd.to_le_bytes());
        bytes[16..16 + self.feed.as_str().len()].copy_from_slice(self.feed.as_str().as_bytes());
        bytes[32..40].copy_from_slice(&self.name.first_frame.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.name.number.to_le_bytes());
        if let Some(resumes) = self.resumes {
            bytes[52..56].copy_from_slice(&resumes.number.to_le_bytes());
            bytes[56..60].copy_from_slice(&resumes.to_units().to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[0..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads one copy of a header.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderFault> {
        use HeaderFault::{Damaged, Version};
        if bytes[0..8] != MAGIC {
            return Err(Damaged("the magic bytes are wrong"));
        }
        if u32_at(bytes, 60) != crc32c::crc32c(&bytes[0..60]) {
            return Err(Damaged("the checksum is wrong"));
        }
        if u32_at(bytes, 8) != VERSION {
            return Err(Version(u32_at(bytes, 8)));
        }
        let yyyymmdd = u32_at(bytes, 12);
        let date = i32::try_from(yyyymmdd / 10_000)
            .ok()
            .and_then(|year| NaiveDate::from_ymd_opt(year, yyyymmdd / 100 % 100, yyyymmdd % 100))
            .ok_or(Damaged("the date is invalid"))?;
        let feed = std::str::from_utf8(&bytes[16..32])
            .ok()
            .and_then(|name| name.trim_end_matches('\0').parse().ok())
            .ok_or(Damaged("the feed's name is invalid"))?;
        let name = SegmentName {
            number: u32_at(bytes, 48),
            date,
            first_frame: u64_at(bytes, 32),
        };
        let resumes = Resumes {
            number: u32_at(bytes, 52),
            bytes: u64::from(u32_at(bytes, 56)) * 8,
        };
        Ok(Self {
            name,
            feed,
            salt: u64_at(bytes, 40),
            // Zero bytes cannot be an end: at least a segment's header counts.
            resumes: (resumes.bytes > 0).then_some(resumes),
        })
    }
}

/// Why a copy of a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// It is not what was written.
    Damaged(&'static str),
    /// It is sound, but of this version.
    Version(u32),
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A message as received.
    Frame = 1,
    /// A [`super::Event`].
    Event = 2,
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Frame or event.
    pub kind: RecordKind,
    /// The session on this date, from 1; 0 before the first.
    pub session: u32,
    /// The frame's number on this date, from 1; for an event, that of the frame before it.
    pub frame: u64,
    /// When the frame was received, or the event happened.
    pub at: Moment,
    /// The payload's length, bytes.
    pub len: usize,
}

impl RecordHead {
    /// Appends the record to `buffer`.
    pub(crate) fn encode(&self, salt: u64, payload: &[u8], buffer: &mut Vec<u8>) {
        debug_assert_eq!(self.len, payload.len());
        let start = buffer.len();
        let len = u32::try_from(payload.len()).expect("a payload is at most FRAME_BYTES_MAX long");
        buffer.extend_from_slice(&len.to_le_bytes());
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
        buffer.extend_from_slice(&self.session.to_le_bytes());
        buffer.extend_from_slice(&self.frame.to_le_bytes());
        buffer.extend_from_slice(&self.at.0.to_le_bytes());
        let crc = checksum(salt, &buffer[start..start + RECORD_HEADER_BYTES], payload);
        buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        buffer.extend_from_slice(payload);
        buffer.resize(start + record_bytes(payload.len()), 0);
    }

    /// Reads a record's header and the checksum in it; `None` when no record can begin like this.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, u32)> {
        let kind = match bytes[8..12] {
            [1, 0, 0, 0] => RecordKind::Frame,
            [2, 0, 0, 0] => RecordKind::Event,
            _ => return None,
        };
        let len = u32_at(bytes, 0) as usize;
        if len > FRAME_BYTES_MAX {
            return None;
        }
        let at = Moment(u64_at(bytes, 24).cast_signed());
        let head = Self {
            kind,
            session: u32_at(bytes, 12),
            frame: u64_at(bytes, 16),
            at,
            len,
        };
        Some((head, u32_at(bytes, 4)))
    }
}

/// A record's bytes on disk, header and padding included.
pub(crate) fn record_bytes(payload_len: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_len).next_multiple_of(8)
}

/// The record in `buffer` that begins at `at`, and where the next one begins: for records that are known to be sound.
pub(crate) fn own_record(buffer: &[u8], at: usize) -> Option<(RecordHead, &[u8], usize)> {
    let (head, _) = RecordHead::parse(buffer.get(at..at + RECORD_HEADER_BYTES)?)?;
    let payload = at + RECORD_HEADER_BYTES;
    Some((
        head,
        buffer.get(payload..payload + head.len)?,
        at + record_bytes(head.len),
    ))
}

pub(crate) fn checksum(salt: u64, header: &[u8], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &header[0..4]);
    let crc = crc32c::crc32c_append(crc, &header[8..RECORD_HEADER_BYTES]);
    crc32c::crc32c_append(crc, payload)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Appends records to `buffer`, re-encoded with another segment's salt.
pub(crate) fn encode_again(records: &[u8], salt: u64, buffer: &mut Vec<u8>) {
    let mut at = 0;
    while let Some((head, payload, next)) = own_record(records, at) {
        head.encode(salt, payload, buffer);
        at = next;
    }
    debug_assert_eq!(at, records.len(), "I1: no record is left behind");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_back_and_any_flipped_bit_is_seen() {
        let name = SegmentName {
            number: 3,
            date: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
            first_frame: 77,
        };
        let mut header = SegmentHeader {
            name,
            feed: "KOSDAQ".parse().unwrap(),
            salt: 0x1234_5678_9abc_def0,
            resumes: None,
        };
        assert_eq!(SegmentHeader::parse(&header.copy()).as_ref(), Ok(&header));
        for (number, bytes) in [(2, 8192), (0, Resumes::WHOLE)] {
            header.resumes = Some(Resumes { number, bytes });
            assert_eq!(SegmentHeader::parse(&header.copy()).as_ref(), Ok(&header));
        }
        let bytes = header.copy();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let fault = SegmentHeader::parse(&flipped).unwrap_err();
            assert!(matches!(fault, HeaderFault::Damaged(_)), "bit {bit}: {fault:?}");
        }
        let mut later = bytes;
        later[8] = 3;
        let crc = crc32c::crc32c(&later[..60]);
        later[60..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::parse(&later), Err(HeaderFault::Version(3)));
    }

    #[test]
    fn a_record_is_read_back_under_its_own_salt_only() {
        let head = RecordHead {
            kind: RecordKind::Frame,
            session: 2,
            frame: 9,
            at: Moment(-5),
            len: 3,
        };
        let mut bytes = Vec::new();
        head.encode(7, b"[1]", &mut bytes);
        assert_eq!((bytes.len(), record_bytes(3)), (40, 40));
        let (parsed, crc) = RecordHead::parse(&bytes).unwrap();
        assert_eq!(parsed, head);
        assert_eq!(crc, checksum(7, &bytes[..32], b"[1]"));
        assert_ne!(crc, checksum(8, &bytes[..32], b"[1]"));
    }
}
