//! `SegmentReader` on a segment with any damage, beside a reader that follows the format's description byte by byte.
//!
//! An input is either a segment as it is on disk, from its magic bytes on, or a script that makes one:
//!
//! ```text
//!   1   number of records, modulo 16
//!   1   each record's size: up to 249 a payload of so many bytes, above 48 KiB more for each
//!   1   zeros behind the last record, in units of 64: the preallocated rest
//!   2   how far the file is read at first, in 65536ths of its length, before it is read to its end
//!   …   damage: what, record, offset from its start, and what belongs to it:
//!         0  the next bytes instead: how many, and they
//!         1  one bit flipped: which
//!         2  the file ends here
//!         3  zeros instead: how many
//!         4  another record, whole and sound, instead: which
//! ```
//!
//! The script is how the fuzzer gets past the checksums, which it cannot guess.

use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use krx_store::StoreError;
use krx_store::journal::{RecordHead, RecordKind, Scanned, SegmentReader};

const MAGIC: &[u8; 8] = b"KRXJRNL\0";
/// A copy of the header, where the second one begins, and where the records do.
const COPY: usize = 64;
const SECOND: usize = 4096;
const SEGMENT_HEADER: usize = SECOND + COPY;
const RECORD_HEADER: usize = 32;
const PAYLOAD_MAX: usize = 16 << 20;
/// A script makes no more records above this, so that no input takes long; the reader's chunks have 256 KiB.
const FILE_MAX: usize = 404 << 10;

/// Makes the segment, damages it and reads it.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let segment = if data.starts_with(MAGIC) {
        Segment {
            bytes: data.to_vec(),
            sound: Vec::new(),
            first_limit: data.len(),
        }
    } else {
        Segment::from_script(data)
    };
    SCRATCH.with_borrow_mut(|scratch| read(scratch, &segment));
}

struct Segment {
    bytes: Vec<u8>,
    /// The records before the first byte that was damaged.
    sound: Vec<Range<usize>>,
    first_limit: usize,
}

impl Segment {
    fn from_script(script: &[u8]) -> Self {
        let mut script = Script(script);
        let mut bytes = header();
        let mut records: Vec<Range<usize>> = Vec::new();
        for number in 0..script.byte() % 16 {
            let size = usize::from(script.byte());
            let len = if size < 250 {
                size
            } else {
                (size - 249) * (48 << 10)
            };
            if bytes.len() + len > FILE_MAX {
                break;
            }
            let start = bytes.len();
            append_record(&mut bytes, number, len);
            records.push(start..bytes.len());
        }
        let whole = bytes.clone();
        bytes.resize(bytes.len() + usize::from(script.byte()) * 64, 0);
        let first_limit = u16::from_le_bytes([script.byte(), script.byte()]);
        while !script.0.is_empty() {
            damage(&mut script, &whole, &records, &mut bytes);
        }
        // A segment gets its header before it gets its name.
        let first_limit = (bytes.len() * usize::from(first_limit) / 0xffff)
            .max(SEGMENT_HEADER)
            .min(bytes.len());
        let sound = match bytes.get(..SEGMENT_HEADER) {
            Some(header) if header[..COPY] == whole[..COPY] || header[SECOND..] == whole[..COPY] => records
                .into_iter()
                .take_while(|record| bytes.get(record.clone()) == whole.get(record.clone()))
                .collect(),
            _ => Vec::new(),
        };
        Self {
            bytes,
            sound,
            first_limit,
        }
    }
}

/// The rest of a script; zeros follow its end.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

