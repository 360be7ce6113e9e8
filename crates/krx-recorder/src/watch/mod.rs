//! What the recorder notices of itself: whether its parts do what they are there for, whether it ran at all, and whether
//! the disk is full.

pub(crate) mod liveness;
pub(crate) mod pause;

pub(crate) mod disk_watch;
