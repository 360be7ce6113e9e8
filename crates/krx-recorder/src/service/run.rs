//! `krx-recorder run`: the wiring.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use krx_store::day::Uptime;
use krx_store::journal::GapReason;
use krx_store::{DataDir, DataDirLock, Event, Moment, feed_service, format, reach};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::config::Config;
use crate::config::key::ApiKey;
use crate::feed::connect::{Connector, ProxyVariables};
use crate::feed::feed_status::FeedState;
use crate::feed::session_loop::FeedEnd;
use crate::pipeline::Pipeline;
use crate::pipeline::feed_view::FeedView;
use crate::pipeline::rates::{self, Rates};
use crate::process::exit::Failure;
use crate::process::limits;
use crate::process::signals::Request;
use crate::service::clock_log::ClockLog;
use crate::service::drain::drain;
use crate::service::housekeeping::{Duties, Housekeeping};
use crate::service::keys_in_use::KeysInUse;
use crate::service::notify;
use crate::service::reload::{self, Reload};
use crate::service::summary::Summary;
use crate::status::{Server, View};
use crate::watch::clock::ClockWatch;
use crate::watch::disk_watch::DiskWatch;
use crate::watch::liveness::LivenessReport;

/// How often the service manager is told what is going on, in words.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// How often what is known of the clock is put on record.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// For how long a date must be over before it is sealed: by then its last files are committed.
const SETTLED_AFTER_US: i64 = 60_000_000;

/// An exporter that lags by more than this may still have frames of a date that is over.
const BUSY_LAG_US: i64 = 10_000_000;

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
    let lock = open(&config)?;
    let data = lock.data().clone();
    let connectors = connectors(&config)?;
    info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.data_dir.display(), feeds = config.feeds.len(), "recording");

    let reload = Reload::new(source, &config);
    let (stop, stopping) = watch::channel(false);
    let in_use = KeysInUse::new(keys);
    let mut pipelines = Vec::new();
    let mut feeds = JoinSet::new();
    for (index, (connector, key)) in connectors.into_iter().zip(keys).enumerate() {
        let following = reload.following(index);
        let pipeline = Pipeline::start(&config, &data, connector.feed(), following, &stopping, started)?;
        let start = Event::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // If the queue is closed already, joining the journal's thread tells why.
        let _ = pipeline.queue.event(start).await;
        let init = in_use.keys.init_request(key, &connector.feed().member_name);
        let key = in_use.of_feed(index);
        let wanted = reload.wanted(index);
        let feed = pipeline.feed(&config, connector, init, until_close, &key.accepted, wanted);
        let stopping = key.stop.subscribe();
        feeds.spawn(async move { (index, feed.run(stopping).await) });
        pipelines.push(pipeline);
    }
    let views: Vec<_> = pipelines.iter().map(|pipeline| pipeline.view.clone()).collect();
    let mut disk = DiskWatch::new(config.data_dir.clone(), config.warn_free_bytes);
    disk.look();
    let clock = ClockWatch::begin();
    let liveness = watch::Sender::new(LivenessReport::begin());
    let server = config.status_listen.and_then(|address| {
        let (status, low) = (disk.status(), config.warn_free_bytes);
        let clock = (clock.state(), config.lag_max);
        let view = View::new(
            data.clone(),
            started,
            (status, low),
            clock,
            liveness.subscribe(),
            views.clone(),
        );
        Server::start(address, view)
    });
    notify::ready();

    let recording = Recording {
        interval_us: i64::try_from(config.export.rotate_interval.as_micros()).unwrap_or(i64::MAX),
        summary: Summary::new(&views, disk.status()),
        pipelines,
        feeds,
        requests,
        reload,
        disk,
        clock,
        clock_log: ClockLog::start(data.clone()),
        housekeeping: Housekeeping::new(duties(&config, data, up_since), Instant::now()),
        stop,
        keys: in_use,
        refused: None,
        liveness,
    };
    let ended = recording.until_committed(until_close).await;
    if let Some(server) = server {
        server.stop();
    }
    let asked_to_stop = ended?;
    if until_close && !asked_to_stop && is_in_vain(&views) {
        let words = "no session could be opened until the close of the day; see the log for why";
        return Err(Failure::Unavailable(words.to_owned()));
    }
    info!("stopped; all that was received is committed");
    Ok(())
}

