//! The recorder: sockets in, journal and Parquet out.
//!
//! ```text
//!              tokio, one thread                      a thread a feed         a thread a feed
//!   Koscom ──▶ feed ──▶ feed::queue (64 MiB) ──▶ pipeline::journaling ──▶ pipeline::exporting ──▶ files
//!     ws       stamps each frame and event          krx_store::Writer         krx_store::Exporter
//! ```
//!
//! `service::run` wires them. A feed parses nothing and never waits for an exporter (invariant I6): the journal on disk
//! is all that lies between them.
//!
//! The modules stand in reading order, from what a person calls down to what all others use; none uses one above it.
#![cfg_attr(test, allow(clippy::unwrap_used))]
// A stream that takes nothing would make these panic: see `process::out`.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod commands;

pub mod service;

mod status;

pub mod pipeline;

pub mod feed;

mod watch;

pub mod process;

pub mod config;

mod hours;

mod sanitize;

pub use commands::cli::main;
