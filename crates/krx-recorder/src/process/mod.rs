//! The process: how it ends, what it prints and logs, its limits, its signals.

pub(crate) mod exit;
pub(crate) mod out;

pub(crate) mod limits;
pub(crate) mod signals;

pub(crate) mod runtime;

mod journald;
pub(crate) mod logging;

pub use limits::on_a_stack;
pub use logging::Filter;
pub use signals::Request;
