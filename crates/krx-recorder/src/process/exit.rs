//! How the process ends: exit codes after sysexits.h, and the failure that leads to each.

use std::path::PathBuf;

use chrono::NaiveDate;
use krx_store::StoreError;
use thiserror::Error;

use crate::config::problem::ConfigError;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; also a clean stop, and a closed day with `--until-close`.
    Done = 0,
    /// The command line is wrong.
    Usage = 64,
    /// What was recorded is damaged, or not all there (`EX_DATAERR`).
    Data = 65,
    /// The service could not be reached: at close of day, or when asked to check.
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

/// Why the process cannot go on, in words for the person who has to do something about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Two options that exclude each other.
    #[error("{0}")]
    Usage(String),
    /// The configuration, or the key that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A port, a thread or a signal handler could not be had.
    #[error("{doing}: {source}")]
    System {
        /// What was being done, and what to do about it.
        doing: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A limit of the process is too small, or used up.
    #[error("{0}")]
    Limit(String),
    /// The key was refused, and never accepted.
    #[error(
        "the server refuses the API key for {feed}: {words}; check the key and the member name with Koscom, then start again"
    )]
    KeyRefused {
        /// The feed whose service refused it.
        feed: String,
        /// The server's words.
        words: String,
    },
    /// No session at all while one was expected.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing was ever recorded there, or not on that date.
    #[error("nothing is recorded in {data_dir}{}", nothing_recorded(date, dates))]
    NothingRecorded {
        /// The data directory.
        data_dir: PathBuf,
        /// The date that was asked for.
        date: Option<NaiveDate>,
        /// The dates that something is known of.
        dates: Vec<NaiveDate>,
    },
    /// A command was asked to stop before it was done.
    #[error("{0}")]
    Interrupted(String),
    /// Recorded data is not what it was.
    #[error("{0}")]
    Data(String),
    /// A thread panicked.
    #[error("bug: {0}; what was received is safe in the journal and will be exported by the next start")]
    Bug(String),
}

fn nothing_recorded(date: &Option<NaiveDate>, dates: &[NaiveDate]) -> String {
    let of_date = date.map_or_else(String::new, |date| format!(" of {date}"));
    match (dates.first(), dates.last()) {
        (Some(first), Some(last)) => format!("{of_date}; there are dates from {first} to {last}"),
        _ => format!("{of_date}: is it the right --data-dir?"),
    }
}

impl Failure {
    /// The exit code that tells it apart.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::NothingRecorded { .. } => Exit::Usage,
            Self::Config(_) | Self::Store(StoreError::BadFeedName(_) | StoreError::Apart { .. }) => {
                Exit::Config
            }
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
