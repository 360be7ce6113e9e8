//! Whether the segments being written still have their names. A file that was removed can still be written to while it
//! is open, but all of it is gone when the process ends. The part that is on disk is no longer in memory: it is read
//! from the open file and restored under its name.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

use super::spare::Spare;
use crate::disk::is_at;
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::{DataDir, SegmentName};

/// How much is read and written at a time when a segment is restored.
const CHUNK_BYTES: usize = 1 << 20;

/// Where a feed's segments are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) data: DataDir,
    pub(super) feed: FeedName,
    pub(super) dir: PathBuf,
}

impl Files {
    pub(super) fn of(data: &DataDir, feed: &FeedName) -> Self {
        Self {
            data: data.clone(),
            feed: feed.clone(),
            dir: data.journal(feed),
        }
    }

    pub(super) fn path(&self, name: SegmentName) -> PathBuf {
        self.dir.join(name.to_string())
    }

    /// Those that have lost their names.
    ///
    /// # Errors
    /// [`StoreError::Moved`], when the data directory is no longer in place: then all names went with it, and no file
    /// was lost.
    pub(super) fn unlinked(
        &self,
        files: &[(SegmentName, Arc<File>)],
    ) -> Result<Vec<SegmentName>, StoreError> {
        let mut unlinked = Vec::new();
        for (name, file) in files {
            let path = self.path(*name);
            if !is_at(file, &path).map_err(at("looking at", &path))? {
                unlinked.push(*name);
            }
        }
        self.data.must_be_in_place()?;
        Ok(unlinked)
    }

    /// Restores the first `bytes` bytes of an open file under the name of its segment, and returns the new file. They
    /// are on disk when this returns.
    pub(super) fn put_back(&self, name: SegmentName, open: &File, bytes: u64) -> Result<File, StoreError> {
        let (path, disk) = (self.path(name), self.data.disk());
        let spare = Spare::create(disk, &self.dir, bytes)?;
        let copy = || {
            let (mut chunk, mut done) = (Vec::new(), 0);
            while done < bytes {
                let rest = usize::try_from(bytes - done).unwrap_or(CHUNK_BYTES);
                chunk.resize(rest.min(CHUNK_BYTES), 0);
                open.read_exact_at(&mut chunk, done)
                    .map_err(at("reading what was removed:", &path))?;
                disk.write_at(&spare.file, &spare.path, &chunk, done)?;
                done += chunk.len() as u64;
            }
            disk.sync(&spare.file, &spare.path)?;
            disk.rename(&spare.path, &path)
        };
        match copy() {
            Ok(()) => Ok(spare.file),
            Err(error) => {
                let _ = disk.remove(&spare.path);
                Err(error)
            }
        }
    }
}

/// Whether a file has a name at all, wherever it is.
pub(super) fn is_linked(file: &File) -> bool {
    file.metadata().is_ok_and(|known| known.nlink() > 0)
}
