//! Faults by script: what goes wrong in a session, and after how many of its data messages.
//!
//! A fault is written `KIND@WHEN[:ARG][,market=MARKET]`:
//!
//! | part | is |
//! |---|---|
//! | `KIND` | `disconnect`, `close`, `reset`, `stall`, `garbage`, `half` or `resend` |
//! | `WHEN` | `N`: once, in the first session to be sent N data messages; `every:N`: after every N data messages of every session |
//! | `ARG` | for `close` the close code (1011), for `stall` the seconds (30), for `resend` the messages (20), for `garbage` what is sent: `text`, `badrecord`, `object`, `truncated-json` or `poison` (`text`) |
//! | `market` | only in this market's feed |
//!
//! Settings after the first comma are `name=value`, so that future kinds can have their own.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use krx_exchange::Market;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The longest silence that can be scripted, in seconds: a day.
const STALL_SECONDS_MAX: f64 = 86_400.0;

/// The silence in seconds if the script does not say: longer than a client should tolerate.
const STALL_SECONDS_DEFAULT: f64 = 30.0;

/// The close code if the script does not say: "internal error".
const CLOSE_CODE_DEFAULT: u16 = 1011;

/// The number of messages to repeat if the script does not say.
const RESEND_MESSAGES_DEFAULT: u32 = 20;

/// The most that a script may ask for: they are kept in memory, up to a mebibyte each.
const RESEND_MESSAGES_MAX: u32 = 10_000;

/// One scripted fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// After how many data messages.
    pub when: FaultTime,
    /// In which market's feed; `None` means both.
    pub market: Option<Market>,
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
}

/// What kind of message is sent in place of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// Not JSON at all.
    Text,
    /// An array of three records, the second of which is malformed.
    BadRecord,
    /// A JSON object of no known kind.
    Object,
    /// An array that ends in the middle of its second record.
    TruncatedJson,
    /// Not JSON at all; a recorder built with the defect `poison` panics over it.
    Poison,
}

/// When a fault happens, counted in a session's data messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTime {
    /// Once, in the first session that gets this far.
    Once(NonZeroU64),
    /// Repeatedly, in every session.
    Every(NonZeroU64),
}

/// Why a fault could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; a fault is KIND@WHEN[:ARG][,market=MARKET], for example stall@1000:30")]
pub struct FaultError {
    problem: String,
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Fault, FaultError> {
        parse(text).map_err(|problem| FaultError { problem })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let mut settings = text.split(',');
    let main = settings.next().unwrap_or_default();
    let (kind, rest) = main.split_once('@').ok_or("the fault has no @")?;
    let (repeated, rest) = match rest.strip_prefix("every:") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (number, argument) = match rest.split_once(':') {
        Some((number, argument)) => (number, Some(argument)),
        None => (rest, None),
    };
    let number: NonZeroU64 = number
        .parse()
        .map_err(|_| format!("{number:?} is not a number of messages from 1"))?;
    let mut market = None;
    for setting in settings {
        match setting.split_once('=') {
            Some(("market", name)) => {
                let named =
                    Market::named(name).ok_or(format!("market {name:?} is neither KOSPI nor KOSDAQ"))?;
                market = Some(named);
            }
            _ => return Err(format!("unknown setting {setting:?}")),
        }
    }
    let when = if repeated {
        FaultTime::Every(number)
    } else {
        FaultTime::Once(number)
    };
    Ok(Fault {
        kind: parse_kind(kind, argument)?,
        when,
        market,
    })
}

fn parse_kind(kind: &str, argument: Option<&str>) -> Result<FaultKind, String> {
    let plain = |fault: FaultKind| match argument {
        None => Ok(fault),
        Some(argument) => Err(format!("{kind} takes no argument, not {argument:?}")),
    };
    match kind {
        "disconnect" => plain(FaultKind::Disconnect),
        "reset" => plain(FaultKind::Reset),
        "half" => plain(FaultKind::Half),
        "close" => match argument.map_or(Ok(CLOSE_CODE_DEFAULT), str::parse) {
            Ok(code) if CloseCode::from(code).is_allowed() => Ok(FaultKind::Close(code)),
            _ => Err(format!(
                "{:?} is not a close code that may be sent",
                argument.unwrap_or_default()
            )),
        },
        "stall" => match argument.map_or(Ok(STALL_SECONDS_DEFAULT), str::parse) {
            Ok(seconds) if (0.0..=STALL_SECONDS_MAX).contains(&seconds) => {
                Ok(FaultKind::Stall(Duration::from_secs_f64(seconds)))
            }
            _ => Err(format!(
                "{:?} is not a number of seconds up to a day",
                argument.unwrap_or_default()
            )),
        },
        "resend" => match argument.map_or(Ok(RESEND_MESSAGES_DEFAULT), str::parse) {
            Ok(messages) if (1..=RESEND_MESSAGES_MAX).contains(&messages) => Ok(FaultKind::Resend(messages)),
            _ => Err(format!(
                "{:?} is not a number of messages up to {RESEND_MESSAGES_MAX}",
                argument.unwrap_or_default()
            )),
        },
        "garbage" => match argument.unwrap_or("text") {
            "text" => Ok(FaultKind::Garbage(Garbage::Text)),
            "badrecord" => Ok(FaultKind::Garbage(Garbage::BadRecord)),
            "object" => Ok(FaultKind::Garbage(Garbage::Object)),
            "truncated-json" => Ok(FaultKind::Garbage(Garbage::TruncatedJson)),
            "poison" => Ok(FaultKind::Garbage(Garbage::Poison)),
            other => Err(format!(
                "garbage {other:?} is none of text, badrecord, object, truncated-json and poison"
            )),
        },
        other => Err(format!("unknown kind {other:?}")),
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
        })
    }
}

