//! The per-issue service: a client registers pairs of a preset and an issue, and the server pushes what happens to them.
//!
//! Facts about the protocol are explained in `docs/protocol.md`.

mod decoder;
mod fields;
mod keys;
mod meanings;
mod message;
mod preset;
mod record;
mod registration;
mod registration_event;
mod registration_states;
mod row;
#[cfg(test)]
mod seen;
mod table;
mod usual;
mod wish;

pub use decoder::{Facts, PerIssueDecoder};
pub use fields::{Field, FieldKind};
pub use preset::{Instruments, Preset};
pub use registration::{Pair, Registration, RegistrationBook};
pub use registration_event::{RegistrationEvent, RegistrationState};
pub use registration_states::RegistrationStates;
pub use row::{Row, RowKind, RowSink, Value};
pub use table::Table;
pub use wish::{Difference, Wish, WishError, WishGroup, WishList};
