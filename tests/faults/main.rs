//! Faults of the process, the disk, the clock and the network, one part a module; see docs/testing-faults.md.
//!
//! `make test` runs a sample that works anywhere; `KRX_FAULTS=full` runs everything, as root.
#![allow(clippy::unwrap_used)]

mod common;
mod cuts;
mod errors;
mod hang;
mod kills;
