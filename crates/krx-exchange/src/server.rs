//! Accepts connections, passes initialised ones to their feeds, reports the news, and shuts down cleanly.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;

use crate::admission::{Admission, Admitted};
use crate::config::Config;
use crate::control::Key;
use crate::conversation::Conversation;
use crate::door::Door;
use crate::endpoint::Endpoint;
use crate::error::ExchangeError;
use crate::event::Event;
use crate::feed::{EndpointState, Feed, Manners};
use crate::per_issue::PerIssue;
use crate::program::Program;
use crate::session::{Broken, Farewell};

/// How many connections may be on their way to `init` at a time; more wait in the kernel.
const ADMISSIONS_MAX: usize = 64;

/// How many feeds may exist: each holds a few megabytes. Further keys are turned away.
const FEEDS_MAX: usize = 32;

/// How many initialised sessions may wait for their feed; more are turned away.
const ARRIVALS_MAX: usize = 8;

/// How much news may wait to be reported.
const NEWS_MAX: usize = 64;

/// How often the transcript should be written where others can read it.
const TRANSCRIPT_FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// How long clients may stay once everything is sent and the exchange should end.
const LEAVE_MAX: Duration = Duration::from_secs(60);

/// Close code "try again later": too many keys, or too many sessions for one key at once.
const CLOSE_LATER: u16 = 1013;

/// How long to wait when the system cannot accept a connection because it is out of some resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`, which must be on this machine's loopback interface.
///
/// # Errors
///
/// When it is not, or the system refuses the address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ExchangeError> {
    if !address.ip().is_loopback() {
        return Err(ExchangeError::NotLoopback(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| ExchangeError::Listen { address, source })
}

/// Serves `program` on `listener` until `shutdown` resolves, or until the day is over if so configured.
///
/// # Errors
///
/// When the listener is not on loopback, or the transcript is no longer read.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    program: impl Program + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ExchangeError> {
    let address = listener.local_addr().map_err(|source| ExchangeError::System {
        doing: "asking for the address listened on",
        source,
    })?;
    if !address.ip().is_loopback() {
        return Err(ExchangeError::NotLoopback(address));
    }
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    config.events.tell(&Event::Listening {
        url: format!("{scheme}://{address}"),
        port: address.port(),
    });

    let mut exchange = Exchange::new(config, Box::new(program));
    let served = exchange.run(&listener, shutdown).await;
    drop(listener);
    exchange.stop().await;
    served
}

/// The single owner of everything that runs.
struct Exchange {
    config: Config,
    program: Box<dyn Program>,
    admission: Arc<Admission>,
    admissions: JoinSet<Result<Option<Admitted>, Broken>>,
    feeds: JoinSet<Result<(), Broken>>,
    doors: HashMap<(Endpoint, Key), mpsc::Sender<Admitted>>,
    endpoints: HashMap<Endpoint, Arc<EndpointState>>,
    stop: watch::Sender<bool>,
    news_in: mpsc::Sender<Event>,
    news: mpsc::Receiver<Event>,
    ending: Ending,
}

/// What the exchange still waits for before it ends by itself.
#[derive(Debug, Default)]
struct Ending {
    sessions: u32,
    /// Where there has been a session, and where a day has been sent.
    used: HashSet<Endpoint>,
    complete: HashSet<Endpoint>,
    deadline: Option<Instant>,
}

impl Exchange {
    fn new(config: Config, program: Box<dyn Program>) -> Exchange {
        let admission = Admission {
            endpoints: config.endpoints().collect(),
            admits: config.admits.clone(),
            tls: config.tls.clone().map(TlsAcceptor::from),
            transcript: config.transcript.clone(),
        };
        let (news_in, news) = mpsc::channel(NEWS_MAX);
        let common_clock = Arc::default();
        let state = |endpoint: Endpoint| {
            let clock = if config.one_clock {
                Arc::clone(&common_clock)
            } else {
                Arc::default()
            };
            (endpoint, Arc::new(EndpointState::new(clock)))
        };
        let endpoints = config.endpoints().map(state).collect();
        Exchange {
            config,
            program,
            admission: Arc::new(admission),
            admissions: JoinSet::new(),
            feeds: JoinSet::new(),
            doors: HashMap::new(),
            endpoints,
            stop: watch::channel(false).0,
            news_in,
            news,
            ending: Ending::default(),
        }
    }

