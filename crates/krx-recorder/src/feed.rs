//! One market's feed: connect, read, stamp, queue; and again, for as long as the schedule wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt};
use krx_protocol::{Control, Refusal};
use krx_store::journal::GapReason;
use krx_store::{Event, Moment};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::config::{ConnectionConfig, FeedConfig};
use crate::connect::{self, Connection};
use crate::key::InitRequest;
use crate::queue::{JournalStopped, Queue};
use crate::schedule::{Hours, Schedule};

/// Refusals in a row, before any session was accepted, after which the key must be taken for wrong.
const REFUSALS_MAX: u32 = 2;

/// The least wait after a refusal while the key may still be wrong, and after one of a key that was good before.
const REFUSED_FIRST_WAIT: Duration = Duration::from_secs(2);
const REFUSED_WAIT: Duration = Duration::from_secs(60);

/// How long a closing connection is waited for.
const GOODBYE: Duration = Duration::from_millis(500);

/// The longest sleep until an opening: the clock may be set, and the machine suspended, meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Where a feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FeedState {
    /// The schedule wants no connection now.
    Waiting,
    /// No session, but one is being sought.
    Connecting,
    /// A session is open.
    Live,
    /// The feed has ended.
    Ended,
}

impl FeedState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Connecting, Self::Live, Self::Ended];

    /// The word in status and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Ended => "ended",
        }
    }
}

/// What others see of a feed.
#[derive(Debug, Default)]
pub struct FeedStatus {
    state: AtomicU8,
    /// When the last frame was read, µs since the Unix epoch; 0 before the first.
    pub last_frame_us: AtomicI64,
    /// Sessions opened since the start.
    pub sessions: AtomicU32,
}

impl FeedStatus {
    /// Where the feed stands.
    #[must_use]
    pub fn state(&self) -> FeedState {
        FeedState::ALL[usize::from(self.state.load(Relaxed)).min(FeedState::ALL.len() - 1)]
    }

    fn set(&self, state: FeedState) {
        self.state.store(state as u8, Relaxed);
    }
}

/// What a feed works with.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Market and URL.
    pub config: FeedConfig,
    /// Time limits.
    pub connection: ConnectionConfig,
    /// When to be connected.
    pub schedule: Schedule,
    /// Whether to end when the schedule closes, instead of waiting for the next opening.
    pub until_close: bool,
    /// The first message of each session.
    pub init: InitRequest,
    /// Where frames and events go.
    pub queue: Queue,
    /// What others see.
    pub status: Arc<FeedStatus>,
    /// Whether any feed's key was ever accepted in this process.
    pub accepted: Arc<AtomicBool>,
}

/// Why a feed ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEnd {
    /// It was asked to stop.
    Stopped,
    /// The day's hours are over.
    Closed,
    /// The server refuses the key, and never accepted it; its words.
    Refused(String),
    /// The journal has stopped.
    JournalStopped,
}

/// How a session ended.
#[derive(Debug)]
struct SessionEnd {
    reason: GapReason,
    detail: String,
    /// Whether it brought any data.
    data: bool,
}

