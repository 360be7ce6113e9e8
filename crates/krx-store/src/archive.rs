//! Exported journal segments, kept for some days so that a lost committed file can be exported again.
//!
//! ```text
//!   DATA/.krx/archive/KOSPI/00000001-20261120-000000000001.journal.zst    the segment's bytes, one zstd frame
//! ```
//!
//! The frame carries zstd's own checksum. It is read back and compared with the segment before it gets its name, and
//! only then may the segment be removed. A crash in between leaves both, which does no harm.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use crate::catalog;
use crate::disk::{Disk, Output};
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::{DataDir, SegmentName};
use crate::moment::is_past;

/// Higher levels gain little on the feed's short messages and cost exporter time.
const LEVEL: i32 = 3;

/// How much is compared at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// Where an archived segment is.
#[must_use]
pub fn path(data: &DataDir, feed: &FeedName, name: SegmentName) -> PathBuf {
    data.archive(feed).join(name.archived())
}

/// Puts a finished journal segment into the archive; returns its compressed size in bytes. The segment itself stays
/// where it is: the caller removes it.
///
/// # Errors
/// [`StoreError`], when it cannot be read or written, or does not read back as written.
pub fn keep(data: &DataDir, feed: &FeedName, name: SegmentName) -> Result<u64, StoreError> {
    let segment = data.journal(feed).join(name.to_string());
    let staged = data.staging().join(format!("archive-{feed}.partial"));
    data.create_dir(&data.staging())?;
    compress(data.disk(), &segment, &staged)?;
    if !holds(&staged, &segment)? {
        return Err(StoreError::ReadBack {
            path: staged,
            what: format!("it does not decompress to {}", segment.display()),
        });
    }
    let bytes = fs::metadata(&staged)
        .map_err(at("reading the size of", &staged))?
        .len();
    let dir = data.archive(feed);
    data.create_dir(&dir)?;
    data.disk().rename(&staged, &dir.join(name.archived()))?;
    Ok(bytes)
}

/// Removes archived segments whose date is more than `keep_days` days before `today`; returns how many.
///
/// # Errors
/// [`StoreError::Io`].
pub fn expire(
    data: &DataDir,
    feed: &FeedName,
    today: NaiveDate,
    keep_days: u32,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    for name in catalog::archived(data, feed)? {
        if !is_past(name.date, today, keep_days) {
            continue;
        }
        let path = path(data, feed, name);
        data.disk().remove(&path)?;
        removed += 1;
    }
    Ok(removed)
}

/// Writes an archived segment's bytes to `target`.
///
/// # Errors
/// [`StoreError::Io`], also when the archive file is damaged.
pub fn restore(data: &DataDir, feed: &FeedName, name: SegmentName, target: &Path) -> Result<(), StoreError> {
    let path = path(data, feed, name);
    let mut decoder = open(&path)?;
    let mut file = Output::create(data.disk(), target)?;
    io::copy(&mut decoder, &mut file).map_err(at("decompressing", &path))?;
    end_of(decoder).map_err(at("decompressing", &path))
}

/// Reads an archive file to its end, against its checksum; returns its decompressed size in bytes.
///
/// # Errors
/// [`StoreError::Io`]; if the file is damaged, of kind `Other`, `InvalidData` or `UnexpectedEof`.
pub fn check(path: &Path) -> Result<u64, StoreError> {
    let mut decoder = open(path)?;
    let bytes = io::copy(&mut decoder, &mut io::sink()).map_err(at("decompressing", path))?;
    end_of(decoder).map_err(at("decompressing", path))?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<Decoder<'static, io::BufReader<File>>, StoreError> {
    let file = File::open(path).map_err(at("opening", path))?;
    Ok(Decoder::new(file)
        .map_err(at("decompressing", path))?
        .single_frame())
}

/// Nothing may follow the frame: anything there was not written by [`keep`].
fn end_of(decoder: Decoder<'static, io::BufReader<File>>) -> io::Result<()> {
    match decoder.finish().read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::new(
            ErrorKind::InvalidData,
            "the compressed data is followed by something else",
        )),
    }
}

fn compress(disk: &Disk, segment: &Path, staged: &Path) -> Result<(), StoreError> {
    let mut source = File::open(segment).map_err(at("opening the journal segment", segment))?;
    let target = Output::create(disk, staged)?;
    let compressed = Encoder::new(target, LEVEL).and_then(|mut encoder| {
        encoder.include_checksum(true)?;
        io::copy(&mut source, &mut encoder)?;
        encoder.finish()
    });
    compressed.map_err(at("compressing to", staged))?.sync()
}

/// Whether the compressed file decompresses to exactly the segment's bytes.
fn holds(compressed: &Path, segment: &Path) -> Result<bool, StoreError> {
    let mut decoder = open(compressed)?;
    let mut source = File::open(segment).map_err(at("opening the journal segment", segment))?;
    let (mut expected, mut found) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        let wanted = fill(&mut source, &mut expected).map_err(at("reading the journal segment", segment))?;
        let read = fill(&mut decoder, &mut found).map_err(at("reading back", compressed))?;
        if expected[..wanted] != found[..read] {
            return Ok(false);
        }
        if wanted == 0 {
            end_of(decoder).map_err(at("reading back", compressed))?;
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the source ends; returns the number of bytes.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_kept_for_its_days_and_no_longer() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        for (today, keep_days, over) in [
            (20, 0, false),
            (21, 0, true),
            (22, 2, false),
            (23, 2, true),
            (19, 0, false),
        ] {
            assert_eq!(
                is_past(day(20), day(today), keep_days),
                over,
                "{today} {keep_days}"
            );
        }
        assert!(!is_past(NaiveDate::MAX, day(1), 36_500));
    }
}
