//! A connection to the status port, as what answers its request may see it: how long it may still last.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// A request must be answered within this, unless it asks for a tail. A connection serves one request.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a client may take to receive the end of a tail.
const LAST_PIECE_MAX: Duration = Duration::from_secs(30);

/// How far the exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request that is answered at once.
    Request,
    /// A tail is being sent, which bounds its own time.
    Tail,
    /// The end of a tail is on its way.
    Sent,
}

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<State>);

/// Dropped with the last of those who have it: then the socket is closed.
#[derive(Debug)]
struct State {
    phase: watch::Sender<Phase>,
    over: Notify,
    /// The socket once more, to see whether the client is still there; `None` if the system refused.
    socket: Option<OwnedFd>,
}

/// How far a connection is.
#[derive(Debug)]
pub(super) struct Watched(watch::Receiver<Phase>);

impl Watched {
    /// Whether it sends a tail.
    pub(super) fn sends_a_tail(&self) -> bool {
        *self.0.borrow() == Phase::Tail
    }
}

impl Connection {
    /// That of a socket.
    pub(super) fn of(stream: &TcpStream) -> Self {
        Self(Arc::new(State {
            phase: watch::Sender::new(Phase::Request),
            over: Notify::new(),
            socket: stream.as_fd().try_clone_to_owned().ok(),
        }))
    }

    /// It sends a tail from now on.
    pub(super) fn tail_begins(&self) {
        self.0.phase.send_replace(Phase::Tail);
    }

    /// Nothing more of the tail will be added.
    pub(super) fn tail_is_sent(&self) {
        self.0.phase.send_replace(Phase::Sent);
    }

    /// How far it is, for those who must not keep its socket open.
    pub(super) fn watched(&self) -> Watched {
        Watched(self.0.phase.subscribe())
    }

    /// Whether the client has closed its side. What it sent after its request would hide that from a reader.
    pub(super) fn client_is_gone(&self) -> bool {
        let Some(socket) = &self.0.socket else {
            return false;
        };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut sockets = [PollFd::new(socket, gone)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut sockets, Some(&now)).is_ok_and(|_| sockets[0].revents().intersects(gone))
    }

    /// Ends it, whatever is still to be sent: the client then sees that something is missing.
    pub(super) fn break_off(&self) {
        self.0.over.notify_one();
    }

    /// Returns once it has been broken off.
    pub(super) async fn broken_off(&self) {
        self.0.over.notified().await;
    }

    /// Returns once its time is over.
    pub(super) async fn time_over(&self) {
        let mut phases = self.0.phase.subscribe();
        loop {
            let phase = *phases.borrow_and_update();
            let most = match phase {
                Phase::Request => CONNECTION_TIME_MAX,
                Phase::Sent => LAST_PIECE_MAX,
                Phase::Tail => Duration::MAX,
            };
            // The sender is in `self`, so a change is all that can come.
            if timeout(most, phases.changed()).await.is_err() {
                return;
            }
        }
    }
}
