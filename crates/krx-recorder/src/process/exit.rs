//! How the process ends: exit codes following sysexits.h, and the failure behind each.

use std::path::PathBuf;

use chrono::NaiveDate;
use krx_store::StoreError;
use thiserror::Error;

use crate::config::problem::ConfigError;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success, including a clean stop and a closed day with `--until-close`.
    Done = 0,
    /// The command line is wrong.
    Usage = 64,
    /// Recorded data is damaged or incomplete (`EX_DATAERR`).
    Data = 65,
    /// The service could not be reached, as of the day's close or during `check`.
    Unavailable = 69,
    /// A bug of ours.
    Bug = 70,
    /// The disk, a port or a limit of the process.
    Io = 74,
    /// Not now: another process holds the data directory, or a command was interrupted.
    Locked = 75,
    /// The server refuses the key.
    KeyRefused = 77,
    /// The configuration is wrong.
    Config = 78,
}

/// Why the process cannot continue, worded for the person who has to fix it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The configuration, or a key that it names, is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store failed, usually because of the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused a port, a thread, a signal handler or the like.
    #[error("{doing}: {source}")]
    System {
        /// What was being done, and perhaps what to do about it.
        doing: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A limit on the process is too small, or used up.
    #[error("{0}")]
    Limit(String),
    /// The server refused the key, and never accepted it.
    #[error(
        "the server refuses the API key for {feed}: {words}; check the key and the member name with Koscom, then start \
         again"
    )]
    KeyRefused {
        /// The feed whose service refused it.
        feed: String,
        /// The server's words.
        words: String,
    },
    /// No session could be opened when one was expected.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing was ever recorded there, or nothing on that date.
    #[error("nothing is recorded in {data_dir}{}", nothing_recorded(date, dates))]
    NothingRecorded {
        /// The data directory.
        data_dir: PathBuf,
        /// The date that was asked for.
        date: Option<NaiveDate>,
        /// The dates about which something is known.
        dates: Vec<NaiveDate>,
    },
    /// A command was asked to stop before it finished.
    #[error("{0}")]
    Interrupted(String),
    /// Recorded data is not as it was written.
    #[error("{0}")]
    Data(String),
    /// A thread panicked.
    #[error("bug: {0}; everything received is safe in the journal, and the next start exports it")]
    Bug(String),
}

fn nothing_recorded(date: &Option<NaiveDate>, dates: &[NaiveDate]) -> String {
    let of_date = date.map_or_else(String::new, |date| format!(" for {date}"));
    match (dates.first(), dates.last()) {
        (Some(first), Some(last)) => format!("{of_date}; the recorded dates go from {first} to {last}"),
        _ => format!("{of_date}: is it the right --data-dir?"),
    }
}

impl Failure {
    /// The exit code for this failure.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::NothingRecorded { .. } => Exit::Usage,
            Self::Config(_)
            | Self::Store(
                StoreError::BadFeedName(_) | StoreError::Apart { .. } | StoreError::OtherService { .. },
            ) => Exit::Config,
            Self::Store(
                StoreError::Locked { .. } | StoreError::SealingElsewhere { .. } | StoreError::Busy { .. },
            )
            | Self::Interrupted(_) => Exit::Locked,
            Self::Store(
                StoreError::Unsound { .. } | StoreError::Layout { .. } | StoreError::JournalVersion { .. },
            ) => Exit::Data,
            Self::Store(_) | Self::System { .. } | Self::Limit(_) => Exit::Io,
            Self::KeyRefused { .. } => Exit::KeyRefused,
            Self::Unavailable(_) => Exit::Unavailable,
            Self::Data(_) => Exit::Data,
            Self::Bug(_) => Exit::Bug,
        }
    }
}
