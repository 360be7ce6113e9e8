//! A feed's state, as others see it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use krx_protocol::per_issue::{Pair, RegistrationEvent, RegistrationState};
use krx_store::Moment;
use krx_store::journal::GapReason;
use serde::Serialize;

use super::registrations::Registrations;

/// The state of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FeedState {
    /// Outside its hours, so not connected.
    Waiting,
    /// Trying to open a session.
    Connecting,
    /// A session is open.
    Live,
    /// The feed has ended.
    Ended,
    /// The server refuses the key. A key accepted before is tried again, slowly; with any other the feed has ended.
    Refused,
}

impl FeedState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Connecting,
        Self::Live,
        Self::Ended,
        Self::Refused,
    ];

    /// The state's name in status and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Refused => "refused",
        }
    }
}

/// The last problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// When it occurred, in µs since the Unix epoch.
    pub at_us: i64,
    /// The ledger's reason.
    pub reason: &'static str,
    /// A description, bounded like everything that comes from a server.
    pub detail: String,
}

/// What others see of a feed. Only the feed writes to it.
#[derive(Debug, Default)]
pub struct FeedStatus {
    state: AtomicU8,
    /// Since when it has been in this state, in µs since the Unix epoch; 0 before the feed has started.
    pub since_us: AtomicI64,
    /// Frames read from the server since the start, and their bytes.
    pub frames: AtomicU64,
    /// See `frames`.
    pub bytes: AtomicU64,
    /// When the last frame was read, in µs since the Unix epoch; 0 before the first.
    pub last_frame_us: AtomicI64,
    /// Sessions opened since the start.
    pub sessions: AtomicU32,
    signs_of_life: AtomicU64,
    ended: AtomicBool,
    problem: Mutex<Option<Problem>>,
    registrations: Mutex<Registrations>,
    /// The troubles with registrations that were told, so that each is told once however often the session is opened.
    troubles: Mutex<BTreeSet<(Pair, RegistrationState)>>,
}

impl FeedStatus {
    /// The feed's state.
    #[must_use]
    pub fn state(&self) -> FeedState {
        FeedState::ALL[usize::from(self.state.load(Relaxed)).min(FeedState::ALL.len() - 1)]
    }

    pub(crate) fn set(&self, state: FeedState) {
        let before = self.state.swap(state as u8, Relaxed);
        if before != state as u8 || self.since_us.load(Relaxed) == 0 {
            self.since_us.store(Moment::now().0, Relaxed);
        }
    }

    /// Marks the feed as ended for good; `state` says how.
    pub(crate) fn end(&self, state: FeedState) {
        self.set(state);
        self.ended.store(true, Relaxed);
    }

    /// Whether the feed has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Notes that a frame was read at `at`.
    pub(crate) fn read(&self, at: Moment, bytes: usize) {
        self.last_frame_us.store(at.0, Relaxed);
        self.frames.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// How often the feed has shown that it is alive: at least every 30 s, as long as nothing holds it up.
    #[must_use]
    pub fn signs_of_life(&self) -> u64 {
        self.signs_of_life.load(Relaxed)
    }

    pub(crate) fn note_life(&self) {
        self.signs_of_life.fetch_add(1, Relaxed);
    }

    /// What ended the last session or attempt that did not end cleanly. Kept even after things are back to normal.
    #[must_use]
    pub fn last_problem(&self) -> Option<Problem> {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The registrations; none for a service without them, and none before the first session is tried.
    #[must_use]
    pub fn registrations(&self) -> Registrations {
        self.registrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn registration(&self, event: &RegistrationEvent) {
        self.registrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(Moment::now(), event);
    }

    /// Whether this trouble was not told before, or the pair was active since.
    pub(crate) fn is_news(&self, pair: &Pair, state: RegistrationState) -> bool {
        let mut told = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if state == RegistrationState::Active {
            told.retain(|(of, _)| of != pair);
            return true;
        }
        told.insert((pair.clone(), state))
    }

    /// The session is over, and its registrations with it.
    pub(crate) fn session_over(&self) {
        self.registrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .session_over(Moment::now());
    }

    pub(crate) fn note(&self, reason: GapReason, detail: &str) {
        let problem = Problem {
            at_us: Moment::now().0,
            reason: reason.as_str(),
            detail: detail.to_owned(),
        };
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_reported_as_set() {
        let status = FeedStatus::default();
        assert_eq!(status.state(), FeedState::Waiting);
        let mut words = std::collections::BTreeSet::new();
        for state in FeedState::ALL {
            status.set(state);
            assert_eq!(status.state(), state);
            words.insert(state.as_str());
        }
        assert_eq!(words.len(), FeedState::ALL.len());
    }

    #[test]
    fn a_feed_that_ended_says_how() {
        let status = FeedStatus::default();
        status.set(FeedState::Refused);
        assert!(!status.has_ended(), "it is tried again");
        status.end(FeedState::Refused);
        assert_eq!((status.has_ended(), status.state()), (true, FeedState::Refused));
    }

    #[test]
    fn the_last_problem_stays_until_the_next() {
        let status = FeedStatus::default();
        assert_eq!(status.last_problem(), None);
        status.note(GapReason::Throttled, "HTTP 429");
        status.note(GapReason::ServerClosed, "close code 4001");
        let problem = status.last_problem().unwrap();
        assert_eq!(
            (problem.reason, problem.detail.as_str()),
            ("server_closed", "close code 4001")
        );
    }
}
