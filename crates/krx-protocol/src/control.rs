//! Messages that are an object instead of an array of trades: reply, error, heartbeat or push, by their members.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// What an object message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The answer to a request that was accepted (`result`).
    Reply,
    /// The server asks or answers whether the channel lives.
    Heartbeat,
    /// The server reports an error.
    Error(ServerError),
    /// Data of the per-issue service.
    Push,
    /// An object that the guide does not describe.
    Unknown,
}

/// An error as Koscom sends it, with or without the request's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The number of the guide's error table; 0 when none was sent.
    pub code: i64,
    /// Koscom's text, mostly Korean.
    pub message: String,
}

/// What an error code asks of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key or the terminal is refused: trying again soon is hammering.
    Key,
    /// The server asks for a new connection, or is in trouble of its own.
    Retry,
}

#[derive(Deserialize)]
struct Members {
    method: Option<Value>,
    error: Option<Value>,
    result: Option<IgnoredAny>,
}

impl Control {
    /// Tells what an object message is; `None` when `text` is no JSON object.
    #[must_use]
    pub fn classify(text: &[u8]) -> Option<Self> {
        let members: Members = match serde_json::from_slice(text) {
            Ok(members) => members,
            // Valid JSON whose members are doubled is still an object; what follows a doubled one was not read yet.
            Err(error) if error.is_data() && is_object(text) => return Some(Self::Unknown),
            Err(_) => return None,
        };
        if !text.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        Some(
            match (members.method.as_ref().and_then(Value::as_str), members.error) {
                (Some("heartbeat"), _) => Self::Heartbeat,
                (Some("push"), _) => Self::Push,
                (_, Some(error)) => Self::Error(ServerError::from_value(&error)),
                (_, None) if members.result.is_some() => Self::Reply,
                _ => Self::Unknown,
            },
        )
    }
}

fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

impl ServerError {
    fn from_value(error: &Value) -> Self {
        let code = match &error["code"] {
            Value::String(text) => text.parse().unwrap_or(0),
            other => other.as_i64().unwrap_or(0),
        };
        let message = error["message"]
            .as_str()
            .map_or_else(|| error.to_string(), str::to_owned);
        Self { code, message }
    }

    /// What the code asks of us, after the guide's error table: 10070 and 13001 (customer data do not match) and
    /// 13003 (terminated terminal) refuse the key; all others are worth another try.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self.code {
            10_070 | 13_001 | 13_003 => Refusal::Key,
            _ => Refusal::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_apart_by_their_members() {
        let cases = [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#,
                Some(Control::Reply),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"heartbeat"}"#,
                Some(Control::Heartbeat),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick"}}"#,
                Some(Control::Push),
            ),
            (r#"{"hello":1}"#, Some(Control::Unknown)),
            (r#"{"method":5,"method":6}"#, Some(Control::Unknown)),
            (r#"{"method":5,"method":6"#, None),
            (r#"{"result":5,"result":6]}"#, None),
            ("[]", None),
            ("null", None),
            ("{", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Control::classify(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn errors_keep_their_code_and_their_words() {
        let text = r#"{"jsonrpc":"2.0","error":{"message":"정상적인 JSON-RPC 형식이 아닙니다","code":47}}"#;
        let Some(Control::Error(error)) = Control::classify(text.as_bytes()) else {
            panic!("an error")
        };
        assert_eq!(
            (error.code, error.message.as_str()),
            (47, "정상적인 JSON-RPC 형식이 아닙니다")
        );
        assert_eq!(error.refusal(), Refusal::Retry);
        for code in [10_070, 13_001, 13_003] {
            assert_eq!(
                ServerError {
                    code,
                    message: String::new()
                }
                .refusal(),
                Refusal::Key
            );
        }
        let Some(Control::Error(error)) = Control::classify(br#"{"error":{"code":"13004"}}"#) else {
            panic!("an error")
        };
        assert_eq!(error.code, 13_004);
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(Control::classify(deep.as_bytes()), None);
    }
}
