//! Replaces a file in one step, so that a reader finds the old content or the new one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Gives the file this text, and leaves its mode and its owner as they are; a file that does not exist gets those of
/// `like`. A link stays a link. Two processes must not do this to one file at the same time.
///
/// # Errors
/// What the system refuses; then the file is as it was.
pub(super) fn replace(path: &Path, like: &Path, text: &str) -> io::Result<()> {
    let (target, like) = match fs::canonicalize(path) {
        Ok(target) => (target, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), like),
        Err(error) => return Err(error),
    };
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::Error::other("it is not a file's name"));
    };
    let mut staged_name = std::ffi::OsString::from(".");
    staged_name.push(name);
    staged_name.push(".new");
    let staged = folder.join(staged_name);
    let written = stage(&staged, like, text).and_then(|()| fs::rename(&staged, &target));
    if let Err(error) = written {
        let _ = fs::remove_file(&staged);
        return Err(error);
    }
    // A path without a folder is in the current one.
    let folder = Some(folder).filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.map_or_else(|| PathBuf::from("."), Path::to_owned))?.sync_all()
}

/// Writes the text to a new file at `path`, with the mode and the owner of `like`.
fn stage(path: &Path, like: &Path, text: &str) -> io::Result<()> {
    // An earlier attempt that was killed may have left it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let like = fs::metadata(like)?;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_keeps_its_mode_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let [config, list, link] = ["a.toml", "list.txt", "link.txt"].map(|name| folder.path().join(name));
        fs::write(&config, "").unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o640)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;

        replace(&list, &config, "first\n").unwrap();
        assert_eq!(
            (fs::read_to_string(&list).unwrap().as_str(), mode(&list)),
            ("first\n", 0o640)
        );

        fs::set_permissions(&list, Permissions::from_mode(0o604)).unwrap();
        std::os::unix::fs::symlink("list.txt", &link).unwrap();
        // What a killed attempt left, and nobody may read any more.
        fs::write(folder.path().join(".list.txt.new"), "torn").unwrap();
        replace(&link, &config, "second\n").unwrap();
        assert_eq!(
            (fs::read_to_string(&list).unwrap().as_str(), mode(&list)),
            ("second\n", 0o604)
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            3,
            "nothing is left over"
        );
    }

    /// Only root may give files away; anybody else can only keep what is theirs.
    #[test]
    fn the_file_keeps_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        fs::write(&list, "first\n").unwrap();
        let is_root = fs::metadata(&list).unwrap().uid() == 0;
        if is_root {
            std::os::unix::fs::chown(&list, Some(4711), Some(4712)).unwrap();
        }
        let before = fs::metadata(&list).unwrap();
        replace(&list, &list, "second\n").unwrap();
        let after = fs::metadata(&list).unwrap();
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_ne!(after.ino(), before.ino(), "it was replaced, not written over");
    }

    #[test]
    fn what_cannot_be_replaced_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        let nowhere = folder.path().join("nowhere/list.txt");
        assert!(replace(&nowhere, &list, "x").is_err(), "there is no such folder");
        assert!(replace(&list, &nowhere, "x").is_err(), "there is nothing like it");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(&list).unwrap();
        fs::write(list.join("x"), "").unwrap();
        assert!(replace(&list, &list, "x").is_err(), "it is a folder");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
