//! How an exchange treats its clients.

use std::sync::Arc;
use std::time::Duration;

use crate::control::Key;
use crate::event::EventFormat;
use crate::market::Market;
use crate::transcript::Transcript;

/// Whose `init` is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admits {
    /// Everybody with a key.
    Everybody,
    /// Holders of these keys; others are refused with a JSON-RPC error.
    Keys(Vec<Key>),
    /// Nobody: the upgrade is answered with HTTP status 401.
    Nobody,
}

impl Admits {
    /// Admits these keys, or everybody if there are none.
    #[must_use]
    pub fn keys_if_any(keys: Vec<Key>) -> Admits {
        if keys.is_empty() {
            Admits::Everybody
        } else {
            Admits::Keys(keys)
        }
    }

    pub(crate) fn accepts(&self, key: &Key) -> bool {
        match self {
            Admits::Everybody => true,
            Admits::Keys(keys) => keys.contains(key),
            Admits::Nobody => false,
        }
    }
}

/// When an accepted `init` is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitReply {
    /// Before the first data message.
    Answered,
    /// Never.
    Silent,
    /// After the first data message.
    Late,
}

/// What happens when there is a second session for the same market and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondSession {
    /// It replaces the first, which gets a close frame.
    Displace,
    /// It is refused with an error.
    Refuse,
}

/// The configuration of an exchange.
#[derive(Debug, Clone)]
pub struct Config {
    /// The markets to serve; other paths are unknown.
    pub markets: Vec<Market>,
    /// Whose `init` is accepted.
    pub admits: Admits,
    /// When an accepted `init` is answered.
    pub init_reply: InitReply,
    /// What happens when there is a second session for the same market and key.
    pub second_session: SecondSession,
    /// How often the exchange sends its own heartbeats; `None` means never.
    pub heartbeat_interval: Option<Duration>,
    /// Whether the days of all markets share one clock, which starts with the first session of any. Otherwise each
    /// market's clock starts with its own first session.
    pub one_clock: bool,
    /// Whether to stop once every market's day has been sent and the clients have left.
    pub exit_at_end: bool,
    /// If set, `wss://` is served instead of `ws://`.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Receives a note of everything that is sent.
    pub transcript: Option<Transcript>,
    /// How events are written to standard output.
    pub events: EventFormat,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            markets: Market::ALL.to_vec(),
            admits: Admits::Everybody,
            init_reply: InitReply::Answered,
            second_session: SecondSession::Displace,
            heartbeat_interval: Some(Duration::from_secs(30)),
            one_clock: false,
            exit_at_end: false,
            tls: None,
            transcript: None,
            events: EventFormat::Text,
        }
    }
}
