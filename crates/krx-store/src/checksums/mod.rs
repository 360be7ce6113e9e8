//! Lists of the committed files' checksums, one list per date, in the format of `sha256sum -c`.
//!
//! ```text
//!   DATA/.krx/checksums/2026-11-20.sha256, a line for each committed file of the date, in any order:
//!   <SHA-256, 64 lower-case hexadecimal digits><two blanks><path relative to DATA>
//! ```
//!
//! A segment's files get their lines by one append, which costs the same however long the list is. Everything else
//! replaces the list as a whole, sorted by path, through staging, sync and rename: also when the list does not exist
//! yet, its end was torn by a crash, or an append to it failed. A writer holds a lock on the directory, so threads and
//! processes take turns.
//!
//! A file gets its line a moment after its name; a crash in between leaves a file without a line, which the next start
//! adds ([`complete`]). No file is replaced while it has a line. Files that may still be replaced (`Pending`) have
//! none: the exporter takes their lines out when it continues a date (`reopen`), and adds those for coverage and registrations when it
//! leaves the date or ends ([`list_whole_files`]).

mod list;
mod pending;

use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::FileExt;

use chrono::NaiveDate;
use tracing::{info, warn};

pub use list::{Digest, List, NoDigest, digest};
pub(crate) use pending::Pending;

use crate::catalog;
use crate::dataset::Rows;
use crate::disk::Output;
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir};
use crate::lock;

/// The list of a date.
#[derive(Clone, Debug)]
pub struct Checksums {
    data: DataDir,
    date: NaiveDate,
}

impl Checksums {
    /// The list of `date`; it need not exist yet.
    #[must_use]
    pub fn of(data: &DataDir, date: NaiveDate) -> Self {
        Self {
            data: data.clone(),
            date,
        }
    }

    /// Reads the list.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a list that does not exist is empty.
    pub fn read(&self) -> Result<List, StoreError> {
        let path = self.data.checksum_list(self.date);
        match fs::read(&path) {
            Ok(bytes) => Ok(List::parse(&bytes, &self.data, self.date)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(List::default()),
            Err(error) => Err(at("reading the checksums", &path)(error)),
        }
    }

    /// Adds files, by their paths relative to the data directory, to the list and takes others out; the list is on disk
    /// when this returns. A damaged list is rebuilt from what can be read of it and from the files themselves.
    ///
    /// # Errors
    /// [`StoreError::Io`], when the list, or a file that it lacks, cannot be read or written.
    pub fn record(
        &self,
        entries: &[(CommittedPath, Digest)],
        removed: &[CommittedPath],
    ) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        self.rewrite(entries, removed, false)
    }

    /// The same, with the digests of the files as they are now.
    ///
    /// # Errors
    /// As [`Checksums::record`].
    pub fn record_files(&self, paths: &[CommittedPath]) -> Result<(), StoreError> {
        self.record(&self.digests(paths)?, &[])
    }

    /// Adds files that have no line yet, as they are now; their lines are on disk when this returns. Only the list's
    /// last byte is read, to check that it ends a line.
    ///
    /// # Errors
    /// As [`Checksums::record`].
    pub fn append(&self, paths: &[CommittedPath]) -> Result<(), StoreError> {
        let entries = self.digests(paths)?;
        let _lock = self.lock()?;
        let Some((file, bytes)) = self.open_end() else {
            return self.rewrite(&entries, &[], false);
        };
        let mut lines = String::new();
        for (path, digest) in &entries {
            let _ = writeln!(lines, "{digest}  {path}");
        }
        let (disk, list) = (self.data.disk(), self.data.checksum_list(self.date));
        let appended = disk.append(&file, &list, lines.as_bytes());
        let Err(error) = appended else {
            return Ok(());
        };
        // Nothing may be synced through this file again: if the rewrite fails as well, the next start must not take
        // lines that may not be on disk for ones that are.
        let _ = disk.cut_off(&file, &list, bytes);
        warn!(list = %list.display(), %error, "appending to the list of checksums failed; the list is rewritten");
        self.rewrite(&entries, &[], true)
    }

