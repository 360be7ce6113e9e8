//! Accepts connections, hands initialised ones to their feeds, tells the news, and stops in order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::num::NonZeroU64;
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
use crate::cursor::{Cursor, DaySource, Origin, Pace};
use crate::error::SimulatorError;
use crate::event::Event;
use crate::fault::FaultScript;
use crate::feed::{Door, Feed, Manners, MarketState, Recent};
use crate::ledger::{Ledger, LedgerHandle};
use crate::market::Market;
use crate::session::Broken;

/// Connections that may be on their way to `init` at a time; more wait in the kernel.
const ADMISSIONS_MAX: usize = 64;

/// Feeds that may exist: each holds a few megabytes. Keys beyond are turned away.
const FEEDS_MAX: usize = 32;

/// Initialised sessions that may wait for their feed; more are turned away.
const ARRIVALS_MAX: usize = 8;

/// News that may wait to be told.
const NEWS_MAX: usize = 64;

/// How often the ledger's buffer is written to its file.
const LEDGER_FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// How long clients may stay when everything is sent and the exchange is to end.
const LEAVE_MAX: Duration = Duration::from_secs(60);

/// How long to wait when the system cannot accept a connection: it is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a simulated exchange on `listener` until `shutdown` resolves, or the day is over if so configured.
///
/// # Errors
///
/// When the listener is not on loopback, or the ledger cannot be written.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SimulatorError> {
    let address = listener.local_addr().map_err(|source| SimulatorError::System {
        doing: "asking for the address listened on",
        source,
    })?;
    if !address.ip().is_loopback() {
        return Err(SimulatorError::NotLoopback(address));
    }
    let (ledger, handle) = match &config.ledger {
        Some(path) => Ledger::create(path).map(|(ledger, handle)| (Some(ledger), Some(handle)))?,
        None => (None, None),
    };
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    config.events.tell(&Event::Listening {
        url: format!("{scheme}://{address}"),
        port: address.port(),
    });

    let mut exchange = Exchange::new(config, handle);
    let served = exchange.run(&listener, shutdown).await;
    drop(listener);
    exchange.stop().await;
    match (ledger, served) {
        (Some(ledger), Ok(())) => ledger.finish().await,
        // The ledger's own error says more than that it is gone.
        (Some(ledger), Err(error)) => ledger.finish().await.and(Err(error)),
        (None, served) => served,
    }
}

/// The one owner of everything that runs.
struct Exchange {
    config: Config,
    ledger: Option<LedgerHandle>,
    admission: Arc<Admission>,
    admissions: JoinSet<Result<Option<Admitted>, Broken>>,
    feeds: JoinSet<Result<(), Broken>>,
    doors: HashMap<(Market, Key), mpsc::Sender<Admitted>>,
    markets: HashMap<Market, Arc<MarketState>>,
    stop: watch::Sender<bool>,
    news_in: mpsc::Sender<Event>,
    news: mpsc::Receiver<Event>,
    ending: Ending,
}

/// Who is still to be waited for before the exchange ends by itself.
#[derive(Debug, Default)]
struct Ending {
    sessions: u32,
    complete: HashSet<Market>,
    deadline: Option<Instant>,
}

