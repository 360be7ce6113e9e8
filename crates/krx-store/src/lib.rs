//! Everything that touches the disk.
//!
//! ```text
//!   entries ──▶ journal::Writer ──▶ segments ──▶ journal::Follower ──▶ export::Exporter ──▶ the service's datasets
//!                  │ fdatasync on a thread of its own   ▲                     └──▶ quarantine, registrations, coverage
//!                  └──▶ Tail: how far the journal is known to be on disk ─────┘
//! ```
//!
//! The journal is the queue between receiving and exporting, and the committed file is the commit record: its name and
//! footer say which frames it covers, and nothing else does. So starting up after a crash needs no special path: the
//! exporter resumes after the last frame that a committed file covers.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod absence;
pub mod archive;
pub mod catalog;
pub mod checksums;
pub mod clock;
mod column_orders;
pub mod coverage;
pub mod dataset;
pub mod date_file;
pub mod day;
mod decoding;
pub mod derived;
pub mod disk;
mod encode;
pub mod error;
mod event;
pub mod export;
mod feed_name;
pub mod feed_service;
pub mod format;
pub mod journal;
pub mod lag;
pub mod layout;
pub mod lock;
pub mod moment;
pub mod progress;
pub mod reach;
pub mod read;
pub mod rebuild;
mod registrations;
pub mod resume;
pub mod retention;
mod rights;
mod sabotage;
pub mod service;
mod staged;
pub mod tail;
mod traded;
pub mod verify;
mod whole;

pub use checksums::Checksums;
pub use disk::Disk;
pub use error::StoreError;
pub use export::{ExportConfig, Exporter};
pub use feed_name::FeedName;
pub use journal::{DateRules, Entry, Event, JournalConfig, Tail, Writer};
pub use layout::DataDir;
pub use lock::DataDirLock;
pub use moment::Moment;
pub use progress::{Progress, Tally};
pub use resume::open_writer;
pub use retention::Retention;
pub use traded::{Traded, Watched};
