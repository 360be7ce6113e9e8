//! `krx-recorder run`: the wiring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use krx_store::day::Uptime;
use krx_store::journal::GapReason;
use krx_store::{DataDir, DataDirLock, Event, Moment, format, reach};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::config::Config;
use crate::config::key::{ApiKey, Keys};
use crate::feed::connect::{Connector, ProxyVariables};
use crate::feed::feed_status::FeedState;
use crate::feed::session_loop::FeedEnd;
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

/// Records with a key for each feed until asked to stop, or until the close with `until_close`.
///
/// # Errors
/// `Failure`, with the exit code that it asks for. What was received is in the journal in any case.
pub async fn run(
    config: Config,
    keys: &[ApiKey],
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
    let in_use = KeysInUse::new(keys);
    let mut pipelines = Vec::new();
    let mut feeds = JoinSet::new();
    for (index, (connector, key)) in connectors.into_iter().zip(keys).enumerate() {
        connector.log_route();
        let hours = (reload.schedule(index), reload.rules(index));
        let pipeline = Pipeline::start(&config, &data, connector.feed(), hours, &stopping, started)?;
        let start = Event::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // A queue that is closed already tells of it when the journal's thread is joined.
        let _ = pipeline.queue.event(start).await;
        let init = in_use.keys.init_request(key, &connector.feed().member_name);
        let key = in_use.of_feed(index);
        let feed = pipeline.feed(&config, connector, init, until_close, &key.accepted);
        let stopping = key.stop.subscribe();
        feeds.spawn(async move { (index, feed.run(stopping).await) });
        pipelines.push(pipeline);
    }
    let views: Vec<_> = pipelines.iter().map(|pipeline| pipeline.view.clone()).collect();
    let mut disk = DiskWatch::new(config.data_dir.clone(), config.warn_free_bytes);
    disk.look();
    let liveness = watch::Sender::new(LivenessReport::begin());
    let server = config.status_listen.and_then(|address| {
        let view = View::new(
            started,
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
        summary: Summary::new(&views, disk.status()),
        pipelines,
        feeds,
        requests,
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
        keys: in_use,
        refused: None,
        liveness,
    };
    let end = recording.until_all_feeds_have_ended().await;
    notify::stopping();
    // A recorder of one session has no later time to seal its day; an operator who stops the recorder wants it to end.
    let now = Moment::now();
    let over = (until_close && !*recording.stop.borrow())
        .then(|| recording.last_over(now))
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
    if let Some(refused) = recording.refused {
        info!("stopped; all that was received is committed");
        return Err(refused);
    }
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
    /// Each with its place among the pipelines.
    feeds: JoinSet<(usize, FeedEnd)>,
    requests: mpsc::UnboundedReceiver<Request>,
    reload: Reload,
    disk: DiskWatch,
    housekeeping: Housekeeping,
    stop: watch::Sender<bool>,
    summary: Summary,
    interval_us: i64,
    liveness: watch::Sender<LivenessReport>,
    keys: KeysInUse,
    /// The first key that was refused, and ended its feeds.
    refused: Option<Failure>,
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
                    Some(Ok((_, FeedEnd::Closed))) => {}
                    Some(Ok((feed, FeedEnd::Stopped))) => self.note_if_refused(feed),
                    Some(Ok((feed, FeedEnd::Refused(words)))) => self.key_refused(feed, words),
                    Some(Ok((feed, FeedEnd::JournalStopped))) => {
                        error!(feed = %self.pipelines[feed].view.feed, "the journal has stopped; so does the recorder");
                        self.stop();
                    }
                    Some(Err(error)) => {
                        result = Err(Failure::Bug(format!("a feed panicked: {error}")));
                        self.stop();
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

    /// Asks all feeds to stop.
    fn stop(&self) {
        self.stop.send_replace(true);
        self.keys.stop_all();
    }

    /// The server refuses a feed's key, and never accepted it: its feeds end, and no others.
    fn key_refused(&mut self, feed: usize, words: String) {
        let view = &self.pipelines[feed].view;
        error!(feed = %view.feed, detail = words,
            "the server refuses the API key: the feeds with this key end, and those with another go on");
        let refusal = Failure::KeyRefused {
            feed: view.feed.to_string(),
            words: words.clone(),
        };
        self.refused.get_or_insert(refusal);
        self.keys.refuse(feed, words);
    }

    /// A feed that stopped since another one's service refused their key shows that.
    fn note_if_refused(&self, feed: usize) {
        if !*self.stop.borrow()
            && let Some(words) = self.keys.refusal(feed)
        {
            let view = &self.pipelines[feed].view;
            error!(feed = %view.feed, "ended: the server refuses its API key for another feed");
            view.status.note(GapReason::Refused, words);
            view.status.end(FeedState::Refused);
        }
    }

    /// The last date that nothing more is expected of, for any feed.
    fn last_over(&self, now: Moment) -> Option<NaiveDate> {
        let over = self
            .pipelines
            .iter()
            .map(|pipeline| pipeline.view.schedule.borrow().last_over(now));
        over.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// The last date that is over and exported; none while the exporters are busy.
    fn last_exported(&self, now: Moment) -> Option<NaiveDate> {
        let is_busy = |pipeline: &Pipeline| pipeline.view.progress.lag_us(now) > BUSY_LAG_US;
        let over = self.last_over(Moment(now.0 - SETTLED_AFTER_US))?;
        let is_on = over == now.date() && self.pipelines.iter().any(Pipeline::is_on);
        (!is_on && !self.pipelines.iter().any(is_busy)).then_some(over)
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Stop => {
                info!("stopping: what was received is synced, exported and committed first");
                self.stop();
            }
            Request::OutOfTime if *self.stop.borrow() => {}
            Request::OutOfTime => {
                error!(
                    "the limit of processor time is nearly used up: stopping; what was received is exported first"
                );
                self.stop();
            }
            Request::CommitNow => self.journal(&Event::CommitNow),
            Request::Reload => {
                notify::reloading();
                if let Some(hours) = self.reload.again() {
                    for (pipeline, hours) in self.pipelines.iter().zip(hours) {
                        pipeline.journal(hours);
                    }
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

/// The keys that feeds have, each with what is known of it.
struct KeysInUse {
    keys: Keys,
    known: Vec<KnownKey>,
    /// The key of each feed.
    of_feeds: Vec<usize>,
}

/// What is known of a key.
struct KnownKey {
    /// Whether any feed's session with it was ever accepted.
    accepted: Arc<AtomicBool>,
    /// What the server said when it refused it, if it never accepted it.
    refused: Option<String>,
    /// Ends the feeds that have it.
    stop: watch::Sender<bool>,
}

impl KeysInUse {
    fn new(keys: &[ApiKey]) -> Self {
        let of = Keys::of(keys.iter().cloned());
        let known = || KnownKey {
            accepted: Arc::default(),
            refused: None,
            stop: watch::Sender::new(false),
        };
        Self {
            known: (0..of.count()).map(|_| known()).collect(),
            of_feeds: keys.iter().filter_map(|key| of.position(key)).collect(),
            keys: of,
        }
    }

    fn of_feed(&self, feed: usize) -> &KnownKey {
        &self.known[self.of_feeds[feed]]
    }

    fn refuse(&mut self, feed: usize, words: String) {
        let key = &mut self.known[self.of_feeds[feed]];
        key.refused = Some(words);
        key.stop.send_replace(true);
    }

    fn refusal(&self, feed: usize) -> Option<&str> {
        self.of_feed(feed).refused.as_deref()
    }

    fn stop_all(&self) {
        for key in &self.known {
            key.stop.send_replace(true);
        }
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

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
