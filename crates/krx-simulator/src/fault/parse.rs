//! Faults as they are written.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use krx_exchange::{Bundle, BundleForm, Endpoint, Market, Treatment};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::error::FaultError;
use super::{Fault, FaultKind, FaultTime, Garbage};

/// The longest silence or delay that can be scripted, in seconds: a day.
const STALL_SECONDS_MAX: f64 = 86_400.0;

/// The silence in seconds if the script does not say: longer than a client should tolerate.
const STALL_SECONDS_DEFAULT: f64 = 30.0;

/// How late an answer is in seconds if the script does not say: later than a client should wait for it.
const LATE_SECONDS_DEFAULT: f64 = 7.0;

/// The close code if the script does not say: "internal error".
const CLOSE_CODE_DEFAULT: u16 = 1011;

/// The number of messages to repeat if the script does not say.
const RESEND_MESSAGES_DEFAULT: u32 = 20;

/// The most that a script may ask for: they are kept in memory, up to a mebibyte each.
const RESEND_MESSAGES_MAX: u32 = 10_000;

/// How many pushes are put into one message if the script does not say.
const BUNDLE_PUSHES_DEFAULT: u32 = 3;

/// The most that a script may ask for: more would not fit into a message that a client accepts.
const BUNDLE_PUSHES_MAX: u32 = 1_000;

/// How many of a hundred registrations are forgotten if the script does not say.
const FORGET_PERCENT_DEFAULT: u32 = 50;

/// The ways to treat a `subscribe`, except for `late`, by their names.
const TREATMENTS: [(&str, Treatment); 9] = [
    ("ignored", Treatment::Ignored),
    ("withheld", Treatment::Unanswered),
    ("refused", Treatment::Refused { with_id: true }),
    ("refused-without-id", Treatment::Refused { with_id: false }),
    ("overtaken", Treatment::Overtaken),
    ("twice", Treatment::AnsweredTwice),
    ("snapshot-after-push", Treatment::SnapshotAfterPush),
    ("snapshot-of-another", Treatment::SnapshotOfAnother),
    ("unknown-id", Treatment::Misaddressed),
];

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
    let when = if repeated {
        FaultTime::Every(number)
    } else {
        FaultTime::Once(number)
    };
    let mut fault = Fault {
        kind: parse_kind(kind, argument)?,
        when,
        endpoint: None,
    };
    for setting in settings {
        let endpoint = parse_setting(setting)?;
        fault.endpoint = Some(endpoint);
        if !fault.concerns(endpoint) {
            return Err(format!("{kind} cannot happen with {setting}"));
        }
    }
    Ok(fault)
}

fn parse_setting(setting: &str) -> Result<Endpoint, String> {
    match setting.split_once('=') {
        Some(("market", name)) => Market::named(name)
            .map(Endpoint::FullMarket)
            .ok_or(format!("market {name:?} is neither KOSPI nor KOSDAQ")),
        Some(("service", "per_issue")) => Ok(Endpoint::PerIssue),
        Some(("service", name)) => Err(format!("service {name:?} is not per_issue")),
        _ => Err(format!("unknown setting {setting:?}")),
    }
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
        "unregistered" => plain(FaultKind::Unregistered),
        "error" => plain(FaultKind::Error),
        "close" => match argument.map_or(Ok(CLOSE_CODE_DEFAULT), str::parse) {
            Ok(code) if CloseCode::from(code).is_allowed() => Ok(FaultKind::Close(code)),
            _ => Err(format!(
                "{:?} is not a close code that may be sent",
                argument.unwrap_or_default()
            )),
        },
        "stall" => parse_seconds(argument, STALL_SECONDS_DEFAULT).map(FaultKind::Stall),
        "resend" => parse_count(argument, RESEND_MESSAGES_DEFAULT, RESEND_MESSAGES_MAX, "messages")
            .map(FaultKind::Resend),
        "garbage" => parse_garbage(argument).map(FaultKind::Garbage),
        "answer" => parse_treatment(argument.unwrap_or_default()).map(FaultKind::Answer),
        "array" => parse_bundle(BundleForm::Array, argument),
        "joined" => parse_bundle(BundleForm::Concatenated, argument),
        "forget" => parse_count(argument, FORGET_PERCENT_DEFAULT, 100, "percent").map(FaultKind::Forget),
        other => Err(format!("unknown kind {other:?}")),
    }
}

fn parse_seconds(argument: Option<&str>, default: f64) -> Result<Duration, String> {
    match argument.map_or(Ok(default), str::parse) {
        Ok(seconds) if (0.0..=STALL_SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!(
            "{:?} is not a number of seconds up to a day",
            argument.unwrap_or_default()
        )),
    }
}

/// A number from 1 to `most`.
fn parse_count(argument: Option<&str>, default: u32, most: u32, what: &str) -> Result<u32, String> {
    match argument.map_or(Ok(default), str::parse) {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!(
            "{:?} is not a number of {what} up to {most}",
            argument.unwrap_or_default()
        )),
    }
}

fn parse_bundle(form: BundleForm, argument: Option<&str>) -> Result<FaultKind, String> {
    let pushes = parse_count(argument, BUNDLE_PUSHES_DEFAULT, BUNDLE_PUSHES_MAX, "pushes")?;
    Ok(FaultKind::Bundle(Bundle { form, pushes }))
}

fn parse_garbage(argument: Option<&str>) -> Result<Garbage, String> {
    match argument.unwrap_or("text") {
        "text" => Ok(Garbage::Text),
        "badrecord" => Ok(Garbage::BadRecord),
        "object" => Ok(Garbage::Object),
        "truncated-json" => Ok(Garbage::TruncatedJson),
        "poison" => Ok(Garbage::Poison),
        other => Err(format!(
            "garbage {other:?} is not one of text, badrecord, object, truncated-json and poison"
        )),
    }
}

fn parse_treatment(argument: &str) -> Result<Treatment, String> {
    let (name, seconds) = match argument.split_once(':') {
        Some((name, seconds)) => (name, Some(seconds)),
        None => (argument, None),
    };
    if name == "late" {
        return parse_seconds(seconds, LATE_SECONDS_DEFAULT).map(Treatment::Late);
    }
    let named = TREATMENTS.into_iter().find(|(known, _)| *known == argument);
    named.map(|(_, treatment)| treatment).ok_or_else(|| {
        let known = TREATMENTS.map(|(known, _)| known).join(", ");
        format!("answer {argument:?} is not one of late[:SECONDS], {known}")
    })
}
