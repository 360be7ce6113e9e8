//! The exporter's thread. Whatever happens to it, the feed and the journal continue (invariant I6).

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use krx_store::export::Poison;
use krx_store::progress::seed;
use krx_store::{DataDir, ExportConfig, Exporter, FeedName, Moment, Progress, StoreError, Tail};
use tracing::{debug, error, info, warn};

use crate::hours::absence::Absence;
use crate::process::exit::Failure;
use crate::watch::liveness::Activity;

/// How long to let the disk recover before export is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// After this many failures in a row to read the journal, assume that the disk will never read it.
const UNREADABLE_AFTER: u32 = 12;

/// How often a lasting failure is logged.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// How often to try the rest once nothing more will arrive: a passing error must not end in a bad exit code.
const LAST_TRIES: u32 = 3;

/// Exports until the journal is closed and all of it is committed. After a failure, logs it and resumes the export
/// after the last committed file.
///
/// # Errors
/// The last failure, if it happened after the journal was closed: what is not exported stays in the journal.
pub(super) fn run(
    data: &DataDir,
    feed: &FeedName,
    config: ExportConfig,
    tail: &Arc<Tail>,
    progress: &Arc<Progress>,
    activity: &Activity,
    absence: &Absence,
) -> Result<(), Failure> {
    Activity::runs_here(&activity.export_thread);
    // On this thread, because only it may wait for the disk and writes this feed's coverage.
    let yesterday = Moment::now().date().pred_opt().unwrap_or_default();
    if let Err(error) = absence.record(data, feed, yesterday) {
        error!(%feed, %error,
            "the trading days on which no recorder ran could not be put on record; the next start tries again");
    }
    // Before the first exporter adds to the counters.
    if let Err(error) = seed(progress, data, feed, Moment::now().date()) {
        warn!(%feed, %error, "the status shows today only from this start on");
    }
    let poison = Arc::new(Poison::default());
    let (mut unreadable, mut last_tries) = (0, 0);
    let mut outage = Outage::default();
    loop {
        Activity::count(&activity.export);
        let tail_of = Some(Arc::clone(tail));
        let mut exporter =
            Exporter::new(data, feed, config, tail_of, Arc::clone(progress)).with_poison(&poison);
        if outage.has_begun() {
            exporter = exporter.again();
        }
        if unreadable >= UNREADABLE_AFTER {
            exporter = exporter.past_unreadable();
        }
        let failure: Failure = match catch_unwind(AssertUnwindSafe(|| exporter.run())) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                unreadable = if is_unreadable_journal(&error) {
                    unreadable + 1
                } else {
                    0
                };
                error.into()
            }
            // The frame has been noted, and is quarantined if it causes another panic.
            Err(_) if poison.panicked() => {
                error!(feed = %feed, "the exporter panicked on a frame; it resumes after the last committed file");
                continue;
            }
            Err(_) => Failure::Bug(format!("the exporter of {feed} panicked")),
        };
        if tail.is_closed() {
            last_tries += 1;
            if last_tries >= LAST_TRIES {
                return Err(failure);
            }
            error!(feed = %feed, error = %failure, "export failed; trying again before the recorder exits");
            continue;
        }
        let committed = progress.files_committed.load(Relaxed);
        activity.export_failing.store(committed + 1, Relaxed);
        if outage.is_worth_a_line(Failed::of(&failure, committed), Instant::now()) {
            let retry_seconds = RETRY_WAIT.as_secs();
            error!(feed = %feed, error = %failure, retry_seconds, "export failed; recording goes on");
        } else {
            debug!(feed = %feed, error = %failure, "export failed again");
        }
        // Unlike a sleep, this does not delay a stop.
        tail.wait_closed(RETRY_WAIT);
    }
}

/// Reports that export works again, once it has committed a file after a failure.
pub(super) fn look(feed: &FeedName, progress: &Progress, activity: &Activity) {
    let failing = activity.export_failing.load(Relaxed);
    if failing > 0 && progress.files_committed.load(Relaxed) >= failing {
        activity.export_failing.store(0, Relaxed);
        info!(feed = %feed, "the export works again");
    }
}

/// What makes two failures the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed {
    /// The operating system's error, if there is one.
    errno: Option<i32>,
    /// Files committed before it: a file between two failures makes the second a new one.
    committed: u64,
}

impl Failed {
    fn of(failure: &Failure, committed: u64) -> Self {
        let mut cause: Option<&dyn Error> = Some(failure);
        let mut errno = None;
        while let Some(error) = cause {
            errno = errno.or(error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::raw_os_error));
            cause = error.source();
        }
        Self { errno, committed }
    }
}

/// The failure last logged, and when.
#[derive(Debug, Default)]
struct Outage {
    told: Option<(Failed, Instant)>,
}

impl Outage {
    fn has_begun(&self) -> bool {
        self.told.is_some()
    }

    /// A first or a different failure is; the same one only every now and then.
    fn is_worth_a_line(&mut self, failed: Failed, now: Instant) -> bool {
        if let Some((told, at)) = self.told
            && told == failed
            && now.duration_since(at) < REPEAT_INTERVAL
        {
            return false;
        }
        self.told = Some((failed, now));
        true
    }
}

fn is_unreadable_journal(error: &StoreError) -> bool {
    const EIO: i32 = 5;
    matches!(error, StoreError::JournalRead { source, .. } if source.raw_os_error() == Some(EIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_at_once_and_then_now_and_then() {
        let start = Instant::now();
        let full = Failed {
            errno: Some(28),
            committed: 7,
        };
        let mut outage = Outage::default();
        let mut told = |seconds, failed| outage.is_worth_a_line(failed, start + Duration::from_secs(seconds));
        let lines = (0..=1200)
            .step_by(5)
            .filter(|seconds| told(*seconds, full))
            .count();
        assert_eq!(lines, 3, "at once, and every ten minutes");
        let committed = Failed { committed: 8, ..full };
        assert!(told(1205, committed), "export worked in between");
        assert!(!told(1210, committed));
        let io = Failed {
            errno: Some(5),
            committed: 8,
        };
        assert!(told(1215, io), "a different failure");
    }

    #[test]
    fn the_system_error_is_found_under_the_messages_around_it() {
        let failure = Failure::from(StoreError::Io {
            doing: "creating",
            path: "/x".into(),
            source: std::io::Error::from_raw_os_error(28),
        });
        assert_eq!(Failed::of(&failure, 1).errno, Some(28));
        assert_eq!(Failed::of(&Failure::Bug(String::new()), 1).errno, None);
    }
}
