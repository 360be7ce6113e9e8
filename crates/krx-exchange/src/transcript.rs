//! A note of everything that is sent, taken before it is sent.
//!
//! The other end of the channel may do what it likes with the notes; while it is behind, sending waits. Once it is gone
//! the exchange ends: it sends nothing that goes unrecorded.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::endpoint::Endpoint;

/// How many notes may wait: 16 MB of full messages. Beyond that, sending waits.
const NOTES_MAX: usize = 4_096;

/// What kind of text message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Data of the day.
    Data,
    /// The answer to an accepted `init`.
    Reply,
    /// One of the exchange's own heartbeats, or the answer to a client's.
    Heartbeat,
    /// An error in answer to what a client sent.
    Error,
    /// The answer to a request of the per-issue service that is in order and calls for no state.
    Answer,
    /// The answer to a `subscribe` that is the current state of what it registers.
    Snapshot,
    /// A request of the per-issue service, as it was heard. Nothing is sent: it is here since what is sent afterwards
    /// depends on it.
    Request,
    /// Something sent by a script, with a name of its own.
    Scripted(&'static str),
}

impl MessageKind {
    /// The kind, as a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::Data => "data",
            MessageKind::Reply => "reply",
            MessageKind::Heartbeat => "heartbeat",
            MessageKind::Error => "error",
            MessageKind::Answer => "answer",
            MessageKind::Snapshot => "snapshot",
            MessageKind::Request => "request",
            MessageKind::Scripted(name) => name,
        }
    }
}

/// One text message that is about to be sent, or a request that was heard.
#[derive(Debug)]
pub struct Entry {
    /// Where the client is connected.
    pub endpoint: Endpoint,
    /// The session's number at its endpoint, from 1; 0 for a connection refused before it became a session.
    pub session: u32,
    /// The message's number among all text messages that are sent in the session, from 1; of a request the number of the
    /// last one before it.
    pub number: u64,
    /// What kind of message it is.
    pub kind: MessageKind,
    /// How many good records it holds.
    pub records: u32,
    /// The text of the message.
    pub text: Utf8Bytes,
}

/// An entry of the transcript.
#[derive(Debug)]
pub enum Note {
    /// A message is about to be sent.
    Sent {
        /// The message.
        entry: Entry,
        /// Unix time in microseconds.
        sent_us: u128,
    },
    /// Everything noted so far should be written where others can read it.
    Flush,
}

/// The end at which the exchange submits its notes.
#[derive(Debug, Clone)]
pub struct Transcript(mpsc::Sender<Note>);

/// The transcript is no longer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TranscriptGone;

/// Both ends of a transcript. It is over when every clone of its first end is gone.
#[must_use]
pub fn transcript() -> (Transcript, mpsc::Receiver<Note>) {
    let (sender, receiver) = mpsc::channel(NOTES_MAX);
    (Transcript(sender), receiver)
}

impl Transcript {
    /// Submits a message as sent now; waits while the other end is behind.
    pub(crate) async fn enter(&self, entry: Entry) -> Result<(), TranscriptGone> {
        let sent_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros());
        self.0
            .send(Note::Sent { entry, sent_us })
            .await
            .map_err(|_| TranscriptGone)
    }

    /// Asks for everything submitted so far to be written.
    pub(crate) async fn flush(&self) -> Result<(), TranscriptGone> {
        self.0.send(Note::Flush).await.map_err(|_| TranscriptGone)
    }

    /// Like [`flush`](Self::flush), but does not wait for an end that is behind.
    pub(crate) fn flush_soon(&self) -> Result<(), TranscriptGone> {
        match self.0.try_send(Note::Flush) {
            Err(mpsc::error::TrySendError::Closed(_)) => Err(TranscriptGone),
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
        }
    }
}
