//! One feed's pipeline: its threads, and what connects them.
//!
//! ```text
//!   queue ──▶ journaling ──▶ .krx/journal ──▶ exporting ──▶ datasets
//!             a thread                        a thread
//! ```

mod journaling;

mod exporting;

mod time_marks;

pub(crate) mod rates;

pub(crate) mod feed_view;

pub use journaling::Journaling;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;

use krx_store::journal::RulesOf;
use krx_store::{DataDir, Event, FeedName, Moment, Progress, StoreError, Tail, Traded, open_writer};
use tokio::sync::watch;
use tracing::error;

use crate::config::key::InitRequest;
use crate::config::{Config, FeedConfig};
use crate::feed::connect::Connector;
use crate::feed::feed_status::{FeedState, FeedStatus};
use crate::feed::queue::{EventLane, Queue, queue};
use crate::feed::registering::Wanted;
use crate::feed::session::Feed;
use crate::hours::absence::Absence;
use crate::hours::schedule::Schedule;
use crate::process::exit::Failure;
use crate::watch::liveness::{Activity, Liveness, Part, Sign, Stuck, waits_in_the_kernel};
use feed_view::{FeedView, Registered};
use rates::Rates;
use time_marks::mark_due;

/// What follows every reload of the configuration.
pub(crate) struct Following {
    /// When to be connected.
    pub(crate) schedule: watch::Receiver<Schedule>,
    /// The rules that are journaled for each date.
    pub(crate) rules: RulesOf,
    /// What is to be registered, if the service has registrations.
    pub(crate) registered: Option<Registered>,
    /// The issues whose trades are counted, for all feeds.
    pub(crate) traded: Arc<Traded>,
}

/// One feed's pipeline.
pub(crate) struct Pipeline {
    pub(crate) view: FeedView,
    pub(crate) queue: Queue,
    events: EventLane,
    traded: Arc<Traded>,
    tail: Arc<Tail>,
    journal: JoinHandle<Result<(), StoreError>>,
    export: JoinHandle<Result<(), Failure>>,
    last_mark: Moment,
    activity: Arc<Activity>,
    liveness: Liveness,
}

impl Pipeline {
    /// Starts the threads; the caller runs the feed.
    pub(crate) fn start(
        config: &Config,
        data: &DataDir,
        configured: &FeedConfig,
        following: Following,
        stopping: &watch::Receiver<bool>,
        started: Moment,
    ) -> Result<Self, Failure> {
        let Following {
            schedule,
            rules,
            registered,
            traded,
        } = following;
        let feed = configured.name.clone();
        let progress = Arc::new(
            Progress::since(started)
                .counting(Arc::clone(&traded))
                .late_after(config.lag_max),
        );
        let activity = Arc::new(Activity::default());
        let writer = open_writer(data, &feed, config.journal, Arc::clone(&progress.journal))?
            .of_service(configured.service.of_store())
            .with_rules(rules);
        let tail = writer.tail();
        let absence = Absence {
            calendar: Arc::clone(&config.calendar),
            schedule: configured.schedule.clone(),
        };
        let (queue, entries) = queue();
        let journaling = Journaling {
            feed: feed.clone(),
            writer,
            entries,
            stopping: stopping.clone(),
            activity: Arc::clone(&activity),
        };
        let journal = thread(format!("journal-{feed}"), move || journaling.run())?;
        let export = thread(format!("export-{feed}"), {
            let (data, feed, progress, config) =
                (data.clone(), feed.clone(), Arc::clone(&progress), config.export);
            let (tail, activity) = (Arc::clone(&tail), Arc::clone(&activity));
            move || exporting::run(&data, &feed, config, &tail, &progress, &activity, &absence)
        })?;
        let liveness = Liveness::new(feed.clone(), config.connection.connect_timeout, Instant::now());
        let view = FeedView {
            feed,
            service: configured.service.of_store().name,
            host: configured.url.host().unwrap_or_default().to_owned(),
            progress,
            tail: Arc::clone(&tail),
            schedule,
            status: Arc::new(FeedStatus::default()),
            queue: queue.gauge(),
            registered,
        };
        Ok(Self {
            view,
            events: EventLane::into(queue.clone()),
            queue,
            traded,
            tail,
            journal,
            export,
            last_mark: Moment(0),
            activity,
            liveness,
        })
    }

    pub(crate) fn feed(
        &self,
        config: &Config,
        connector: Connector,
        init: InitRequest,
        until_close: bool,
        accepted: &Arc<AtomicBool>,
        wanted: Wanted,
    ) -> Feed {
        Feed {
            config: connector.feed().clone(),
            connection: config.connection.clone(),
            connector: Arc::new(connector),
            schedule: self.view.schedule.clone(),
            until_close,
            init,
            queue: self.queue.clone(),
            status: Arc::clone(&self.view.status),
            wanted,
            traded: Arc::clone(&self.traded),
            accepted: Arc::clone(accepted),
        }
    }

    pub(crate) fn rates(&self) -> Rates {
        Rates::new(
            self.view.feed.clone(),
            Arc::clone(&self.view.progress),
            Arc::clone(&self.view.status),
        )
    }

