//! Why the simulator could not do what it was asked.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use krx_exchange::ExchangeError;

/// Why a file of issues was refused.
#[derive(Debug, thiserror::Error)]
pub enum IssuesError {
    /// The file could not be opened.
    #[error("opening the issues file {}: {source}; give --issues a readable CSV file", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not CSV, or reading it failed.
    #[error("reading the issues file {}: {source}; it must be CSV in UTF-8 with a header", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the CSV reader said, with the line.
        source: csv::Error,
    },
    /// A required column is missing.
    #[error("the issues file {} has no column {column:?}; its header must name code and market", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The missing column.
        column: &'static str,
    },
    /// A line does not describe an issue.
    #[error("the issues file {}, line {line}: {problem}; correct the line or leave it out", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The file as a whole cannot make a day.
    #[error("the issues file {}: {problem}; add issues that trade", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is missing.
        problem: String,
    },
}

impl IssuesError {
    pub(crate) fn open(path: &Path, source: io::Error) -> IssuesError {
        IssuesError::Open {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn csv(path: &Path, source: csv::Error) -> IssuesError {
        IssuesError::Csv {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn line(path: &Path, line: u64, problem: String) -> IssuesError {
        IssuesError::Line {
            path: path.to_owned(),
            line,
            problem,
        }
    }

    pub(crate) fn empty(path: &Path, problem: String) -> IssuesError {
        IssuesError::Empty {
            path: path.to_owned(),
            problem,
        }
    }
}

/// Why the simulator stopped, or could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// The file of issues was refused.
    #[error(transparent)]
    Issues(#[from] IssuesError),
    /// The address is not on this machine's loopback interface.
    #[error("{0} is not a loopback address; the simulated exchange serves 127.0.0.1 or [::1] only")]
    NotLoopback(SocketAddr),
    /// The exchange could not serve.
    #[error(transparent)]
    Exchange(ExchangeError),
    /// A certificate or key could not be used.
    #[error("loading the TLS {what} from {}: {problem}; give PEM files that belong together", path.display())]
    Tls {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The ledger could not be written: without it the messages sent cannot be checked.
    #[error("writing the ledger {}: {source}; free space or choose another --ledger file", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of messages could not be written.
    #[error("writing messages to {}: {source}; free space or choose another --write-frames file", path.display())]
    Frames {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something the simulator cannot do without.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl From<ExchangeError> for SimulatorError {
    fn from(error: ExchangeError) -> SimulatorError {
        match error {
            ExchangeError::NotLoopback(address) => SimulatorError::NotLoopback(address),
            error => SimulatorError::Exchange(error),
        }
    }
}
