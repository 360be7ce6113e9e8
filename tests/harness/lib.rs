//! The real programs as child processes, and the oracle: what the demonstration needs, and all tests.
//!
//! ```text
//!   krx-simulator ──ws──▶ krx-recorder ──▶ trades/, quarantine/
//!        └──▶ ledger ──▶ oracle::compare ◀────────┘
//! ```
//!
//! The oracle shares no code with the recorder: it parses the ledger's texts with `serde_json`, reads the files with
//! the `parquet` crate, and applies the rules of docs/protocol.md itself. Every wait has a bound, all sockets are on
//! loopback, and every child process is ended by its own process number.

pub mod coverage;
pub mod expected;
pub mod issues;
pub mod ledger;
pub mod oracle;
pub mod output;
pub mod process;
pub mod recorded;
pub mod recorder;
pub mod simulator;
pub mod tree;

pub use issues::{Group, IssueList, compare_issues};
pub use oracle::{Mode, compare};
pub use process::{Finished, Process, Program};
pub use recorder::{Recorder, RecorderConfig};
pub use simulator::Simulator;
