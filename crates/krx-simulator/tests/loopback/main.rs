//! The simulated exchange over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod exchange;

mod command;
mod faults;
mod per_issue;
mod serving;
mod speed;
