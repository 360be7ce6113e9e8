//! What only the tests need: servers, proxies, disks and system calls that misbehave as told, and a tally of what came of it.

pub mod durability;
pub mod hostile;
pub mod proxy;
pub mod strace;
pub mod tally;
pub mod volume;
