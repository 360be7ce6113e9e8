//! What every conversation is told, and what it answers.

use std::time::Instant;

use super::silence::Stall;
use crate::control::ServerError;
use crate::per_issue::{RegistrationEvent, WishList};

/// What came over the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A message, as text or as bytes.
    Message(&'a [u8]),
    /// A WebSocket ping; it is answered by what reads the socket.
    Ping,
    /// A WebSocket pong, with its payload.
    Pong(&'a [u8]),
    /// The server closes the connection, perhaps with a code and a reason.
    Close(Option<(u16, &'a str)>),
}

/// What it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Data, as far as the first byte tells.
    Data,
    /// Another message.
    Other,
    /// A control frame.
    Control,
    /// The server reports an error that asks nothing of us: to be noted.
    Trouble(ServerError),
    /// The conversation is over.
    Over(Parting),
}

/// How the server ended the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It refuses the key.
    KeyRefused(ServerError),
    /// It asks for a new connection, shortly.
    Reconnect(ServerError),
    /// It closed the connection; in words.
    Closed(String),
}

impl Parting {
    /// By the close frame's code and reason.
    pub(super) fn by_close_frame(frame: Option<(u16, &str)>) -> Self {
        Self::Closed(match frame {
            None => "no close code".to_owned(),
            Some((code, "")) => format!("close code {code}"),
            Some((code, reason)) => format!("close code {code}: {reason}"),
        })
    }

    /// The server's words. They may hold anything, the key too.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::KeyRefused(error) | Self::Reconnect(error) => error.words(),
            Self::Closed(words) => words.clone(),
        }
    }
}

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// `init` is sent, and nothing says yet whether the server takes the key.
    #[default]
    Asked,
    /// The server has replied.
    Accepted,
    /// Data has come.
    Data,
}

/// What we send to show that we live, and to see whether the server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Koscom's heartbeat; a server need not answer it.
    pub text: String,
    /// The payload of a WebSocket ping, which it must answer.
    pub ping: [u8; 8],
}

/// Something to send, beside heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The message.
    pub text: String,
    /// What has happened so far and was not yet taken, and what sending this means: to be journaled, in this order,
    /// before the message is sent, since it decides how later frames are read.
    pub events: Vec<RegistrationEvent>,
}

/// A conversation, from the moment at which `init` is sent.
pub trait Conversation: Send {
    /// Takes what arrived at `now`, and says what it means.
    fn heard(&mut self, received: Received<'_>, now: Instant) -> Meaning;

    /// How far it has come.
    fn phase(&self) -> Phase;

    /// When our next heartbeat is due.
    fn heartbeat_due(&self) -> Instant;

    /// Our next heartbeat, which is sent at `now`.
    fn heartbeat(&mut self, now: Instant) -> Heartbeat;

    /// Looks at the clock: whether the session must be taken for dead at `now`. `expects_data`: whether data are due;
    /// `open_since`: since when a message has been under way.
    fn stall(&mut self, now: Instant, expects_data: bool, open_since: Option<Instant>) -> Option<Stall>;

    /// The next request that is due at `now`. Call it until it returns `None`.
    fn request(&mut self, now: Instant) -> Option<Request> {
        let _ = now;
        None
    }

    /// When to ask for the next request. Whatever else is called may change it.
    fn request_due(&self) -> Option<Instant> {
        None
    }

    /// What has happened to registrations since the last call: to be journaled, in this order. A refused one is told
    /// here, with its pair and the server's words, and nowhere else.
    fn take_events(&mut self) -> Vec<RegistrationEvent> {
        Vec::new()
    }

    /// From `now` on, what this list has is wanted, and nothing else.
    fn want(&mut self, list: &WishList, now: Instant) {
        let _ = (list, now);
    }

    /// Another feed shows that an issue traded: `trades` times since the last call, most recently at `last`.
    fn issue_traded(&mut self, code: &str, trades: u32, last: Instant) {
        let _ = (code, trades, last);
    }
}
