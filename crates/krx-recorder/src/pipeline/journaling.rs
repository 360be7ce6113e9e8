//! The journal's thread: takes what the feed has queued and appends it. A disk that refuses does not end it: it retries
//! until the disk accepts everything, while the queue, and behind it the server, wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use krx_store::{FeedName, StoreError, Writer};
use tokio::sync::watch;
use tracing::{error, info};

use crate::feed::queue::QueueReader;
use crate::watch::liveness::Activity;

/// The most entries in one write: about a megabyte of full messages.
const ENTRIES_MAX: usize = 256;

/// How long to let the disk recover, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// A disk that refuses for this long after a stop request will not accept the rest.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// How often a lasting failure is logged.
const ALARM_INTERVAL: Duration = Duration::from_secs(60);

/// The journal's thread of one feed.
pub struct Journaling {
    /// The feed.
    pub feed: FeedName,
    /// Its journal.
    pub writer: Writer,
    /// Where entries come from.
    pub entries: QueueReader,
    /// Whether the recorder has been asked to stop.
    pub stopping: watch::Receiver<bool>,
    /// Signs of life.
    pub activity: Arc<Activity>,
}

impl Journaling {
    /// Journals until every sender of the queue is dropped, then closes the journal.
    ///
    /// # Errors
    /// [`StoreError::Lost`], if the disk still refuses a while after the stop request. The feed then finds the queue
    /// closed.
    pub fn run(mut self) -> Result<(), StoreError> {
        Activity::runs_here(&self.activity.journal_thread);
        let waker = self.entries.room_waker();
        self.writer.tail().when_synced(move || waker.synced());
        let mut batch = Vec::with_capacity(ENTRIES_MAX);
        while self.entries.take(&mut batch, ENTRIES_MAX) {
            if !batch.is_empty() {
                self.until_taken(batch.len(), |writer| writer.append(&batch))?;
            }
            self.entries.journaled(&batch, self.writer.unsynced_bytes());
            batch.clear();
        }
        self.until_taken(0, Writer::finish)?;
        self.writer.close()
    }

    fn until_taken(
        &mut self,
        entries: usize,
        mut put: impl FnMut(&mut Writer) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (mut wait, mut stop_seen) = (RETRY_FIRST, None);
        let (mut first, mut alarmed) = (None, None::<Instant>);
        loop {
            Activity::count(&self.activity.journal);
            let Err(error) = put(&mut self.writer) else {
                if let Some(first) = first {
                    let seconds = Instant::elapsed(&first).as_secs_f64();
                    info!(feed = %self.feed, seconds, "the disk accepts the journal again; nothing was lost");
                }
                return Ok(());
            };
            first.get_or_insert_with(Instant::now);
            if alarmed.is_none_or(|at| at.elapsed() >= ALARM_INTERVAL) {
                error!(feed = %self.feed, %error,
                    "the journal cannot be written; received messages wait in memory: check the disk");
                alarmed = Some(Instant::now());
            }
            if *self.stopping.borrow() {
                let since = *stop_seen.get_or_insert_with(Instant::now);
                if since.elapsed() >= GIVE_UP_AFTER {
                    return Err(StoreError::Lost {
                        feed: self.feed.to_string(),
                        entries: entries + self.entries.waiting(),
                        unsynced_bytes: self.writer.unsynced_bytes(),
                        last: Box::new(error),
                    });
                }
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}
