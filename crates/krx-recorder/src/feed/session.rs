//! A running feed: connect, read, stamp, queue, and repeat for as long as the schedule wants it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, Stream, StreamExt};
use krx_protocol::conversation::{
    Conversation, FullMarket, Heartbeat, Meaning, Parting, PerIssue, PerIssueSettings, Phase, Received,
};
use krx_protocol::per_issue::{RegistrationEvent, WishList};
use krx_store::journal::GapReason;
use krx_store::{Event, Moment, Traded};
use tokio::sync::watch;
use tokio::task::consume_budget;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tracing::{info, warn};

use crate::config::key::InitRequest;
use crate::config::{ConnectionConfig, FeedConfig};
use crate::feed::backoff::{Asked, Backoff};
use crate::feed::connect::{Connection, Connector};
use crate::feed::feed_status::{FeedState, FeedStatus};
use crate::feed::pace::{ControlPace, LinePace};
use crate::feed::queue::{JournalStopped, Queue};
use crate::feed::registering::{self, Told, Wanted};
use crate::feed::session_loop::{End, Ended, FeedEnd, SessionLoop, Sessions, WallClock, stopped};
use crate::feed::trades::Trades;
use crate::hours::schedule::{Hours, Schedule};

/// How long to wait for a connection to close.
const GOODBYE: Duration = Duration::from_millis(500);

/// How often to check for silence and the schedule.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Everything a feed works with.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Name and URL.
    pub config: FeedConfig,
    /// Time limits.
    pub connection: ConnectionConfig,
    /// When to be connected.
    pub schedule: watch::Receiver<Schedule>,
    /// Whether to end when the hours close, instead of waiting for the next opening.
    pub until_close: bool,
    /// Opens sessions.
    pub connector: Arc<Connector>,
    /// The first message of each session.
    pub init: InitRequest,
    /// Where frames and events go.
    pub queue: Queue,
    /// What others see.
    pub status: Arc<FeedStatus>,
    /// What is to be registered.
    pub wanted: Wanted,
    /// What the full-market feeds show of it.
    pub traded: Arc<Traded>,
    /// Whether this feed's key was ever accepted in this process, by this feed's service or another's.
    pub accepted: Arc<AtomicBool>,
}

