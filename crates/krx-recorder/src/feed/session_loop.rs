//! When a feed has sessions: it waits for the hours, runs one session after another while they last, and rests between
//! attempts. The clock and the sessions are injected, so that a test can run a year in seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use krx_store::Moment;
use krx_store::journal::GapReason;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::feed::backoff::{Asked, Attempt, Backoff, Next};
use crate::feed::feed_status::{FeedState, FeedStatus};
use crate::feed::queue::JournalStopped;
use crate::hours::schedule::{Hours, Schedule};

/// The longest single sleep: the clock may be set, or the machine suspended, during it. The clock that measures sleeps
/// stops while the machine is suspended.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// A wall clock.
pub(crate) trait Clock {
    fn now(&self) -> Moment;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Moment {
        Moment::now()
    }
}

/// A feed's sessions, one after the other.
pub(crate) trait Sessions {
    /// One attempt, and the session that follows, until the hours are over at the latest.
    async fn session(&mut self, stop: &mut watch::Receiver<bool>) -> Result<Ended, JournalStopped>;

    /// The day's hours are over.
    async fn hours_over(&mut self) -> Result<(), JournalStopped>;

    /// What others see.
    fn status(&self) -> &FeedStatus;

    /// The feed's name, for the log.
    fn feed(&self) -> &str;
}

/// Why a feed ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEnd {
    /// The feed was asked to stop.
    Stopped,
    /// The day's hours are over.
    Closed,
    /// The server refuses the key, and never accepted it. Holds what the server said.
    Refused(String),
    /// The journal has stopped.
    JournalStopped,
}

/// How a session ended, or why there was none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) reason: GapReason,
    /// Fit for logs, ledger and status.
    pub(crate) detail: String,
    pub(crate) asked: Asked,
}

impl End {
    pub(crate) fn new(reason: GapReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            asked: Asked::Nothing,
        }
    }

    pub(crate) fn stop() -> Self {
        Self::new(GapReason::Shutdown, "the recorder stops")
    }
}

/// A finished attempt.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) end: End,
    /// How long the session lasted, if it brought data.
    pub(crate) data_for: Option<Duration>,
}

/// Runs one feed's sessions.
pub(crate) struct SessionLoop<C> {
    pub(crate) clock: C,
    /// Replaced as a whole when the configuration is reloaded.
    pub(crate) schedule: watch::Receiver<Schedule>,
    /// Whether to end when the hours are over, instead of waiting for the next day's.
    pub(crate) until_close: bool,
    pub(crate) backoff: Backoff,
    /// Whether this feed's key was ever accepted in this process.
    pub(crate) accepted: Arc<AtomicBool>,
    pub(crate) stop: watch::Receiver<bool>,
}

impl<C: Clock> SessionLoop<C> {
    /// Runs until asked to stop; or, with `until_close`, until the hours are over.
    pub(crate) async fn run(mut self, feed: &mut impl Sessions) -> Result<FeedEnd, JournalStopped> {
        let mut between = FeedState::Connecting;
        let mut hours_open = false;
        loop {
            let now = self.clock.now();
            let hours = self.schedule.borrow().at(now);
            if let Hours::ClosedUntil(opening) = hours {
                // Even if no session was open at the close: then the ledger's gap ends here.
                if std::mem::take(&mut hours_open) {
                    feed.hours_over().await?;
                }
                if self.until_close && self.schedule.borrow().over_until(now).is_some() {
                    return Ok(FeedEnd::Closed);
                }
                feed.status().set(FeedState::Waiting);
                let left = Duration::from_micros(u64::try_from(opening.0 - now.0).unwrap_or(0));
                feed.status().note_life();
                if self.stopped_within(left.min(SLEEP_MAX)).await {
                    return Ok(FeedEnd::Stopped);
                }
                between = FeedState::Connecting;
                continue;
            }
            hours_open = true;
            feed.status().set(between);
            let Ended { end, data_for } = feed.session(&mut self.stop).await?;
            if *self.stop.borrow() {
                return Ok(FeedEnd::Stopped);
            }
            if self.schedule.borrow().at(self.clock.now()) != Hours::Open {
                continue;
            }
            let attempt = Attempt {
                data_for,
                asked: end.asked,
            };
            let accepted = self.accepted.load(Relaxed);
            let Next::After(wait) = self.backoff.next(attempt, accepted, fastrand::f64()) else {
                return Ok(FeedEnd::Refused(end.detail));
            };
            between = match end.asked {
                Asked::OtherKey => FeedState::Refused,
                Asked::Nothing | Asked::Reconnect | Asked::Patience(_) => FeedState::Connecting,
            };
            feed.status().set(between);
            debug!(feed = %feed.feed(), ?wait, asked = ?end.asked, "connecting again after a wait");
            if self.rest(wait, feed.status()).await {
                return Ok(FeedEnd::Stopped);
            }
        }
    }

    /// Waits, but no longer than the hours last, and in pieces, so that the feed shows signs of life. Returns whether
    /// it was asked to stop.
    async fn rest(&mut self, wait: Duration, status: &FeedStatus) -> bool {
        let until = Instant::now() + wait;
        loop {
            status.note_life();
            let now = self.clock.now();
            let close = self.schedule.borrow().closing(now);
            let open_for = close.map_or(0, |close| close.0.saturating_sub(now.0));
            let open_for = Duration::from_micros(u64::try_from(open_for).unwrap_or(0));
            let left = until.saturating_duration_since(Instant::now()).min(open_for);
            if left.is_zero() {
                return *self.stop.borrow();
            }
            if self.stopped_within(left.min(SLEEP_MAX)).await {
                return true;
            }
        }
    }

    /// Also ends when the schedule changes.
    async fn stopped_within(&mut self, wait: Duration) -> bool {
        tokio::select! {
            () = stopped(&mut self.stop) => true,
            () = changed(&mut self.schedule) => false,
            () = sleep(wait) => false,
        }
    }
}

/// Waits for a stop request; forever, if nobody is left who could make one.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn changed(schedule: &mut watch::Receiver<Schedule>) {
    if schedule.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[path = "session_loop_tests.rs"]
mod tests;
