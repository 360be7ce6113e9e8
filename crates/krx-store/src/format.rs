//! The version of a data directory's layout.
//!
//! ```text
//!   DATA/.krx/format     one line: the version, a decimal number
//! ```
//!
//! A directory without this file has version 1 if `coverage` or `quarantine` has `market=` partitions, or its journal
//! is of version 1. Otherwise it is new, or was restored without `.krx`, and the recorder writes the file. Every
//! command checks this before it touches anything: a directory of another version is refused and left as it is.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::catalog;
use crate::dataset::{COVERAGE, QUARANTINE};
use crate::disk::Output;
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::journal::SegmentReader;
use crate::layout::DataDir;

/// The version that this program reads and writes.
pub const VERSION: u32 = 2;

/// Refuses a data directory of another version, without changing anything.
///
/// # Errors
/// [`StoreError::Layout`], when it has another version; [`StoreError::Io`], when it cannot be examined.
pub fn check(data: &DataDir) -> Result<(), StoreError> {
    let other = |version: String| StoreError::Layout {
        path: data.path().to_owned(),
        version,
        ours: VERSION,
    };
    // Anything in the way of a directory is reported by whatever creates it.
    if !data.path().is_dir() {
        return Ok(());
    }
    match read(&data.format_file())? {
        Some(version) if version == VERSION.to_string() => Ok(()),
        Some(version) => Err(other(version)),
        None if is_version_1(data)? => Err(other("1".to_owned())),
        None => Ok(()),
    }
}

/// Writes the version into a directory that has none; it is on disk when this returns. Call [`check`] first.
///
/// # Errors
/// [`StoreError::Io`].
pub fn settle(data: &DataDir) -> Result<(), StoreError> {
    let path = data.format_file();
    if path.exists() {
        return Ok(());
    }
    data.create_dir(&data.internal())?;
    let disk = data.disk();
    let staged = path.with_extension("partial");
    let mut output = Output::create(disk, &staged)?;
    writeln!(output, "{VERSION}").map_err(at("writing", &staged))?;
    output.sync()?;
    disk.rename(&staged, &path)
}

fn read(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("reading the version of the layout from", path)(error)),
    }
}

fn is_version_1(data: &DataDir) -> Result<bool, StoreError> {
    for dataset in [&COVERAGE, &QUARANTINE] {
        let root = data.dataset_dir(dataset);
        for date in catalog::names(&root)? {
            let dir = root.join(&date);
            if date.starts_with("date=")
                && dir.is_dir()
                && catalog::names(&dir)?
                    .iter()
                    .any(|name| name.starts_with("market="))
            {
                return Ok(true);
            }
        }
    }
    for name in catalog::names(&data.journals())? {
        let Ok(feed) = name.parse::<FeedName>() else {
            continue;
        };
        let dir = data.journal(&feed);
        for segment in catalog::segments(&dir)? {
            match SegmentReader::open(&dir.join(segment.to_string())) {
                Err(StoreError::JournalVersion { version: 1, .. }) => return Ok(true),
                Err(error @ StoreError::Io { .. }) => return Err(error),
                // What is wrong with it is reported elsewhere.
                _ => {}
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_settled_once_and_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        check(&data).unwrap();
        assert!(!data.path().exists(), "looking changes nothing");
        fs::create_dir(data.path()).unwrap();
        settle(&data).unwrap();
        assert_eq!(fs::read_to_string(data.format_file()).unwrap(), "2\n");
        check(&data).unwrap();
        for version in ["1\n", "3\n", "", "two\n"] {
            fs::write(data.format_file(), version).unwrap();
            let refused = check(&data).unwrap_err();
            assert!(
                matches!(refused, StoreError::Layout { .. }),
                "{version:?}: {refused}"
            );
            settle(&data).unwrap();
            assert_eq!(
                fs::read_to_string(data.format_file()).unwrap(),
                version,
                "it is left as it is"
            );
        }
    }

    #[test]
    fn a_directory_without_the_file_is_known_by_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        fs::create_dir_all(dir.path().join("trades/date=2026-11-20/market=KOSPI")).unwrap();
        fs::create_dir_all(dir.path().join("coverage/date=2026-11-20/feed=KOSPI")).unwrap();
        check(&data).unwrap();
        for old in ["coverage", "quarantine"] {
            let old = dir.path().join(old).join("date=2026-11-19/market=KOSDAQ");
            fs::create_dir_all(&old).unwrap();
            assert!(
                matches!(check(&data), Err(StoreError::Layout { ours: 2, .. })),
                "{}",
                old.display()
            );
            fs::remove_dir(&old).unwrap();
        }
        let journal = data.journals().join("KOSPI");
        fs::create_dir_all(&journal).unwrap();
        // The header that version 1 wrote: magic, version, and a checksum over its first 60 bytes.
        let mut header = [0_u8; 64];
        header[..8].copy_from_slice(b"KRXJRNL\0");
        header[8..12].copy_from_slice(&1_u32.to_le_bytes());
        let crc = crc32c::crc32c(&header[..60]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
        fs::write(journal.join("00000001-20261120-000000000001.journal"), header).unwrap();
        let refused = check(&data).unwrap_err().to_string();
        assert!(refused.contains("version \"1\""), "{refused}");
    }
}