/// Whether sessions were tried and none was opened. A date without trades has sessions without data: that is no failure.
/// Nor is a clean stop, or a date that a calendar read again closed before a session was tried.
fn is_in_vain(views: &[FeedView]) -> bool {
    let tried = views.iter().any(|view| view.status.last_problem().is_some());
    let recorded = views.iter().any(|view| view.status.sessions.load(Relaxed) > 0);
    tried && !recorded
}

/// Locks the data directory, and sees to it that this version can record there.
fn open(config: &Config) -> Result<DataDirLock, Failure> {
    let data = DataDir::new(&config.data_dir);
    format::check(&data)?;
    for feed in &config.feeds {
        feed_service::check(&data, &feed.name, feed.service.of_store())?;
    }
    let lock = DataDirLock::take(&data)?;
    format::settle(lock.data())?;
    reach::check(lock.data())?;
    Ok(lock)
}

/// What connects each feed, in the order of the configuration.
fn connectors(config: &Config) -> Result<Vec<Connector>, Failure> {
    let variables = ProxyVariables::of_process();
    let connectors = config.feeds.iter().map(|feed| {
        let connector = Connector::new(feed, &config.connection, &variables)?;
        connector.log_route();
        Ok(connector)
    });
    connectors.collect()
}

fn duties(config: &Config, data: DataDir, started: Uptime) -> Duties {
    Duties {
        data,
        retention: config.retention.clone(),
        seals: config.seal_after_close,
        calendar: config.calendar.clone(),
        bars: config.bars,
        reserve_bytes: config.export.reserve_bytes,
        low_bytes: config.warn_free_bytes.max(config.export.reserve_bytes),
        started,
    }
}

/// A recorder at work.
struct Recording {
    pipelines: Vec<Pipeline>,
    /// Each with its place among the pipelines.
    feeds: JoinSet<(usize, FeedEnd)>,
    requests: mpsc::UnboundedReceiver<Request>,
    reload: Reload,
    disk: DiskWatch,
    clock: ClockWatch,
    clock_log: ClockLog,
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
    /// Records until all feeds have ended and everything is committed. Whether that was asked for.
    async fn until_committed(mut self, until_close: bool) -> Result<bool, Failure> {
        let end = self.until_all_feeds_have_ended().await;
        notify::stopping();
        let asked_to_stop = *self.stop.borrow();
        // A recorder of one session has no later time to seal its day; an operator who stops the recorder wants it to end.
        let now = Moment::now();
        let over = (until_close && !asked_to_stop).then(|| self.last_over(now));
        let housekeeping = self.housekeeping.leave();
        let drained = drain(
            self.pipelines,
            self.clock_log,
            housekeeping,
            over.flatten(),
            self.requests,
            &self.liveness,
        )
        .await;
        // A failing disk is the cause, and a feed that then ends for lack of a journal its consequence.
        drained?;
        end?;
        match self.refused {
            None => Ok(asked_to_stop),
            Some(refused) => {
                info!("stopped; all that was received is committed");
                Err(refused)
            }
        }
    }

    /// Serves requests and the clock until all feeds have ended.
    async fn until_all_feeds_have_ended(&mut self) -> Result<(), Failure> {
        let mut rates: Vec<_> = self.pipelines.iter().map(Pipeline::rates).collect();
        let intervals = [
            Duration::from_secs(1),
            TELL_INTERVAL,
            rates::INTERVAL,
            CLOCK_INTERVAL,
        ];
        let [mut second, mut tell, mut minute, mut clock] = intervals.map(|period| {
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
                        error!(feed = %self.pipelines[feed].view.feed, "the journal has stopped; the recorder is stopping");
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
                _ = clock.tick() => if self.pipelines.iter().any(Pipeline::is_on) {
                    self.clock_log.add(self.clock.row());
                },
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
                    "the limit on processor time is nearly used up: stopping; what was received is exported first"
                );
                self.stop();
            }
            Request::CommitNow => self.journal(&Event::CommitNow),
            Request::Reload => {
                notify::reloading();
                let again = self.reload.again();
                self.housekeeping.follow(self.reload.calendar());
                if let Some(hours) = again {
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
        self.clock.second();
        let mut stuck = None;
        for pipeline in &mut self.pipelines {
            let lag = pipeline.view.progress.clock(Moment::now());
            self.clock.feed(&pipeline.view.feed, lag, Instant::now());
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

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
