//! The configuration of a simulated exchange.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use krx_exchange::{EventFormat, InitReply, Key, Market, Pace, PerIssueRules, SecondSession};

use crate::fault::Fault;
use crate::timetable::HalfSecond;
use crate::universe::Universe;

/// How every client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefuseAll {
    /// By a JSON-RPC error in answer to `init`.
    Json,
    /// By HTTP status 401 in answer to the upgrade.
    Http,
}

/// What a day is generated from.
#[derive(Debug, Clone)]
pub struct DayConfig {
    /// The listed issues.
    pub universe: Universe,
    /// The same seed gives the same day.
    pub seed: u64,
    /// Trades a day, in both markets together, not counting signals.
    pub trades_per_day: u64,
    /// Anything earlier in the day is skipped.
    pub start: HalfSecond,
}

impl Default for DayConfig {
    fn default() -> DayConfig {
        DayConfig {
            universe: Universe::synthetic(),
            seed: 1,
            trades_per_day: 12_000_000,
            start: HalfSecond::DAY_START,
        }
    }
}

/// How a `subscribe` that is in order is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    /// By `ok`.
    Ok,
    /// By the current state.
    Snapshot,
    /// By the current state for `tick10`, `quote10` and `index`, and by `ok` for the others.
    #[default]
    Mixed,
}

/// What the per-issue service does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PerIssueConfig {
    /// How many registrations a session may have.
    pub rules: PerIssueRules,
    /// How fast its day passes, if not as that of the markets. A rate counts messages of each client.
    pub pace: Option<Pace>,
    /// How a `subscribe` that is in order is answered.
    pub answers: Answers,
    /// Whether `trdTm` keeps its leading zero, as one sample of the guide has it: that is not JSON.
    pub leading_zeros: bool,
}

/// The configuration of a simulated exchange.
#[derive(Debug, Clone)]
pub struct Config {
    /// The day that is served.
    pub day: DayConfig,
    /// The markets whose full-market feed is served; other paths are unknown.
    pub markets: Vec<Market>,
    /// If set, the per-issue service is served too, for the issues of both markets.
    pub per_issue: Option<PerIssueConfig>,
    /// How fast the day passes. A rate applies to all markets together.
    pub pace: Pace,
    /// Whether another day, with the next seed, follows at the end of each.
    pub repeat: bool,
    /// Whether to stop once the day of every market, and that of the per-issue service if anybody has used it, has been
    /// sent and the clients have left.
    pub exit_at_end: bool,
    /// The accepted keys; if empty, all are.
    pub keys: Vec<Key>,
    /// Refuses every client.
    pub refuse: Option<RefuseAll>,
    /// When the reply to a good `init` is sent.
    pub init_reply: InitReply,
    /// What happens when there is a second session at the same endpoint with the same key.
    pub second_session: SecondSession,
    /// How often the exchange sends its own heartbeats; `None` means never.
    pub heartbeat_interval: Option<Duration>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// The file to which everything sent is written.
    pub ledger: Option<PathBuf>,
    /// If set, `wss://` is served instead of `ws://`.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How events are written to standard output.
    pub events: EventFormat,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            day: DayConfig::default(),
            markets: Market::ALL.to_vec(),
            per_issue: Some(PerIssueConfig::default()),
            pace: Pace::Speed(1.0),
            repeat: false,
            exit_at_end: false,
            keys: Vec::new(),
            refuse: None,
            init_reply: InitReply::Answered,
            second_session: SecondSession::Displace,
            heartbeat_interval: Some(Duration::from_secs(30)),
            faults: Vec::new(),
            ledger: None,
            tls: None,
            events: EventFormat::Text,
        }
    }
}