impl Feed {
    /// Runs the feed until `stop` says so or the hours are over.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> FeedEnd {
        let sessions = SessionLoop {
            clock: WallClock,
            schedule: self.schedule.clone(),
            until_close: self.until_close,
            backoff: Backoff::new(self.connection.backoff_initial, self.connection.backoff_max),
            accepted: Arc::clone(&self.accepted),
            stop,
        };
        let end = sessions.run(&mut self).await.unwrap_or(FeedEnd::JournalStopped);
        self.status.end(match end {
            FeedEnd::Refused(_) => FeedState::Refused,
            FeedEnd::Stopped | FeedEnd::Closed | FeedEnd::JournalStopped => FeedState::Ended,
        });
        end
    }

    /// Reads until the session ends. Returns why it ended, and whether it brought any data.
    async fn read(
        &self,
        connection: &mut Connection,
        (mut wanted, wishes): (Wanted, Option<WishList>),
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(End, bool), JournalStopped> {
        let begun = Instant::now();
        let mut reader = Reader {
            conversation: self.conversation(wishes.as_ref(), begun.into_std()),
            feed: self.config.name.as_str(),
            init: &self.init,
            queue: &self.queue,
            status: &self.status,
            accepted: &self.accepted,
            error_lines: LinePace::default(),
        };
        let mut controls = ControlPace::new(begun);
        let mut trades = Trades::from_now(&self.traded);
        let (mut unflushed, mut paused_until) = (false, None);
        let mut watchdog = interval_at(begun + WATCH_INTERVAL, WATCH_INTERVAL);
        let mut heartbeat = pin!(sleep_until(reader.conversation.heartbeat_due().into()));
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            unflushed |= reader.told().ask(&mut *reader.conversation, connection).await?;
            // Any branch may be dropped halfway when another is ready, so each awaits only one thing, and a message
            // that was read is queued after the select, where it cannot be lost however long the queue stays full.
            // Messages come last: a socket that is never empty must not delay a stop.
            let mut messages = Flushing {
                connection,
                unflushed: &mut unflushed,
            };
            let (at, message) = tokio::select! {
                biased;
                () = stopped(stop) => break End::stop(),
                () = heartbeat.as_mut() => {
                    let now = Instant::now().into_std();
                    buffer_heartbeat(connection, reader.conversation.heartbeat(now));
                    heartbeat.as_mut().reset(reader.conversation.heartbeat_due().into());
                    unflushed = true;
                    continue;
                }
                wishes = registering::changed(&mut wanted) => {
                    reader.conversation.want(&wishes, Instant::now().into_std());
                    continue;
                }
                () = registering::due(reader.conversation.request_due()) => continue,
                _ = watchdog.tick() => {
                    trades.tell(&mut *reader.conversation, (Instant::now().into_std(), Moment::now()));
                    match self.look_at_the_clock(&mut *reader.conversation, connection) {
                        None => continue,
                        Some(end) => break end,
                    }
                }
                message = next_message(&mut messages, paused_until, Moment::now) => message,
            };
            paused_until = None;
            match reader.take(at, message).await? {
                Read::Message => {}
                Read::Control => {
                    paused_until = controls.take(Instant::now());
                    // Buffered frames cost nothing of tokio's budget, and would all be taken in one go.
                    consume_budget().await;
                }
                Read::End(end) => break end,
            }
        };
        // Registrations that are accepted may be quiet all day.
        let wanted = if wishes.is_some() {
            Phase::Accepted
        } else {
            Phase::Data
        };
        Ok((end, reader.conversation.phase() >= wanted))
    }

    /// The conversation of the feed's service.
    fn conversation(&self, wishes: Option<&WishList>, begun: std::time::Instant) -> Box<dyn Conversation> {
        let (heartbeat_interval, silence_max) =
            (self.connection.heartbeat_interval, self.connection.stall_timeout);
        match wishes {
            None => Box::new(FullMarket::begin(heartbeat_interval, silence_max, begun)),
            Some(wishes) => {
                let settings = PerIssueSettings {
                    heartbeat_interval,
                    silence_max,
                    answer_timeout: self.connection.answer_timeout,
                    silent_after: self.connection.silent_after,
                    ..PerIssueSettings::default()
                };
                Box::new(PerIssue::begin(&settings, wishes, begun))
            }
        }
    }

    /// Journals what is wanted of this session, if its service has registrations.
    async fn tell_what_is_wanted(&self, wanted: &mut Wanted) -> Result<Option<WishList>, JournalStopped> {
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        let wishes = wanted.borrow_and_update().clone();
        let event = RegistrationEvent::Wanted {
            wishes: wishes.iter().cloned().collect(),
        };
        self.status.registration(&event);
        self.queue.event(Event::Registration(event)).await?;
        Ok(Some(wishes))
    }

    /// Why the session must end now, if it must: the hours are over, or the server has been silent too long.
    fn look_at_the_clock(&self, conversation: &mut dyn Conversation, connection: &Connection) -> Option<End> {
        self.status.note_life();
        let now = Moment::now();
        let schedule = self.schedule.borrow();
        if schedule.at(now) != Hours::Open {
            return Some(End::new(GapReason::Shutdown, "the day's hours are over"));
        }
        let open_since = connection.get_ref().message_open_since().map(Instant::into_std);
        let stall = conversation.stall(Instant::now().into_std(), schedule.expects_data(now), open_since)?;
        let words = stall.words(self.connection.stall_timeout);
        Some(End::new(GapReason::Stalled, words))
    }
}

