//! Warns before the disk is full, while there is time to do something about it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use krx_store::disk::free_bytes;
use tracing::{error, info, warn};

/// How often the free space is asked for, and how often a warning is repeated.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// How often it is said that the filesystem does not answer.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(60);

/// What was last seen, to be shown.
#[derive(Debug, Default)]
pub(crate) struct DiskStatus {
    /// Bytes free for the recorder.
    pub free_bytes: AtomicU64,
    /// Whether these are fewer than `disk.warn_free_bytes`.
    pub low: AtomicBool,
}

/// Looks at the disk of one data directory.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    data_dir: PathBuf,
    warn_free_bytes: u64,
    status: Arc<DiskStatus>,
    looked: Option<Instant>,
    warned: Option<Instant>,
    /// When it was last said that the free space is not known.
    unknown: Option<Instant>,
}

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    Low,
    Enough,
}

/// Whether there is something to say of `free` bytes, when it was last warned so long ago.
fn word(free: u64, warn_free: u64, warned: Option<Duration>) -> Word {
    match warned {
        None if free < warn_free => Word::Low,
        Some(ago) if free < warn_free && ago >= REPEAT_INTERVAL => Word::Low,
        // A tenth more than the limit, so that a disk at the limit does not say both by turns.
        Some(_) if free >= warn_free + warn_free / 10 => Word::Enough,
        _ => Word::Nothing,
    }
}

impl DiskWatch {
    /// Has not looked yet.
    #[must_use]
    pub(crate) fn new(data_dir: PathBuf, warn_free_bytes: u64) -> Self {
        Self {
            data_dir,
            warn_free_bytes,
            status: Arc::default(),
            looked: None,
            warned: None,
            unknown: None,
        }
    }

    /// What was last seen.
    #[must_use]
    pub(crate) fn status(&self) -> Arc<DiskStatus> {
        Arc::clone(&self.status)
    }

    /// Looks, when it is time to.
    pub(crate) fn look(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
            return;
        }
        self.looked = Some(Instant::now());
        let free = match free_bytes(&self.data_dir) {
            Ok(free) => free,
            Err(error) => {
                if self.unknown.is_none_or(|at| at.elapsed() >= UNKNOWN_INTERVAL) {
                    error!(%error, "the free space is not known");
                    self.unknown = Some(Instant::now());
                }
                return;
            }
        };
        self.status.free_bytes.store(free, Relaxed);
        self.status.low.store(free < self.warn_free_bytes, Relaxed);
        let limit = self.warn_free_bytes;
        match word(free, limit, self.warned.map(|at| at.elapsed())) {
            Word::Nothing => {}
            Word::Low => {
                warn!(free_bytes = free, warn_free_bytes = limit, data_dir = %self.data_dir.display(),
                    "disk space is low: make room before it is used up, for nothing can be received then");
                self.warned = Some(Instant::now());
            }
            Word::Enough => {
                info!(free_bytes = free, "there is disk space again");
                self.warned = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_warns_once_and_again_after_a_while_and_says_when_it_is_over() {
        let (recent, long_ago) = (Some(Duration::from_secs(9)), Some(REPEAT_INTERVAL));
        let cases = [
            (100, None, Word::Nothing),
            (99, None, Word::Low),
            (0, recent, Word::Nothing),
            (99, long_ago, Word::Low),
            (109, recent, Word::Nothing),
            (110, recent, Word::Enough),
        ];
        for (free, warned, expected) in cases {
            assert_eq!(word(free, 100, warned), expected, "{free} {warned:?}");
        }
    }
}
