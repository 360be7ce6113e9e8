//! What a client sends.

use serde::Serialize;

use crate::per_issue::{Preset, Registration};

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'a str,
    id: u64,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<P>,
}

#[derive(Serialize)]
struct InitParams<'a> {
    key: &'a str,
    membername: &'a str,
}

#[derive(Serialize)]
struct RegistrationParams<'a> {
    preset: Preset,
    #[serde(rename = "isuSrtCd")]
    code: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    items: &'a [String],
}

/// The request that opens the feed; it carries the key, so it is never logged.
#[must_use]
pub fn init(key: &str, member_name: &str) -> String {
    to_text(&Request {
        jsonrpc: "2.0",
        id: 1,
        method: "init",
        params: Some(InitParams {
            key,
            membername: member_name,
        }),
    })
}

/// A check of the channel; either side may send it.
#[must_use]
pub fn heartbeat() -> String {
    to_text(&Request::<()> {
        jsonrpc: "2.0",
        id: 1,
        method: "heartbeat",
        params: None,
    })
}

/// Asks for a preset of an issue.
#[must_use]
pub(super) fn subscribe(registration: &Registration) -> String {
    about("subscribe", registration)
}

/// Cancels what was asked for. The guide has two ways: the params of the `subscribe`, or none and the id under which
/// it was registered. It does not say whether an id beside params counts for anything. So this has the params, and for
/// its id that of the registration, and means the same whichever of the two a server looks at.
#[must_use]
pub(super) fn unsubscribe(registration: &Registration) -> String {
    about("unsubscribe", registration)
}

fn about(method: &str, registration: &Registration) -> String {
    to_text(&Request {
        jsonrpc: "2.0",
        id: registration.id,
        method,
        params: Some(RegistrationParams {
            preset: registration.pair.preset,
            code: &registration.pair.code,
            items: &registration.items,
        }),
    })
}

fn to_text(request: &impl Serialize) -> String {
    serde_json::to_string(request).expect("strings and integers always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_the_guide_prints_them() {
        assert_eq!(
            init("API-KEY", "COMPANY"),
            r#"{"jsonrpc":"2.0","id":1,"method":"init","params":{"key":"API-KEY","membername":"COMPANY"}}"#
        );
        assert_eq!(heartbeat(), r#"{"jsonrpc":"2.0","id":1,"method":"heartbeat"}"#);
    }

    #[test]
    fn registrations_are_asked_for_and_cancelled_as_the_guide_prints_it() {
        let registration =
            |text: &str| -> Registration { serde_json::from_str(text).expect("a registration") };
        let plain = registration(r#"{"id":7,"preset":"tick10","code":"005930"}"#);
        let params = r#""params":{"preset":"tick10","isuSrtCd":"005930"}}"#;
        assert_eq!(
            subscribe(&plain),
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"subscribe",{params}"#)
        );
        assert_eq!(
            unsubscribe(&plain),
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"unsubscribe",{params}"#)
        );
        let change = registration(r#"{"id":8,"preset":"change","code":"005930","items":["trdPrc","trdTm"]}"#);
        let params = r#""params":{"preset":"change","isuSrtCd":"005930","items":["trdPrc","trdTm"]}}"#;
        assert_eq!(
            subscribe(&change),
            format!(r#"{{"jsonrpc":"2.0","id":8,"method":"subscribe",{params}"#)
        );
    }

    #[test]
    fn what_a_user_typed_cannot_break_out_of_its_string() {
        let text = init("a\"b\\", "주식회사 예시\n");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["params"]["key"], "a\"b\\");
        assert_eq!(value["params"]["membername"], "주식회사 예시\n");
    }
}