impl Sessions for Feed {
    async fn session(&mut self, stop: &mut watch::Receiver<bool>) -> Result<Ended, JournalStopped> {
        let feed = self.config.name.as_str();
        let mut wanted = self.wanted.clone();
        let wishes = self.tell_what_is_wanted(&mut wanted).await?;
        let connecting = self.connector.connect(&self.init);
        let connected = tokio::select! {
            connected = connecting => connected,
            () = stopped(stop) => return Ok(Ended { end: End::stop(), data_for: None }),
        };
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(failure) => {
                let end = End {
                    reason: failure.reason,
                    detail: failure.detail,
                    asked: failure.asked,
                };
                warn!(%feed, url = %self.config.url, reason = end.reason.as_str(), detail = end.detail,
                    "not connected");
                self.status.note(end.reason, &end.detail);
                let event = Event::ConnectFailed {
                    reason: end.reason,
                    detail: end.detail.clone(),
                };
                self.queue.event(event).await?;
                return Ok(Ended { end, data_for: None });
            }
        };
        let event = Event::Connected {
            url: self.config.url.to_string(),
        };
        self.queue.event(event).await?;
        self.status.sessions.fetch_add(1, Relaxed);
        self.status.set(FeedState::Live);
        info!(%feed, url = %self.config.url, "connected");

        let begun = Instant::now();
        let (end, data) = self.read(&mut connection, (wanted, wishes), stop).await?;
        self.status.session_over();
        let data_for = data.then(|| begun.elapsed());
        match end.reason {
            GapReason::Shutdown => info!(%feed, "disconnected"),
            reason => {
                warn!(
                    %feed,
                    reason = reason.as_str(),
                    detail = end.detail,
                    "disconnected"
                );
                self.status.note(reason, &end.detail);
            }
        }
        let event = Event::Disconnected {
            reason: end.reason,
            detail: end.detail.clone(),
        };
        self.queue.event(event).await?;
        say_goodbye(&mut connection, end.reason).await;
        Ok(Ended { end, data_for })
    }

    async fn hours_over(&mut self) -> Result<(), JournalStopped> {
        self.queue.event(Event::SessionEnd).await
    }

    fn status(&self) -> &FeedStatus {
        &self.status
    }

    fn feed(&self) -> &str {
        self.config.name.as_str()
    }
}

/// Puts Koscom's heartbeat and a WebSocket ping into the send buffer: a server need not answer the first, but must
/// answer the second. Nothing waits here. A server that does not read gets none while its buffers are full, and so does
/// not answer; but as long as data arrives, that is no reason to stop reading it. If the connection is broken, the
/// reading side finds out, after everything that came before.
fn buffer_heartbeat(connection: &mut Connection, heartbeat: Heartbeat) {
    let ping = Bytes::copy_from_slice(&heartbeat.ping);
    for message in [Message::text(heartbeat.text), Message::Ping(ping)] {
        let _ = connection.feed(message).now_or_never();
    }
}

/// Tells the server that the session is over, but does not wait for it, since it has nothing more that we want.
async fn say_goodbye(connection: &mut Connection, reason: GapReason) {
    let goodbye = async {
        match reason {
            // The answer to its close frame is already buffered.
            GapReason::ServerClosed => connection.flush().await,
            GapReason::Reset => Ok(()),
            _ => connection.close(None).await,
        }
    };
    let _ = timeout(GOODBYE, goodbye).await;
}

/// A connection that flushes its send buffer while it reads.
struct Flushing<'a> {
    connection: &'a mut Connection,
    unflushed: &'a mut bool,
}

impl Stream for Flushing<'_> {
    type Item = tungstenite::Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if *self.unflushed && self.connection.poll_flush_unpin(cx).is_ready() {
            *self.unflushed = false;
        }
        self.connection.poll_next_unpin(cx)
    }
}

/// The result of reading.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// A message.
    Message,
    /// A control frame.
    Control,
    /// The session is over.
    End(End),
}

