//! Every operation with which this crate changes the disk, in one place; each passes a gate first.
//!
//! In the recorder the gate is open. Tests install a [`Gate`] that fails chosen operations, so that the real writer and
//! exporter run on a disk that fails on demand.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};
use rustix::io::Errno;

use crate::error::{StoreError, at};
use crate::sabotage::{self, Defect};

/// An operation about to be performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Creating a directory.
    CreateDir,
    /// Creating a file.
    Create,
    /// Allocating blocks for a file ahead of time.
    Preallocate,
    /// Writing bytes to a file.
    Write,
    /// Setting a file's length.
    Truncate,
    /// `fdatasync` or `fsync` of a file.
    Sync,
    /// `fsync` of a directory.
    SyncDir,
    /// Renaming a file.
    Rename,
    /// Linking a file under another name.
    Link,
    /// Exchanging two directories.
    Exchange,
    /// Removing a file.
    Remove,
}

/// Decides whether an operation may proceed. Several threads may ask at once.
pub trait Gate: Debug + Send + Sync {
    /// Lets the operation on `path` proceed, or makes it fail.
    ///
    /// # Errors
    /// The error with which the operation fails.
    fn pass(&self, op: Op, path: &Path) -> io::Result<()>;
}

/// Access to the disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    gate: Option<Arc<dyn Gate>>,
}

