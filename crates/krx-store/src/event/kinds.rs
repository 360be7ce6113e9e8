//! What happened to a feed's connection, as journaled between the frames.

use chrono::NaiveDate;
use krx_protocol::per_issue::RegistrationEvent;
use serde::{Deserialize, Serialize};

/// A journaled event. Some of them end a segment of the datasets (see [`crate::export`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The first record of a date: when data is expected, and where segments end. It makes a date's journal
    /// self-contained.
    Date {
        /// When data is expected, from and to, µs since the Unix epoch; `None` on a day without trading.
        expected: Option<(i64, i64)>,
        /// The length of a time partition, µs.
        rotate_us: i64,
        /// The number of rows that ends a segment of the datasets.
        rows_max: u64,
        /// Whether the recorder was already at work on the date before.
        continues: bool,
    },
    /// The first record of each file of the journal, unless the feed is of the full-market service: what reading the file
    /// needs.
    Segment {
        /// The service's name.
        service: String,
        /// What, from nothing, leads to the registrations in force.
        registrations: Vec<RegistrationEvent>,
    },
    /// Something happened to registrations.
    Registration(RegistrationEvent),
    /// The hours of a date differ from what [`Event::Date`] said: the configuration was reloaded.
    Hours {
        /// The date.
        date: NaiveDate,
        /// When data is expected, as in [`Event::Date`].
        expected: Option<(i64, i64)>,
    },
    /// The date is over, and the recorder continues into the next.
    DateEnd,
    /// The clock was set back to an earlier date, and the recorder continues there.
    DateLeft,
    /// A recorder started. If what comes before has no end of its own, it was cut off by a crash.
    Start {
        /// The recorder's version.
        version: String,
    },
    /// A session began: the connection is up and `init` was sent. Its number is in the record's header.
    Connected {
        /// The URL, without secrets.
        url: String,
    },
    /// The session continues into a new date.
    Continued,
    /// An attempt to connect failed.
    ConnectFailed {
        /// Why.
        reason: GapReason,
        /// In words.
        detail: String,
    },
    /// The session ended.
    Disconnected {
        /// Why.
        reason: GapReason,
        /// In words.
        detail: String,
    },
    /// Since then nothing could be read from the connection, because the disk accepted nothing more.
    DiskWait {
        /// Since when, µs since the Unix epoch.
        since_us: i64,
    },
    /// Since then the recorder itself did not run: it was stopped, or the machine was suspended.
    Paused {
        /// Since when, µs since the Unix epoch.
        since_us: i64,
    },
    /// The wall clock was set.
    ClockStep {
        /// By how much, µs.
        by_us: i64,
    },
    /// Time moved past the last frame's time partition without a frame.
    TimeMark,
    /// Someone asked for the current segment to be committed now. In the journal it has the name that it had first:
    /// existing journals must stay readable.
    #[serde(rename = "seal_now")]
    CommitNow,
    /// The day's hours are over; the connection was closed for that reason.
    SessionEnd,
    /// A clean stop: nothing follows until the next start.
    Stop,
}

/// Why nothing was received from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// The server closed the connection properly.
    ServerClosed,
    /// The connection broke.
    Reset,
    /// Nothing came for longer than `stall_timeout`.
    Stalled,
    /// The server asked for a new connection (error 13004).
    Reconnect,
    /// The server refused the key.
    Refused,
    /// No connection could be made.
    Unreachable,
    /// The server accepts no connection from us for now: too many (HTTP 429).
    Throttled,
    /// The server accepts no connections at all for now (HTTP 503).
    Unavailable,
    /// The server's certificate is not trusted, or there is no TLS version that both sides support.
    Tls,
    /// What the server sent is not WebSocket, or a message was too long.
    Protocol,
    /// The recorder closed it.
    Shutdown,
}

impl GapReason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ServerClosed,
        Self::Reset,
        Self::Stalled,
        Self::Reconnect,
        Self::Refused,
        Self::Unreachable,
        Self::Throttled,
        Self::Unavailable,
        Self::Tls,
        Self::Protocol,
        Self::Shutdown,
    ];

    /// The word in the journal and in the logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerClosed => "server_closed",
            Self::Reset => "reset",
            Self::Stalled => "stalled",
            Self::Reconnect => "reconnect",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Shutdown => "shutdown",
        }
    }
}
