//! `krx-recorder run`: the wiring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use krx_store::journal::RulesOf;
use krx_store::{DataDir, DataDirLock, DateRules, Event, Market, Moment, Progress, StoreError, Tail, Writer};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::config::{Config, FeedConfig};
use crate::disk_watch::DiskWatch;
use crate::exit::Failure;
use crate::exporting;
use crate::feed::{Feed, FeedEnd, FeedStatus};
use crate::journaling::Journaling;
use crate::key::ApiKey;
use crate::marks::mark_due;
use crate::queue::{Queue, queue};
use crate::rates::{self, Rates};
use crate::signals::Request;
use crate::status::{self, Expected, MarketView, Server, View};

/// One market's pipeline.
struct Pipeline {
    view: MarketView,
    queue: Queue,
    tail: Arc<Tail>,
    journal: JoinHandle<Result<(), StoreError>>,
    export: JoinHandle<Result<(), Failure>>,
    last_mark: Moment,
}

/// Records until asked to stop, or until the close with `until_close`.
///
/// # Errors
/// [`Failure`], with the exit code that it asks for. What was received is in the journal in any case.
pub async fn run(
    config: Config,
    key: ApiKey,
    until_close: bool,
    mut requests: mpsc::UnboundedReceiver<Request>,
) -> Result<(), Failure> {
    let started = Moment::now();
    let data = DataDir::new(&config.data_dir);
    let _lock = DataDirLock::take(&data)?;
    let listener = match config.status_listen {
        Some(address) => Some(status::bind(address)?),
        None => None,
    };
    info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.data_dir.display(), markets = config.feeds.len(), "recording");

    let mut disk = DiskWatch::new(config.data_dir.clone(), config.warn_free_bytes);
    let (stop, stopping) = watch::channel(false);
    let accepted = Arc::new(AtomicBool::new(false));
    let mut pipelines = Vec::new();
    let mut feeds = JoinSet::new();
    for feed in &config.feeds {
        let pipeline = Pipeline::start(&config, &data, feed, &stopping, started)?;
        let start = Event::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        // A queue that is closed already tells of it when the journal's thread is joined.
        let _ = pipeline.queue.event(start).await;
        let feed = pipeline.feed(&config, feed, &key, until_close, &accepted);
        let (market, stopping) = (feed.config.market.clone(), stopping.clone());
        feeds.spawn(async move { (market, feed.run(stopping).await) });
        pipelines.push(pipeline);
    }
    let server = match listener {
        Some(listener) => Some(Server::start(
            listener,
            view_of(&config, started, &disk, &pipelines),
        )?),
        None => None,
    };

    let statuses: Vec<_> = pipelines
        .iter()
        .map(|pipeline| Arc::clone(&pipeline.view.status))
        .collect();
    let end = wait_for_the_end(
        &config,
        &mut pipelines,
        &mut feeds,
        &mut requests,
        &stop,
        &mut disk,
    )
    .await;
    let drained = drain(pipelines).await;
    if let Some(server) = server {
        server.stop();
    }
    // A disk that fails is the cause, and a feed that then ends for want of a journal its consequence.
    drained?;
    end?;
    // A weekday on which nothing is traded has sessions without data: that is no failure, and nor is a clean stop.
    let asked_to_stop = *stop.borrow();
    if until_close && !asked_to_stop && statuses.iter().all(|status| status.sessions.load(Relaxed) == 0) {
        let words = "no session could be opened until the close of the day; see the log for why";
        return Err(Failure::Unavailable(words.to_owned()));
    }
    info!("stopped; all that was received is sealed");
    Ok(())
}

/// Serves requests and the clock until all feeds have ended.
async fn wait_for_the_end(
    config: &Config,
    pipelines: &mut [Pipeline],
    feeds: &mut JoinSet<(Market, FeedEnd)>,
    requests: &mut mpsc::UnboundedReceiver<Request>,
    stop: &watch::Sender<bool>,
    disk: &mut DiskWatch,
) -> Result<(), Failure> {
    let interval_us = i64::try_from(config.export.rotate_interval.as_micros()).unwrap_or(i64::MAX);
    let mut rates: Vec<_> = pipelines.iter().map(|pipeline| pipeline.rates()).collect();
    let (mut second, mut minute) = (interval(Duration::from_secs(1)), interval(rates::INTERVAL));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    minute.reset();
    let mut result = Ok(());
    loop {
        tokio::select! {
            ended = feeds.join_next() => match ended {
                None => return result,
                Some(Ok((_, FeedEnd::Stopped | FeedEnd::Closed))) => {}
                Some(Ok((market, FeedEnd::Refused(words)))) => {
                    result = Err(Failure::KeyRefused { market: market.to_string(), words });
                    stop.send_replace(true);
                }
                Some(Ok((market, FeedEnd::JournalStopped))) => {
                    error!(market = %market, "the journal has stopped; so does the recorder");
                    stop.send_replace(true);
                }
                Some(Err(error)) => {
                    result = Err(Failure::Bug(format!("a feed panicked: {error}")));
                    stop.send_replace(true);
                }
            },
            Some(request) = requests.recv() => match request {
                Request::Stop => {
                    info!("stopping: what was received is synced, exported and sealed first");
                    stop.send_replace(true);
                }
                Request::SealNow => {
                    for pipeline in &*pipelines {
                        pipeline.queue.event_when_there_is_room(Event::SealNow);
                    }
                }
            },
            _ = second.tick() => {
                disk.look();
                for pipeline in &mut *pipelines {
                    pipeline.second(interval_us);
                }
            }
            _ = minute.tick() => rates.iter_mut().for_each(Rates::log),
        }
    }
}