impl Feed {
    /// Runs the feed until `stop` says so, or the hours are over.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> FeedEnd {
        let end = self.supervise(&mut stop).await.unwrap_or(FeedEnd::JournalStopped);
        self.status.set(FeedState::Ended);
        end
    }

    async fn supervise(&self, stop: &mut watch::Receiver<bool>) -> Result<FeedEnd, JournalStopped> {
        let mut backoff = Backoff::new(self.connection.backoff_initial, self.connection.backoff_max);
        let mut refusals = 0;
        loop {
            if let Hours::ClosedUntil(opening) = self.schedule.at(Moment::now()) {
                if self.until_close && self.schedule.over_until(Moment::now()).is_some() {
                    return Ok(FeedEnd::Closed);
                }
                self.status.set(FeedState::Waiting);
                let left = Duration::from_micros(u64::try_from(opening.0 - Moment::now().0).unwrap_or(0));
                if stopped_within(left.min(SLEEP_MAX), stop).await {
                    return Ok(FeedEnd::Stopped);
                }
                continue;
            }
            self.status.set(FeedState::Connecting);
            let end = self.session(stop).await?;
            if *stop.borrow() {
                return Ok(FeedEnd::Stopped);
            }
            if end.data {
                backoff.reset();
                refusals = 0;
            }
            let mut wait = backoff.next(fastrand::f64());
            if end.reason == GapReason::Refused {
                refusals += 1;
                let accepted = self.accepted.load(Relaxed);
                if refusals >= REFUSALS_MAX && !accepted {
                    return Ok(FeedEnd::Refused(end.detail));
                }
                wait = if accepted {
                    REFUSED_WAIT
                } else {
                    REFUSED_FIRST_WAIT
                };
            }
            if stopped_within(wait, stop).await {
                return Ok(FeedEnd::Stopped);
            }
        }
    }

    /// One attempt, and the session that comes of it.
    async fn session(&self, stop: &mut watch::Receiver<bool>) -> Result<SessionEnd, JournalStopped> {
        let market = self.config.market.as_str();
        let connecting = connect::connect(&self.config.url, &self.init, self.connection.connect_timeout);
        let connected = tokio::select! {
            connected = connecting => connected,
            () = stopped(stop) => return Ok(SessionEnd { reason: GapReason::Shutdown, detail: String::new(), data: false }),
        };
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(failure) => {
                warn!(market, url = %self.config.url, reason = failure.reason.as_str(), detail = failure.detail, "not connected");
                let (reason, detail) = (failure.reason, failure.detail);
                self.queue
                    .event(Event::ConnectFailed {
                        reason,
                        detail: detail.clone(),
                    })
                    .await?;
                return Ok(SessionEnd {
                    reason,
                    detail,
                    data: false,
                });
            }
        };
        self.queue
            .event(Event::Connected {
                url: self.config.url.to_string(),
            })
            .await?;
        self.status.sessions.fetch_add(1, Relaxed);
        self.status.set(FeedState::Live);
        info!(market, url = %self.config.url, "connected");

        let end = self.read(&mut connection, stop).await?;
        if matches!(end.reason, GapReason::Shutdown) {
            // The server is told, but not waited for: it has nothing more that we would take.
            let _ = timeout(GOODBYE, connection.close(None)).await;
        }
        let closed = self.schedule.at(Moment::now()) != Hours::Open;
        let event = Event::Disconnected {
            reason: end.reason,
            detail: end.detail.clone(),
        };
        self.queue.event(event).await?;
        if closed {
            self.queue.event(Event::SessionEnd).await?;
        }
        match end.reason {
            GapReason::Shutdown => info!(market, "disconnected"),
            reason => warn!(
                market,
                reason = reason.as_str(),
                detail = end.detail,
                "disconnected"
            ),
        }
        Ok(end)
    }

    /// Reads until the session ends.
    async fn read(
        &self,
        connection: &mut Connection,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<SessionEnd, JournalStopped> {
        let mut reader = Reader {
            market: self.config.market.as_str(),
            queue: &self.queue,
            status: &self.status,
            accepted: &self.accepted,
            data: false,
        };
        let (mut heard, mut last_data) = (Instant::now(), Instant::now());
        let mut watchdog = interval_at(Instant::now() + WATCH_INTERVAL, WATCH_INTERVAL);
        let mut heartbeat = interval_at(
            Instant::now() + self.connection.heartbeat_interval,
            self.connection.heartbeat_interval,
        );
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            // Every branch may be dropped half-way when another is ready, so each waits for one thing only, and a
            // message that was read is queued behind the select: there it cannot be lost, however long the queue is
            // full. Messages come last: a socket that is never empty must not keep a stop waiting.
            let (at, message) = tokio::select! {
                biased;
                () = stopped(stop) => break (GapReason::Shutdown, "the recorder stops".to_owned()),
                _ = heartbeat.tick() => match self.send_heartbeat(connection).await {
                    Ok(()) => continue,
                    Err(end) => break end,
                },
                _ = watchdog.tick() => match self.look_at_the_clock(heard, last_data) {
                    None => continue,
                    Some(end) => break end,
                },
                message = next_message(connection, Moment::now) => message,
            };
            match reader.take(at, message).await? {
                Read::Data => (heard, last_data) = (Instant::now(), Instant::now()),
                Read::Other => heard = Instant::now(),
                Read::End(reason, detail) => break (reason, detail),
            }
        };
        Ok(SessionEnd {
            reason: end.0,
            detail: end.1,
            data: reader.data,
        })
    }

    /// Why the session must end now, if it must: the hours are over, or the server has been silent for too long.
    fn look_at_the_clock(&self, heard: Instant, last_data: Instant) -> Option<(GapReason, String)> {
        let now = Moment::now();
        if self.schedule.at(now) != Hours::Open {
            return Some((GapReason::Shutdown, "the day's hours are over".to_owned()));
        }
        let since = if self.schedule.expects_data(now) {
            last_data
        } else {
            heard
        };
        let limit = self.connection.stall_timeout;
        (since.elapsed() > limit).then(|| (GapReason::Stalled, format!("nothing came for {limit:?}")))
    }

    /// Koscom's heartbeat, and WebSocket's: a server need not answer the first, but must the second.
    async fn send_heartbeat(&self, connection: &mut Connection) -> Result<(), (GapReason, String)> {
        let sending = async {
            connection.feed(Message::text(krx_protocol::heartbeat())).await?;
            connection.send(Message::Ping(Bytes::new())).await
        };
        match timeout(self.connection.stall_timeout, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err((GapReason::Reset, error.to_string())),
            Err(_) => Err((GapReason::Stalled, "the server takes no heartbeat".to_owned())),
        }
    }
}

