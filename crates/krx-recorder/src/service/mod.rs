//! The recorder as a service: `run` wires feeds and pipelines together, serves requests and timers, and shuts down in
//! order.

pub(crate) mod run;

pub(crate) mod reload;

mod keys_in_use;

pub(crate) mod housekeeping;

mod clock_log;

pub(crate) mod notify;
mod summary;

mod drain;

pub use reload::Source;
pub use run::run;
