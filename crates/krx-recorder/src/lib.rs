//! The recorder: sockets in, journal and Parquet out.
//!
//! ```text
//!              tokio, one thread                      one thread per feed     one thread per feed
//!   Koscom ──▶ feed ──▶ feed::queue (64 MiB) ──▶ pipeline::journaling ──▶ pipeline::exporting ──▶ files
//!     ws       stamps each frame and event          krx_store::Writer         krx_store::Exporter
//! ```
//!
//! `service::run` wires them together. A feed parses nothing and never waits for an exporter (invariant I6): only the
//! journal on disk connects them.
//!
//! The modules are in reading order, from what a person calls down to what everything else uses; none uses one above
//! it.
#![cfg_attr(test, allow(clippy::unwrap_used))]
// These panic when the stream cannot be written: see `process::out`.
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
