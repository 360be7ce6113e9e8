//! The messages that are not data: clients' requests, and the answers to them.

use serde_json::Value;

/// What a client's text message asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// Start: with the key, and the request's `id` for the answer.
    Init { id: Value, key: Key },
    /// Is the channel alive?
    Heartbeat,
    /// A method that this service does not have.
    Unknown { id: Option<Value> },
    /// Not a JSON-RPC request at all.
    Malformed,
}

/// A client's key. It is never displayed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// The key `text`; `None` if it is empty.
    #[must_use]
    pub fn new(text: &str) -> Option<Key> {
        (!text.is_empty()).then(|| Key(text.to_owned()))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(…)")
    }
}

impl Request {
    pub(crate) fn parse(text: &str) -> Request {
        let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else {
            return Request::Malformed;
        };
        let Some(method) = members.get("method").and_then(Value::as_str) else {
            return Request::Malformed;
        };
        let id = members
            .get("id")
            .filter(|id| id.is_number() || id.is_string())
            .cloned();
        match (method, id) {
            ("heartbeat", _) => Request::Heartbeat,
            ("init", Some(id)) => {
                let param = |name| {
                    members
                        .get("params")
                        .and_then(|params| params.get(name)?.as_str())
                };
                match (param("key").and_then(Key::new), param("membername")) {
                    (Some(key), Some(_)) => Request::Init { id, key },
                    _ => Request::Malformed,
                }
            }
            (_, id) => Request::Unknown { id },
        }
    }
}

/// An error in the exchange's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What was sent is not the expected request.
    Malformed,
    /// No such customer.
    BadKey,
    /// Another session has the key: try again later.
    SecondSession,
    /// No such issue, or it has no such preset.
    NoSuchIssue,
    /// The session has as many registrations as it may have. The guide gives this no code of its own: that of a server's
    /// error is sent.
    TooManyRegistrations,
}

impl Refusal {
    fn code(self) -> u32 {
        match self {
            Refusal::Malformed => 47,
            Refusal::BadKey => 10_070,
            Refusal::SecondSession => 13_004,
            Refusal::NoSuchIssue => 10_040,
            Refusal::TooManyRegistrations => 10_080,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Refusal::Malformed => "정상적인 JSON-RPC 형식이 아닙니다",
            Refusal::BadKey => "고객 정보가 일치하지 않습니다",
            Refusal::SecondSession => "이미 접속 중입니다. 잠시 후 다시 접속하십시오",
            Refusal::NoSuchIssue => "해당 종목이 없습니다",
            Refusal::TooManyRegistrations => "등록 가능한 종목 수를 초과하였습니다",
        }
    }

    /// The error message, as an answer to the request `id` if that is known.
    pub(crate) fn text(self, id: Option<&Value>) -> String {
        let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
        let (message, code) = (self.message(), self.code());
        format!("{{\"jsonrpc\":\"2.0\",{id}\"error\":{{\"message\":\"{message}\",\"code\":{code}}}}}")
    }
}

/// The answer to an accepted request.
pub(crate) fn ok_answer(id: &Value) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"message\":\"ok\"}}}}")
}

/// The first id of the exchange's own heartbeats: far from the ids that clients count from 1, so that a client's answer
/// is never taken for one of its own heartbeats.
const HEARTBEAT_ID_FIRST: u64 = 1_000_001;

/// The exchange's own heartbeat number `nth`, counted from 0.
pub(crate) fn heartbeat(nth: u64) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"heartbeat\"}}",
        HEARTBEAT_ID_FIRST + nth
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let init = r#"{"jsonrpc":"2.0","id":1,"method":"init","params":{"key":"k","membername":"m"}}"#;
        assert_eq!(
            Request::parse(init),
            Request::Init {
                id: Value::from(1),
                key: Key::new("k").unwrap()
            }
        );
        assert_eq!(Request::parse(&init.replace("\"k\"", "\"\"")), Request::Malformed);
        assert_eq!(
            Request::parse(&init.replace("membername", "member")),
            Request::Malformed
        );
        assert_eq!(
            Request::parse(r#"{"jsonrpc":"2.0","id":9,"method":"heartbeat"}"#),
            Request::Heartbeat
        );
        assert_eq!(
            Request::parse(r#"{"id":"a","method":"subscribe"}"#),
            Request::Unknown {
                id: Some(Value::from("a"))
            }
        );
        assert_eq!(Request::parse("[1]"), Request::Malformed);
        assert_eq!(Request::parse("init"), Request::Malformed);
    }

    #[test]
    fn answers_are_worded_as_documented() {
        assert_eq!(
            Refusal::BadKey.text(Some(&Value::from(1))),
            r#"{"jsonrpc":"2.0","id":1,"error":{"message":"고객 정보가 일치하지 않습니다","code":10070}}"#
        );
        assert_eq!(
            Refusal::Malformed.text(None),
            r#"{"jsonrpc":"2.0","error":{"message":"정상적인 JSON-RPC 형식이 아닙니다","code":47}}"#
        );
        assert_eq!(
            ok_answer(&Value::from(1)),
            r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#
        );
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", Key::new("secret").unwrap()), "Key(…)");
    }
}
