//! Directories and renames that survive a power cut.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{StoreError, at};

/// Makes a directory and its parents; each new entry is on disk when this returns.
pub(crate) fn create_dir(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_dir(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    })?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(at("creating the directory", path)(error));
        }
        _ => {}
    }
    sync_dir(parent)
}

/// Renames within one filesystem, and syncs the directory that the file is now in.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(at("renaming into place", to))?;
    sync_dir(to.parent().unwrap_or(Path::new("/")))
}

/// `fsync` of a directory.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(at("syncing the directory", path))
}
