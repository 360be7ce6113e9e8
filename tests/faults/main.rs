//! Faults of the process, the disk, the clock and the network, one part per module; see docs/testing-faults.md.
//!
//! `make test` runs a sample that works anywhere; `KRX_FAULTS=full` runs everything, as root.
#![allow(clippy::unwrap_used)]

mod clock;
mod common;
mod cuts;
mod damage;
mod errors;
mod hang;
mod issues;
mod kills;
mod network;
mod pauses;
mod sabotage;