impl Disk {
    /// A disk with a gate.
    #[must_use]
    pub fn behind(gate: Arc<dyn Gate>) -> Self {
        Self { gate: Some(gate) }
    }

    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        self.gate.as_ref().map_or(Ok(()), |gate| gate.pass(op, path))
    }

    /// Creates a directory and its parents; each new entry is on disk when this returns. Inside a data directory use
    /// [`crate::DataDir::create_dir`].
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.create_dir_in(Path::new(""), path)
    }

    /// The same, but never `top` or anything above it.
    pub(crate) fn create_dir_in(&self, top: &Path, path: &Path) -> Result<(), StoreError> {
        if path.is_dir() {
            return Ok(());
        }
        if path.exists() {
            // Another thread may have made it since the first look.
            if path.is_dir() {
                return Ok(());
            }
            return Err(at("looking for the directory", path)(Errno::NOTDIR.into()));
        }
        if path == top {
            return Err(at("looking for the directory", path)(Errno::NOENT.into()));
        }
        let parent = parent_of(path);
        self.create_dir_in(top, parent)?;
        let made = self
            .pass(Op::CreateDir, path)
            .and_then(|()| match fs::create_dir(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                other => other,
            });
        made.map_err(at("creating the directory", path))?;
        self.sync_dir(parent)
    }

    /// Creates a file that must not exist yet.
    pub(crate) fn create_new(&self, path: &Path) -> Result<File, StoreError> {
        self.pass(Op::Create, path)
            .and_then(|()| File::create_new(path))
            .map_err(at("creating", path))
    }

    /// Allocates the first `bytes` bytes of a file. Some filesystems cannot: the file then grows as it is written.
    pub(crate) fn preallocate(&self, file: &File, path: &Path, bytes: u64) -> Result<(), StoreError> {
        self.pass(Op::Preallocate, path)
            .and_then(|()| match fallocate(file, FallocateFlags::empty(), 0, bytes) {
                Err(Errno::OPNOTSUPP) => Ok(()),
                other => other.map_err(io::Error::from),
            })
            .map_err(at("preallocating", path))
    }

    pub(crate) fn write_at(
        &self,
        file: &File,
        path: &Path,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), StoreError> {
        self.pass(Op::Write, path)
            .and_then(|()| file.write_all_at(bytes, offset))
            .map_err(at("writing", path))
    }

    /// Appends bytes to a file opened for that, with one write, and syncs it. If this fails, the file's end is in an
    /// unknown state, and nothing may be synced through it again.
    pub(crate) fn append(&self, mut file: &File, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        self.pass(Op::Write, path)
            .and_then(|()| file.write_all(bytes))
            .map_err(at("appending to", path))?;
        self.sync(file, path)
    }

    /// Sets a file's length without syncing: for what must not be read again, whatever the disk holds.
    pub(crate) fn cut_off(&self, file: &File, path: &Path, bytes: u64) -> Result<(), StoreError> {
        self.pass(Op::Truncate, path)
            .and_then(|()| file.set_len(bytes))
            .map_err(at("ending", path))
    }

    /// Sets a file's length, and syncs it.
    pub(crate) fn truncate(&self, file: &File, path: &Path, bytes: u64) -> Result<(), StoreError> {
        self.pass(Op::Truncate, path)
            .and_then(|()| file.set_len(bytes))
            .map_err(at("ending", path))?;
        self.sync(file, path)
    }

    /// `fdatasync`: the file's bytes and length are on disk when this returns. If it fails, what is on disk is unknown,
    /// and a second attempt may report success over lost pages: nothing may be synced through this file again.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        let sync = || self.pass(Op::Sync, path).and_then(|()| file.sync_data());
        let mut synced = sync();
        if synced.is_err() && sabotage::is(Defect::RetryFsync) {
            synced = sync();
        }
        synced.map_err(at("syncing", path))
    }

    /// `fsync` of a directory: the names in it are on disk when this returns.
    pub(crate) fn sync_dir(&self, path: &Path) -> Result<(), StoreError> {
        if sabotage::is(Defect::NoDirSync) {
            return Ok(());
        }
        self.pass(Op::SyncDir, path)
            .and_then(|()| File::open(path))
            .and_then(|dir| dir.sync_all())
            .map_err(at("syncing the directory", path))
    }

    /// Syncs the directory that contains `path`.
    pub(crate) fn sync_parent(&self, path: &Path) -> Result<(), StoreError> {
        self.sync_dir(parent_of(path))
    }

    /// Syncs the directory at `path` and those above it, up to and including `top`: a process that was killed between
    /// creating a name and syncing it leaves one that only the page cache knows.
    pub(crate) fn sync_dirs(&self, top: &Path, path: &Path) -> Result<(), StoreError> {
        let mut dir = path;
        loop {
            if dir.is_dir() {
                self.sync_dir(dir)?;
            }
            if dir == top || !dir.starts_with(top) {
                return Ok(());
            }
            dir = parent_of(dir);
        }
    }

    /// Renames within one filesystem. The new name is on disk when this returns; if it fails, the file gets its old
    /// name back as far as possible: a name that may not be on disk must not pass for a commit.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.name(from, to)?;
        let synced = self.sync_dir(parent_of(to));
        if synced.is_err() {
            let _ = fs::rename(to, from);
        }
        synced
    }

    /// Renames within one directory. The caller syncs the directory.
    pub(crate) fn name(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.pass(Op::Rename, to)
            .and_then(|()| fs::rename(from, to))
            .map_err(at("naming", to))
    }

    /// Moves a file over another; whatever fails, one of the two has the name.
    pub(crate) fn replace(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.name(from, to)?;
        self.sync_dir(parent_of(to))
    }

    /// Exchanges two directories in one step; both are on disk when this returns.
    pub(crate) fn exchange(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.pass(Op::Exchange, to)
            .and_then(|()| Ok(renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)?))
            .map_err(at("exchanging a directory with", to))?;
        let synced = self.sync_parent(to).and_then(|()| self.sync_parent(from));
        if synced.is_err() {
            // As with a rename: what may not be on disk must not pass for done.
            let _ = renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE);
        }
        synced
    }

    /// Gives a file one more name.
    pub(crate) fn link(&self, file: &Path, name: &Path) -> Result<(), StoreError> {
        self.pass(Op::Link, name)
            .and_then(|()| fs::hard_link(file, name))
            .map_err(at("linking", name))
    }

    /// Copies a file; the copy is not synced.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let mut source = File::open(from).map_err(at("opening", from))?;
        let mut copy = Output::create(self, to)?;
        io::copy(&mut source, &mut copy).map_err(at("copying to", to))?;
        Ok(())
    }

    /// Removes a file or directory with everything in it; one that is missing is no error. A link is removed, and its
    /// target left alone.
    pub(crate) fn remove_tree(&self, path: &Path) -> Result<(), StoreError> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at("looking at", path)(error)),
            Ok(known) if !known.is_dir() => return self.remove_left_over(path),
            Ok(_) => {}
        }
        for entry in fs::read_dir(path).map_err(at("listing", path))? {
            self.remove_tree(&entry.map_err(at("listing", path))?.path())?;
        }
        self.remove_dir(path)
    }

    /// Removes an empty directory.
    pub(crate) fn remove_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.pass(Op::Remove, path)
            .and_then(|()| fs::remove_dir(path))
            .map_err(at("removing", path))
    }

    pub(crate) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.pass(Op::Remove, path)
            .and_then(|()| fs::remove_file(path))
            .map_err(at("removing", path))
    }

    /// Removes a file that may not exist, before its name is reused.
    pub(crate) fn remove_left_over(&self, path: &Path) -> Result<(), StoreError> {
        match self.remove(path) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// A file that is written from beginning to end, as an [`io::Write`].
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) file: File,
    path: std::path::PathBuf,
    disk: Disk,
}

