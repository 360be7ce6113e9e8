//! The feed of one market to one key: a task that owns the place in the day, and one session after another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::admission::Admitted;
use crate::config::{InitReply, SecondSession};
use crate::control::{Refusal, Request, heartbeat, init_answer};
use crate::cursor::{Cursor, Step};
use crate::event::Event;
use crate::fault::{FaultKind, FaultScript};
use crate::ledger::MessageKind;
use crate::market::Market;
use crate::session::{Broken, Heard, Session};
use crate::supply::TimedMessage;

/// The data messages that may be sent before the client and the stop signal are looked at again: at full
/// speed well under a millisecond.
const MESSAGES_UNTIL_LOOK: u32 = 32;

/// How often a feed that nobody listens to passes over what has fallen due.
const IDLE_STEP: Duration = Duration::from_millis(100);

/// Connections of one feed that may be ending at a time; each takes a second at most.
const FAREWELLS_MAX: usize = 64;

/// A time further away than any wait.
const FOREVER: Duration = Duration::from_secs(86_400);

/// Close codes: "going away" and "policy violation".
const CLOSE_AWAY: u16 = 1001;
const CLOSE_POLICY: u16 = 1008;

/// What all feeds of a market have in common.
#[derive(Debug, Default)]
pub(crate) struct MarketState {
    /// The sessions so far.
    sessions: AtomicU32,
    /// When the first session began: the clock of the market's day starts then. Markets may have one clock in common.
    opened: Arc<OnceLock<Instant>>,
}

impl MarketState {
    /// Before the first session, with the clock of a day.
    pub(crate) fn new(opened: Arc<OnceLock<Instant>>) -> MarketState {
        MarketState {
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

/// The feed of one market to one key.
pub(crate) struct Feed {
    pub(crate) market: Market,
    pub(crate) state: Arc<MarketState>,
    pub(crate) manners: Manners,
    pub(crate) cursor: Cursor,
    pub(crate) faults: FaultScript,
    /// What a fault may have sent again.
    pub(crate) recent: Recent,
    /// What the next session begins with, before the day goes on.
    pub(crate) again: VecDeque<TimedMessage>,
    pub(crate) door: Door,
    pub(crate) news: mpsc::Sender<Event>,
}

/// The data messages sent last, over all sessions.
#[derive(Debug)]
pub(crate) struct Recent {
    messages: VecDeque<TimedMessage>,
    messages_max: usize,
}

impl Recent {
    /// Remembers up to `messages_max`.
    pub(crate) fn new(messages_max: usize) -> Recent {
        Recent {
            messages: VecDeque::new(),
            messages_max,
        }
    }

    fn add(&mut self, message: &TimedMessage) {
        if self.messages_max == 0 {
            return;
        }
        if self.messages.len() == self.messages_max {
            self.messages.pop_front();
        }
        self.messages.push_back(message.clone());
    }

    fn last(&self, messages: u32) -> VecDeque<TimedMessage> {
        let before = self
            .messages
            .len()
            .saturating_sub(usize::try_from(messages).unwrap_or(usize::MAX));
        self.messages.iter().skip(before).cloned().collect()
    }
}

/// Where newer sessions come in, and the signal to stop.
pub(crate) struct Door {
    pub(crate) arrivals: mpsc::Receiver<Admitted>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) second_session: SecondSession,
    /// Connections that are being ended: nobody waits for those but the end of the feed.
    pub(crate) farewells: JoinSet<Result<(), Broken>>,
}

/// What takes a session's place.
enum Interruption {
    Newer(Box<Admitted>),
    Stop,
    Ledger,
}

/// How a session ended.
enum SessionEnd {
    Left(String),
    Fault(FaultKind),
    Displaced(Box<Admitted>),
    Stopped,
}

impl Door {
    /// Waits for what takes a session's place; refuses newer sessions where that is the rule.
    async fn interruption(&mut self) -> Interruption {
        loop {
            let admitted = tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => return Interruption::Stop,
                Some(ended) = self.farewells.join_next() => match ended {
                    Ok(Err(Broken::Ledger)) | Err(_) => return Interruption::Ledger,
                    Ok(Ok(()) | Err(Broken::Socket(_))) => continue,
                },
                admitted = self.arrivals.recv() => admitted,
            };
            match (admitted, self.second_session) {
                (None, _) => return Interruption::Stop,
                (Some(admitted), SecondSession::Displace) => {
                    return Interruption::Newer(Box::new(admitted));
                }
                (Some(admitted), SecondSession::Refuse) => {
                    self.bid_farewell(refuse(admitted));
                }
            }
        }
    }

    /// Ends a connection in its own time; when too many do already, it is simply dropped.
    fn bid_farewell(&mut self, farewell: impl Future<Output = Result<(), Broken>> + Send + 'static) {
        if self.farewells.len() < FAREWELLS_MAX {
            self.farewells.spawn(farewell);
        }
    }

    /// Does `work` to its end, unless something takes the session's place first.
    async fn unless_interrupted<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interruption> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            interruption = self.interruption() => Err(interruption),
        }
    }
}

