//! What a client sends.

use serde::Serialize;

#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'a str,
    id: u32,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<P>,
}

#[derive(Serialize)]
struct InitParams<'a> {
    key: &'a str,
    membername: &'a str,
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
    fn what_a_user_typed_cannot_break_out_of_its_string() {
        let text = init("a\"b\\", "주식회사 예시\n");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["params"]["key"], "a\"b\\");
        assert_eq!(value["params"]["membername"], "주식회사 예시\n");
    }
}
