//! What an exchange reports on standard output, for people or programs.

use std::fmt;
use std::io::{self, Write};

use crate::endpoint::Endpoint;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventFormat {
    /// As readable lines.
    #[default]
    Text,
    /// As JSON objects, one per line, with the member `event` first.
    Json,
    /// Not at all.
    Silent,
}

/// Something worth reporting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Connections are accepted from now on.
    Listening { url: String, port: u16 },
    /// A client was initialised.
    SessionStarted {
        #[serde(flatten)]
        endpoint: Endpoint,
        session: u32,
    },
    /// A session is over.
    SessionEnded {
        #[serde(flatten)]
        endpoint: Endpoint,
        session: u32,
        /// Data messages sent in it, and the records in them.
        messages: u64,
        records: u64,
        reason: String,
    },
    /// The day of an endpoint is over.
    DayComplete {
        #[serde(flatten)]
        endpoint: Endpoint,
        /// Data messages sent on it, and the records in them.
        messages: u64,
        records: u64,
        /// Records that fell due while nobody was listening.
        missed: u64,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Listening { url, .. } => write!(formatter, "listening on {url}"),
            Event::SessionStarted { endpoint, session } => {
                write!(formatter, "{endpoint}: session {session} started")
            }
            Event::SessionEnded {
                endpoint,
                session,
                messages,
                records,
                reason,
            } => write!(
                formatter,
                "{endpoint}: session {session} ended ({reason}) after {messages} messages, {records} records"
            ),
            Event::DayComplete {
                endpoint,
                messages,
                records,
                missed,
            } => write!(
                formatter,
                "{endpoint}: the day is complete: {messages} messages, {records} records sent, {missed} missed"
            ),
        }
    }
}

impl EventFormat {
    /// Writes `event` to standard output at once. If nobody reads it any more, that is no reason to stop.
    pub(crate) fn tell(self, event: &Event) {
        let mut out = io::stdout().lock();
        let _ = match self {
            EventFormat::Silent => Ok(()),
            EventFormat::Text => writeln!(out, "{event}"),
            EventFormat::Json => match serde_json::to_string(event) {
                Ok(line) => writeln!(out, "{line}"),
                Err(error) => writeln!(out, "{{\"event\":\"unprintable\",\"error\":\"{error}\"}}"),
            },
        }
        .and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Market;

    #[test]
    fn json_events_begin_with_their_name() {
        let event = Event::Listening {
            url: "ws://127.0.0.1:9887".to_owned(),
            port: 9887,
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"listening","url":"ws://127.0.0.1:9887","port":9887}"#
        );
        let event = Event::SessionStarted {
            endpoint: Endpoint::FullMarket(Market::Kosdaq),
            session: 2,
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"session_started","market":"KOSDAQ","session":2}"#
        );
        let event = Event::SessionStarted {
            endpoint: Endpoint::PerIssue,
            session: 1,
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"session_started","service":"per_issue","session":1}"#
        );
    }
}
