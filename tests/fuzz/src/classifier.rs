//! `Control::classify` beside `serde_json`: which texts are objects, and what an object's members make it.

use krx_protocol::{Control, ServerError};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::members::Members;

/// Checks one text.
///
/// # Panics
/// When the two do not agree.
pub fn check(text: &[u8]) {
    let control = Control::classify(text);
    if let Some(Control::Error(error)) = &control {
        let _ = error.refusal();
    }
    // Two readings of "is an object": by JSON's grammar alone, and with every number in range and every escape a
    // character. The classifier need not look into members that it ignores, so it may stand between the two.
    let by_grammar =
        text.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok();
    let value = serde_json::from_slice::<Value>(text)
        .ok()
        .filter(Value::is_object);
    assert!(control.is_none() || by_grammar, "{control:?} is no JSON object");
    assert!(
        control.is_some() || value.is_none(),
        "a JSON object is taken for none"
    );
    if let (Some(control), Some(value)) = (control, value) {
        let Members(members) = serde_json::from_slice(text).expect("it is an object");
        let keys: Vec<_> = members.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(word(&control), expected(&keys, &value));
        if let Control::Error(error) = control {
            let raw = members
                .iter()
                .find(|(key, _)| key == "error")
                .expect("an error has one");
            check_error(&error, &value["error"], raw.1.get());
        }
    }
}

fn check_error(error: &ServerError, value: &Value, raw: &str) {
    let Ok(Members(members)) = serde_json::from_str(raw) else {
        return;
    };
    let keys: Vec<_> = members.iter().map(|(key, _)| key.as_str()).collect();
    // Which of two codes, or of two texts, is meant cannot be known.
    if is_doubled(&keys, "code") || is_doubled(&keys, "message") {
        return;
    }
    assert!(value["code"].as_i64().is_none_or(|code| code == error.code));
    assert!(
        value["message"]
            .as_str()
            .is_none_or(|message| message == error.message)
    );
}

fn is_doubled(keys: &[&str], key: &str) -> bool {
    keys.iter().filter(|other| **other == key).count() > 1
}

fn word(control: &Control) -> &'static str {
    match control {
        Control::Reply => "reply",
        Control::Heartbeat => "heartbeat",
        Control::Error(_) => "error",
        Control::Push => "push",
        Control::Unknown => "unknown",
    }
}

/// What an object with these keys is; a member that is null counts as missing.
fn expected(keys: &[&str], value: &Value) -> &'static str {
    if ["method", "error", "result"]
        .into_iter()
        .any(|key| is_doubled(keys, key))
    {
        return "unknown";
    }
    match (value["method"].as_str(), &value["error"], &value["result"]) {
        (Some("heartbeat"), ..) => "heartbeat",
        (Some("push"), ..) => "push",
        (_, Value::Null, Value::Null) => "unknown",
        (_, Value::Null, _) => "reply",
        _ => "error",
    }
}
