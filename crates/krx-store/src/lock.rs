//! One recorder per data directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::{StoreError, at};
use crate::layout::DataDir;

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
        if let Some(parent) = data.path().parent() {
            let _ = data.disk().sync_dir(parent);
        }
        let path = data.lock_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(at("opening the lock", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked {
                    holder: holder(&path),
                    path,
                });
            }
            Err(error) => return Err(at("locking", &path)(error.into())),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(at("writing the process number to the lock", &path))?;
        Ok(Self { _file: file })
    }
}

/// Whether a process holds the lock of a data directory now. Asked of the kernel's list of locks, so that asking can
/// never be in the way of a recorder that starts. A directory without a lock file is held by none.
///
/// # Errors
/// [`StoreError::Io`], when that cannot be found out.
pub fn is_held(data: &DataDir) -> Result<bool, StoreError> {
    use std::os::unix::fs::MetadataExt;
    let path = data.lock_file();
    let inode = match fs::metadata(&path) {
        Ok(metadata) => metadata.ino(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(at("looking at the lock", &path)(error)),
    };
    // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF (proc_locks(5))
    let needle = format!(":{inode} ");
    let locks = Path::new("/proc/locks");
    let text = fs::read_to_string(locks).map_err(at("reading", locks))?;
    Ok(text
        .lines()
        .any(|line| line.contains("FLOCK") && line.contains(&needle)))
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
