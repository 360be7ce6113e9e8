//! What happens to a feed beside its frames: the events between them in the journal, and what they add up to.

mod in_force;
mod kinds;

pub(crate) use in_force::{InForce, fold_states};
pub use kinds::{Event, GapReason};
