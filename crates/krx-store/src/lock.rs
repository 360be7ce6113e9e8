//! One recorder per data directory, and the locks of directories that are held for a moment.
//!
//! The lock is on the data directory itself: unlike a lock file, a directory that is held open cannot be removed and
//! recreated behind the holder's back. The file `.krx/lock` is locked as well. It names the holder, and is the lock on
//! filesystems that cannot lock directories.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::disk::is_at;
use crate::error::{StoreError, at};
use crate::layout::DataDir;

/// How long to wait for a lock that is held: a recorder holds it all day, but a check takes microseconds.
const LOOKS_TIME: Duration = Duration::from_millis(200);
const LOOK_TIME: Duration = Duration::from_millis(20);

/// How long to wait for a directory's lock that others hold only briefly. A process that holds it for longer was
/// suspended.
const WAIT_MAX: Duration = Duration::from_secs(10);
const WAIT_TIME: Duration = Duration::from_millis(1);

/// A lock, released when this is dropped or the process exits.
#[derive(Debug)]
pub(crate) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // A child that another thread has forked also has the descriptor until it execs. Closing ours would leave the
        // child holding the lock; unlocking releases both.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Locks a directory that others lock only briefly.
pub(crate) fn wait_for(dir: &Path) -> Result<Held, StoreError> {
    hold(dir, || File::open(dir), WAIT_MAX, WAIT_TIME)?
        .ok_or_else(|| at("locking", dir)(Errno::WOULDBLOCK.into()))
}

/// Keeps others from adding files to the partitions until it is dropped: a file renamed into a directory while that is
/// being exchanged would be swapped out with it.
pub(crate) fn hold_still(data: &DataDir) -> Result<Held, StoreError> {
    wait_for(&data.staging())
}

/// Locks a directory; `None` when another process holds it.
pub(crate) fn try_dir(dir: &Path) -> Result<Option<Held>, StoreError> {
    hold(dir, || File::open(dir), Duration::ZERO, WAIT_TIME)
}

/// Locks what `open` opens at `path`; `None` when another process holds it for longer than `patience`. It is reopened
/// for each attempt: what was opened before may have been removed since, and a lock on that would keep nobody out.
fn hold(
    path: &Path,
    open: impl Fn() -> io::Result<File>,
    patience: Duration,
    pause: Duration,
) -> Result<Option<Held>, StoreError> {
    let begin = Instant::now();
    loop {
        let file = open().map_err(at("opening", path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let held = Held(file);
                if is_at(&held.0, path).map_err(at("looking at", path))? {
                    return Ok(Some(held));
                }
            }
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(at("locking", path)(error.into())),
        }
        if begin.elapsed() >= patience {
            return Ok(None);
        }
        std::thread::sleep(pause);
    }
}

/// Held while a process writes to a data directory. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    data: DataDir,
    /// `None` on a filesystem that does not lock directories.
    _dir: Option<Held>,
    _file: Held,
}

impl DataDirLock {
    /// Creates the data directory if need be, and locks it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process holds it, [`StoreError::Io`] when the directory cannot be used.
    pub fn take(data: &DataDir) -> Result<Self, StoreError> {
        let dir = data.path();
        data.disk().create_dir(dir)?;
        // A first start that was killed may have left the directory without its name on disk. If the parent directory
        // may not be read, its owner created this one long ago.
        match data.disk().sync_parent(dir) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
        let path = data.lock_file();
        let locked = || StoreError::Locked {
            holder: holder(&path),
            path: path.clone(),
        };
        // A process that only checks whether the lock is held ([`is_held`]) holds it for an instant: hence the
        // patience.
        let dir = match hold(dir, || File::open(dir), LOOKS_TIME, LOOK_TIME) {
            Ok(Some(held)) => Some(held),
            Ok(None) => return Err(locked()),
            Err(StoreError::Io { source, .. }) if is_not_lockable(&source) => None,
            Err(error) => return Err(error),
        };
        let data = data.held()?;
        data.create_dir(&data.internal())?;
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
        };
        let mut file = hold(&path, open, LOOKS_TIME, LOOK_TIME)?.ok_or_else(locked)?;
        file.0
            .set_len(0)
            .and_then(|()| writeln!(file.0, "{}", std::process::id()))
            .map_err(at("writing the process number to the lock", &path))?;
        Ok(Self {
            data,
            _dir: dir,
            _file: file,
        })
    }

    /// The data directory, identified whatever happens to its name: see [`DataDir::held`].
    #[must_use]
    pub fn data(&self) -> &DataDir {
        &self.data
    }
}

/// NFS locks only what is open for writing, which a directory never is; other filesystems may not lock directories at
/// all.
fn is_not_lockable(error: &io::Error) -> bool {
    let not_lockable = [Errno::BADF, Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS];
    Errno::from_io_error(error).is_some_and(|errno| not_lockable.contains(&errno))
}

