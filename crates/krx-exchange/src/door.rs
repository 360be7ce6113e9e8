//! Where newer sessions of a feed come in, and connections that end go out.

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::admission::Admitted;
use crate::config::SecondSession;
use crate::control::Refusal;
use crate::session::{Broken, CLOSE_AWAY, CLOSE_POLICY, Farewell};
use crate::transcript::MessageKind;

/// Connections of one feed that may be ending at a time; each takes a second at most.
const FAREWELLS_MAX: usize = 64;

/// Where newer sessions come in, and the signal to stop.
pub(crate) struct Door {
    arrivals: mpsc::Receiver<Admitted>,
    stop: watch::Receiver<bool>,
    second_session: SecondSession,
    /// Connections that are being ended: nobody waits for those but the end of the feed.
    farewells: JoinSet<Result<(), Broken>>,
}

/// What takes a session's place.
pub(crate) enum Interruption {
    Newer(Box<Admitted>),
    Stop,
    /// Nobody takes notes any more.
    Transcript,
}

/// How a session ended.
pub(crate) enum SessionEnd {
    /// The client left, for this reason.
    Left(String),
    /// The script has it so.
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

    /// The next client; `None` when the feed is to stop.
    pub(crate) async fn arrival(&mut self) -> Option<Admitted> {
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => None,
            admitted = self.arrivals.recv() => admitted,
        }
    }

    /// Waits for what takes a session's place; refuses newer sessions where that is the rule.
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

    /// Ends a connection in its own time; when too many do already, it is simply dropped.
    pub(crate) fn bid_farewell(
        &mut self,
        farewell: impl Future<Output = Result<(), Broken>> + Send + 'static,
    ) {
        if self.farewells.len() < FAREWELLS_MAX {
            self.farewells.spawn(farewell);
        }
    }

    /// Does `work` to its end, unless something takes the session's place first.
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

    /// Waits until every connection that is being ended has ended.
    pub(crate) async fn close(&mut self) {
        while self.farewells.join_next().await.is_some() {}
    }
}

impl Interruption {
    /// How it ends the session.
    pub(crate) fn end(self) -> Result<SessionEnd, Broken> {
        match self {
            Interruption::Newer(admitted) => Ok(SessionEnd::Displaced(admitted)),
            Interruption::Stop => Ok(SessionEnd::Stopped),
            Interruption::Transcript => Err(Broken::Transcript),
        }
    }
}

impl SessionEnd {
    /// How its connection is ended.
    pub(crate) fn farewell(&self) -> Farewell {
        match self {
            SessionEnd::Left(_) => Farewell::None,
            SessionEnd::Scripted { farewell, .. } => *farewell,
            SessionEnd::Displaced(_) => Farewell::Close(CLOSE_POLICY, "displaced by a newer session"),
            SessionEnd::Stopped => Farewell::Close(CLOSE_AWAY, "the exchange stops"),
        }
    }

    /// Why, as the event says it.
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