    /// The list, open for appending, and its length. `None` when it must be rewritten as a whole: it does not exist,
    /// cannot be read, or does not end with a complete line.
    fn open_end(&self) -> Option<(File, u64)> {
        let path = self.data.checksum_list(self.date);
        let file = File::options().read(true).append(true).open(path).ok()?;
        let bytes = file.metadata().ok()?.len();
        let mut last = [0];
        file.read_exact_at(&mut last, bytes.checked_sub(1)?).ok()?;
        (last == *b"\n").then_some((file, bytes))
    }

    /// Others hold it for no longer than it takes to write a list.
    fn lock(&self) -> Result<lock::Held, StoreError> {
        let dir = self.data.checksums();
        // An append costs one write and one sync: what makes a list also makes sure of this directory's name.
        if !dir.is_dir() {
            self.data.create_dir(&dir)?;
        }
        lock::wait_for(&dir)
    }

    fn digests(&self, paths: &[CommittedPath]) -> Result<Vec<(CommittedPath, Digest)>, StoreError> {
        let entry =
            |path: &CommittedPath| Ok((path.clone(), digest(&self.data.path().join(path.to_string()))?));
        paths.iter().map(entry).collect()
    }

    /// Replaces the list as a whole, unless it already has these contents and is not `in_doubt`, meaning that the disk
    /// may hold something else. The lock is held.
    fn rewrite(
        &self,
        entries: &[(CommittedPath, Digest)],
        removed: &[CommittedPath],
        in_doubt: bool,
    ) -> Result<(), StoreError> {
        let before = self.read_leniently();
        let mut list = List {
            digests: before.digests.clone(),
            ..List::default()
        };
        for (path, digest) in entries {
            list.digests.insert(path.to_string(), *digest);
        }
        if before.is_damaged() || !before.exists {
            self.salvage(&before, &mut list)?;
        }
        for path in removed {
            list.digests.remove(&path.to_string());
        }
        if !in_doubt && !before.is_damaged() && list.digests == before.digests {
            return Ok(());
        }
        if list.digests.is_empty() {
            // `sha256sum -c` rejects an empty list.
            let path = self.data.checksum_list(self.date);
            self.data.disk().remove_left_over(&path)?;
            return self.data.disk().sync_parent(&path);
        }
        self.write(&list)
    }

    /// A list that the disk cannot read never stops recording: it counts as one with nothing but bad lines.
    fn read_leniently(&self) -> List {
        self.read().unwrap_or_else(|error| {
            warn!(%error, "the list of checksums cannot be read and is rebuilt");
            List {
                odd_lines: vec![1],
                exists: true,
                ..List::default()
            }
        })
    }

    /// Adds the files that a damaged or lost list lacks.
    fn salvage(&self, before: &List, list: &mut List) -> Result<(), StoreError> {
        let mut added = 0;
        for committed in self.settled_files()? {
            if let Entry::Vacant(line) = list.digests.entry(committed.to_string()) {
                let digest = digest(&self.data.path().join(line.key()))?;
                line.insert(digest);
                added += 1;
            }
        }
        let path = self.data.checksum_list(self.date);
        if before.is_damaged() {
            warn!(list = %path.display(), lines = ?before.odd_lines, added,
                "the list of checksums is damaged; these lines are dropped, and files without a line are added as they are");
        } else if added > 0 {
            info!(list = %path.display(), added, "there was no list of checksums; files are added as they are");
        }
        Ok(())
    }

    fn write(&self, list: &List) -> Result<(), StoreError> {
        let staged = self
            .data
            .staging()
            .join(format!("checksums-{}.partial", self.date));
        let disk = self.data.disk();
        self.data.create_dir(&self.data.staging())?;
        self.data.create_dir(&self.data.checksums())?;
        let mut output = Output::create(disk, &staged)?;
        output
            .write_all(list.to_string().as_bytes())
            .map_err(at("writing the checksums to", &staged))?;
        output.sync()?;
        disk.replace(&staged, &self.data.checksum_list(self.date))
    }

