//! What can go wrong on disk.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// An error of this crate; it says what was being done, and to what.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A journal of a service that this version does not know.
    #[error("the journal in {} is of the service {service:?}, which this version does not know: use the version that wrote it, or a newer one", path.display())]
    UnknownService {
        /// The journal's directory.
        path: PathBuf,
        /// The service's name.
        service: String,
    },
    /// Another service has recorded under this feed's name.
    #[error(
        "feed {feed} is configured for the service {wanted}, but {} was recorded by the service {found} under this name: give the feed another name, or choose another data_dir. Nothing was changed", path.display()
    )]
    OtherService {
        /// The partition, or the journal's directory.
        path: PathBuf,
        /// The feed.
        feed: String,
        /// The service that recorded it.
        found: String,
        /// The service in the configuration.
        wanted: &'static str,
    },
    /// The operating system reported an error.
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
    /// The Parquet library reported an error.
    #[error("{doing} {path}: {source}")]
    Parquet {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: parquet::errors::ParquetError,
    },
    /// A file was written and reads back as something else. It was not added to the dataset.
    #[error("reading back {path}: {what}; the file stays in staging, and its frames stay in the journal")]
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
    /// The data directory is no longer where it was when it was locked; nothing may be created in its place.
    #[error("{path} is no longer the data directory: it was moved or removed; put it back where it was")]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// A dataset is on a different filesystem from the one its files are built on.
    #[error(
        "{path} does not accept files from {staging}: {source}. Both must be on one filesystem, so that a file appears in one step: move or mount the whole data directory, not a single dataset"
    )]
    Apart {
        /// The dataset.
        path: PathBuf,
        /// Where its files are built.
        staging: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The data directory has a different layout version.
    #[error(
        "{path} has layout version {version:?}, but this krx-recorder reads version {ours}; use the program that wrote it, or choose another --data-dir. Nothing was changed"
    )]
    Layout {
        /// The data directory.
        path: PathBuf,
        /// Its layout version.
        version: String,
        /// The one that this program reads.
        ours: u32,
    },
    /// A file has columns that a newer recorder introduced.
    #[error(
        "{path} was written by a newer krx-recorder: its {dataset} columns have version {version}, but this one reads version {ours}; update krx-recorder. The file is not damaged and was not changed"
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
    /// A journal segment was written by a program with a different journal format.
    #[error(
        "{path} has journal version {version}, but this krx-recorder reads version {ours}; start the program that wrote it and stop it cleanly, so that it exports the segment, or move the segment away. Nothing was changed"
    )]
    JournalVersion {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The one that this program reads.
        ours: u32,
    },
    /// Both copies of a journal segment's header are damaged.
    #[error("{path} has no valid header: {what}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The disk was still refusing the journal when the recorder had to exit.
    #[error(
        "the rest of the journal of {feed} could not be written: {last}; {entries} messages and events that were received are lost, and {unsynced_bytes} bytes of the journal may not be on disk"
    )]
    Lost {
        /// The feed.
        feed: String,
        /// Messages and events that never reached the journal.
        entries: usize,
        /// Bytes that were written but may not be on disk.
        unsynced_bytes: usize,
        /// Why not.
        last: Box<StoreError>,
    },
    /// The free space is down to what is reserved for the journal.
    #[error(
        "only {free} bytes are free on the disk of {path}, and {reserve} are reserved for the journal; export waits for space"
    )]
    NoRoom {
        /// The data directory.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes reserved for the journal.
        reserve: u64,
    },
    /// A committed file is not what it should be.
    #[error("{path} is not sound: {what}; `krx-recorder verify` says more, and `rebuild` may restore it")]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another process is sealing or rebuilding.
    #[error(
        "{path} is locked: another process is sealing or rebuilding in this data directory; try again when it is done"
    )]
    SealingElsewhere {
        /// The directory.
        path: PathBuf,
    },
    /// Sealing would use space that the journal needs.
    #[error(
        "only {free} bytes are free on the disk of {path}, and sealing needs {needed}; make room and seal again"
    )]
    NoRoomToSeal {
        /// The data directory.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// A recorder keeps adding files while the date is being sealed.
    #[error(
        "new files keep arriving in {path} while it is being sealed; seal the date once its recording is over"
    )]
    Busy {
        /// The partition.
        path: PathBuf,
    },
    /// A text that cannot be a feed's name.
    #[error("{0:?} is not a feed name: 1 to 16 capital letters, digits and underscores, such as KOSPI")]
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
