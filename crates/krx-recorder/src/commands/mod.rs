//! The command line, and a module for each command.

pub(crate) mod cli;

mod run;

mod check;

mod status;
mod tail;

mod ask;
mod calendar;

mod coverage;
mod report;
mod schema;
mod sql;
mod verify;

mod rebuild;
mod seal;
mod sessions;

mod register;

mod replay;