    async fn run(
        &mut self,
        listener: &TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ExchangeError> {
        tokio::pin!(shutdown);
        let mut flush = interval(TRANSCRIPT_FLUSH_INTERVAL);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.ending.deadline;
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                accepted = listener.accept(), if self.admissions.len() < ADMISSIONS_MAX => match accepted {
                    Ok((tcp, _)) => { self.admissions.spawn(Arc::clone(&self.admission).admit(tcp)); }
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                Some(admitted) = self.admissions.join_next() => match admitted {
                    Ok(Ok(Some(admitted))) => self.introduce(admitted).await,
                    Ok(Ok(None)) => {}
                    Ok(Err(_)) | Err(_) => return Err(broken("admitting a client")),
                },
                Some(ended) = self.feeds.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return Err(broken("serving a feed")),
                },
                Some(event) = self.news.recv() => {
                    self.config.events.tell(&event);
                    if self.ending.after(&event, &self.config) {
                        return Ok(());
                    }
                }
                _ = flush.tick() => {
                    if self.config.transcript.as_ref().is_some_and(|transcript| transcript.flush_soon().is_err()) {
                        return Err(broken("keeping the transcript"));
                    }
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return Ok(()),
            }
        }
    }

    /// Passes an initialised client to the feed of its endpoint and key, starting that if need be.
    async fn introduce(&mut self, admitted: Admitted) {
        let endpoint = admitted.session.endpoint;
        let place = (endpoint, admitted.key.clone());
        if !self.doors.contains_key(&place) && self.doors.len() < FEEDS_MAX {
            let door = self.start_feed(endpoint);
            self.doors.insert(place.clone(), door);
        }
        let turned_away = match self.doors.get(&place) {
            Some(door) => match door.try_send(admitted) {
                Ok(()) => return,
                Err(error) => error.into_inner(),
            },
            None => admitted,
        };
        let farewell = Farewell::Close(CLOSE_LATER, "too many sessions");
        turned_away.session.end(farewell).await;
    }

    fn start_feed(&mut self, endpoint: Endpoint) -> mpsc::Sender<Admitted> {
        let (door, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let conversation: Box<dyn Conversation> = match endpoint {
            Endpoint::FullMarket(market) => Box::new(self.program.day(market)),
            Endpoint::PerIssue => {
                let rules = self.config.per_issue.unwrap_or_default();
                Box::new(PerIssue::new(self.program.issues(), rules))
            }
        };
        let feed = Feed {
            endpoint,
            state: self.endpoints.get(&endpoint).cloned().unwrap_or_default(),
            manners: Manners {
                init_reply: self.config.init_reply,
                heartbeat_interval: self.config.heartbeat_interval,
            },
            conversation,
            script: self.program.script(endpoint),
            door: Door::new(arrivals, self.stop.subscribe(), self.config.second_session),
            news: self.news_in.clone(),
        };
        self.feeds.spawn(feed.run());
        door
    }

    /// Ends every session cleanly; afterwards no clone of the transcript is left.
    async fn stop(self) {
        let Exchange {
            config,
            mut admissions,
            mut feeds,
            stop,
            mut news,
            ..
        } = self;
        admissions.shutdown().await;
        stop.send_replace(true);
        loop {
            tokio::select! {
                biased;
                Some(event) = news.recv() => config.events.tell(&event),
                ended = feeds.join_next() => if ended.is_none() { break },
            }
        }
        while let Ok(event) = news.try_recv() {
            config.events.tell(&event);
        }
    }
}

impl Ending {
    /// Handles `event`; returns true when the exchange should end now.
    fn after(&mut self, event: &Event, config: &Config) -> bool {
        match event {
            Event::Listening { .. } => {}
            Event::SessionStarted { endpoint, .. } => {
                self.sessions += 1;
                self.used.insert(*endpoint);
            }
            Event::SessionEnded { .. } => self.sessions = self.sessions.saturating_sub(1),
            Event::DayComplete { endpoint, .. } => {
                self.complete.insert(*endpoint);
            }
        }
        // The per-issue service is only waited for if somebody uses it, or if there is nothing else.
        let needed = |endpoint: &Endpoint| {
            *endpoint != Endpoint::PerIssue || self.used.contains(endpoint) || config.markets.is_empty()
        };
        let mut needed = config.endpoints().filter(needed);
        if !config.exit_at_end || !needed.all(|endpoint| self.complete.contains(&endpoint)) {
            return false;
        }
        self.deadline.get_or_insert_with(|| Instant::now() + LEAVE_MAX);
        self.sessions == 0
    }
}

/// The error of a part that ended without being told to, usually because the transcript is no longer read.
fn broken(doing: &'static str) -> ExchangeError {
    ExchangeError::System {
        doing,
        source: io::Error::other("a part of the exchange ended early"),
    }
}
