//! One recorder per data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::error::{StoreError, at};
use crate::layout::DataDir;

/// How long a lock that is held is waited for: a recorder holds it for a day, and a look at it takes microseconds.
const LOOKS_MAX: u32 = 10;
const LOOK_TIME: Duration = Duration::from_millis(20);

/// How long a directory's lock that others hold for a moment is waited for. Who holds it for longer was stopped.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Locks a directory that others lock for a moment each; it is free again when the file is dropped.
pub(crate) fn wait_for(dir: &Path) -> Result<File, StoreError> {
    let lock = File::open(dir).map_err(at("opening", dir))?;
    let begin = Instant::now();
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) if begin.elapsed() < WAIT_MAX => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(at("locking", dir)(error.into())),
        }
    }
}

/// Held while a process writes to a data directory. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Makes the data directory if need be, and locks it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process holds it, [`StoreError::Io`] when the directory cannot be used.
    pub fn take(data: &DataDir) -> Result<Self, StoreError> {
        data.disk().create_dir(&data.internal())?;
        // A first start that was killed may have left the directory without its name on disk. Where the directory above
        // may not be read, its owner has made this one long ago.
        match data.disk().sync_parent(data.path()) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
        let path = data.lock_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at("opening the lock", &path))?;
        let mut tries = 0;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                // Whoever only looks whether it is held ([`is_held`]) holds it for an instant.
                Err(rustix::io::Errno::WOULDBLOCK) if tries < LOOKS_MAX => {
                    tries += 1;
                    std::thread::sleep(LOOK_TIME);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(StoreError::Locked {
                        holder: holder(&path),
                        path,
                    });
                }
                Err(error) => return Err(at("locking", &path)(error.into())),
            }
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(at("writing the process number to the lock", &path))?;
        Ok(Self { _file: file })
    }
}

/// Whether a process holds the lock of a data directory now. A directory without a lock file is held by none.
///
/// # Errors
/// [`StoreError::Io`], when that cannot be found out.
pub fn is_held(data: &DataDir) -> Result<bool, StoreError> {
    let path = data.lock_file();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(at("opening the lock", &path)(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(at("looking at the lock", &path)(error.into())),
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
}
