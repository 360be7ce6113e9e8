//! What is done to sessions that a sound exchange does not do: the place where faults come in.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::message::TimedMessage;
use crate::session::Farewell;
use crate::transcript::MessageKind;

/// What is done to a feed's sessions besides sending them the day. `()` does nothing.
pub trait Script: Send {
    /// A message that is sent before the day goes on, until there is none.
    fn ahead(&mut self) -> Option<TimedMessage> {
        None
    }

    /// `message` is about to be sent.
    fn sending(&mut self, message: &TimedMessage) {
        let _ = message;
    }

    /// It was sent, as the session's data message number `data_messages`, from 1: what is done now.
    fn sent(&mut self, data_messages: u64) -> Vec<Deed> {
        let _ = data_messages;
        Vec::new()
    }
}

impl Script for () {}

/// One thing that is done to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A text message is sent that is not the day's.
    Say {
        /// What the transcript calls it.
        kind: MessageKind,
        /// How many good records it holds.
        records: u32,
        /// The text of the message.
        text: Utf8Bytes,
    },
    /// Bytes go out as they are, whatever WebSocket would make of them.
    Write {
        /// What the transcript calls them.
        kind: MessageKind,
        /// The text that the transcript gets for them.
        text: Utf8Bytes,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Nothing is sent and nothing is answered for this long.
    Pause(Duration),
    /// The session ends; later deeds are not done.
    End {
        /// How the connection ends.
        farewell: Farewell,
        /// Why, as the event says it.
        reason: String,
    },
}
