//! Lists of the committed files' checksums, one a date, which `sha256sum -c` reads.
//!
//! ```text
//!   DATA/.krx/checksums/2026-11-20.sha256, a line for each committed file of the date, in any order:
//!   <SHA-256, 64 lower-case hexadecimal digits><two blanks><path relative to DATA>
//! ```
//!
//! The files of a segment get their lines by one append, which costs the same however long the list is. All else
//! replaces a list as a whole, sorted by path: it is written to staging, synced, renamed. So is a list that does not
//! exist yet, whose end was torn by a crash, or to which an append has failed. A writer holds a lock on
//! the directory, so that threads and processes do so one after the other.
//!
//! A file has its line a moment after it has its name; a crash in between leaves a file without a line, which the next
//! start adds ([`complete`]). No file is replaced while it has a line. Files that are still to be replaced
//! (`Pending`) have none: the exporter takes their lines out when it goes on with a date (`reopen`), and gives
//! the coverage its line when it leaves the date or ends ([`list_coverage`]).

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

/// The list of one date.
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

    /// Puts files, by their paths relative to the data directory, into the list, and takes others out of it; the
    /// list is on disk when this returns. A list that is damaged is made anew from what can be read of it and from
    /// the files themselves.
    ///
    /// # Errors
    /// [`StoreError::Io`], when the list or a file that it lacks cannot be read or written.
    pub fn record(
        &self,
        entries: &[(CommittedPath, Digest)],
        removed: &[CommittedPath],
    ) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        self.rewrite(entries, removed, false)
    }

    /// Likewise of files as they are now.
    ///
    /// # Errors
    /// As [`Checksums::record`].
    pub fn record_files(&self, paths: &[CommittedPath]) -> Result<(), StoreError> {
        self.record(&self.digests(paths)?, &[])
    }

    /// Adds files that have no line yet, as they are now; their lines are on disk when this returns. Of the list no more
    /// than its last byte is read, as long as that ends a line.
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
        // Nothing may be synced through this file again. Lines that are not known to be on disk must not be taken for
        // it by the next start, should the list not be written anew either.
        let _ = disk.cut_off(&file, &list, bytes);
        warn!(list = %list.display(), %error, "the list of checksums took no lines; it is written anew");
        self.rewrite(&entries, &[], true)
    }

    /// The list, ready for another line, and its length. `None` when it has to be written as a whole: it does not exist,
    /// cannot be read, or its end is not that of a line.
    fn open_end(&self) -> Option<(File, u64)> {
        let path = self.data.checksum_list(self.date);
        let file = File::options().read(true).append(true).open(path).ok()?;
        let bytes = file.metadata().ok()?.len();
        let mut last = [0];
        file.read_exact_at(&mut last, bytes.checked_sub(1)?).ok()?;
        (last == *b"\n").then_some((file, bytes))
    }

    /// Held by others for as long as it takes to write a list.
    fn lock(&self) -> Result<lock::Held, StoreError> {
        let dir = self.data.checksums();
        self.data.create_dir(&dir)?;
        lock::wait_for(&dir)
    }

    fn digests(&self, paths: &[CommittedPath]) -> Result<Vec<(CommittedPath, Digest)>, StoreError> {
        let entry =
            |path: &CommittedPath| Ok((path.clone(), digest(&self.data.path().join(path.to_string()))?));
        paths.iter().map(entry).collect()
    }

    /// Replaces the list as a whole, unless it says already what it is to say and is not `in_doubt`: what the disk has of
    /// it may then be something else. The lock is held.
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
            // `sha256sum -c` takes a list of nothing for a mistake.
            let path = self.data.checksum_list(self.date);
            self.data.disk().remove_left_over(&path)?;
            return self.data.disk().sync_parent(&path);
        }
        self.write(&list)
    }

    /// A list that the disk does not give back never stops recording: it counts as one with nothing but odd lines.
    fn read_leniently(&self) -> List {
        self.read().unwrap_or_else(|error| {
            warn!(%error, "the list of checksums cannot be read; it is made anew");
            List {
                odd_lines: vec![1],
                exists: true,
                ..List::default()
            }
        })
    }

    /// Adds the files that a damaged or lost list does not have.
    fn salvage(&self, before: &List, list: &mut List) -> Result<(), StoreError> {
        let mut added = 0;
        for sealed in self.settled_files()? {
            if let Entry::Vacant(line) = list.digests.entry(sealed.to_string()) {
                let digest = digest(&self.data.path().join(line.key()))?;
                line.insert(digest);
                added += 1;
            }
        }
        let path = self.data.checksum_list(self.date);
        if before.is_damaged() {
            warn!(list = %path.display(), lines = ?before.odd_lines, added,
                "the list of checksums is damaged; these lines are left out, and files without one added as they are");
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
        let mut output = Output::create(disk, &staged)?;
        output
            .write_all(list.to_string().as_bytes())
            .map_err(at("writing the checksums to", &staged))?;
        output.sync()?;
        disk.replace(&staged, &self.data.checksum_list(self.date))
    }

    /// All committed files of the date that are to have a line.
    fn settled_files(&self) -> Result<Vec<CommittedPath>, StoreError> {
        let mut files = Vec::new();
        for feed in catalog::feeds(&self.data, self.date)? {
            files.extend(settled_files(&self.data, &feed, self.date)?);
        }
        Ok(files)
    }
}

