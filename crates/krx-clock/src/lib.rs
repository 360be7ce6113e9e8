//! What the kernel says about its clock: whether anything keeps it in step with a source of time, and how far it may be
//! off. Reading this needs no privilege and changes nothing.
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
/// What the system says when it does not answer: a container or a service manager may forbid the call (`EPERM`). Then
/// nothing is known.
pub fn read() -> io::Result<Discipline> {
    kernel::ask().map(|answer| Discipline::of(&answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_or_says_that_it_may_not() {
        match read() {
            Ok(discipline) => {
                let error = discipline.max_error_us;
                assert_eq!(discipline.is_synchronised, error.is_some(), "{discipline:?}");
                assert!(error.is_none_or(|us| us < 16_000_000), "{discipline:?}");
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
    }
}
