//! What can go wrong on disk.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of this crate; it says what was being done, and to what.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done, as a participle: "creating".
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk did not give back what it has of the journal.
    #[error("reading the journal segment {path}: {source}")]
    JournalRead {
        /// The segment.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The Parquet library refused.
    #[error("{doing} {path}: {source}")]
    Parquet {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: parquet::errors::ParquetError,
    },
    /// A file was written and reads back as something else. It was not put into the dataset.
    #[error("reading back {path}: {what}; the file stays in staging and its frames in the journal")]
    ReadBack {
        /// The staged file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// Another process records into the same directory.
    #[error(
        "{path} is locked: another recorder writes to this data directory{holder}; stop it, or choose another --data-dir"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// " (process 123)", when the holder left its number.
        holder: String,
    },
    /// The data directory is not where it was when it was taken; nothing may be made in its place.
    #[error("{path} is not the data directory any more: it was moved or removed; put it back where it was")]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// A dataset is on another filesystem than the files that are built for it.
    #[error(
        "{path} takes no files from {staging}: {source}. Both must be on one filesystem, so that a file appears in one step: move or mount the whole data directory instead of one dataset"
    )]
    Apart {
        /// The dataset.
        path: PathBuf,
        /// Where its files are built.
        staging: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The data directory has another layout.
    #[error(
        "{path} has version {version:?} of the layout, and this krx-recorder reads version {ours}; use the program that wrote it, or choose another --data-dir. Nothing was changed"
    )]
    Layout {
        /// The data directory.
        path: PathBuf,
        /// Its version.
        version: String,
        /// The one that this program reads.
        ours: u32,
    },
    /// A file has columns that a newer recorder has introduced.
    #[error(
        "{path} was written by a newer krx-recorder: it has version {version} of the columns of {dataset}, and this one reads version {ours}; update krx-recorder. The file is not damaged, and was not changed"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its dataset.
        dataset: &'static str,
        /// The version of its columns.
        version: u32,
        /// The one that this program reads.
        ours: u32,
    },
    /// A journal segment was written by a program whose journal has another format.
    #[error(
        "{path} is of version {version} of the journal, and this krx-recorder reads version {ours}; start the program that wrote it and stop it cleanly, so that it exports the segment, or move the segment away. Nothing was changed"
    )]
    JournalVersion {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The one that this program reads.
        ours: u32,
    },
    /// A journal segment whose header is damaged, both copies of it.
    #[error("{path} has no sound header: {what}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The disk refused the journal until the recorder had to end.
    #[error(
        "the journal of {feed} could not be written to the end: {last}; {entries} messages and events that were read are lost, and {unsynced_bytes} bytes of the journal may not be on disk"
    )]
    Lost {
        /// The feed.
        feed: String,
        /// What it had not taken.
        entries: usize,
        /// Bytes that it had taken, and that are not known to be on disk.
        unsynced_bytes: usize,
        /// Why not.
        last: Box<StoreError>,
    },
    /// Less space is left than exporting may use.
    #[error(
        "{free} bytes are free on the disk of {path}, and {reserve} are kept for the journal; export waits for space"
    )]
    NoRoom {
        /// The data directory.
        path: PathBuf,
        /// What is free.
        free: u64,
        /// What is kept.
        reserve: u64,
    },
    /// A committed file is not what it should be.
    #[error("{path} is not sound: {what}; `krx-recorder verify` tells more, and `rebuild` may restore it")]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another process seals or rebuilds.
    #[error(
        "{path} is locked: another process is sealing or rebuilding in this data directory; try again when it is done"
    )]
    SealingElsewhere {
        /// The directory.
        path: PathBuf,
    },
    /// Sealing would take space that the journal needs.
    #[error(
        "{free} bytes are free on the disk of {path}, and sealing needs {needed}; make room, and seal again"
    )]
    NoRoomToSeal {
        /// The data directory.
        path: PathBuf,
        /// What is free.
        free: u64,
        /// What must be.
        needed: u64,
    },
    /// A recorder adds files as fast as they are sealed.
    #[error("{path} gets new files while it is sealed; seal the date when its recording is over")]
    Busy {
        /// The partition.
        path: PathBuf,
    },
    /// A feed's name that cannot be a directory's.
    #[error("{0:?} is no feed name: 1 to 16 capital letters, digits and underscores, such as KOSPI")]
    BadFeedName(String),
}

/// Gives an [`io::Error`] its context.
pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { doing, path, source }
}

/// Gives an error of reading the journal its context.
pub(crate) fn reading_journal(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::JournalRead { path, source }
}

/// Gives a Parquet error its context.
pub(crate) fn parquet_at(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(parquet::errors::ParquetError) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Parquet { doing, path, source }
}
