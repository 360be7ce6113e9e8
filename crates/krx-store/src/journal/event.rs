//! What happened to a feed's connection, as journaled between the frames.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// A journaled event. Some of them end a segment of the datasets (see [`crate::export`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The first record that a recorder writes on a date: what is expected of the date, and how it is to be cut. So
    /// the journal of a date says by itself what is to be made of it.
    Date {
        /// When data is expected, µs since the Unix epoch, from and to; none on a day without trading.
        expected: Option<(i64, i64)>,
        /// A time partition's length, µs.
        rotate_us: i64,
        /// The rows with which a segment of the datasets ends.
        rows_max: u64,
        /// Whether the recorder was at work on the date before.
        continues: bool,
    },
    /// The hours of a date are others than [`Event::Date`] said: the configuration was read again.
    Hours {
        /// The date.
        date: NaiveDate,
        /// When data is expected, as in [`Event::Date`].
        expected: Option<(i64, i64)>,
    },
    /// The date is over, and the recorder goes on into the next.
    DateEnd,
    /// The clock was set back to an earlier date, and the recorder goes on there.
    DateLeft,
    /// A recorder started. What lies before and has no end of its own was cut off by a crash.
    Start {
        /// The recorder's version.
        version: String,
    },
    /// A session began: the connection is up and `init` was sent. Its number is in the record's header.
    Connected {
        /// The URL, without secrets.
        url: String,
    },
    /// The session goes on into a new date.
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
    /// Nothing could be read from the connection since then, because the disk took nothing more.
    DiskWait {
        /// From when on, µs since the Unix epoch.
        since_us: i64,
    },
    /// The recorder itself did not run since then: it was stopped, or the machine suspended.
    Paused {
        /// From when on, µs since the Unix epoch.
        since_us: i64,
    },
    /// The wall clock was set.
    ClockStep {
        /// By how much, µs.
        by_us: i64,
    },
    /// Time went on beyond the last frame's time partition, and no frame came.
    TimeMark,
    /// Someone asked for the current segment to be committed now.
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
    /// The server closed the connection in good order.
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
    /// The server takes no connection from us for now: too many (HTTP 429).
    Throttled,
    /// The server takes no connection from anybody for now (HTTP 503).
    Unavailable,
    /// The server's certificate is not trusted, or there is no version of TLS that both speak.
    Tls,
    /// What the server sent is not WebSocket, or a message was too long.
    Protocol,
    /// We closed it.
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
