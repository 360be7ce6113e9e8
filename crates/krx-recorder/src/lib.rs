//! The recorder: sockets in, journal and Parquet out.
//!
//! ```text
//!              tokio, one thread                    a thread a market         a thread a market
//!   Koscom ──▶ feed::run ──▶ queue (64 MiB) ──▶ Journaling::run ──▶ exporting::run ──▶ sealed files
//!     ws       stamps each frame and event       krx_store::Writer   krx_store::Exporter
//! ```
//!
//! The wiring is in [`run`]. A feed parses nothing and never waits for an exporter (invariant I6): the journal on
//! disk is all that lies between them.
#![cfg_attr(test, allow(clippy::unwrap_used))]
// A stream that takes nothing would make these panic: see [`out`].
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod absence;
pub mod attendance;
pub mod backoff;
pub mod calendar;
pub mod check;
pub mod cli;
pub mod config;
pub mod connect;
pub mod coverage;
pub mod disk_watch;
pub mod exit;
pub mod exporting;
pub mod feed;
pub mod housekeeping;
pub mod journald;
pub mod journaling;
pub mod key;
pub mod limits;
pub mod logging;
pub mod marks;
pub mod notify;
pub mod out;
pub mod pace;
mod pipeline;
pub mod pulse;
pub mod queue;
pub mod rates;
pub mod rebuild;
pub mod reload;
pub mod replay;
pub mod report;
pub mod run;
pub mod schedule;
pub mod seal;
pub mod signals;
pub mod silence;
pub mod sql;
pub mod standing;
pub mod status;
pub mod status_command;
pub mod summary;
pub mod verify;
pub mod vitals;
pub mod wire;
pub mod words;
