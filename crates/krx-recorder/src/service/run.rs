//! `krx-recorder run`: the wiring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use krx_store::day::Uptime;
use krx_store::{DataDir, DataDirLock, Event, FeedName, Moment, format, reach};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::config::Config;
use crate::config::key::ApiKey;
use crate::feed::connect::{Connector, ProxyVariables};
use crate::feed::session_loop::FeedEnd;
use crate::hours::schedule::Schedule;
use crate::pipeline::rates::{self, Rates};
use crate::pipeline::{Pipeline, Threads};
use crate::process::exit::Failure;
use crate::process::limits;
use crate::process::signals::Request;
use crate::service::housekeeping::{Duties, Housekeeping, Leaving};
use crate::service::notify;
use crate::service::reload::{self, Reload};
use crate::service::summary::Summary;
use crate::status::{Server, View};
use crate::watch::disk_watch::DiskWatch;
use crate::watch::liveness::LivenessReport;

/// How often the service manager is told what is going on, in words.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// For how long a date must be over before it is sealed: by then its last files are committed.
const SETTLED_AFTER_US: i64 = 60_000_000;

/// An exporter that lags by more than this may still have frames of a date that is over.
const BUSY_LAG_US: i64 = 10_000_000;

/// How much more time the service manager is asked for while the end is being exported, each second in which something
/// was done.
const MORE_TIME: Duration = Duration::from_secs(60);

/// Records until asked to stop, or until the close with `until_close`.
///
/// # Errors
/// [`Failure`], with the exit code that it asks for. What was received is in the journal in any case.
pub async fn run(
    config: Config,
    key: ApiKey,
    until_close: bool,
    source: reload::Source,
    requests: mpsc::UnboundedReceiver<Request>,
) -> Result<(), Failure> {
    let (started, up_since) = (Moment::now(), Uptime::now());
    let data = DataDir::new(&config.data_dir);
    format::check(&data)?;
    let lock = DataDirLock::take(&data)?;
    let data = lock.data().clone();
    format::settle(&data)?;
    reach::check(&data)?;
    let variables = ProxyVariables::of_process();
    let connectors = config
        .feeds
        .iter()
        .map(|feed| Connector::new(feed, &config.connection, &variables));
    let connectors = connectors.collect::<Result<Vec<_>, _>>()?;
    info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.data_dir.display(), feeds = config.feeds.len(), "recording");

    let reload = Reload::new(source, &config);
    let (stop, stopping) = watch::channel(false);
    let accepted = Arc::new(AtomicBool::new(false));
    let mut pipelines = Vec::new();
    let mut feeds = JoinSet::new();
    for connector in connectors {
        connector.log_route();
        let pipeline = Pipeline::start(
            &config,
            &data,
            connector.feed(),
            reload.rules(),
            &stopping,
            started,
        )?;
        let start = Event::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // A queue that is closed already tells of it when the journal's thread is joined.
        let _ = pipeline.queue.event(start).await;
        let session_loop = pipeline.feed(
            &config,
            connector,
            &key,
            reload.schedule(),
            until_close,
            &accepted,
        );
        let (name, stopping) = (session_loop.config.name.clone(), stopping.clone());
        feeds.spawn(async move { (name, session_loop.run(stopping).await) });
        pipelines.push(pipeline);
    }
    let views: Vec<_> = pipelines.iter().map(|pipeline| pipeline.view.clone()).collect();
    let mut disk = DiskWatch::new(config.data_dir.clone(), config.warn_free_bytes);
    disk.look();
    let liveness = watch::Sender::new(LivenessReport::begin());
    let server = config.status_listen.and_then(|address| {
        let view = View::new(
            started,
            reload.schedule(),
            disk.status(),
            config.warn_free_bytes,
            liveness.subscribe(),
            views.clone(),
        );
        Server::start(address, view)
    });
    notify::ready();

    let mut recording = Recording {
        interval_us: i64::try_from(config.export.rotate_interval.as_micros()).unwrap_or(i64::MAX),
        summary: Summary::new(&views, disk.status(), reload.schedule()),
        pipelines,
        feeds,
        requests,
        schedule: reload.schedule(),
        reload,
        disk,
        housekeeping: Housekeeping::new(
            Duties {
                data: data.clone(),
                retention: config.retention,
                seals: config.seal_after_close,
                reserve_bytes: config.export.reserve_bytes,
                low_bytes: config.warn_free_bytes.max(config.export.reserve_bytes),
                started: up_since,
            },
            Instant::now(),
        ),
        stop,
        liveness,
    };
    let end = recording.until_all_feeds_have_ended().await;
    notify::stopping();
    // A recorder of one session has no later time to seal its day; an operator who stops the recorder wants it to end.
    let now = Moment::now();
    let over = (until_close && !*recording.stop.borrow())
        .then(|| recording.schedule.borrow().last_over(now))
        .flatten();
    let drained = drain(
        recording.pipelines,
        recording.housekeeping.leave(),
        over,
        recording.requests,
        &recording.liveness,
    )
    .await;
    if let Some(server) = server {
        server.stop();
    }
    // A disk that fails is the cause, and a feed that then ends for want of a journal its consequence.
    drained?;
    end?;
    // A date on which nothing is traded has sessions without data: that is no failure. Nor is a clean stop, or a date that
    // was closed, by a calendar that was read again, before a session was tried.
    let asked_to_stop = *recording.stop.borrow();
    let tried = views.iter().any(|view| view.status.last_problem().is_some());
    let recorded = views.iter().any(|view| view.status.sessions.load(Relaxed) > 0);
    if until_close && !asked_to_stop && tried && !recorded {
        let words = "no session could be opened until the close of the day; see the log for why";
        return Err(Failure::Unavailable(words.to_owned()));
    }
    info!("stopped; all that was received is committed");
    Ok(())
}

