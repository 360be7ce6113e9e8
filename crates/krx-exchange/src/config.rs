//! How an exchange treats its clients.

use std::sync::Arc;
use std::time::Duration;

use crate::control::Key;
use crate::endpoint::Endpoint;
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

/// What happens when there is a second session at the same endpoint with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondSession {
    /// It replaces the first, which gets a close frame.
    Displace,
    /// It is refused with an error.
    Refuse,
}

/// The rules of the per-issue service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerIssueRules {
    /// How many pairs of a preset and an issue a session may have registered at a time: 200, and 20 in the sandbox.
    pub registrations_max: usize,
}

impl Default for PerIssueRules {
    fn default() -> PerIssueRules {
        PerIssueRules {
            registrations_max: 200,
        }
    }
}

/// The configuration of an exchange.
#[derive(Debug, Clone)]
pub struct Config {
    /// The markets whose full-market feed is served; other paths are unknown.
    pub markets: Vec<Market>,
    /// If set, the per-issue service is served too.
    pub per_issue: Option<PerIssueRules>,
    /// Whose `init` is accepted.
    pub admits: Admits,
    /// When an accepted `init` is answered.
    pub init_reply: InitReply,
    /// What happens when there is a second session at the same endpoint with the same key.
    pub second_session: SecondSession,
    /// How often the exchange sends its own heartbeats; `None` means never.
    pub heartbeat_interval: Option<Duration>,
    /// Whether the days of all endpoints share one clock, which starts with the first session of any. Otherwise each
    /// one's clock starts with its own first session.
    pub one_clock: bool,
    /// Whether to stop once the day of every market, and that of the per-issue service if anybody has used it, has been
    /// sent and the clients have left.
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
            per_issue: None,
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

impl Config {
    /// Where clients may connect.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Endpoint> + use<'_> {
        let per_issue = self.per_issue.map(|_| Endpoint::PerIssue);
        self.markets
            .iter()
            .copied()
            .map(Endpoint::FullMarket)
            .chain(per_issue)
    }
}