async fn refuse(admitted: Admitted) -> Result<(), Broken> {
    let Admitted {
        mut session, init_id, ..
    } = admitted;
    let text = Refusal::SecondSession.text(Some(&init_id));
    let sent = session.send(MessageKind::Error, 0, text).await;
    session.close(CLOSE_POLICY, "second session").await;
    sent
}

impl Feed {
    /// Serves one session after another until told to stop. Fails only when the ledger does.
    pub(crate) async fn run(mut self) -> Result<(), Broken> {
        let served = self.serve_all().await;
        while self.door.farewells.join_next().await.is_some() {}
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
                SessionEnd::Left(_) | SessionEnd::Fault(_) => {}
            }
        }
    }

    /// Waits for the next client; meanwhile the day may go on without anybody listening.
    async fn wait_for_client(&mut self) -> Option<Admitted> {
        loop {
            let pause = match self.cursor.skip_missed(Instant::now()) {
                Step::DayComplete(totals) => {
                    self.tell_complete(totals).await;
                    continue;
                }
                Step::Wait(Some(until)) => until.saturating_duration_since(Instant::now()).min(IDLE_STEP),
                Step::Wait(None) | Step::Send(_) => FOREVER,
            };
            tokio::select! {
                _ = self.door.stop.wait_for(|stop| *stop) => return None,
                admitted = self.door.arrivals.recv() => return admitted,
                () = sleep(pause) => {}
            }
        }
    }

    async fn tell_complete(&self, totals: crate::cursor::DayTotals) {
        let event = Event::DayComplete {
            market: self.market,
            messages: totals.messages,
            records: totals.records,
            missed: totals.missed,
        };
        // News are read until every feed has ended.
        let _ = self.news.send(event).await;
    }

    /// Serves one session from its `init` to its end.
    async fn serve(&mut self, admitted: Admitted) -> Result<SessionEnd, Broken> {
        let Admitted {
            mut session, init_id, ..
        } = admitted;
        let now = Instant::now();
        session.number = self.state.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        self.cursor
            .begin_session(*self.state.opened.get_or_init(|| now), now);
        let _ = self
            .news
            .send(Event::SessionStarted {
                market: self.market,
                session: session.number,
            })
            .await;

        let end = match self.stream(&mut session, &init_answer(&init_id)).await {
            Ok(end) => end,
            Err(Broken::Socket(problem)) => SessionEnd::Left(problem),
            Err(Broken::Ledger) => return Err(Broken::Ledger),
        };
        session.flush_ledger().await?;
        let event = Event::SessionEnded {
            market: self.market,
            session: session.number,
            messages: session.data_messages,
            records: session.data_records,
            reason: end.reason(),
        };
        let farewell = end.farewell();
        self.door.bid_farewell(async move {
            match farewell {
                Farewell::None => drop(session),
                Farewell::Close(code, reason) => session.close(code, reason).await,
                Farewell::HangUp => session.hang_up().await,
                Farewell::Reset => session.reset(),
            }
            Ok(())
        });
        let _ = self.news.send(event).await;
        Ok(end)
    }

    /// Sends the day, and hears what the client says, until the session ends.
    async fn stream(&mut self, session: &mut Session, init_answer: &str) -> Result<SessionEnd, Broken> {
        let mut reply = Some(init_answer).filter(|_| self.manners.init_reply != InitReply::Silent);
        if self.manners.init_reply == InitReply::Answered
            && let Some(text) = reply.take()
        {
            session.send(MessageKind::Reply, 0, text).await?;
        }
        let mut pulse = Pulse::new(self.manners.heartbeat_interval);
        let mut until_look = MESSAGES_UNTIL_LOOK;
        loop {
            let step = match self.again.pop_front() {
                Some(message) => Step::Send(message),
                None => self.cursor.step(Instant::now()),
            };
            let wait_until = match step {
                Step::Send(message) => {
                    self.recent.add(&message);
                    match self.door.unless_interrupted(session.send_data(message)).await {
                        Ok(sent) => sent?,
                        Err(interruption) => return interruption.end(),
                    }
                    if let Some(text) = reply.take() {
                        session.send(MessageKind::Reply, 0, text).await?;
                    }
                    if let Some(end) = self.faults_after(session).await? {
                        return Ok(end);
                    }
                    until_look -= 1;
                    if until_look > 0 {
                        continue;
                    }
                    None
                }
                Step::Wait(until) => Some(until.unwrap_or_else(|| Instant::now() + FOREVER)),
                Step::DayComplete(totals) => {
                    session.flush().await?;
                    session.flush_ledger().await?;
                    self.tell_complete(totals).await;
                    continue;
                }
            };
            until_look = MESSAGES_UNTIL_LOOK;
            if let Some(end) = self.look_around(session, &mut pulse, wait_until).await? {
                return Ok(end);
            }
        }
    }

    /// Sends what was gathered, then hears the client and the door: until `wait_until`, or without it only
    /// for what is there already.
    async fn look_around(
        &mut self,
        session: &mut Session,
        pulse: &mut Pulse,
        wait_until: Option<Instant>,
    ) -> Result<Option<SessionEnd>, Broken> {
        if let Some(text) = pulse.due(Instant::now()) {
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
                let until = pulse.next.map_or(until, |beat| until.min(beat));
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
                match self
                    .door
                    .unless_interrupted(answer(session, pulse, text.as_str()))
                    .await
                {
                    Ok(answered) => answered.map(|()| None),
                    Err(interruption) => interruption.end().map(Some),
                }
            }
        }
    }

    /// Does what the script says now that another data message is sent.
    async fn faults_after(&mut self, session: &mut Session) -> Result<Option<SessionEnd>, Broken> {
        for kind in self.faults.due(session.data_messages) {
            let work = async {
                match kind {
                    FaultKind::Garbage(garbage) => {
                        let (text, records) = garbage.text();
                        session.send(MessageKind::Garbage, records, text).await
                    }
                    FaultKind::Half => session.send_half().await,
                    FaultKind::Stall(duration) => {
                        session.flush().await?;
                        sleep(duration).await;
                        Ok(())
                    }
                    FaultKind::Disconnect | FaultKind::Close(_) | FaultKind::Reset | FaultKind::Resend(_) => {
                        session.flush().await
                    }
                }
            };
            match self.door.unless_interrupted(work).await {
                Ok(done) => done?,
                Err(interruption) => return interruption.end().map(Some),
            }
            match kind {
                FaultKind::Garbage(_) | FaultKind::Stall(_) => {}
                FaultKind::Resend(messages) => {
                    self.again = self.recent.last(messages);
                    return Ok(Some(SessionEnd::Fault(kind)));
                }
                FaultKind::Half | FaultKind::Disconnect | FaultKind::Close(_) | FaultKind::Reset => {
                    return Ok(Some(SessionEnd::Fault(kind)));
                }
            }
        }
        Ok(None)
    }
}

