//! The simulated exchange over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod exchange;

mod command;
mod faults;
mod serving;