    /// The work that is due once a second.
    pub(crate) fn second(&mut self, interval_us: i64) {
        self.queue.look_at_the_clocks();
        exporting::look(&self.view.feed, &self.view.progress, &self.activity);
        // A failed sync is only noticed by the next write; if nothing is received, this mark is that write.
        if self.tail.failure().is_some() {
            self.events.send(Event::TimeMark);
        }
        let last_frame = Moment(self.view.status.last_frame_us.load(Relaxed));
        let now = Moment::now();
        if mark_due(last_frame, self.last_mark, now, interval_us) {
            self.last_mark = now;
            self.events.send(Event::TimeMark);
        }
    }

    /// Whether a session is open or being sought.
    pub(crate) fn is_on(&self) -> bool {
        !self.view.status.has_ended() && self.view.status.state() != FeedState::Waiting
    }

    /// The first part that is stuck through its own fault.
    pub(crate) fn stuck(&mut self) -> Option<Stuck> {
        let stuck = self.liveness.look(self.signs(), Instant::now())?;
        let thread = match stuck.part() {
            // Feeds have no thread of their own and never wait for the disk.
            Part::Feed => return Some(stuck),
            Part::Journal => &self.activity.journal_thread,
            Part::Sync => &self.view.progress.journal.sync_thread,
            Part::Export => &self.activity.export_thread,
        };
        (!waits_in_the_kernel(thread.load(Relaxed))).then_some(stuck)
    }

    /// In the order of [`crate::watch::liveness::Part`].
    fn signs(&self) -> [Sign; 4] {
        let (progress, activity) = (&self.view.progress, &self.activity);
        let synced = self
            .tail
            .synced()
            .map_or((0, 0), |synced| (synced.segment.number.into(), synced.offset));
        [
            // A feed with a full queue is waiting for the journal.
            Sign {
                busy: !self.view.status.has_ended() && !self.queue.is_full(),
                done: (self.view.status.signs_of_life(), 0),
            },
            Sign {
                busy: self.queue.is_waiting(),
                done: (
                    activity.journal.load(Relaxed),
                    progress.journal.frames.load(Relaxed),
                ),
            },
            // After a failed sync it is up to the journal to continue.
            Sign {
                busy: self.tail.is_unsynced() && self.tail.failure().is_none(),
                done: synced,
            },
            Sign {
                busy: progress.frames_behind() > 0,
                done: (
                    activity.export.load(Relaxed),
                    progress.records_decoded.load(Relaxed),
                ),
            },
        ]
    }

    /// Journals an event as soon as there is room, after all earlier ones.
    pub(crate) fn journal(&self, event: Event) {
        self.events.send(event);
    }

    /// Journals that the recorder stops, and drops everything but the threads, which end when they have finished the
    /// rest.
    pub(crate) async fn stop(self) -> Threads {
        self.events.end(Event::Stop).await;
        Threads {
            feed: self.view.feed,
            journal: self.journal,
            export: self.export,
        }
    }

    /// A counter that moves while anything is still being journaled, synced or exported.
    pub(crate) fn watch_ending(&self) -> Ending {
        Ending {
            progress: Arc::clone(&self.view.progress),
            activity: Arc::clone(&self.activity),
        }
    }
}

/// The threads of one feed.
pub(crate) struct Threads {
    feed: FeedName,
    journal: JoinHandle<Result<(), StoreError>>,
    export: JoinHandle<Result<(), Failure>>,
}

impl Threads {
    /// Waits for them, and returns the first failure.
    pub(crate) fn join(self) -> Result<(), Failure> {
        let feed = self.feed;
        let journal = self.journal.join().map_or_else(
            |_| Err(Failure::Bug(format!("the journal thread of {feed} panicked"))),
            |ended| ended.map_err(Failure::from),
        );
        let export = self
            .export
            .join()
            .unwrap_or_else(|_| Err(Failure::Bug(format!("the export thread of {feed} panicked"))));
        let mut result = Ok(());
        for failure in [journal.err(), export.err()].into_iter().flatten() {
            error!(feed = %feed, error = %failure,
                "the recorder did not end cleanly; the next start exports what is in the journal");
            result = result.and(Err(failure));
        }
        result
    }
}

/// A pipeline that is finishing.
pub(crate) struct Ending {
    progress: Arc<Progress>,
    activity: Arc<Activity>,
}

impl Ending {
    /// Grows with every piece of work done.
    pub(crate) fn done(&self) -> u64 {
        let counters = [
            &self.progress.journal.frames,
            &self.progress.records_decoded,
            &self.progress.files_committed,
            &self.progress.bytes_committed,
            &self.activity.journal,
            &self.activity.export,
        ];
        counters
            .iter()
            .fold(0, |sum, counter| sum.wrapping_add(counter.load(Relaxed)))
    }
}

fn thread<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    let doing = format!("starting the thread {name}");
    std::thread::Builder::new()
        .name(name)
        .spawn(run)
        .map_err(|source| Failure::System { doing, source })
}
