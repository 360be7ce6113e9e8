//! What is done to sessions that a well-behaved exchange would not do: the way to inject faults.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::message::TimedMessage;
use crate::session::Farewell;
use crate::transcript::MessageKind;

/// What is done to a feed's sessions besides sending them the day. `()` does nothing.
pub trait Script: Send {
    /// A message to be sent before the day continues, until there are none.
    fn ahead(&mut self) -> Option<TimedMessage> {
        None
    }

    /// `message` is about to be sent.
    fn sending(&mut self, message: &TimedMessage) {
        let _ = message;
    }

    /// It was sent as the session's data message number `data_messages`, counted from 1: what to do now.
    fn sent(&mut self, data_messages: u64) -> Vec<Deed> {
        let _ = data_messages;
        Vec::new()
    }
}

impl Script for () {}

/// One thing done to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A text message is sent that is not part of the day.
    Say {
        /// Its kind in the transcript.
        kind: MessageKind,
        /// How many good records it holds.
        records: u32,
        /// The text of the message.
        text: Utf8Bytes,
    },
    /// Bytes are sent as they are, whatever WebSocket makes of them.
    Write {
        /// Their kind in the transcript.
        kind: MessageKind,
        /// The text for the transcript.
        text: Utf8Bytes,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Nothing is sent and nothing is answered for this long.
    Pause(Duration),
    /// The session ends; any further deeds are skipped.
    End {
        /// How the connection ends.
        farewell: Farewell,
        /// The reason, in the event's words.
        reason: String,
    },
}
