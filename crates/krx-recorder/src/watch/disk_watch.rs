//! Warns before the disk is full, while there is still time to act.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use krx_store::disk::free_bytes;
use tracing::{error, info, warn};

/// How often the free space is checked, and how often a warning is repeated.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// How often the log repeats that the filesystem does not answer.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(60);

/// What was last seen, for the status.
#[derive(Debug, Default)]
pub(crate) struct DiskStatus {
    /// Bytes free for the recorder.
    pub free_bytes: AtomicU64,
    /// Whether that is less than `disk.warn_free_bytes`.
    pub low: AtomicBool,
}

/// Watches the disk of one data directory.
#[derive(Debug)]
pub(crate) struct DiskWatch {
    data_dir: PathBuf,
    warn_free_bytes: u64,
    status: Arc<DiskStatus>,
    looked: Option<Instant>,
    warned: Option<Instant>,
    /// When the log last said that the free space is unknown.
    unknown: Option<Instant>,
}

/// What to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    Low,
    Enough,
}

/// What to say about `free` bytes, when the last warning was `warned` ago.
fn word(free: u64, warn_free: u64, warned: Option<Duration>) -> Word {
    match warned {
        None if free < warn_free => Word::Low,
        Some(ago) if free < warn_free && ago >= REPEAT_INTERVAL => Word::Low,
        // A tenth above the limit, so that a disk hovering at the limit does not alternate between the two messages.
        Some(_) if free >= warn_free + warn_free / 10 => Word::Enough,
        _ => Word::Nothing,
    }
}

impl DiskWatch {
    /// A watch that has not looked yet.
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

    /// Looks, if it is time to.
    pub(crate) fn look(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
            return;
        }
        self.looked = Some(Instant::now());
        let free = match free_bytes(&self.data_dir) {
            Ok(free) => free,
            Err(error) => {
                if self.unknown.is_none_or(|at| at.elapsed() >= UNKNOWN_INTERVAL) {
                    error!(%error, "the free space is unknown");
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
                    "disk space is low: make room before it runs out, because then nothing can be received");
                self.warned = Some(Instant::now());
            }
            Word::Enough => {
                info!(free_bytes = free, "disk space is no longer low");
                self.warned = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_warns_once_then_again_after_a_while_and_reports_the_all_clear() {
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
