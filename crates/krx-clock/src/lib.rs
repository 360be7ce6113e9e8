//! What the kernel says about its clock: whether anything keeps it in step with a source of time, and how far off it may
//! be. Asking needs no privilege and changes nothing.
//!
//! ```text
//!   kernel::ask (adjtimex, modes = 0) ──▶ Answer ──▶ Discipline
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod discipline;
mod kernel;

pub use discipline::Discipline;

use std::io;

/// Asks the kernel.
///
/// # Errors
/// The system's error when the kernel does not answer: a container or a service manager may forbid the call (`EPERM`).
/// Then nothing is known.
pub fn read() -> io::Result<Discipline> {
    kernel::ask().map(|answer| Discipline::of(&answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_or_says_that_it_may_not() {
        match read() {
            Ok(Discipline::Synchronised { max_error_us, .. }) => {
                assert!((0..16_000_000).contains(&max_error_us), "{max_error_us}");
            }
            Ok(Discipline::Unsynchronised) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
    }
}
