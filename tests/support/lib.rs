//! What only the tests need: servers, proxies, disks and system calls that misbehave on demand, and a tally of the
//! results.

pub mod durability;
pub mod hostile;
pub mod issue_server;
pub mod issues;
pub mod proxy;
pub mod strace;
pub mod tally;
pub mod volume;
