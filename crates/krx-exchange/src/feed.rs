//! An endpoint's feed for one key: the task that speaks for a service's conversation.
//!
//! It serves one session after another; what it says in them, the [`Conversation`] decides.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{sleep, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::admission::Admitted;
use crate::config::InitReply;
use crate::control::{Refusal, Request, ok_answer};
use crate::conversation::{Act, Conversation, Saying};
use crate::course::DayTotals;
use crate::door::{Door, SessionEnd};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::pulse::Pulse;
use crate::script::{Deed, Script};
use crate::session::{Broken, Heard, Session};
use crate::transcript::MessageKind;

/// How many data messages may be sent before the client and the stop signal are checked again: well under a millisecond
/// at full speed.
const MESSAGES_UNTIL_LOOK: u32 = 32;

/// How often a feed without a listener skips what has fallen due.
const IDLE_STEP: Duration = Duration::from_millis(100);

/// A time beyond any wait.
const FOREVER: Duration = Duration::from_secs(86_400);

/// What all feeds of an endpoint share.
#[derive(Debug, Default)]
pub(crate) struct EndpointState {
    /// The number of sessions so far.
    sessions: AtomicU32,
    /// When the first session began, which starts the clock of the day. Endpoints may share one clock.
    opened: Arc<OnceLock<Instant>>,
}

impl EndpointState {
    /// Before the first session, with the clock of a day.
    pub(crate) fn new(opened: Arc<OnceLock<Instant>>) -> EndpointState {
        EndpointState {
            sessions: AtomicU32::new(0),
            opened,
        }
    }
}

/// How a feed treats its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) init_reply: InitReply,
    pub(crate) heartbeat_interval: Option<Duration>,
}

/// An endpoint's feed for one key.
pub(crate) struct Feed {
    pub(crate) endpoint: Endpoint,
    pub(crate) state: Arc<EndpointState>,
    pub(crate) manners: Manners,
    pub(crate) conversation: Box<dyn Conversation>,
    pub(crate) script: Box<dyn Script>,
    pub(crate) door: Door,
    pub(crate) news: mpsc::Sender<Event>,
}

/// What is still to be said, or heard of, in a session.
struct Pending {
    /// The answer to `init`, until it is sent.
    reply: Option<String>,
    pulse: Pulse,
}

impl Feed {
    /// Serves one session after another until told to stop. It fails only when the transcript is no longer read.
    pub(crate) async fn run(mut self) -> Result<(), Broken> {
        let served = self.serve_all().await;
        self.door.close().await;
        served
    }

    async fn serve_all(&mut self) -> Result<(), Broken> {
        let mut newer = None;
        loop {
            let admitted = match newer.take() {
                Some(admitted) => admitted,
                None => match self.wait_for_client().await {
                    Some(admitted) => admitted,
                    None => return Ok(()),
                },
            };
            match self.serve(admitted).await? {
                SessionEnd::Displaced(admitted) => newer = Some(*admitted),
                SessionEnd::Stopped => return Ok(()),
                SessionEnd::Left(_) | SessionEnd::Scripted { .. } => {}
            }
        }
    }

    /// Waits for the next client; meanwhile the day may continue without a listener.
    async fn wait_for_client(&mut self) -> Option<Admitted> {
        loop {
            let pause = match self.conversation.pass_unheard(Instant::now()) {
                Act::DayComplete(totals) => {
                    self.tell_complete(totals).await;
                    continue;
                }
                Act::Wait(Some(until)) => until.saturating_duration_since(Instant::now()).min(IDLE_STEP),
                Act::Wait(None) | Act::Send(_) | Act::Say(_) => FOREVER,
            };
            tokio::select! {
                admitted = self.door.arrival() => return admitted,
                () = sleep(pause) => {}
            }
        }
    }

    async fn tell_complete(&mut self, totals: DayTotals) {
        let event = Event::DayComplete {
            endpoint: self.endpoint,
            messages: totals.messages,
            records: totals.records,
            missed: totals.missed,
        };
        // News is read until every feed has ended.
        let _ = self.news.send(event).await;
    }

