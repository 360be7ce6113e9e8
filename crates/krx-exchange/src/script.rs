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

    /// The session's `subscribe` number `nth`, counted from 1, has come: how it is treated.
    fn subscribing(&mut self, nth: u64) -> Treatment {
        let _ = nth;
        Treatment::Fair
    }

    /// After `data_messages` data messages of the session, the next one of the per-issue service begins: how it is packed,
    /// if not as one push.
    fn packing(&mut self, data_messages: u64) -> Option<Bundle> {
        let _ = data_messages;
        None
    }
}

impl Script for () {}

/// How a `subscribe` is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Treatment {
    /// As it should be.
    #[default]
    Fair,
    /// It is refused as if there were no such issue.
    Refused {
        /// Whether the error carries the request's `id`.
        with_id: bool,
    },
    /// It is neither done nor answered.
    Ignored,
    /// It is done but not answered.
    Unanswered,
    /// It is answered so much later.
    Late(Duration),
    /// It is answered after the next request, or two seconds later.
    Overtaken,
    /// It is answered twice.
    AnsweredTwice,
    /// It is answered by a snapshot, after the first push.
    SnapshotAfterPush,
    /// It is answered by the snapshot of another registration of the session, if there is one.
    SnapshotOfAnother,
    /// It is answered under the `id` of no request.
    Misaddressed,
}

/// Several pushes in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bundle {
    /// How they are put together.
    pub form: BundleForm,
    /// How many they are, if the day has so many; 0 counts as 1.
    pub pushes: u32,
}

/// How pushes are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleForm {
    /// As the elements of a JSON array.
    Array,
    /// One after the other, with nothing in between.
    Concatenated,
}

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
    /// The server forgets registrations, without a word.
    Forget {
        /// How many of a hundred.
        percent: u32,
    },
    /// The session ends; any further deeds are skipped.
    End {
        /// How the connection ends.
        farewell: Farewell,
        /// The reason, in the event's words.
        reason: String,
    },
}
