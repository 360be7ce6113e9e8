//! What is done once an hour beside recording: removing dates that are older than retention says.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use krx_store::retention::{self, Retention};
use krx_store::{DataDir, Moment};
use tracing::error;

/// How often; a date is over once a day, and a failure should not wait for the next.
const INTERVAL: Duration = Duration::from_secs(3600);

/// A start is busy enough.
const AFTER_START: Duration = Duration::from_secs(60);

/// Looks after one data directory, on a thread of its own for as long as there is something to do.
#[derive(Debug)]
pub struct Housekeeping {
    data: DataDir,
    retention: Retention,
    next: Instant,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// Does nothing before the recorder has run for a minute, and nothing at all without retention.
    #[must_use]
    pub fn new(data: &DataDir, retention: Retention, now: Instant) -> Self {
        Self {
            data: data.clone(),
            retention,
            next: now + AFTER_START,
            thread: None,
        }
    }

    /// Begins, when it is time to.
    pub fn look(&mut self, now: Instant) {
        let at_work = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if self.retention == Retention::default() || now < self.next || at_work {
            return;
        }
        self.next = now + INTERVAL;
        let (data, retention) = (self.data.clone(), self.retention);
        let thread = std::thread::Builder::new().name("housekeeping".into());
        let started = thread.spawn(move || {
            if let Err(error) = retention::expire(&data, retention, Moment::now().date()) {
                error!(%error, "old dates cannot be removed; it is tried again in an hour");
            }
        });
        match started {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                error!(%error, "the housekeeping thread cannot be started; it is tried again in an hour");
            }
        }
    }

    /// Waits for what is being done.
    pub fn end(self) {
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}
