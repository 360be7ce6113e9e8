//! Where new sessions of a feed arrive, and closing connections leave.

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::admission::Admitted;
use crate::config::SecondSession;
use crate::control::Refusal;
use crate::session::{Broken, CLOSE_AWAY, CLOSE_POLICY, Farewell};
use crate::transcript::MessageKind;

/// How many connections of a feed may be closing at a time; each takes a second at most.
const FAREWELLS_MAX: usize = 64;

/// Where new sessions arrive, along with the signal to stop.
pub(crate) struct Door {
    arrivals: mpsc::Receiver<Admitted>,
    stop: watch::Receiver<bool>,
    second_session: SecondSession,
    /// Connections that are closing: only the end of the feed waits for them.
    farewells: JoinSet<Result<(), Broken>>,
}

/// What ends the current session from outside.
pub(crate) enum Interruption {
    Newer(Box<Admitted>),
    Stop,
    /// The transcript is no longer read.
    Transcript,
}

/// How a session ended.
pub(crate) enum SessionEnd {
    /// The client left, for this reason.
    Left(String),
    /// The script ended it.
    Scripted {
        farewell: Farewell,
        reason: String,
    },
    Displaced(Box<Admitted>),
    Stopped,
}

impl Door {
    pub(crate) fn new(
        arrivals: mpsc::Receiver<Admitted>,
        stop: watch::Receiver<bool>,
        second_session: SecondSession,
    ) -> Door {
        Door {
            arrivals,
            stop,
            second_session,
            farewells: JoinSet::new(),
        }
    }

    /// The next client; `None` when the feed should stop.
    pub(crate) async fn arrival(&mut self) -> Option<Admitted> {
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => None,
            admitted = self.arrivals.recv() => admitted,
        }
    }

    /// Waits for whatever ends the session from outside; refuses new sessions if that is the rule.
    pub(crate) async fn interruption(&mut self) -> Interruption {
        loop {
            let admitted = tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => return Interruption::Stop,
                Some(ended) = self.farewells.join_next() => match ended {
                    Ok(Err(Broken::Transcript)) | Err(_) => return Interruption::Transcript,
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

    /// Closes a connection in the background; if too many are already closing, it is simply dropped.
    pub(crate) fn bid_farewell(
        &mut self,
        farewell: impl Future<Output = Result<(), Broken>> + Send + 'static,
    ) {
        if self.farewells.len() < FAREWELLS_MAX {
            self.farewells.spawn(farewell);
        }
    }

    /// Runs `work` to its end, unless something ends the session first.
    pub(crate) async fn unless_interrupted<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Interruption> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            interruption = self.interruption() => Err(interruption),
        }
    }

    /// Waits until every closing connection has closed.
    pub(crate) async fn close(&mut self) {
        while self.farewells.join_next().await.is_some() {}
    }
}

impl Interruption {
    /// The way in which this ends the session.
    pub(crate) fn end(self) -> Result<SessionEnd, Broken> {
        match self {
            Interruption::Newer(admitted) => Ok(SessionEnd::Displaced(admitted)),
            Interruption::Stop => Ok(SessionEnd::Stopped),
            Interruption::Transcript => Err(Broken::Transcript),
        }
    }
}

impl SessionEnd {
    /// The way in which its connection is closed.
    pub(crate) fn farewell(&self) -> Farewell {
        match self {
            SessionEnd::Left(_) => Farewell::None,
            SessionEnd::Scripted { farewell, .. } => *farewell,
            SessionEnd::Displaced(_) => Farewell::Close(CLOSE_POLICY, "displaced by a newer session"),
            SessionEnd::Stopped => Farewell::Close(CLOSE_AWAY, "the exchange stops"),
        }
    }

    /// The reason, in the event's words.
    pub(crate) fn reason(&self) -> String {
        match self {
            SessionEnd::Left(reason) | SessionEnd::Scripted { reason, .. } => reason.clone(),
            SessionEnd::Displaced(_) => "displaced".to_owned(),
            SessionEnd::Stopped => "stopped".to_owned(),
        }
    }
}

async fn refuse(admitted: Admitted) -> Result<(), Broken> {
    let Admitted {
        mut session, init_id, ..
    } = admitted;
    let text = Refusal::SecondSession.text(Some(&init_id));
    let sent = session.send(MessageKind::Error, 0, text).await;
    session.end(Farewell::Close(CLOSE_POLICY, "second session")).await;
    sent
}
