//! Whether the segments that are being written still have their names. A file that was removed is written on as long as
//! it is open, and all of it is gone with the process. What is known to be on disk of it is in no memory any more: it is
//! read from the open file, and put back under its name.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::tail::Tail;
use super::writer::Spare;
use crate::disk::is_at;
use crate::error::{StoreError, at};
use crate::layout::{DataDir, Market, SegmentName};

/// How often it is looked at. A look is a few calls that the kernel answers from memory.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often what lasts is logged.
const ALARM_INTERVAL: Duration = Duration::from_secs(60);

/// Read and written at a time when a segment is put back.
const CHUNK_BYTES: usize = 1 << 20;

/// Where a market's segments are.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) data: DataDir,
    pub(super) market: Market,
    pub(super) dir: PathBuf,
}

impl Files {
    pub(super) fn of(data: &DataDir, market: &Market) -> Self {
        Self {
            data: data.clone(),
            market: market.clone(),
            dir: data.journal(market),
        }
    }

    pub(super) fn path(&self, name: SegmentName) -> PathBuf {
        self.dir.join(name.to_string())
    }

    /// Those that have lost their names.
    ///
    /// # Errors
    /// [`StoreError::Moved`], when the data directory has: that takes all names along, and no file.
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

    /// Gives the first `bytes` bytes of an open file the name of its segment again; the file that has it then. They are
    /// on disk when this returns.
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

/// Whether a file has a name at all, wherever that is.
pub(super) fn is_linked(file: &File) -> bool {
    file.metadata().is_ok_and(|known| known.nlink() > 0)
}

/// What a look has found.
pub(super) enum Found {
    /// All have their names; or the data directory was moved, and they have them there.
    AllThere,
    /// One had been removed. What was on disk of it has its name again, and the writer is told to renew.
    PutBack,
    /// One may be gone, and could not be put back.
    Unknown(String),
}

/// The sync thread's watch over the files.
pub(super) struct Watch<'a> {
    files: &'a Files,
    looked: Instant,
    /// When something was last said about a state that lasts.
    alarmed: Option<Instant>,
}

impl<'a> Watch<'a> {
    pub(super) fn over(files: &'a Files) -> Self {
        Self {
            files,
            looked: Instant::now(),
            alarmed: None,
        }
    }

    /// How long until the next look.
    pub(super) fn due_in(&self) -> Duration {
        LOOK_INTERVAL.saturating_sub(self.looked.elapsed())
    }

    /// Looks, and puts back what was removed.
    pub(super) fn look(&mut self, tail: &Tail) -> Found {
        let looked = tail.look_after(self.files);
        self.looked = Instant::now();
        let (market, data_dir) = (&self.files.market, self.files.data.path().display());
        let error = match looked {
            Ok(put_back) => {
                tail.look_after_spare();
                if self.alarmed.take().is_some() {
                    info!(%market, %data_dir, "the journal's files are where they belong again");
                }
                return if put_back { Found::PutBack } else { Found::AllThere };
            }
            Err(error) => error,
        };
        let is_moved = matches!(error, StoreError::Moved { .. });
        if self.alarmed.is_none_or(|at| at.elapsed() >= ALARM_INTERVAL) {
            self.alarmed = Some(Instant::now());
            if is_moved {
                error!(%market, %data_dir, "the data directory was moved or removed: what is received goes on into the file that is open, and nothing is exported; put the directory back where it was");
            } else {
                error!(%market, %error, "the journal's files cannot be looked after, or one that was removed not be put back: see to the disk, and do not stop the recorder before");
            }
        }
        if is_moved {
            Found::AllThere
        } else {
            Found::Unknown(error.to_string())
        }
    }
}
