//! The recorder as a service: `run` wires feeds and pipelines together, serves requests and timers, and shuts down in
//! order.

pub(crate) mod run;

pub(crate) mod reload;

pub(crate) mod housekeeping;

pub(crate) mod notify;
mod summary;

pub use reload::Source;
pub use run::run;