    /// Serves a session from its `init` to its end.
    async fn serve(&mut self, admitted: Admitted) -> Result<SessionEnd, Broken> {
        let Admitted {
            mut session, init_id, ..
        } = admitted;
        let now = Instant::now();
        session.number = self.state.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        self.conversation
            .begin_session(*self.state.opened.get_or_init(|| now), now);
        let _ = self
            .news
            .send(Event::SessionStarted {
                endpoint: self.endpoint,
                session: session.number,
            })
            .await;

        let streamed = self.stream(&mut session, ok_answer(&init_id)).await;
        self.conversation.end_session();
        let end = match streamed {
            Ok(end) => end,
            Err(Broken::Socket(problem)) => SessionEnd::Left(problem),
            Err(Broken::Transcript) => return Err(Broken::Transcript),
        };
        session.flush_transcript().await?;
        let event = Event::SessionEnded {
            endpoint: self.endpoint,
            session: session.number,
            messages: session.data_messages,
            records: session.data_records,
            reason: end.reason(),
        };
        let farewell = end.farewell();
        self.door.bid_farewell(async move {
            session.end(farewell).await;
            Ok(())
        });
        let _ = self.news.send(event).await;
        Ok(end)
    }

    /// Sends the day and listens to the client until the session ends.
    async fn stream(&mut self, session: &mut Session, init_answer: String) -> Result<SessionEnd, Broken> {
        let mut pending = Pending {
            reply: Some(init_answer).filter(|_| self.manners.init_reply != InitReply::Silent),
            pulse: Pulse::new(self.manners.heartbeat_interval),
        };
        if self.manners.init_reply == InitReply::Answered {
            pending.reply_now(session).await?;
        }
        let mut until_look = MESSAGES_UNTIL_LOOK;
        loop {
            let act = self
                .conversation
                .act(&mut *self.script, session.data_messages, Instant::now());
            let wait_until = match act {
                Act::Send(message) => {
                    self.script.sending(&message);
                    match self.door.unless_interrupted(session.send_data(message)).await {
                        Ok(sent) => sent?,
                        Err(interruption) => return interruption.end(),
                    }
                    pending.reply_now(session).await?;
                    if let Some(end) = self.deeds_after(session).await? {
                        return Ok(end);
                    }
                    until_look -= 1;
                    if until_look > 0 {
                        continue;
                    }
                    None
                }
                Act::Say(saying) => {
                    match self.door.unless_interrupted(say(session, saying)).await {
                        Ok(said) => said?,
                        Err(interruption) => return interruption.end(),
                    }
                    continue;
                }
                Act::Wait(Some(until)) if until <= Instant::now() => {
                    // A timer would take a millisecond, which is long beside the work that is left to do.
                    match self.door.unless_interrupted(session.flush()).await {
                        Ok(flushed) => flushed?,
                        Err(interruption) => return interruption.end(),
                    }
                    yield_now().await;
                    None
                }
                Act::Wait(until) => Some(until.unwrap_or_else(|| Instant::now() + FOREVER)),
                Act::DayComplete(totals) => {
                    session.flush().await?;
                    session.flush_transcript().await?;
                    self.tell_complete(totals).await;
                    continue;
                }
            };
            until_look = MESSAGES_UNTIL_LOOK;
            if let Some(end) = self.look_around(session, &mut pending, wait_until).await? {
                return Ok(end);
            }
        }
    }