/// A recorder at work.
struct Recording {
    pipelines: Vec<Pipeline>,
    feeds: JoinSet<(FeedName, FeedEnd)>,
    requests: mpsc::UnboundedReceiver<Request>,
    reload: Reload,
    disk: DiskWatch,
    housekeeping: Housekeeping,
    stop: watch::Sender<bool>,
    summary: Summary,
    interval_us: i64,
    liveness: watch::Sender<LivenessReport>,
    schedule: watch::Receiver<Schedule>,
}

impl Recording {
    /// Serves requests and the clock until all feeds have ended.
    async fn until_all_feeds_have_ended(&mut self) -> Result<(), Failure> {
        let mut rates: Vec<_> = self.pipelines.iter().map(Pipeline::rates).collect();
        let [mut second, mut tell, mut minute] = [Duration::from_secs(1), TELL_INTERVAL, rates::INTERVAL]
            .map(|period| {
                let mut interval = interval(period);
                interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
                interval
            });
        minute.reset();
        let mut result = Ok(());
        loop {
            tokio::select! {
                ended = self.feeds.join_next() => match ended {
                    None => return result,
                    Some(Ok((_, FeedEnd::Stopped | FeedEnd::Closed))) => {}
                    Some(Ok((feed, FeedEnd::Refused(words)))) => {
                        result = Err(Failure::KeyRefused { feed: feed.to_string(), words });
                        self.stop.send_replace(true);
                    }
                    Some(Ok((feed, FeedEnd::JournalStopped))) => {
                        error!(feed = %feed, "the journal has stopped; so does the recorder");
                        self.stop.send_replace(true);
                    }
                    Some(Err(error)) => {
                        result = Err(Failure::Bug(format!("a feed panicked: {error}")));
                        self.stop.send_replace(true);
                    }
                },
                Some(request) = self.requests.recv() => {
                    self.serve(request);
                    if request == Request::OutOfTime && result.is_ok() {
                        result = Err(limits::processor_time());
                    }
                },
                _ = second.tick() => self.second(),
                _ = tell.tick() => if notify::is_heard() {
                    notify::status(&self.summary.line(Moment::now()));
                },
                _ = minute.tick() => rates.iter_mut().for_each(Rates::log),
            }
        }
    }

