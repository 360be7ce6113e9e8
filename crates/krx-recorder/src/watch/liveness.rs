//! Checks that the recorder makes progress: feeds stay alive, queued entries reach the journal, written data is synced,
//! synced data is exported. The service manager's watchdog depends on it. Pure: time and counters are arguments; only a
//! thread's state is read from the system.
//!
//! A disk that refuses or hangs is no reason to kill the recorder: whatever waits in memory would be lost, and the next
//! process would find the same disk. So a retry counts as a sign of life, and a thread that waits inside the kernel is
//! not considered stuck. That leaves a thread waiting for something that will never happen: a bug.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use krx_store::FeedName;

/// How long a part may have work and do none of it. A feed shows a sign of life every 30 seconds; nothing else takes
/// this long unless the disk is at fault.
const STUCK_AFTER: Duration = Duration::from_secs(120);

/// Checks are a second apart. After a longer pause nothing ran at all, so no part can be blamed.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// What the threads of one feed have done; each thread counts its own work.
#[derive(Debug, Default)]
pub struct Activity {
    /// Batches that the journal accepted or refused.
    pub journal: AtomicU64,
    /// Exporters that were started.
    pub export: AtomicU64,
    /// The system's id of the journaling thread; 0 before it has started.
    pub journal_thread: AtomicI32,
    /// The system's id of the exporting thread; 0 before it has started.
    pub export_thread: AtomicI32,
    /// While export is failing, the number of files committed before it began to fail, plus one; otherwise 0.
    pub export_failing: AtomicU64,
}

impl Activity {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// Stores the calling thread's id in `thread`.
    pub(crate) fn runs_here(thread: &AtomicI32) {
        thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Relaxed);
    }
}

/// A part of one feed's pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Connects and reads.
    Feed,
    /// Takes entries from the queue.
    Journal,
    /// Syncs what is written.
    Sync,
    /// Exports what is synced.
    Export,
}

impl Part {
    const ALL: [Self; 4] = [Self::Feed, Self::Journal, Self::Sync, Self::Export];

    fn as_str(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Journal => "journal",
            Self::Sync => "sync",
            Self::Export => "export",
        }
    }
}

/// What can be observed about a part: whether it has work, and a value that changes when it does some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sign {
    /// Whether it has work.
    pub busy: bool,
    /// Changes whenever work was done.
    pub done: (u64, u64),
}

/// A part that has work and does none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    /// The feed it belongs to.
    pub feed: FeedName,
    /// Which.
    pub part: Part,
    /// For how long, as far as the checks can tell.
    pub since: Duration,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (feed, part, seconds) = (&self.feed, self.part.as_str(), self.since.as_secs());
        write!(f, "the {part} of {feed} has done nothing for {seconds} s")
    }
}

/// The result of the last check of all parts, for the status.
#[derive(Clone, Debug)]
pub(crate) struct LivenessReport {
    /// When the check was made.
    pub at: Instant,
    /// The first part found stuck.
    pub stuck: Option<Stuck>,
}

impl LivenessReport {
    /// A report from before the first check.
    #[must_use]
    pub(crate) fn begin() -> Self {
        Self::now(None)
    }

    /// A report as of now.
    #[must_use]
    pub(crate) fn now(stuck: Option<Stuck>) -> Self {
        Self {
            at: Instant::now(),
            stuck,
        }
    }

    /// What is wrong at `now`, as a sentence.
    #[must_use]
    pub(crate) fn complaint(&self, now: Instant) -> Option<String> {
        let since = now.saturating_duration_since(self.at);
        if since > LOOK_MAX {
            let seconds = since.as_secs();
            return Some(format!("the recorder has not checked itself for {seconds} s"));
        }
        self.stuck.as_ref().map(Stuck::to_string)
    }
}

/// The parts of one feed, and when each was last seen to move.
#[derive(Debug)]
pub(crate) struct Liveness {
    feed: FeedName,
    seen: [(Sign, Instant); 4],
    limits: [Duration; 4],
    looked: Instant,
}

impl Liveness {
    /// Nothing seen yet. `connect_timeout` is how long the feed may try to connect without a sign of life.
    #[must_use]
    pub(crate) fn new(feed: FeedName, connect_timeout: Duration, now: Instant) -> Self {
        let nothing = Sign {
            busy: false,
            done: (0, 0),
        };
        Self {
            feed,
            seen: [(nothing, now); 4],
            limits: [
                STUCK_AFTER + connect_timeout,
                STUCK_AFTER,
                STUCK_AFTER,
                STUCK_AFTER,
            ],
            looked: now,
        }
    }