impl Exchange {
    fn new(config: Config, ledger: Option<LedgerHandle>) -> Exchange {
        let admission = Admission {
            markets: config.markets.clone(),
            keys: config.keys.clone(),
            refuse: config.refuse,
            tls: config.tls.clone().map(TlsAcceptor::from),
            ledger: ledger.clone(),
        };
        let (news_in, news) = mpsc::channel(NEWS_MAX);
        // Of a day that was recorded, what came to both markets at one time is sent at one time.
        let common_clock = Arc::default();
        let state = |market: &Market| {
            let clock = match &config.supplied {
                Some(_) => Arc::clone(&common_clock),
                None => Arc::default(),
            };
            (*market, Arc::new(MarketState::new(clock)))
        };
        let markets = config.markets.iter().map(state).collect();
        Exchange {
            config,
            ledger,
            admission: Arc::new(admission),
            admissions: JoinSet::new(),
            feeds: JoinSet::new(),
            doors: HashMap::new(),
            markets,
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
    ) -> Result<(), SimulatorError> {
        tokio::pin!(shutdown);
        let mut flush = interval(LEDGER_FLUSH_INTERVAL);
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
                    if self.ledger.as_ref().is_some_and(|ledger| ledger.flush_soon().is_err()) {
                        return Err(broken("keeping the ledger"));
                    }
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return Ok(()),
            }
        }
    }

    /// Hands an initialised client to the feed of its market and key, which is started if need be.
    async fn introduce(&mut self, admitted: Admitted) {
        let market = admitted.session.market;
        let place = (market, admitted.key.clone());
        if !self.doors.contains_key(&place) && self.doors.len() < FEEDS_MAX {
            let door = self.start_feed(market);
            self.doors.insert(place.clone(), door);
        }
        let turned_away = match self.doors.get(&place) {
            Some(door) => match door.try_send(admitted) {
                Ok(()) => return,
                Err(error) => error.into_inner(),
            },
            None => admitted,
        };
        // "Try again later": too many keys, or too many sessions of one key at once.
        turned_away.session.close(1013, "too many sessions").await;
    }

    fn start_feed(&mut self, market: Market) -> mpsc::Sender<Admitted> {
        let Config {
            day,
            supplied,
            markets,
            pace,
            repeat,
            ..
        } = &self.config;
        let pace = match *pace {
            Pace::Rate(rate) if markets.len() > 1 => {
                Pace::Rate(NonZeroU64::new(day.universe.share(market, rate.get())).unwrap_or(NonZeroU64::MIN))
            }
            pace => pace,
        };
        let origin = match supplied {
            Some(supplied) => Origin::Supplied {
                supply: supplied.open(market),
                start: supplied.start,
            },
            None => Origin::Simulated(DaySource {
                universe: day.universe.clone(),
                market,
                seed: day.seed,
                trades: day.universe.share(market, day.trades_per_day),
                start: day.start,
                repeat: *repeat,
            }),
        };
        let (door, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let faults = FaultScript::new(&self.config.faults, market);
        let feed = Feed {
            market,
            state: self.markets.get(&market).cloned().unwrap_or_default(),
            manners: Manners {
                init_reply: self.config.init_reply,
                heartbeat_interval: self.config.heartbeat_interval,
            },
            cursor: Cursor::new(origin, pace),
            recent: Recent::new(faults.messages_kept()),
            again: VecDeque::new(),
            faults,
            door: Door {
                arrivals,
                stop: self.stop.subscribe(),
                second_session: self.config.second_session,
                farewells: JoinSet::new(),
            },
            news: self.news_in.clone(),
        };
        self.feeds.spawn(feed.run());
        door
    }

    /// Ends every session in order and gives up every handle of the ledger.
    async fn stop(self) {
        let Exchange {
            config,
            ledger,
            admission,
            mut admissions,
            mut feeds,
            doors,
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
        drop((ledger, admission, doors));
    }
}

impl Ending {
    /// Takes note of `event`; true when the exchange is to end now.
    fn after(&mut self, event: &Event, config: &Config) -> bool {
        match event {
            Event::Listening { .. } => {}
            Event::SessionStarted { .. } => self.sessions += 1,
            Event::SessionEnded { .. } => self.sessions = self.sessions.saturating_sub(1),
            Event::DayComplete { market, .. } => {
                self.complete.insert(*market);
            }
        }
        if !config.exit_at_end || self.complete.len() < config.markets.len() {
            return false;
        }
        self.deadline.get_or_insert_with(|| Instant::now() + LEAVE_MAX);
        self.sessions == 0
    }
}

/// The error of a part that has ended although nothing told it to: as a rule because the ledger has.
fn broken(doing: &'static str) -> SimulatorError {
    SimulatorError::System {
        doing,
        source: io::Error::other("a part of the simulator ended early"),
    }
}
