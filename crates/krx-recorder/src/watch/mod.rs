//! What the recorder notices about itself and its machine: whether its parts make progress, whether it ran at all, whether
//! the clock can be trusted, and whether the disk is filling up.

pub(crate) mod clock;
pub(crate) mod liveness;
pub(crate) mod pause;

pub(crate) mod disk_watch;
