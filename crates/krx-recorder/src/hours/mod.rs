//! When data is expected: a feed's hours, and the trading days on which no recorder ran.

pub(crate) mod regular;
pub(crate) mod schedule;

pub(crate) mod absence;
