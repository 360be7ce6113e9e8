//! What is done beside recording, on a thread of its own: making days that are over one sorted file each, and once an
//! hour removing dates that are older than retention says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use krx_store::day::{self, Layout, Outcome, Sealing, Watch};
use krx_store::retention::{self, Retention};
use krx_store::{DataDir, Moment, StoreError};
use tracing::error;

use crate::schedule::Schedule;

/// How often; a date is over once a day, and a failure should not wait for the next.
const INTERVAL: Duration = Duration::from_secs(3600);

/// A start is busy enough.
const AFTER_START: Duration = Duration::from_secs(60);

/// How far back dates are looked at; older ones are for `krx-recorder seal`.
const SEALED_BACK_DAYS: u64 = 31;

/// The last date that nothing more is expected of, as the schedule has it.
#[must_use]
pub fn last_over(schedule: &Schedule, now: Moment) -> Option<NaiveDate> {
    let today = now.date();
    match schedule.over_until(now) {
        Some(_) => Some(today),
        None => today.pred_opt(),
    }
}

/// What there is to do.
#[derive(Clone, Debug)]
pub struct Duties {
    /// The data directory.
    pub data: DataDir,
    /// For how long to keep what is recorded.
    pub retention: Retention,
    /// Whether days are sealed.
    pub seals: bool,
    /// Bytes of the disk that are the journal's alone.
    pub reserve_bytes: u64,
}

/// Looks after one data directory.
#[derive(Debug)]
pub struct Housekeeping {
    duties: Duties,
    next: Instant,
    /// The last date that was looked at for sealing.
    sealed_to: Option<NaiveDate>,
    stop: Arc<AtomicBool>,
    beats: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// Does nothing before the recorder has run for a minute.
    #[must_use]
    pub fn new(duties: Duties, now: Instant) -> Self {
        Self {
            duties,
            next: now + AFTER_START,
            sealed_to: None,
            stop: Arc::default(),
            beats: Arc::default(),
            thread: None,
        }
    }

    /// Begins, when it is time to: every hour, and when another date is over. `over` is the last date that nothing
    /// more is expected of; `None` while anything of it may still be exported.
    pub fn look(&mut self, now: Instant, over: Option<NaiveDate>) {
        let at_work = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let is_new = self.duties.seals && over.is_some() && over != self.sealed_to;
        let is_due = now >= self.next || (is_new && self.sealed_to.is_some());
        if at_work || !is_due {
            return;
        }
        self.next = now + INTERVAL;
        self.sealed_to = over.or(self.sealed_to);
        self.begin(over);
    }

    fn begin(&mut self, over: Option<NaiveDate>) {
        let (duties, stop, beats) = (
            self.duties.clone(),
            Arc::clone(&self.stop),
            Arc::clone(&self.beats),
        );
        let thread = std::thread::Builder::new().name("housekeeping".into());
        let started = thread.spawn(move || {
            if let Some(over) = over.filter(|_| duties.seals) {
                seal_up_to(&duties, over, &stop, &beats);
            }
            if duties.retention != Retention::default()
                && let Err(error) = retention::expire(&duties.data, duties.retention, Moment::now().date())
            {
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

    /// Stops soon what is being done, and lets go of it.
    #[must_use]
    pub fn leave(self) -> Leaving {
        Leaving {
            duties: self.duties,
            stop: self.stop,
            beats: self.beats,
            thread: self.thread,
        }
    }
}

/// The end of a recorder: what is being done is stopped, or the day that is over is sealed first.
#[derive(Debug)]
pub struct Leaving {
    duties: Duties,
    stop: Arc<AtomicBool>,
    beats: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Leaving {
    /// Ends the sealing soon when it is set.
    #[must_use]
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Grows while a day is sealed.
    #[must_use]
    pub fn beats(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.beats)
    }

    /// Waits for what is being done, which is asked to stop unless there is a date that is `over` and to be sealed.
    pub fn end(self, over: Option<NaiveDate>) {
        if over.is_none() {
            self.stop.store(true, Relaxed);
        }
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
        if let Some(over) = over.filter(|_| self.duties.seals) {
            seal_up_to(&self.duties, over, &self.stop, &self.beats);
        }
    }
}

/// Seals what is not sealed of the dates up to `last`. A day that cannot be sealed stays as it is, which readers do not
/// mind: it is tried again in an hour.
fn seal_up_to(duties: &Duties, last: NaiveDate, stop: &AtomicBool, beats: &AtomicU64) {
    let sealed = || -> Result<(), StoreError> {
        let unsealed = day::unsealed(&duties.data, last, SEALED_BACK_DAYS)?;
        if unsealed.is_empty() {
            return Ok(());
        }
        let sealing = Sealing::take(&duties.data, duties.reserve_bytes)?;
        for (date, market) in unsealed {
            let watch = Watch {
                rows: &|rows| {
                    beats.fetch_add(rows, Relaxed);
                },
                stop,
            };
            match day::seal(&sealing, &market, date, &Layout::default(), watch) {
                Ok(Outcome::Stopped) => break,
                Ok(_) => {}
                Err(error) => {
                    error!(%market, %date, %error, "the day stays in several files; it is tried again in an hour");
                }
            }
        }
        sealing.finish()
    };
    if let Err(error) = sealed() {
        error!(%error, "days that are over cannot be sealed; it is tried again in an hour");
    }
}