/// Those that no exporter is going to replace.
fn settled_files(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Vec<CommittedPath>, StoreError> {
    let mut files = catalog::committed(data, feed, date)?;
    let pending = Pending::of(data, feed, date, &files)?;
    files.retain(|sealed| !pending.has(&sealed.name));
    Ok(files)
}

/// The committed files of a feed and date that have no line, and should: a crash came between their rename and the
/// list's.
///
/// # Errors
/// [`StoreError::Io`]. A list that cannot be read is taken for an empty one.
pub fn missing(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Vec<CommittedPath>, StoreError> {
    let list = Checksums::of(data, date).read().unwrap_or_default();
    let mut files = settled_files(data, feed, date)?;
    files.retain(|path| !list.digests.contains_key(&path.to_string()));
    Ok(files)
}

/// Adds the missing lines and drops those that cannot be read: an append looks no further than the list's end.
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

/// Takes out the lines of all files that an exporter may replace, before it goes on with a date of which it has sealed
/// the frames up to `covered`: the coverage, and files behind `covered` that the journal gives once more.
///
/// # Errors
/// [`StoreError::Io`], when the list cannot be replaced: no such file may be replaced then either.
pub fn reopen(data: &DataDir, feed: &FeedName, date: NaiveDate, covered: u64) -> Result<(), StoreError> {
    let list = Checksums::of(data, date);
    // [`complete`] has tried to mend one that cannot be read; there is no line in it that anybody could check.
    let Ok(lines) = list.read() else {
        return Ok(());
    };
    let segments = catalog::segments(&data.journal(feed))?;
    let first = segments.iter().find(|segment| segment.date == date);
    let is_replaced = |name: &CommittedName| match name.dataset.rows {
        Rows::OfTheDate => true,
        Rows::OfFrames => {
            name.first_frame > covered && first.is_some_and(|first| first.first_frame <= name.first_frame)
        }
    };
    let paths = lines.digests.keys().filter_map(|path| data.parse(path));
    let removed: Vec<_> = paths
        .filter(|sealed| sealed.feed == *feed && is_replaced(&sealed.name))
        .collect();
    if removed.is_empty() {
        return Ok(());
    }
    list.record(&[], &removed)
}

/// Gives a date's coverage its line, if there is coverage: it is not replaced any more, unless the date is reopened.
///
/// # Errors
/// As [`Checksums::record`].
pub fn list_coverage(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<(), StoreError> {
    let sealed = CommittedPath {
        date,
        feed: feed.clone(),
        name: CommittedName::coverage(date),
    };
    if !data.path().join(sealed.to_string()).exists() {
        return Ok(());
    }
    // Once a date, so the list may be read for it: whatever has happened, the coverage has one line.
    Checksums::of(data, date).record_files(&[sealed])
}