    /// The last date that is over and exported; none while the exporters are busy.
    fn last_exported(&self, now: Moment) -> Option<NaiveDate> {
        let is_busy = |pipeline: &Pipeline| pipeline.view.progress.lag_us(now) > BUSY_LAG_US;
        let over = self
            .schedule
            .borrow()
            .last_over(Moment(now.0 - SETTLED_AFTER_US))?;
        let is_on = over == now.date() && self.pipelines.iter().any(Pipeline::is_on);
        (!is_on && !self.pipelines.iter().any(is_busy)).then_some(over)
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Stop => {
                info!("stopping: what was received is synced, exported and committed first");
                self.stop.send_replace(true);
            }
            Request::OutOfTime if *self.stop.borrow() => {}
            Request::OutOfTime => {
                error!(
                    "the limit of processor time is nearly used up: stopping; what was received is exported first"
                );
                self.stop.send_replace(true);
            }
            Request::CommitNow => self.journal(&Event::CommitNow),
            Request::Reload => {
                notify::reloading();
                if let Some(hours) = self.reload.again() {
                    self.journal(&hours);
                }
                notify::ready();
            }
        }
    }

    fn journal(&self, event: &Event) {
        for pipeline in &self.pipelines {
            pipeline.journal(event.clone());
        }
    }

    fn second(&mut self) {
        self.disk.look();
        let free = self.disk.status().free_bytes.load(Relaxed);
        self.housekeeping
            .look(Instant::now(), self.last_exported(Moment::now()), free);
        let mut stuck = None;
        for pipeline in &mut self.pipelines {
            pipeline.second(self.interval_us);
            stuck = stuck.or(pipeline.stuck());
        }
        if stuck.is_none() {
            notify::alive();
        }
        if let Some(stuck) = stuck.as_ref().filter(|_| self.liveness.borrow().stuck.is_none()) {
            error!("{stuck}: that is a bug; the service manager is no longer told that all is well");
        }
        self.liveness.send_replace(LivenessReport::now(stuck));
    }
}

/// Ends each feed's journal, and waits until all of it is committed.
async fn drain(
    pipelines: Vec<Pipeline>,
    housekeeping: Leaving,
    over: Option<NaiveDate>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    liveness: &watch::Sender<LivenessReport>,
) -> Result<(), Failure> {
    let (stop, progress) = (housekeeping.stop(), housekeeping.progress());
    let endings: Vec<_> = pipelines.iter().map(Pipeline::watch_ending).collect();
    let mut joined = tokio::task::spawn_blocking({
        let mut threads = Vec::new();
        for pipeline in pipelines {
            threads.push(pipeline.stop().await);
        }
        move || {
            if over.is_none() {
                housekeeping.stop().store(true, Relaxed);
            }
            let joined = threads.into_iter().map(Threads::join).fold(Ok(()), Result::and);
            housekeeping.end(over.filter(|_| joined.is_ok()));
            joined
        }
    });
    let (mut second, mut done) = (interval(Duration::from_secs(1)), None);
    loop {
        tokio::select! {
            joined = &mut joined => {
                return joined.map_err(|error| Failure::Bug(format!("joining threads: {error}")))?;
            }
            Some(request) = requests.recv() => if request == Request::Stop {
                stop.store(true, Relaxed);
            },
            _ = second.tick() => {
                liveness.send_replace(LivenessReport::now(None));
                let sealed = progress.load(Relaxed);
                let now = endings.iter().fold(sealed, |sum, ending| sum.wrapping_add(ending.done()));
                // As long as something is done, it gets the time that it takes.
                if done.replace(now) != Some(now) {
                    notify::needs(MORE_TIME);
                    notify::alive();
                }
            }
        }
    }
}