    /// Checks all parts, in the order of [`Part`], and returns the first that is stuck.
    pub(crate) fn look(&mut self, signs: [Sign; 4], now: Instant) -> Option<Stuck> {
        let mut stuck = None;
        let paused = now.saturating_duration_since(self.looked) > LOOK_MAX;
        self.looked = now;
        for (index, sign) in signs.into_iter().enumerate() {
            let (seen, moved) = &mut self.seen[index];
            if paused || !sign.busy || sign.done != seen.done {
                *moved = now;
            }
            *seen = sign;
            let since = now.saturating_duration_since(*moved);
            if since > self.limits[index] {
                stuck = stuck.or(Some(Stuck {
                    feed: self.feed.clone(),
                    part: Part::ALL[index],
                    since,
                }));
            }
        }
        stuck
    }
}

/// Whether a thread of this process waits inside the kernel, usually for the disk, where no signal can end it. Threads
/// are identified by number because names are cut to 15 bytes, which can make two of them equal.
#[must_use]
pub(crate) fn waits_in_the_kernel(thread: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    stat.is_ok_and(|stat| is_uninterruptible(&stat))
}

impl Stuck {
    /// Which.
    #[must_use]
    pub(crate) fn part(&self) -> Part {
        self.part
    }
}

/// Whether a line of `/proc/…/stat` (proc_pid_stat(5)) shows a thread in state D.
fn is_uninterruptible(stat: &str) -> bool {
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('D'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn liveness(now: Instant) -> Liveness {
        Liveness::new("KOSPI".parse().unwrap(), 10 * SECOND, now)
    }

    fn signs(part: usize, sign: Sign) -> [Sign; 4] {
        let idle = Sign {
            busy: false,
            done: (0, 0),
        };
        let mut signs = [idle; 4];
        signs[part] = sign;
        signs
    }

    #[test]
    fn a_part_that_has_work_and_does_none_is_stuck() {
        let start = Instant::now();
        for part in 0..4 {
            let sign = Sign {
                busy: true,
                done: (0, 7),
            };
            let mut liveness = liveness(start);
            let told = (0..300).find_map(|second| liveness.look(signs(part, sign), start + second * SECOND));
            let told = told.unwrap();
            assert_eq!(told.part, Part::ALL[part]);
            let limit = if part == 0 { 131 } else { 121 };
            assert_eq!(told.since, limit * SECOND, "{told}");
        }
    }

    #[test]
    fn a_part_that_is_idle_or_makes_progress_is_healthy() {
        let start = Instant::now();
        let (mut idle, mut working) = (liveness(start), liveness(start));
        for second in 0..1000_u32 {
            let now = start + second * SECOND;
            let sign = |busy, done| Sign {
                busy,
                done: (1, done),
            };
            assert_eq!(idle.look(signs(3, sign(false, 7)), now), None);
            assert_eq!(
                working.look(signs(3, sign(true, u64::from(second / 100))), now),
                None
            );
        }
    }

    #[test]
    fn a_pause_of_the_whole_machine_is_nobodys_fault() {
        let start = Instant::now();
        let sign = Sign {
            busy: true,
            done: (0, 7),
        };
        let mut liveness = liveness(start);
        assert_eq!(liveness.look(signs(2, sign), start), None);
        assert_eq!(liveness.look(signs(2, sign), start + 3600 * SECOND), None);
        assert_eq!(liveness.look(signs(2, sign), start + 3601 * SECOND), None);
    }

    #[test]
    fn without_recent_checks_the_recorder_is_not_reported_healthy() {
        let liveness = LivenessReport::begin();
        assert_eq!(liveness.complaint(liveness.at + LOOK_MAX), None);
        assert!(
            liveness
                .complaint(liveness.at + LOOK_MAX + SECOND)
                .unwrap()
                .contains("11 s")
        );
        let stuck = Stuck {
            feed: "KOSPI".parse().unwrap(),
            part: Part::Export,
            since: 121 * SECOND,
        };
        let liveness = LivenessReport::now(Some(stuck));
        assert_eq!(
            liveness.complaint(liveness.at).unwrap(),
            "the export of KOSPI has done nothing for 121 s"
        );
    }

    #[test]
    fn a_thread_waiting_for_the_disk_is_distinguished_from_any_other_wait() {
        assert!(is_uninterruptible("7 (sync-KOSPI) D 1 2 3"));
        assert!(!is_uninterruptible("7 (a) D) S 1 2 3"));
        assert!(!is_uninterruptible("7 (sync-KOSPI) S 1 2 3"));
        assert!(!is_uninterruptible(""));
        assert!(!waits_in_the_kernel(0), "it has not started");
        let thread = AtomicI32::new(0);
        Activity::runs_here(&thread);
        let here = thread.load(Relaxed);
        assert!(fs::exists(format!("/proc/self/task/{here}/stat")).unwrap());
        assert!(!waits_in_the_kernel(here));
        // Names that agree in their first 15 bytes still belong to two threads.
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let [one, two] = ["export-A_LONG_NAME_1", "export-A_LONG_NAME_2"].map(|name| {
            let number = named(name).spawn(|| {
                let thread = AtomicI32::new(0);
                Activity::runs_here(&thread);
                thread.load(Relaxed)
            });
            number.unwrap().join().unwrap()
        });
        assert_ne!(one, two);
    }
}
