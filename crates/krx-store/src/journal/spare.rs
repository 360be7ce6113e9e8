//! The next segment's file, created ahead of time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::disk::Disk;
use crate::error::{StoreError, at};

/// The next segment's file, created ahead of time with all its blocks, under a name that no reader takes for a segment.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

impl Spare {
    const PREFIX: &str = "spare-";

    /// The smallest segment worth creating on a disk that is nearly full.
    const BYTES_MIN: u64 = 256 << 10;

    /// Each spare has its own name, so that the writer and its sync thread may create one at the same time.
    pub(super) fn create(disk: &Disk, dir: &Path, bytes: u64) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let path = dir.join(format!("{}{}", Self::PREFIX, NEXT.fetch_add(1, Relaxed)));
        let file = disk.create_new(&path)?;
        match disk.preallocate(&file, &path, bytes) {
            Ok(()) => Ok(Self { file, path, bytes }),
            Err(error) => {
                let _ = disk.remove(&path);
                Err(error)
            }
        }
    }

    /// Creates a segment's file of `bytes`, or of what a nearly full disk still has: journaling is the last thing to
    /// stop.
    pub(super) fn create_smaller(
        disk: &Disk,
        dir: &Path,
        bytes: u64,
        bytes_min: u64,
    ) -> Result<Self, StoreError> {
        let mut size = bytes.max(bytes_min);
        loop {
            match Self::create(disk, dir, size) {
                Err(StoreError::Io { source, .. })
                    if is_full(&source) && size / 4 >= bytes_min.max(Self::BYTES_MIN) =>
                {
                    size /= 4;
                }
                other => return other,
            }
        }
    }

    pub(super) fn remove_left_over(disk: &Disk, dir: &Path) -> Result<(), StoreError> {
        for entry in std::fs::read_dir(dir).map_err(at("listing", dir))? {
            let entry = entry.map_err(at("listing", dir))?;
            if entry.file_name().to_string_lossy().starts_with(Self::PREFIX)
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                disk.remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
