//! Whether what is built in `.krx` can be moved into each dataset. The recorder and `seal` rename and exchange; both
//! are tried here with small files, before anything depends on them.
//!
//! A dataset that is a link to another disk, a mount or a subvolume of its own allows neither, and otherwise the first
//! file would reveal it minutes after the start.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{StoreError, at};
use crate::layout::DataDir;

/// The name of the trial file, which is in a dataset for a moment. No reader takes it for a data file.
const TRIAL: &str = ".reach";

/// Tries each dataset that exists. This process must hold the data directory's lock.
///
/// # Errors
/// [`StoreError::Apart`], when a dataset does not accept a file from `.krx`; [`StoreError::Io`], when it cannot be
/// tried.
pub fn check(data: &DataDir) -> Result<(), StoreError> {
    data.create_dir(&data.staging())?;
    for dataset in data.datasets() {
        let dir = data.dataset_dir(dataset);
        // One that does not exist yet will be created in the data directory.
        if fs::symlink_metadata(&dir).is_ok() {
            dataset_takes_files(data, &dir)?;
        }
    }
    Ok(())
}

fn dataset_takes_files(data: &DataDir, dir: &Path) -> Result<(), StoreError> {
    let (ours, theirs) = (data.staging().join(TRIAL), dir.join(TRIAL));
    let result = (|| {
        fs::write(&ours, "").map_err(at("writing", &ours))?;
        rename(&ours, &theirs, RenameFlags::empty()).map_err(|source| apart(data, dir, source))?;
        fs::write(&ours, "").map_err(at("writing", &ours))?;
        match rename(&ours, &theirs, RenameFlags::EXCHANGE) {
            // It accepts files but never a sealed day: `seal` will say so.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
            other => other.map_err(|source| apart(data, dir, source)),
        }
    })();
    for left_over in [&ours, &theirs] {
        let _ = fs::remove_file(left_over);
    }
    result
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> rustix::io::Result<()> {
    renameat_with(CWD, from, CWD, to, flags)
}

fn apart(data: &DataDir, dir: &Path, source: Errno) -> StoreError {
    StoreError::Apart {
        path: dir.to_owned(),
        staging: data.staging(),
        source: io::Error::from(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder on a different filesystem from temporary files, if there is one.
    fn elsewhere() -> Option<tempfile::TempDir> {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
        let shm = Path::new("/dev/shm");
        let is_other = device(shm).is_some() && device(shm) != device(&std::env::temp_dir());
        if !is_other {
            println!("there is no other filesystem here: not tested");
        }
        is_other.then(|| tempfile::tempdir_in(shm).unwrap())
    }

    #[test]
    fn a_dataset_on_another_file_system_is_told_at_once_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        fs::create_dir(data.path()).unwrap();
        check(&data).unwrap();
        for dataset in data.datasets() {
            fs::create_dir(data.dataset_dir(dataset)).unwrap();
        }
        check(&data).unwrap();
        let left: Vec<_> = data
            .datasets()
            .into_iter()
            .flat_map(|dataset| fs::read_dir(data.dataset_dir(dataset)).unwrap())
            .chain(fs::read_dir(data.staging()).unwrap())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let Some(other) = elsewhere() else { return };
        let trades = data.path().join("trades");
        fs::remove_dir(&trades).unwrap();
        std::os::unix::fs::symlink(other.path(), &trades).unwrap();
        let words = check(&data).unwrap_err().to_string();
        for expected in [
            "trades does not accept files from",
            ".krx/staging",
            "the whole data directory",
        ] {
            assert!(words.contains(expected), "{words}");
        }
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
        fs::remove_file(&trades).unwrap();
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &trades).unwrap();
        assert!(matches!(check(&data), Err(StoreError::Apart { .. })));
    }
}