fn damage(script: &mut Script<'_>, whole: &[u8], records: &[Range<usize>], bytes: &mut Vec<u8>) {
    let what = script.byte() % 5;
    // One more than there are records stands for the end of the last one.
    let start = records
        .get(usize::from(script.byte()) % (records.len() + 1))
        .map_or(whole.len(), |record| record.start);
    let at = (start + usize::from(script.byte())).min(bytes.len());
    match what {
        0 => {
            let len = usize::from(script.byte());
            overwrite(bytes, at, script.bytes(len));
        }
        1 => {
            let bit = script.byte() % 8;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        2 => bytes.truncate(at),
        3 => {
            let len = usize::from(script.byte());
            overwrite(bytes, at, &vec![0; len]);
        }
        _ => {
            let which = usize::from(script.byte());
            if let Some(record) = records.get(which % records.len().max(1)) {
                overwrite(bytes, at, &whole[record.clone()]);
            }
        }
    }
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, with: &[u8]) {
    bytes.resize(bytes.len().max(at + with.len()), 0);
    bytes[at..at + with.len()].copy_from_slice(with);
}

const SALT: u64 = 0x1234_5678_9abc_def0;

fn header() -> Vec<u8> {
    let mut bytes = vec![0; SEGMENT_HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&20_261_120_u32.to_le_bytes());
    bytes[16..21].copy_from_slice(b"KOSPI");
    bytes[32..40].copy_from_slice(&1_u64.to_le_bytes());
    bytes[40..48].copy_from_slice(&SALT.to_le_bytes());
    bytes[48..52].copy_from_slice(&1_u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..COPY].copy_from_slice(&crc.to_le_bytes());
    bytes.copy_within(..COPY, SECOND);
    bytes
}

fn append_record(bytes: &mut Vec<u8>, number: u8, len: usize) {
    let start = bytes.len();
    bytes.extend(u32::try_from(len).expect("a short payload").to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend([1 + number % 2, 0, 0, 0]);
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(u64::from(number).to_le_bytes());
    bytes.extend((1_795_132_800_000_000 + i64::from(number)).to_le_bytes());
    // Copied, not computed: the time is for the reader.
    bytes.extend_from_slice(&b"[{\"trdPrc\":1},".repeat(len / 14 + 1)[..len]);
    let crc = record_checksum(SALT, &bytes[start..]);
    bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

fn record_checksum(salt: u64, record: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &record[..4]);
    crc32c::crc32c_append(crc, &record[8..])
}

/// What comes next in `bytes`, by the description of the format alone.
fn expected(bytes: &[u8], salt: u64, at: usize, limit: usize) -> (Scanned, usize) {
    if let Some((head, end)) = sound_record(bytes, salt, at, limit) {
        return (Scanned::Record(head), end);
    }
    for next in (at + 8..limit.min(bytes.len())).step_by(8) {
        if sound_record(bytes, salt, next, limit).is_some() {
            return (Scanned::Damage(at as u64..next as u64), next);
        }
    }
    (Scanned::End, at)
}

/// The record that begins at `at`, and where the next one would.
fn sound_record(bytes: &[u8], salt: u64, at: usize, limit: usize) -> Option<(RecordHead, usize)> {
    let bytes = bytes.get(..limit.min(bytes.len()))?;
    let header = bytes.get(at..at + RECORD_HEADER)?;
    let kind = match header[8] {
        1 => RecordKind::Frame,
        2 => RecordKind::Event,
        _ => return None,
    };
    let len = usize::try_from(u32::from_le_bytes(array(header, 0))).expect("at least 32 bits");
    let end = (at + RECORD_HEADER + len).next_multiple_of(8);
    let sound = header[9..12] == [0; 3]
        && len <= PAYLOAD_MAX
        && end <= bytes.len()
        && record_checksum(salt, &bytes[at..at + RECORD_HEADER + len])
            == u32::from_le_bytes(array(header, 4));
    let head = RecordHead {
        kind,
        session: u32::from_le_bytes(array(header, 12)),
        frame: u64::from_le_bytes(array(header, 16)),
        at: krx_store::Moment(i64::from_le_bytes(array(header, 24))),
        len,
    };
    sound.then_some((head, end))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

fn read(scratch: &Scratch, segment: &Segment) {
    let bytes = &segment.bytes;
    // What lies behind the first limit is not written yet when it is read up to there, as in a live journal.
    scratch.write_with_zeros_from(bytes, segment.first_limit);
    let Some(mut reader) = open(scratch, bytes) else {
        return;
    };
    let salt = reader.header().salt;
    let mut given = Vec::new();
    let mut position = SEGMENT_HEADER;
    for limit in [segment.first_limit, bytes.len()] {
        if limit == bytes.len() {
            scratch.write_with_zeros_from(bytes, limit);
        }
        // Each call but the last moves on by eight bytes at least.
        for _ in 0..=bytes.len() / 8 + 1 {
            let (wanted, next) = expected(bytes, salt, position, limit);
            let scanned = reader.advance(limit as u64).expect("the file can be read");
            assert_eq!(scanned, wanted, "at {position}, limit {limit}");
            assert_eq!(reader.position(), next as u64);
            match scanned {
                Scanned::Record(head) => {
                    assert!(next > position && next <= bytes.len());
                    let start = position + RECORD_HEADER;
                    assert_eq!(reader.payload(), &bytes[start..start + head.len]);
                    given.push(position..next);
                }
                Scanned::Damage(_) => assert!(next > position),
                Scanned::End => break,
            }
            position = next;
        }
        let again = reader.advance(limit as u64).expect("the file can be read");
        assert_eq!(again, Scanned::End, "it does not come to an end");
    }
    assert!(
        given.starts_with(&segment.sound),
        "a record before the damage is lost"
    );
    let torn_end = bytes[position.min(bytes.len())..]
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(position, |last| position + last + 1);
    assert_eq!(reader.torn_end().expect("the file can be read"), torn_end as u64);
    let torn = reader
        .raw(position as u64..torn_end as u64)
        .expect("the file can be read");
    assert_eq!(torn, &bytes[position..torn_end]);
}

/// Opens the segment, which fails when both copies of its header are damaged and only then.
fn open(scratch: &Scratch, bytes: &[u8]) -> Option<SegmentReader> {
    let copies = [0, SECOND].map(|at| bytes.get(at..at + COPY).unwrap_or_default());
    let is_sound = |header: &[u8]| {
        header.starts_with(MAGIC) && crc32c::crc32c(&header[..60]) == u32::from_le_bytes(array(header, 60))
    };
    match SegmentReader::open(&scratch.path) {
        Ok(reader) => {
            assert!(
                copies.into_iter().any(is_sound),
                "a damaged header is taken for a sound one"
            );
            Some(reader)
        }
        Err(StoreError::Header { .. }) => {
            let ours = header();
            assert!(
                copies.into_iter().all(|copy| copy != &ours[..COPY]),
                "a sound header is refused"
            );
            None
        }
        Err(StoreError::JournalVersion { version, .. }) => {
            assert_ne!(version, 2);
            assert!(
                copies.into_iter().any(is_sound),
                "a damaged header is taken for one of another version"
            );
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A file without a name, so that nothing is left behind however the fuzzer ends; the reader opens it by its number.
struct Scratch {
    file: File,
    path: PathBuf,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

impl Scratch {
    fn new() -> Self {
        let in_memory = Path::new("/dev/shm");
        let dir = if in_memory.is_dir() {
            in_memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let file = tempfile::tempfile_in(dir).expect("a temporary file can be made");
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Self { file, path }
    }

    fn write_with_zeros_from(&self, bytes: &[u8], from: usize) {
        self.file.set_len(0).expect("the temporary file can be emptied");
        self.file
            .write_all_at(&bytes[..from], 0)
            .expect("the temporary file can be written");
        self.file
            .set_len(bytes.len() as u64)
            .expect("the temporary file can be made longer");
    }
}
