//! Reading files that a recorder may be replacing.

use std::io::ErrorKind;

use crate::error::StoreError;

/// A day is sealed dataset by dataset, each once. There are eight of a service at most, and some feeds.
const READINGS_MAX: usize = 100;

/// Reads again if a file is gone because its day was being sealed.
///
/// # Errors
/// Those of `read`, that a file is gone only if it is each time.
pub fn again_if_gone<T>(mut read: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 1..READINGS_MAX {
        match read() {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            done => return done,
        }
    }
    read()
}
