//! Recorders at the highest rates that a simulator reaches, and killed again and again.
//!
//! Each test has the machine to itself: it uses all of it, and its figures are for that one recorder.
#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod exact;
mod full_day;
mod issues;
mod kill;
mod memory;

/// Held by a test while it runs.
fn whole_machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
