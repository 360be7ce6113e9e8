//! What the recorder notices about itself: whether its parts make progress, whether it ran at all, and whether the disk
//! is filling up.

pub(crate) mod liveness;
pub(crate) mod pause;

pub(crate) mod disk_watch;
