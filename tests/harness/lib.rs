//! What the end-to-end tests and the demonstration share: the real programs as child processes, and the oracle.
//!
//! ```text
//!   krx-simulator ──ws──▶ krx-recorder ──▶ trades/, quarantine/
//!        └──▶ ledger ──▶ oracle::compare ◀────────┘
//! ```
//!
//! The oracle shares no code with the recorder: it parses the ledger's texts with `serde_json`, reads the files with
//! the `parquet` crate, and applies the rules of docs/protocol.md by itself. Every wait has a bound, all sockets are
//! on loopback, and every child is ended by its own process number.

pub mod coverage;
pub mod durability;
pub mod expected;
pub mod hostile;
pub mod ledger;
pub mod oracle;
pub mod output;
pub mod process;
pub mod proxy;
pub mod recorded;
pub mod recorder;
pub mod simulator;
pub mod strace;
pub mod tally;
pub mod tree;
pub mod volume;

pub use oracle::{Mode, compare};
pub use process::{Finished, Process, Program};
pub use recorder::{Recorder, RecorderConfig};
pub use simulator::Simulator;