    /// All committed files of the date that should have a line.
    fn settled_files(&self) -> Result<Vec<CommittedPath>, StoreError> {
        let mut files = Vec::new();
        for feed in catalog::feeds(&self.data, self.date)? {
            files.extend(settled_files(&self.data, &feed, self.date)?);
        }
        Ok(files)
    }
}

/// Those that no exporter will replace.
fn settled_files(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Vec<CommittedPath>, StoreError> {
    let mut files = catalog::committed(data, feed, date)?;
    let pending = Pending::of(data, feed, date, &files)?;
    files.retain(|committed| !pending.has(&committed.name));
    Ok(files)
}

/// The committed files of a feed and date that should have a line but do not: a crash came between their rename and the
/// list's.
///
/// # Errors
/// [`StoreError::Io`]. A list that cannot be read counts as empty.
pub fn missing(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Vec<CommittedPath>, StoreError> {
    let list = Checksums::of(data, date).read().unwrap_or_default();
    let mut files = settled_files(data, feed, date)?;
    files.retain(|path| !list.digests.contains_key(&path.to_string()));
    Ok(files)
}

/// Adds missing lines and drops unreadable ones: an append never looks beyond the list's end.
///
/// # Errors
/// As [`Checksums::record`].
pub fn complete(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<(), StoreError> {
    let list = Checksums::of(data, date);
    let paths = missing(data, feed, date)?;
    if !paths.is_empty() {
        info!(feed = %feed, %date, files = paths.len(), "committed files had no checksum; they have one now");
        return list.record_files(&paths);
    }
    let is_damaged = list.read().is_ok_and(|list| list.is_damaged());
    if is_damaged { list.record(&[], &[]) } else { Ok(()) }
}

/// Takes out the lines of all files that an exporter may replace, before it continues a date of which the frames up to
/// `covered` are committed: coverage, and files after `covered`, which the journal will produce again.
///
/// # Errors
/// [`StoreError::Io`], when the list cannot be replaced: then no such file may be replaced either.
pub fn reopen(data: &DataDir, feed: &FeedName, date: NaiveDate, covered: u64) -> Result<(), StoreError> {
    let list = Checksums::of(data, date);
    // [`complete`] has tried to mend a list that cannot be read; nobody could check a line in it.
    let Ok(lines) = list.read() else {
        return Ok(());
    };
    let segments = catalog::segments(&data.journal(feed))?;
    let first = segments.iter().find(|segment| segment.date == date);
    let is_replaced = |name: &CommittedName| match name.dataset.rows {
        Rows::OfTheDate | Rows::OfAllFeeds => true,
        Rows::OfFrames => {
            name.first_frame > covered && first.is_some_and(|first| first.first_frame <= name.first_frame)
        }
    };
    let paths = lines.digests.keys().filter_map(|path| data.parse(path));
    let removed: Vec<_> = paths
        .filter(|committed| committed.feed == *feed && is_replaced(&committed.name))
        .collect();
    if removed.is_empty() {
        return Ok(());
    }
    list.record(&[], &removed)
}

/// Gives the files of a date that were replaced as a whole until now their lines: they are not replaced any more, unless
/// the date is reopened.
///
/// # Errors
/// As [`Checksums::record`].
pub fn list_whole_files(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<(), StoreError> {
    let datasets = data.datasets().into_iter();
    let datasets = datasets.filter(|dataset| dataset.rows == Rows::OfTheDate);
    let committed = datasets.map(|dataset| CommittedPath {
        date,
        feed: feed.clone(),
        name: CommittedName::of_the_date(dataset, date),
    });
    let existing: Vec<_> = committed
        .filter(|committed| data.path().join(committed.to_string()).exists())
        .collect();
    if existing.is_empty() {
        return Ok(());
    }
    // This happens once per date, so reading the list is cheap enough: in any case each file ends up with exactly one
    // line.
    Checksums::of(data, date).record_files(&existing)
}
