//! What a service says in a session: decisions without input or output, and with the time passed in.

use std::time::Instant;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::course::{DayTotals, Step};
use crate::message::TimedMessage;
use crate::script::Script;
use crate::transcript::MessageKind;

/// A text message that is not data of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saying {
    pub(crate) kind: MessageKind,
    /// How many good records it holds.
    pub(crate) records: u32,
    pub(crate) text: Utf8Bytes,
}

/// What to do next in a session.
#[derive(Debug)]
pub(crate) enum Act {
    /// Send this data message.
    Send(TimedMessage),
    /// Send this message, which is not data.
    Say(Saying),
    /// Nothing is due before this time; without one, nothing ever will be.
    Wait(Option<Instant>),
    /// A day is over; asked again, the next one begins, or nothing follows.
    DayComplete(DayTotals),
}

impl From<Step<TimedMessage>> for Act {
    fn from(step: Step<TimedMessage>) -> Act {
        match step {
            Step::Send(message) => Act::Send(message),
            Step::Wait(until) => Act::Wait(until),
            Step::DayComplete(totals) => Act::DayComplete(totals),
        }
    }
}

/// A feed's side of one session after another.
pub(crate) trait Conversation: Send {
    /// A session begins; `opened` is when the endpoint's first one did.
    fn begin_session(&mut self, opened: Instant, now: Instant);

    /// The session is over.
    fn end_session(&mut self) {}

    /// What to do at `now`, when `sent` data messages have been sent in the session.
    fn act(&mut self, script: &mut dyn Script, sent: u64, now: Instant) -> Act;

    /// What to do at `now` while nobody is listening: nothing but wait, or say that the day is complete.
    fn pass_unheard(&mut self, now: Instant) -> Act;

    /// What to answer at once to `text`; `None` if it is no request of this service.
    fn heard(&mut self, text: &str, script: &mut dyn Script, now: Instant) -> Option<Vec<Saying>> {
        let _ = (text, script, now);
        None
    }

    /// Forgets this share of what the client has registered, without a word.
    fn forget(&mut self, percent: u32) {
        let _ = percent;
    }
}