/// Ends each market's journal, and waits until all of it is sealed.
async fn drain(pipelines: Vec<Pipeline>) -> Result<(), Failure> {
    let mut threads = Vec::new();
    for pipeline in pipelines {
        let _ = pipeline.queue.event(Event::Stop).await;
        threads.push((pipeline.view.market, pipeline.journal, pipeline.export));
    }
    let mut result = Ok(());
    for (market, journal, export) in threads {
        let joined = tokio::task::spawn_blocking(move || (journal.join(), export.join())).await;
        let (journal, export) = joined.map_err(|error| Failure::Bug(format!("joining threads: {error}")))?;
        let journal = journal.map_or_else(
            |_| Err(Failure::Bug(format!("the journal thread of {market} panicked"))),
            |ended| ended.map_err(Failure::from),
        );
        let export =
            export.unwrap_or_else(|_| Err(Failure::Bug(format!("the export thread of {market} panicked"))));
        for failure in [journal.err(), export.err()].into_iter().flatten() {
            error!(market = %market, error = %failure, "the end was not a good one; what is in the journal is exported by the next start");
            result = result.and(Err(failure));
        }
    }
    result
}

impl Pipeline {
    fn start(
        config: &Config,
        data: &DataDir,
        feed: &FeedConfig,
        stopping: &watch::Receiver<bool>,
        started: Moment,
    ) -> Result<Self, Failure> {
        let market = feed.market.clone();
        let progress = Arc::new(Progress::since(started));
        let writer =
            Writer::open(data, &market, config.journal, Arc::clone(&progress))?.with_rules(rules_of(config));
        let tail = writer.tail();
        let (queue, entries) = queue();
        let journaling = Journaling {
            market: market.clone(),
            writer,
            entries,
            stopping: stopping.clone(),
        };
        let journal = thread(format!("journal-{market}"), move || journaling.run())?;
        let export = thread(format!("export-{market}"), {
            let (data, market, progress, config) =
                (data.clone(), market.clone(), Arc::clone(&progress), config.export);
            let tail = Arc::clone(&tail);
            move || exporting::run(&data, &market, config, &tail, &progress)
        })?;
        let view = MarketView {
            market,
            host: feed.url.host().unwrap_or_default().to_owned(),
            progress,
            status: Arc::new(FeedStatus::default()),
            queue: queue.gauge(),
        };
        Ok(Self {
            view,
            queue,
            tail,
            journal,
            export,
            last_mark: Moment(0),
        })
    }

    fn feed(
        &self,
        config: &Config,
        feed: &FeedConfig,
        key: &ApiKey,
        until_close: bool,
        accepted: &Arc<AtomicBool>,
    ) -> Feed {
        Feed {
            config: feed.clone(),
            connection: config.connection,
            schedule: config.schedule,
            until_close,
            init: key.init_request(&config.member_name),
            queue: self.queue.clone(),
            status: Arc::clone(&self.view.status),
            accepted: Arc::clone(accepted),
        }
    }

    fn rates(&self) -> Rates {
        Rates::new(
            self.view.market.clone(),
            Arc::clone(&self.view.progress),
            Arc::clone(&self.view.status),
        )
    }

    /// What is looked after once a second.
    fn second(&mut self, interval_us: i64) {
        self.queue.beat();
        // Whoever writes next finds that a sync has failed; when nothing is received, that is this mark.
        if self.tail.failure().is_some() {
            self.queue.event_when_there_is_room(Event::TimeMark);
        }
        let last_frame = Moment(self.view.status.last_frame_us.load(Relaxed));
        let now = Moment::now();
        if mark_due(last_frame, self.last_mark, now, interval_us) {
            self.last_mark = now;
            self.queue.event_when_there_is_room(Event::TimeMark);
        }
    }
}

/// What the status shows.
fn view_of(config: &Config, started: Moment, disk: &DiskWatch, pipelines: &[Pipeline]) -> View {
    let schedule = config.schedule;
    let markets = pipelines.iter().map(|pipeline| pipeline.view.clone());
    View::new(
        started,
        Box::new(move |now| Expected::of(schedule, now)),
        disk.status(),
        config.warn_free_bytes,
        markets.collect(),
    )
}

/// What is journaled of each date.
fn rules_of(config: &Config) -> RulesOf {
    let (schedule, export) = (config.schedule, config.export);
    Box::new(move |date| DateRules {
        expected: schedule.expected_on(date),
        rotate_us: i64::try_from(export.rotate_interval.as_micros()).unwrap_or(i64::MAX),
        rows_max: export.rows_max,
    })
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
