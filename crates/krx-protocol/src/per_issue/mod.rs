//! The per-issue service: a client registers pairs of a preset and an issue, and the server pushes what happens to them.
//!
//! Facts about the protocol are explained in `docs/protocol.md`.

mod preset;
mod registration;

pub use preset::{Instruments, Preset};
pub use registration::{Pair, Registration, RegistrationBook};
