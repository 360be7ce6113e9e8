//! The per-issue service: a client registers pairs of a preset and an issue, and the server pushes what happens to them.
//!
//! Facts about the protocol are explained in `docs/protocol.md`.

mod decoder;
mod fields;
mod keys;
mod message;
mod preset;
mod record;
mod registration;
mod row;
#[cfg(test)]
mod seen;
mod table;

pub use decoder::{Facts, PerIssueDecoder};
pub use fields::{Field, FieldKind};
pub use preset::{Instruments, Preset};
pub use registration::{Pair, Registration, RegistrationBook};
pub use row::{Row, RowKind, RowSink, Value};
pub use table::Table;