    /// Sends what was collected, then listens to the client and the door until `wait_until`. Without it, takes only what has
    /// already arrived.
    async fn look_around(
        &mut self,
        session: &mut Session,
        pending: &mut Pending,
        wait_until: Option<Instant>,
    ) -> Result<Option<SessionEnd>, Broken> {
        if let Some(text) = pending.pulse.due(Instant::now()) {
            match self
                .door
                .unless_interrupted(session.send(MessageKind::Heartbeat, 0, text))
                .await
            {
                Ok(sent) => sent?,
                Err(interruption) => return interruption.end().map(Some),
            }
        }
        let heard = match wait_until {
            None => match self.door.interruption().now_or_never() {
                Some(interruption) => return interruption.end().map(Some),
                None => session.hear().now_or_never(),
            },
            Some(until) => {
                match self.door.unless_interrupted(session.flush()).await {
                    Ok(flushed) => flushed?,
                    Err(interruption) => return interruption.end().map(Some),
                }
                let until = pending.pulse.next.map_or(until, |beat| until.min(beat));
                tokio::select! {
                    heard = session.hear() => Some(heard),
                    interruption = self.door.interruption() => return interruption.end().map(Some),
                    () = sleep_until(until.into()) => None,
                }
            }
        };
        match heard {
            None | Some(Heard::Other) => Ok(None),
            Some(Heard::Left(reason)) => Ok(Some(SessionEnd::Left(reason))),
            Some(Heard::Text(text)) => {
                let answers = self
                    .conversation
                    .heard(text.as_str(), &mut *self.script, Instant::now());
                let answering = async {
                    match answers {
                        Some(sayings) => pending.answer_all(session, &text, sayings).await,
                        None => answer(session, &mut pending.pulse, text.as_str()).await,
                    }
                };
                match self.door.unless_interrupted(answering).await {
                    Ok(answered) => answered.map(|()| None),
                    Err(interruption) => interruption.end().map(Some),
                }
            }
        }
    }

    /// Does what the script says, now that another data message has been sent.
    async fn deeds_after(&mut self, session: &mut Session) -> Result<Option<SessionEnd>, Broken> {
        for deed in self.script.sent(session.data_messages) {
            let work = async {
                match &deed {
                    Deed::Say { kind, records, text } => session.send(*kind, *records, text.clone()).await,
                    Deed::Write { kind, text, bytes } => session.write(*kind, text, bytes).await,
                    Deed::Pause(duration) => {
                        session.flush().await?;
                        sleep(*duration).await;
                        Ok(())
                    }
                    Deed::Forget { .. } => Ok(()),
                    Deed::End { .. } => session.flush().await,
                }
            };
            match self.door.unless_interrupted(work).await {
                Ok(done) => done?,
                Err(interruption) => return interruption.end().map(Some),
            }
            match deed {
                Deed::End { farewell, reason } => return Ok(Some(SessionEnd::Scripted { farewell, reason })),
                Deed::Forget { percent } => self.conversation.forget(percent),
                Deed::Say { .. } | Deed::Write { .. } | Deed::Pause(_) => {}
            }
        }
        Ok(None)
    }
}

impl Pending {
    /// Answers `init`, unless that is done.
    async fn reply_now(&mut self, session: &mut Session) -> Result<(), Broken> {
        match self.reply.take() {
            Some(text) => session.send(MessageKind::Reply, 0, text).await,
            None => Ok(()),
        }
    }

    /// Says what the conversation answers to the request `text`. A late answer to `init` may come then, too: a service
    /// that sends nothing unasked would never get to its first data message otherwise.
    async fn answer_all(
        &mut self,
        session: &mut Session,
        text: &Utf8Bytes,
        sayings: Vec<Saying>,
    ) -> Result<(), Broken> {
        session.note_request(text).await?;
        for saying in sayings {
            say(session, saying).await?;
        }
        self.reply_now(session).await
    }
}

async fn say(session: &mut Session, saying: Saying) -> Result<(), Broken> {
    session.send(saying.kind, saying.records, saying.text).await
}

/// Answers a client's text message that is no request of the service.
async fn answer(session: &mut Session, pulse: &mut Pulse, text: &str) -> Result<(), Broken> {
    match Request::parse(text) {
        Request::Heartbeat if pulse.answered_by(text) => Ok(()),
        Request::Heartbeat => session.send(MessageKind::Heartbeat, 0, text).await,
        Request::Init { id, .. } => {
            session
                .send(MessageKind::Error, 0, Refusal::Malformed.text(Some(&id)))
                .await
        }
        Request::Unknown { id } => {
            session
                .send(MessageKind::Error, 0, Refusal::Malformed.text(id.as_ref()))
                .await
        }
        Request::Malformed => {
            session
                .send(MessageKind::Error, 0, Refusal::Malformed.text(None))
                .await
        }
    }
}