impl Output {
    /// Creates the file anew in an existing directory; whatever a crash left under its name is removed first, since a
    /// file whose sync failed must not be synced again.
    pub(crate) fn create(disk: &Disk, path: &Path) -> Result<Self, StoreError> {
        disk.remove_left_over(path)?;
        Ok(Self {
            file: disk.create_new(path)?,
            path: path.to_owned(),
            disk: disk.clone(),
        })
    }

    /// Replaces bytes that were written.
    pub(crate) fn overwrite(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.pass(Op::Write, &self.path)?;
        self.file.write_all_at(bytes, offset)
    }

    /// Syncs everything that was written.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.disk.sync(&self.file, &self.path)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.pass(Op::Write, &self.path)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// Whether `path` leads to a file or directory that is held open. While it is open, nothing else can have its inode
/// number.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Bytes that an unprivileged process can still write to the filesystem of `path`.
///
/// # Errors
/// [`StoreError::Io`].
pub fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let stat =
        rustix::fs::statvfs(path).map_err(|error| at("asking for the free space of", path)(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;

    /// Records every operation, and refuses the one with this number.
    #[derive(Debug, Default)]
    struct Porter {
        seen: Mutex<Vec<(Op, PathBuf)>>,
        refused: Option<usize>,
    }

    impl Gate for Porter {
        fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
            let mut seen = self.seen.lock().unwrap();
            seen.push((op, path.to_owned()));
            if self.refused == Some(seen.len() - 1) {
                return Err(io::Error::from_raw_os_error(5));
            }
            Ok(())
        }
    }

    #[test]
    fn threads_may_create_the_same_directory_at_once() {
        const THREADS: usize = 4;
        let dir = tempfile::tempdir().unwrap();
        let barrier = std::sync::Barrier::new(THREADS);
        let create = || {
            let created = (0..2000).map(|number| {
                barrier.wait();
                Disk::default().create_dir(&dir.path().join(number.to_string()))
            });
            // All of them, even after an error: the other threads wait at the barrier.
            created.filter_map(Result::err).collect::<Vec<_>>()
        };
        let errors = std::thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| scope.spawn(create));
            let errors = threads.into_iter().flat_map(|thread| thread.join().unwrap());
            errors.collect::<Vec<_>>()
        });
        assert_eq!(errors.len(), 0, "{errors:?}");
    }

    fn refusing(number: Option<usize>) -> (Arc<Porter>, Disk) {
        let porter = Arc::new(Porter {
            refused: number,
            ..Porter::default()
        });
        (Arc::clone(&porter), Disk::behind(porter))
    }

    #[test]
    fn a_name_that_is_not_known_to_be_on_disk_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        for refused in 0..2 {
            fs::write(&from, "text").unwrap();
            let (porter, disk) = refusing(Some(refused));
            assert!(disk.rename(&from, &to).is_err());
            let seen = porter.seen.lock().unwrap();
            assert_eq!(seen.len(), refused + 1, "{seen:?}");
            assert!(from.exists() && !to.exists(), "operation {refused} was refused");
        }
        let (porter, disk) = refusing(None);
        disk.rename(&from, &to).unwrap();
        assert!(to.exists() && !from.exists());
        let seen = porter.seen.lock().unwrap();
        assert_eq!(*seen, [(Op::Rename, to), (Op::SyncDir, dir.path().to_owned())]);
    }

    #[test]
    fn an_exchange_that_is_not_known_to_be_on_disk_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["sealing/day", "trades/day"].map(|name| dir.path().join(name));
        for (path, text) in [(&from, "new"), (&to, "old")] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("file"), text).unwrap();
        }
        let text = |path: &Path| fs::read_to_string(path.join("file")).unwrap();
        let above = |path: &Path| path.parent().unwrap().to_owned();
        let operations = [
            (Op::Exchange, to.clone()),
            (Op::SyncDir, above(&to)),
            (Op::SyncDir, above(&from)),
        ];
        for refused in 0..operations.len() {
            let (porter, disk) = refusing(Some(refused));
            assert!(disk.exchange(&from, &to).is_err(), "operation {refused}");
            assert_eq!(*porter.seen.lock().unwrap(), operations[..=refused]);
            assert_eq!(
                (text(&from), text(&to)),
                ("new".into(), "old".into()),
                "{refused}"
            );
        }
        let (porter, disk) = refusing(None);
        disk.exchange(&from, &to).unwrap();
        assert_eq!(*porter.seen.lock().unwrap(), operations);
        assert_eq!((text(&from), text(&to)), ("old".into(), "new".into()));
    }
}