impl Garbage {
    /// The text that is sent, and how many good records it contains.
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
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn every_kind_is_understood() {
        let once = |number| FaultTime::Once(NonZeroU64::new(number).unwrap());
        let every = |number| FaultTime::Every(NonZeroU64::new(number).unwrap());
        for (text, kind, when) in [
            ("disconnect@7", FaultKind::Disconnect, once(7)),
            ("reset@every:7", FaultKind::Reset, every(7)),
            ("half@1", FaultKind::Half, once(1)),
            ("resend@5", FaultKind::Resend(20), once(5)),
            ("resend@every:5:3", FaultKind::Resend(3), every(5)),
            ("close@5", FaultKind::Close(1011), once(5)),
            ("close@every:5:1001", FaultKind::Close(1001), every(5)),
            ("stall@5", FaultKind::Stall(Duration::from_secs(30)), once(5)),
            (
                "stall@5:0.25",
                FaultKind::Stall(Duration::from_millis(250)),
                once(5),
            ),
            ("garbage@5", FaultKind::Garbage(Garbage::Text), once(5)),
            (
                "garbage@5:badrecord",
                FaultKind::Garbage(Garbage::BadRecord),
                once(5),
            ),
            ("garbage@5:object", FaultKind::Garbage(Garbage::Object), once(5)),
            (
                "garbage@5:truncated-json",
                FaultKind::Garbage(Garbage::TruncatedJson),
                once(5),
            ),
        ] {
            assert_eq!(
                fault(text),
                Fault {
                    kind,
                    when,
                    market: None
                },
                "{text}"
            );
        }
        assert_eq!(fault("stall@5:1,market=KOSDAQ").market, Some(Market::Kosdaq));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, part) in [
            ("disconnect", "no @"),
            ("explode@3", "unknown kind \"explode\""),
            ("reset@0", "\"0\" is not a number"),
            ("reset@every:x", "\"x\" is not a number"),
            ("half@3:2", "half takes no argument"),
            ("close@3:1005", "\"1005\" is not a close code"),
            ("close@3:abc", "\"abc\" is not a close code"),
            ("stall@3:-1", "\"-1\" is not a number of seconds"),
            ("stall@3:NaN", "\"NaN\" is not a number of seconds"),
            ("garbage@3:smell", "\"smell\""),
            ("resend@3:0", "\"0\" is not a number of messages"),
            ("resend@3:10001", "\"10001\" is not a number of messages"),
            ("half@3,market=NYSE", "\"NYSE\""),
            ("half@3,tempo=4", "\"tempo=4\""),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
