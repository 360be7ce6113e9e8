//! Who may read a file: its mode, its group and its access control lists.
//!
//! Files are built in `.krx` and renamed into a dataset, so they start with the permissions of a file created in
//! `.krx`. Without this module the partition's group, setgid bit or default list would have no effect.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rustix::fs::{Mode, OFlags, XattrFlags, getxattr, open, removexattr, setxattr};
use tracing::warn;

use crate::error::{StoreError, at};

/// The access lists that ext4, XFS, Btrfs and tmpfs keep as extended attributes: that of a file or directory, and the
/// default one for what is created in a directory.
const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// The kernel allows no longer attribute.
const LIST_BYTES_MAX: usize = 64 << 10;

/// The mode that a program passes when it creates a file.
const MODE_ASKED: u32 = 0o666;

/// What can be copied to another file.
#[derive(Debug, PartialEq, Eq)]
struct Rights {
    gid: u32,
    mode: u32,
    access: Option<Vec<u8>>,
}

/// Gives the file at `path` the permissions that one created in `dir` would have. A permission that cannot be set, such
/// as a group that this user is not in, must not keep data from being published: it is logged.
pub(crate) fn as_born_in(path: &Path, dir: &Path) {
    match born_in(dir) {
        Ok(Some(rights)) => {
            if let Err(error) = give(path, &rights) {
                warn!(path = %path.display(), %error, "the file cannot be given the permissions that its directory asks for");
            }
        }
        // A filesystem without unnamed files: staging is in the same data directory, so the permissions are mostly the
        // same.
        Ok(None) => {}
        Err(error) => warn!(%error, "it is not known which permissions a directory gives its files"),
    }
}

/// Asks the kernel, with an unnamed file that no reader can see; `None` where those do not exist.
fn born_in(dir: &Path) -> Result<Option<Rights>, StoreError> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match open(dir, flags, Mode::from_raw_mode(MODE_ASKED)) {
        Ok(file) => File::from(file),
        // The last error is that of kernels that do not know the flag and take it for opening a directory for writing.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => return Ok(None),
        Err(error) => return Err(at("creating an unnamed file in", dir)(error.into())),
    };
    let known = file
        .metadata()
        .map_err(at("reading the mode of a file created in", dir))?;
    let access = read_list(|list| rustix::fs::fgetxattr(&file, ACCESS, list))
        .map_err(at("reading the access list of a file created in", dir))?;
    Ok(Some(Rights {
        gid: known.gid(),
        mode: known.mode() & 0o7777,
        access,
    }))
}

/// Gives `to` the mode, the group and the access control lists of `from`.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn take_over(from: &Path, to: &Path) -> Result<(), StoreError> {
    let known = fs::metadata(from).map_err(at("reading the mode of", from))?;
    let list =
        |name| read_list(|list| getxattr(from, name, list)).map_err(at("reading the access list of", from));
    if known.is_dir() {
        write_list(to, DEFAULT, list(DEFAULT)?.as_deref())?;
    }
    let rights = Rights {
        gid: known.gid(),
        mode: known.mode() & 0o7777,
        access: list(ACCESS)?,
    };
    give(to, &rights)
}

fn give(path: &Path, rights: &Rights) -> Result<(), StoreError> {
    let known = fs::metadata(path).map_err(at("reading the mode of", path))?;
    if known.gid() != rights.gid {
        chown(path, None, Some(rights.gid)).map_err(at("setting the group of", path))?;
    }
    write_list(path, ACCESS, rights.access.as_deref())?;
    // Last, since changing the group clears bits, and a list sets some.
    if fs::metadata(path)
        .map_err(at("reading the mode of", path))?
        .mode()
        & 0o7777
        != rights.mode
    {
        fs::set_permissions(path, Permissions::from_mode(rights.mode))
            .map_err(at("setting the mode of", path))?;
    }
    Ok(())
}

/// `None` when there is no such list, or this filesystem has none.
fn read_list(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> io::Result<Option<Vec<u8>>> {
    let mut list = vec![0; LIST_BYTES_MAX];
    match read(&mut list) {
        Ok(bytes) => {
            list.truncate(bytes);
            Ok(Some(list))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write_list(path: &Path, name: &str, list: Option<&[u8]>) -> Result<(), StoreError> {
    let written = match list {
        Some(list) => setxattr(path, name, list, XattrFlags::empty()),
        None => match removexattr(path, name) {
            Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => other,
        },
    };
    written.map_err(|error| at("setting the access list of", path)(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list as the kernel stores it: version 2, then tag, permissions and id of each entry. It lets user 4711 read.
    fn list() -> Vec<u8> {
        const NONE: u32 = u32::MAX;
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 6, NONE),
            (0x02, 4, 4711),
            (0x04, 4, NONE),
            (0x10, 4, NONE),
            (0x20, 0, NONE),
        ];
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    /// Whether the tests' filesystem has access control lists; if not, only mode and group are tested.
    fn set_default(dir: &Path) -> bool {
        match setxattr(dir, DEFAULT, &list(), XattrFlags::empty()) {
            Err(rustix::io::Errno::OPNOTSUPP) => {
                println!("no access control lists here: not tested");
                false
            }
            other => other.map(|()| true).unwrap(),
        }
    }

    fn rights(path: &Path) -> Rights {
        let known = fs::metadata(path).unwrap();
        Rights {
            gid: known.gid(),
            mode: known.mode() & 0o7777,
            access: read_list(|list| getxattr(path, ACCESS, list)).unwrap(),
        }
    }

    #[test]
    fn a_file_that_was_built_elsewhere_gets_the_rights_of_one_that_was_born_here() {
        let tmp = tempfile::tempdir().unwrap();
        let [staging, partition] = ["staging", "partition"].map(|name| tmp.path().join(name));
        for dir in [&staging, &partition] {
            fs::create_dir(dir).unwrap();
        }
        let has_lists = set_default(&partition);
        // Only root can give a directory a group that it is not in.
        if rustix::process::geteuid().is_root() {
            chown(&partition, None, Some(4712)).unwrap();
        }
        fs::set_permissions(&partition, Permissions::from_mode(0o2770)).unwrap();
        let (built, born) = (staging.join("built"), partition.join("born"));
        fs::write(&built, "").unwrap();
        fs::write(&born, "").unwrap();
        as_born_in(&built, &partition);
        assert_eq!(rights(&built), rights(&born));
        assert_eq!(rights(&built).access.is_some(), has_lists);

        // And back: what the other directory gave is removed.
        let born = staging.join("born");
        fs::write(&born, "").unwrap();
        as_born_in(&built, &staging);
        assert_eq!(rights(&built), rights(&born));
        assert_eq!(fs::read_dir(&staging).unwrap().count(), 2);
    }

    #[test]
    fn a_directory_that_takes_the_place_of_another_has_its_rights() {
        let tmp = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| tmp.path().join(name));
        for dir in [&old, &new] {
            fs::create_dir(dir).unwrap();
        }
        let has_lists = set_default(&old);
        fs::set_permissions(&old, Permissions::from_mode(0o2751)).unwrap();
        take_over(&old, &new).unwrap();
        assert_eq!(rights(&new), rights(&old));
        let default = read_list(|list| getxattr(&new, DEFAULT, list)).unwrap();
        assert_eq!(default, has_lists.then(list));
        fs::write(old.join("file"), "").unwrap();
        fs::write(new.join("file"), "").unwrap();
        assert_eq!(rights(&new.join("file")), rights(&old.join("file")));
    }
}
