//! The real programs, end to end: what they record, print and say, and how they end.
//!
//! One program, since each one links arrow and parquet. Everything measured is a child process, so tests may run in
//! parallel.
#![allow(clippy::unwrap_used)]

mod architecture;
mod bounds;
mod calendar;
mod deterministic;
mod failures;
mod hostile;
mod hostile_issues;
mod issues;
mod issues_breaks;
mod issues_lists;
mod issues_oracle;
mod issues_register;
mod issues_silent;
mod limits;
mod meddled;
mod network;
mod oracle;
mod replay;
mod replay_issues;
mod report;
mod seal;
mod service;
mod status;
mod stops;
mod streams;
mod tail;
mod tls;
mod verify;
