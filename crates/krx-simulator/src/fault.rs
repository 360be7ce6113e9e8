//! Faults by script: what goes wrong in a session, and when.
//!
//! A fault is written `KIND@WHEN[:ARG][,market=MARKET|,service=per_issue]`:
//!
//! | part | is |
//! |---|---|
//! | `KIND` | `disconnect`, `close`, `reset`, `stall`, `garbage`, `half`, `resend`; of the per-issue service alone `answer`, `array`, `joined`, `forget`, `unregistered` and `error` |
//! | `WHEN` | `N`: once, in the first session to be sent N data messages; `every:N`: after every N data messages of every session. For `answer`, the session's N-th `subscribe` counts instead |
//! | `ARG` | for `close` the close code (1011), for `stall` the seconds (30), for `resend` the messages (20), for `garbage` what is sent: `text`, `badrecord`, `object`, `truncated-json` or `poison` (`text`), for `answer` how, see [`Treatment`], for `array` and `joined` how many pushes one message holds (3), for `forget` how many of 100 registrations (50) |
//! | `market` | only in this market's feed |
//! | `service` | only in the per-issue service |
//!
//! Without a setting, a fault happens wherever its kind makes sense: `resend` in the full-market feeds, since what it
//! repeats may not be registered in the next session.

mod error;
mod parse;

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use krx_exchange::{Bundle, Endpoint, Treatment};

pub use error::FaultError;

/// One scripted fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// After how many data messages, or at which `subscribe`.
    pub when: FaultTime,
    /// At which endpoint only; `None` means wherever the kind makes sense.
    pub endpoint: Option<Endpoint>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// The connection ends with a FIN, without a close frame.
    Disconnect,
    /// A close frame with this code ends the connection.
    Close(u16),
    /// The connection ends with a RST; data in flight may be lost.
    Reset,
    /// Nothing is sent and nothing is answered for this long; then the feed continues.
    Stall(Duration),
    /// A message that is not data.
    Garbage(Garbage),
    /// Half a message, then a FIN: the receiver never sees that message.
    Half,
    /// A FIN, after which the next session begins by repeating this many of the last data messages.
    Resend(u32),
    /// A `subscribe` is treated in this way.
    Answer(Treatment),
    /// The next message holds several pushes.
    Bundle(Bundle),
    /// So many of a hundred registrations are dropped without a word.
    Forget(u32),
    /// A push of a code that nobody ever registered.
    Unregistered,
    /// An error without an `id`, which answers nothing.
    Error,
}

/// What kind of message is sent in place of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// Not JSON at all.
    Text,
    /// An array of three full-market records, the second of which is malformed.
    BadRecord,
    /// A JSON object of no known kind.
    Object,
    /// An array that ends in the middle of its second record.
    TruncatedJson,
    /// Not JSON at all; a recorder built with the defect `poison` panics over it.
    Poison,
}

/// When a fault happens, counted in a session's data messages, or its `subscribe`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTime {
    /// Once, in the first session that gets this far.
    Once(NonZeroU64),
    /// Repeatedly, in every session.
    Every(NonZeroU64),
}

impl Fault {
    /// Whether it happens at `endpoint`.
    pub(crate) fn concerns(&self, endpoint: Endpoint) -> bool {
        let makes_sense = match self.kind {
            FaultKind::Resend(_) => endpoint != Endpoint::PerIssue,
            FaultKind::Answer(_)
            | FaultKind::Bundle(_)
            | FaultKind::Forget(_)
            | FaultKind::Unregistered
            | FaultKind::Error => endpoint == Endpoint::PerIssue,
            FaultKind::Disconnect
            | FaultKind::Close(_)
            | FaultKind::Reset
            | FaultKind::Stall(_)
            | FaultKind::Garbage(_)
            | FaultKind::Half => true,
        };
        makes_sense && self.endpoint.is_none_or(|only| only == endpoint)
    }
}

impl FaultTime {
    /// Whether it has come after `count` of what it counts; `happened` says whether it ever did.
    pub(crate) fn has_come(self, count: u64, happened: bool) -> bool {
        match self {
            FaultTime::Once(number) => !happened && count == number.get(),
            FaultTime::Every(number) => count.is_multiple_of(number.get()),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            FaultKind::Disconnect => "disconnect",
            FaultKind::Close(_) => "close",
            FaultKind::Reset => "reset",
            FaultKind::Stall(_) => "stall",
            FaultKind::Garbage(_) => "garbage",
            FaultKind::Half => "half",
            FaultKind::Resend(_) => "resend",
            FaultKind::Answer(_) => "answer",
            FaultKind::Bundle(_) => "bundle",
            FaultKind::Forget(_) => "forget",
            FaultKind::Unregistered => "unregistered",
            FaultKind::Error => "error",
        })
    }
}

impl Garbage {
    /// The text that is sent, and how many good records of the full-market service it contains.
    #[must_use]
    pub fn text(self) -> (&'static str, u32) {
        match self {
            Garbage::Poison => ("KRX-POISON", 0),
            Garbage::Text => ("*** 시스템 점검 안내 ***", 0),
            Garbage::BadRecord => (
                concat!(
                    r#"[{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5","trdTm":"14340400"},"#,
                    r#"{"isuSrtCd":"00088K","trdPrc":"8x000","trdVol":"1","trdTm":"14340401"},"#,
                    r#"{"isuSrtCd":"0004V0","trdPrc":"12010","trdVol":"400","trdTm":"14340402"}]"#
                ),
                2,
            ),
            Garbage::Object => (r#"{"notice":"점검","level":3}"#, 0),
            Garbage::TruncatedJson => (
                concat!(
                    r#"[{"isuSrtCd":"000210","trdPrc":"81000","trdVol":"5","trdTm":"14340400"},"#,
                    r#"{"isuSrtCd":"00088K","trdPrc":"8"#
                ),
                0,
            ),
        }
    }
}

#[cfg(test)]
mod tests;
