//! A row of the ledger: whether a feed was being recorded, from when to when, and why that began.

use serde::{Deserialize, Serialize};

use crate::journal::GapReason;
use crate::moment::Moment;

/// Whether a feed was being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A session was open.
    Live,
    /// No session was open, within the hours in which data is expected.
    Gap,
    /// No session was open, outside these hours.
    Idle,
}

impl State {
    /// The word in the `state` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Gap => "gap",
            Self::Idle => "idle",
        }
    }

    /// Parses the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Live, Self::Gap, Self::Idle]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// Why an interval began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
#[non_exhaustive]
pub enum Reason {
    /// Midnight: no recorder was running.
    NotRunning,
    /// Midnight: a recorder was running, but not connected.
    NotConnected,
    /// A recorder started.
    Start,
    /// A session began.
    Connected,
    /// Midnight: the session of the date before continues.
    Continued,
    /// The session resumes after `disk`, `paused` or `damage`.
    Resumed,
    /// The session ended, or none could be opened.
    Lost(GapReason),
    /// The day's hours were over.
    SessionEnd,
    /// The recorder ended without being stopped: killed, or the machine lost power.
    Crash,
    /// The disk accepted nothing more, so nothing was read from the connection.
    Disk,
    /// The recorder did not run: it was stopped by a signal, or the machine was suspended.
    Paused,
    /// The journal is damaged: what was received then is lost.
    Damage,
    /// The clock jumped out of the date: it was set, or the machine slept past midnight. What was received then is in
    /// the date that the clock showed.
    Clock,
    /// Unknown: files that held it are missing or damaged.
    Unknown,
}

impl Reason {
    /// All that are not a [`GapReason`].
    pub(super) const OWN: [Self; 13] = [
        Self::NotRunning,
        Self::NotConnected,
        Self::Start,
        Self::Connected,
        Self::Continued,
        Self::Resumed,
        Self::SessionEnd,
        Self::Crash,
        Self::Disk,
        Self::Paused,
        Self::Damage,
        Self::Clock,
        Self::Unknown,
    ];

    /// All reasons for an interval in which the feed is not recorded.
    pub fn of_gaps() -> impl Iterator<Item = Self> {
        let live = |reason: &Self| matches!(reason, Self::Connected | Self::Continued | Self::Resumed);
        let lost = GapReason::ALL.into_iter().map(Self::Lost);
        Self::OWN
            .into_iter()
            .filter(move |reason| !live(reason))
            .chain(lost)
    }

    /// The word in the `reason` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::NotConnected => "not_connected",
            Self::Start => "start",
            Self::Connected => "connected",
            Self::Continued => "continued",
            Self::Resumed => "resumed",
            Self::Lost(reason) => reason.as_str(),
            Self::SessionEnd => "session_end",
            Self::Crash => "crash",
            Self::Disk => "disk",
            Self::Paused => "paused",
            Self::Damage => "damage",
            Self::Clock => "clock",
            Self::Unknown => "unknown",
        }
    }

    /// Parses the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let lost = GapReason::ALL.into_iter().map(Self::Lost);
        Self::OWN
            .into_iter()
            .chain(lost)
            .find(|reason| reason.as_str() == word)
    }
}

impl From<Reason> for &'static str {
    fn from(reason: Reason) -> Self {
        reason.as_str()
    }
}

impl TryFrom<String> for Reason {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Self::parse(&word).ok_or_else(|| format!("{word:?} is not a reason of the ledger"))
    }
}

/// A row of the ledger: after `from`, up to and including `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// When it began.
    pub from: Moment,
    /// When it ended, or up to when it is known so far.
    pub to: Moment,
    /// Whether the feed was being recorded.
    pub state: State,
    /// Why it began.
    pub reason: Reason,
    /// The session, while live.
    pub session: Option<u32>,
    /// Frames received in it.
    pub frames: u64,
    /// Rows of all datasets that these gave.
    pub rows: u64,
    /// In words.
    pub detail: Option<String>,
}