/// Waits for a message, after a pause if one is due, and stamps it before anything else is done with it. May be dropped
/// while it waits; nothing is lost then.
async fn next_message(
    messages: &mut (impl Stream<Item = tungstenite::Result<Message>> + Unpin),
    paused_until: Option<Instant>,
    clock: impl Fn() -> Moment,
) -> (Moment, Option<tungstenite::Result<Message>>) {
    if let Some(resume) = paused_until {
        sleep_until(resume).await;
    }
    let message = messages.next().await;
    (clock(), message)
}

struct Reader<'a> {
    feed: &'a str,
    init: &'a InitRequest,
    queue: &'a Queue,
    status: &'a FeedStatus,
    accepted: &'a AtomicBool,
    conversation: Box<dyn Conversation>,
    error_lines: LinePace,
}

impl<'a> Reader<'a> {
    /// Queues a message read at `at`, and says what it was.
    async fn take(
        &mut self,
        at: Moment,
        message: Option<tungstenite::Result<Message>>,
    ) -> Result<Read, JournalStopped> {
        let payload: Bytes = match message {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(frame))) => {
                let frame = frame
                    .as_ref()
                    .map(|frame| (frame.code.into(), frame.reason.as_str()));
                return Ok(self.hear(Received::Close(frame)));
            }
            Some(Ok(Message::Pong(payload))) => return Ok(self.hear(Received::Pong(&payload))),
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => return Ok(self.hear(Received::Ping)),
            Some(Err(error)) => return Ok(self.end(reason_of(&error), &error.to_string())),
            None => return Ok(self.end(GapReason::Reset, "the connection ended")),
        };
        // Copied, because the payload is a slice of the read buffer and would keep all of it alive, however small it is
        // itself.
        self.queue.frame(at, Bytes::copy_from_slice(&payload)).await?;
        self.status.read(at, payload.len());
        let read = self.hear(Received::Message(&payload));
        let events = self.conversation.take_events();
        self.told().journal(events).await?;
        Ok(read)
    }

    fn told(&self) -> Told<'a> {
        Told {
            feed: self.feed,
            init: self.init,
            queue: self.queue,
            status: self.status,
        }
    }

    fn end(&self, reason: GapReason, detail: &str) -> Read {
        Read::End(End::new(reason, self.init.plain(detail)))
    }

    /// Tells the conversation what arrived, and does what it says.
    fn hear(&mut self, received: Received<'_>) -> Read {
        let now = Instant::now();
        let meaning = self.conversation.heard(received, now.into_std());
        if self.conversation.phase() >= Phase::Accepted {
            self.accepted.store(true, Relaxed);
        }
        match meaning {
            Meaning::Data | Meaning::Other => Read::Message,
            Meaning::Control => Read::Control,
            Meaning::Trouble(error) => {
                if let Some(kept_back) = self.error_lines.line(now) {
                    let detail = self.init.plain(&error.words());
                    warn!(feed = %self.feed, detail, kept_back, "the server reports an error");
                }
                Read::Message
            }
            Meaning::Over(parting) => {
                let (reason, asked) = match parting {
                    Parting::KeyRefused(_) => (GapReason::Refused, Asked::OtherKey),
                    Parting::Reconnect(_) => (GapReason::Reconnect, Asked::Reconnect),
                    Parting::Closed(_) => (GapReason::ServerClosed, Asked::Nothing),
                };
                Read::End(End {
                    reason,
                    detail: self.init.plain(&parting.words()),
                    asked,
                })
            }
        }
    }
}

fn reason_of(error: &tungstenite::Error) -> GapReason {
    use tungstenite::error::{Error, ProtocolError};
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => GapReason::Reset,
        Error::Capacity(_) | Error::Utf8(_) | Error::Protocol(_) => GapReason::Protocol,
        _ => GapReason::Reset,
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "session_sockets_tests.rs"]
mod sockets_tests;