/// Whether a process holds a data directory's lock now. A directory that does not exist is not locked.
///
/// # Errors
/// [`StoreError::Io`], when that cannot be found out.
pub fn is_held(data: &DataDir) -> Result<bool, StoreError> {
    match is_locked(data.path()) {
        Ok(true) => Ok(true),
        Ok(false) => is_locked(&data.lock_file()),
        // A process that may not list the directory may still open the file.
        Err(StoreError::Io { source, .. })
            if is_not_lockable(&source) || source.kind() == ErrorKind::PermissionDenied =>
        {
            is_locked(&data.lock_file())
        }
        Err(error) => Err(error),
    }
}

fn is_locked(path: &Path) -> Result<bool, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(at("opening the lock", path)(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            drop(Held(file));
            Ok(false)
        }
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(at("looking at the lock", path)(error.into())),
    }
}

fn holder(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => format!(" (process {})", text.trim()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let held = DataDirLock::take(&data).unwrap();
        let refused = DataDirLock::take(&data).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("(process {})", std::process::id())),
            "{refused}"
        );
        assert!(is_held(&data).unwrap());
        drop(held);
        assert!(!is_held(&data).unwrap());
        DataDirLock::take(&data).unwrap();
    }

    #[test]
    fn what_is_removed_below_the_data_directory_does_not_free_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let held = DataDirLock::take(&data).unwrap();
        fs::remove_file(data.lock_file()).unwrap();
        assert!(is_held(&data).unwrap());
        assert!(matches!(DataDirLock::take(&data), Err(StoreError::Locked { .. })));
        fs::remove_dir_all(data.internal()).unwrap();
        assert!(is_held(&data).unwrap());
        assert!(matches!(DataDirLock::take(&data), Err(StoreError::Locked { .. })));
        assert!(!data.internal().exists(), "a refused process creates nothing");
        drop(held);
        DataDirLock::take(&data).unwrap();
    }

    /// Like `flock DATA/.krx/lock` in a script, or a recorder of an earlier version.
    #[test]
    fn who_holds_only_the_file_holds_the_directory_too() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        drop(DataDirLock::take(&data).unwrap());
        let file = Held(File::open(data.lock_file()).unwrap());
        flock(&file.0, FlockOperation::LockExclusive).unwrap();
        assert!(is_held(&data).unwrap());
        assert!(matches!(DataDirLock::take(&data), Err(StoreError::Locked { .. })));
    }

    #[test]
    fn a_directory_that_cannot_be_locked_is_told_from_one_that_is_locked() {
        for (errno, expected) in [
            (Errno::BADF, true),
            (Errno::INVAL, true),
            (Errno::OPNOTSUPP, true),
            (Errno::WOULDBLOCK, false),
            (Errno::IO, false),
        ] {
            assert_eq!(is_not_lockable(&errno.into()), expected, "{errno}");
        }
    }

    #[test]
    fn who_waits_for_a_directory_that_is_made_anew_gets_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("staging");
        fs::create_dir(&path).unwrap();
        let first = wait_for(&path).unwrap();
        let (second, third) = std::thread::scope(|scope| {
            let second = scope.spawn(|| wait_for(&path).unwrap());
            // It waits for the first one; whether it has got that far makes no difference to what must hold.
            std::thread::sleep(Duration::from_millis(20));
            // In one step: a waiter must find a directory whenever it looks.
            let anew = dir.path().join("anew");
            fs::create_dir(&anew).unwrap();
            fs::rename(&anew, &path).unwrap();
            drop(first);
            let second = second.join().unwrap();
            (second, try_dir(&path).unwrap())
        });
        assert!(third.is_none(), "exactly one holds it: {second:?}");
    }

    #[test]
    fn a_lock_on_a_directory_that_was_made_anew_between_opening_and_locking_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let [path, anew] = ["staging", "anew"].map(|name| dir.path().join(name));
        fs::create_dir(&path).unwrap();
        let opened = std::cell::Cell::new(0);
        let open = || {
            opened.set(opened.get() + 1);
            let file = File::open(&path)?;
            if opened.get() == 1 {
                fs::create_dir(&anew)?;
                fs::rename(&anew, &path)?;
            }
            Ok(file)
        };
        let held = hold(&path, open, WAIT_MAX, WAIT_TIME).unwrap().unwrap();
        assert_eq!(opened.get(), 2);
        assert!(is_at(&held.0, &path).unwrap());
        assert!(try_dir(&path).unwrap().is_none());
    }

    #[test]
    fn the_file_names_its_holder_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        drop(DataDirLock::take(&data).unwrap());
        fs::write(data.lock_file(), "4294967295, and somebody's note\n").unwrap();
        let _held = DataDirLock::take(&data).unwrap();
        let text = fs::read_to_string(data.lock_file()).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    /// A child has all descriptors of its parent until it execs, whatever their flags.
    #[test]
    fn children_that_are_forked_meanwhile_keep_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        // A search through many directories delays a child's exec.
        let path: Vec<_> = (0..3000).map(|index| format!("/nowhere/{index}")).collect();
        let path = format!("{}:/bin:/usr/bin", path.join(":"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        let child = Command::new("true").env("PATH", &path).status();
                        assert!(child.unwrap().success());
                    }
                });
            }
            let refused = (0..20_000).find(|_| try_dir(dir.path()).unwrap().is_none());
            done.store(true, Relaxed);
            assert_eq!(refused, None, "the lock that was dropped is held by a child");
        });
    }
}