/// Answers a client's text message.
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

impl Interruption {
    fn end(self) -> Result<SessionEnd, Broken> {
        match self {
            Interruption::Newer(admitted) => Ok(SessionEnd::Displaced(admitted)),
            Interruption::Stop => Ok(SessionEnd::Stopped),
            Interruption::Ledger => Err(Broken::Ledger),
        }
    }
}

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    None,
    Close(u16, &'static str),
    HangUp,
    Reset,
}

impl SessionEnd {
    fn farewell(&self) -> Farewell {
        match self {
            SessionEnd::Left(_) => Farewell::None,
            SessionEnd::Displaced(_) => Farewell::Close(CLOSE_POLICY, "displaced by a newer session"),
            SessionEnd::Stopped => Farewell::Close(CLOSE_AWAY, "the exchange stops"),
            SessionEnd::Fault(FaultKind::Close(code)) => Farewell::Close(*code, "as scripted"),
            SessionEnd::Fault(FaultKind::Reset) => Farewell::Reset,
            SessionEnd::Fault(_) => Farewell::HangUp,
        }
    }

    fn reason(&self) -> String {
        match self {
            SessionEnd::Left(reason) => reason.clone(),
            SessionEnd::Fault(kind) => format!("fault {kind}"),
            SessionEnd::Displaced(_) => "displaced".to_owned(),
            SessionEnd::Stopped => "stopped".to_owned(),
        }
    }
}

/// The exchange's own heartbeats in a session.
struct Pulse {
    interval: Option<Duration>,
    next: Option<Instant>,
    sent: u64,
    /// The last heartbeat that the client has not answered: an answer is not to be answered again.
    unanswered: Option<String>,
}

impl Pulse {
    fn new(interval: Option<Duration>) -> Pulse {
        let next = interval.and_then(|interval| Instant::now().checked_add(interval));
        Pulse {
            interval,
            next,
            sent: 0,
            unanswered: None,
        }
    }

    fn due(&mut self, now: Instant) -> Option<String> {
        self.next.filter(|&next| next <= now)?;
        self.next = self.interval.and_then(|interval| now.checked_add(interval));
        let text = heartbeat(self.sent);
        self.sent += 1;
        self.unanswered = Some(text.clone());
        Some(text)
    }

    fn answered_by(&mut self, text: &str) -> bool {
        self.unanswered.take_if(|unanswered| unanswered == text).is_some()
    }
}
