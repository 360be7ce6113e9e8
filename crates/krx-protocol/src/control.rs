//! Messages that are an object instead of an array of trades: reply, error, heartbeat or push, judged by their members.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::scan::without_leading_zeros;

/// What an object message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The answer to an accepted request (`result`).
    Reply,
    /// The server checks whether the channel is alive, or answers such a check.
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
    /// The code from the guide's error table; 0 when none was sent.
    pub code: i64,
    /// Koscom's text, usually in Korean.
    pub message: String,
}

/// What an error code asks the client to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key or the terminal is refused: retrying soon would be hammering.
    Key,
    /// The server asks for a new connection, shortly.
    Reconnect,
    /// Nothing: the server has a problem of its own, or a single request was wrong.
    Nothing,
}

/// Members as raw text, since the sender decides their size: parsed into values, a megabyte would become twenty.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    result: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct ErrorMembers<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// A JSON string's text.
pub(crate) fn string_of(value: &RawValue) -> Option<Cow<'_, str>> {
    /// An escaped string is unescaped, and a plain one borrowed.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(value.get())
        .ok()
        .map(|text| text.0)
}

impl Control {
    /// Classifies an object message; `None` when `text` is not a JSON object. As in data, numbers may have leading
    /// zeros.
    #[must_use]
    pub fn classify(text: &[u8]) -> Option<Self> {
        Self::of_json(text).or_else(|| Self::of_json(&without_leading_zeros(text)?))
    }

    fn of_json(text: &[u8]) -> Option<Self> {
        let members: Members<'_> = match serde_json::from_slice(text) {
            Ok(members) => members,
            // Valid JSON with duplicate members is still an object; what follows the duplicate has not been checked
            // yet.
            Err(error) if error.is_data() && is_object(text) => return Some(Self::Unknown),
            Err(_) => return None,
        };
        if !text.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let method = members.method.and_then(string_of);
        Some(match (method.as_deref(), members.error) {
            (Some("heartbeat"), _) => Self::Heartbeat,
            (Some("push"), _) => Self::Push,
            (_, Some(error)) => Self::Error(ServerError::from_raw(error)),
            (_, None) if members.result.is_some() => Self::Reply,
            _ => Self::Unknown,
        })
    }
}

fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

impl ServerError {
    /// The value of a member `error`.
    pub(crate) fn from_raw(error: &RawValue) -> Self {
        // Anything that is not an object, or has a duplicate member, is still an error, reported as it was sent.
        let members: ErrorMembers<'_> = match error.get() {
            // serde would take an array's elements for members.
            text if text.starts_with('{') => serde_json::from_str(text).unwrap_or_default(),
            _ => ErrorMembers::default(),
        };
        let code = members.code.and_then(|code| match string_of(code) {
            Some(text) => text.trim().parse().ok(),
            None => code.get().parse().ok(),
        });
        let message = members.message.and_then(string_of);
        Self {
            code: code.unwrap_or(0),
            message: message.map_or_else(|| error.get().to_owned(), Cow::into_owned),
        }
    }

    /// Code and message, as the server has them. They may hold anything, the key too.
    #[must_use]
    pub fn words(&self) -> String {
        format!("error {}: {}", self.code, self.message)
    }

    /// What the code means, from the guide's error table: for text that must not repeat the server's own words, which
    /// may contain the key.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        match self.code {
            47 => "malformed JSON-RPC",
            10_040 => "no such issue",
            10_070 | 13_001 => "customer data do not match",
            13_003 => "terminated terminal",
            13_004 => "reconnect shortly",
            10_080 | 20_054 => "server error",
            10_090 => "data under maintenance",
            _ => "a code that the guide does not have",
        }
    }

    /// What the code asks us to do, from the guide's error table: 10070 and 13001 (customer data do not match) and
    /// 13003 (terminated terminal) refuse the key; 13004 says to reconnect shortly.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self.code {
            10_070 | 13_001 | 13_003 => Refusal::Key,
            13_004 => Refusal::Reconnect,
            _ => Refusal::Nothing,
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
            (r#"{"id":007,"result":{"message":"ok"}}"#, Some(Control::Reply)),
            (r#"{"id":007,"result":{"message":"ok"}"#, None),
            ("[007]", None),
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
        assert_eq!(error.refusal(), Refusal::Nothing);
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
        assert_eq!((error.code, error.refusal()), (13_004, Refusal::Reconnect));
    }

    #[test]
    fn errors_of_every_shape_are_errors() {
        let cases = [
            (r#"{"error":"no"}"#, 0, "\"no\""),
            (r#"{"error":[1, 2]}"#, 0, "[1, 2]"),
            (r#"{"error":{"code":013004}}"#, 13_004, r#"{"code":13004}"#),
            (r#"{"error":{"code":13004.0}}"#, 0, r#"{"code":13004.0}"#),
            (
                r#"{"error":{"code":99999999999999999999}}"#,
                0,
                r#"{"code":99999999999999999999}"#,
            ),
            (
                r#"{"error":{"code":" 47 ","message":7}}"#,
                47,
                r#"{"code":" 47 ","message":7}"#,
            ),
            (r#"{"error":{"code":1,"code":2}}"#, 0, r#"{"code":1,"code":2}"#),
            (r#"{"error":{"code":5,"message":"\u0041\n"}}"#, 5, "A\n"),
            (
                r#"{"id":null,"error":{"code":-1,"message":"","data":[[]]}}"#,
                -1,
                "",
            ),
        ];
        for (text, code, message) in cases {
            let expected = ServerError {
                code,
                message: message.to_owned(),
            };
            assert_eq!(
                Control::classify(text.as_bytes()),
                Some(Control::Error(expected)),
                "{text}"
            );
        }
        assert_eq!(
            Control::classify(br#"{"error":null,"result":1}"#),
            Some(Control::Reply)
        );
        assert_eq!(
            Control::classify(br#"{"method":"\u0068eartbeat"}"#),
            Some(Control::Heartbeat)
        );
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(Control::classify(deep.as_bytes()), None);
    }
}
