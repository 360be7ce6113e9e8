//! The command line, and a module for each command except `run`, which is the service.

pub(crate) mod cli;

mod check;

mod status;

mod calendar;

mod coverage;
mod report;
mod schema;
mod sql;
mod verify;

mod rebuild;
mod seal;

mod replay;