/// How often silence and the schedule are looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Data,
    Other,
    End(GapReason, String),
}

/// Waits for a message, and stamps it before anything else is done with it. May be dropped while it waits: nothing
/// is lost then.
async fn next_message(
    messages: &mut (impl Stream<Item = tungstenite::Result<Message>> + Unpin),
    clock: impl Fn() -> Moment,
) -> (Moment, Option<tungstenite::Result<Message>>) {
    let message = messages.next().await;
    (clock(), message)
}

struct Reader<'a> {
    market: &'a str,
    queue: &'a Queue,
    status: &'a FeedStatus,
    accepted: &'a AtomicBool,
    data: bool,
}

impl Reader<'_> {
    /// Queues a message that was read at `at`, and tells what it was.
    async fn take(
        &mut self,
        at: Moment,
        message: Option<tungstenite::Result<Message>>,
    ) -> Result<Read, JournalStopped> {
        let payload: Bytes = match message {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(frame))) => {
                let detail = frame.map_or_else(
                    || "no close code".to_owned(),
                    |frame| format!("close code {frame}"),
                );
                return Ok(Read::End(GapReason::ServerClosed, detail));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(Read::Other),
            Some(Err(error)) => return Ok(ended_by(&error)),
            None => return Ok(Read::End(GapReason::Reset, "the connection ended".to_owned())),
        };
        self.queue.frame(at, payload.clone()).await?;
        self.status.last_frame_us.store(at.0, Relaxed);
        Ok(self.look_at(&payload))
    }

    /// Tells data from the few messages that concern the connection; those are objects, and data are arrays.
    fn look_at(&mut self, payload: &[u8]) -> Read {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        let text = payload
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(payload)
            .trim_ascii_start();
        if text.first() != Some(&b'{') {
            self.data = true;
            self.accepted.store(true, Relaxed);
            return Read::Data;
        }
        match Control::classify(text) {
            Some(Control::Error(error)) if error.refusal() == Refusal::Key => {
                return Read::End(
                    GapReason::Refused,
                    format!("error {}: {}", error.code, error.message),
                );
            }
            Some(Control::Error(error)) => warn!(
                market = self.market,
                code = error.code,
                message = error.message,
                "the server reports an error"
            ),
            Some(Control::Reply) => self.accepted.store(true, Relaxed),
            _ => {}
        }
        Read::Other
    }
}

fn ended_by(error: &tungstenite::Error) -> Read {
    let reason = match error {
        tungstenite::Error::Capacity(_) | tungstenite::Error::Utf8(_) => GapReason::Protocol,
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            GapReason::Reset
        }
        tungstenite::Error::Protocol(_) => GapReason::Protocol,
        _ => GapReason::Reset,
    };
    Read::End(reason, error.to_string())
}

/// Waits for the stop; for ever when whoever could ask for it is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn stopped_within(wait: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = stopped(stop) => true,
        () = sleep(wait) => false,
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
