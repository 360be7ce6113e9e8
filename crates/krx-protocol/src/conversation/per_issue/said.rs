//! What a message of the server says to us, read as far as the conversation needs it: who is answered, and which pair
//! a push is for. The values are the decoder's to read.
//!
//! A message may be an object, several of them one after the other, or an array. What is not JSON says nothing, from
//! the broken piece on: an answer that is lost with it is missed, and asked for again.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::control::{ServerError, string_of};
use crate::per_issue::Preset;
use crate::scan::{without_byte_order_mark, without_leading_zeros};

/// One object of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// Data that was registered.
    Push(Subject<'a>),
    /// A request is accepted; if there is a code, with the current state of an issue.
    Reply(Option<u64>, Subject<'a>),
    /// A request is refused, or something else is wrong.
    Error(Option<u64>, ServerError),
    /// The server checks the channel, or answers such a check.
    Heartbeat,
    /// Anything else.
    Other,
}

/// Which pair an object is about, as far as it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subject<'a> {
    pub(super) preset: Option<Cow<'a, str>>,
    pub(super) code: Option<Cow<'a, str>>,
}

impl Subject<'_> {
    /// The pair that a push is for. Those of preset `change` do not name it.
    pub(super) fn pair_of_push(&self) -> Option<(Preset, &str)> {
        let preset = match self.preset.as_deref() {
            None => Preset::Change,
            Some(word) => word.parse().ok()?,
        };
        Some((preset, self.code.as_deref()?))
    }
}

/// Tells what each object of a message says, in their order.
pub(super) fn read(message: &[u8], mut told: impl FnMut(Said<'_>)) {
    let text = without_byte_order_mark(message);
    if let Some(subject) = glance(text) {
        return told(Said::Push(subject));
    }
    if text.trim_ascii().is_empty() {
        return;
    }
    let mut seen = 0;
    if values(text, &mut seen, 0, &mut told).is_err() {
        // The guide prints numbers with leading zeros. Without them, the message has the same objects in the same
        // places, and those that were told are passed over.
        if let Some(repaired) = without_leading_zeros(text) {
            let _ = values(&repaired, &mut 0, seen, &mut told);
        }
    }
}

/// The subject of a message that is one push, written as the guide prints it: nearly all messages are. The values are
/// not looked at, so that one of them may be spoilt; it is a push all the same.
fn glance(text: &[u8]) -> Option<Subject<'_>> {
    let rest = text.strip_prefix(br#"{"jsonrpc":"2.0","method":"push","params":{"preset":""#)?;
    let (preset, rest) = plain_word(rest)?;
    let (code, rest) = plain_word(rest.strip_prefix(br#","isuSrtCd":""#)?)?;
    // Without another brace that opens, no other object follows.
    (rest.ends_with(b"}}") && !rest.contains(&b'{')).then_some(Subject {
        preset: Some(preset.into()),
        code: Some(code.into()),
    })
}

/// A string up to its quote, in which nothing is escaped, and what follows.
fn plain_word(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    let word = std::str::from_utf8(&text[..end]).ok()?;
    Some((word, text[end..].strip_prefix(b"\"")?))
}

/// Reads one value after the other. `seen` counts the objects, of which the first `passed_over` are not told.
fn values(
    text: &[u8],
    seen: &mut usize,
    passed_over: usize,
    told: &mut dyn FnMut(Said<'_>),
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    loop {
        Objects {
            nested: false,
            seen: &mut *seen,
            passed_over,
            told: &mut *told,
        }
        .deserialize(&mut reader)?;
        if reader.end().is_ok() {
            return Ok(());
        }
    }
}

/// Reads an object, or those of an array.
struct Objects<'r> {
    nested: bool,
    seen: &'r mut usize,
    passed_over: usize,
    told: &'r mut dyn FnMut(Said<'_>),
}

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The values that are neither object nor array say nothing.
macro_rules! scalars_are {
    ($nothing:expr) => {
        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok($nothing)
        }
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
}

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    scalars_are!(());

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if self.nested {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        loop {
            let element = Objects {
                nested: true,
                seen: &mut *self.seen,
                passed_over: self.passed_over,
                told: &mut *self.told,
            };
            if elements.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        let said = said(members)?;
        *self.seen += 1;
        if *self.seen > self.passed_over {
            (self.told)(said);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Id,
    Method,
    Params,
    Result,
    Error,
    #[serde(other)]
    Other,
}

/// Judges an object as [`crate::Control`] does; one with a duplicate member is something else.
fn said<'de, A: MapAccess<'de>>(mut members: A) -> Result<Said<'de>, A::Error> {
    let (mut id, mut method, mut error) = (None, None, None);
    let (mut params, mut result) = (None, None);
    let mut twice = false;
    while let Some(member) = members.next_key::<Member>()? {
        twice |= match member {
            Member::Id => id.replace(members.next_value::<&RawValue>()?).is_some(),
            Member::Method => method.replace(members.next_value::<&RawValue>()?).is_some(),
            Member::Error => error.replace(members.next_value::<&RawValue>()?).is_some(),
            Member::Params => params.replace(members.next_value::<Part<'_>>()?).is_some(),
            Member::Result => result.replace(members.next_value::<Part<'_>>()?).is_some(),
            Member::Other => {
                members.next_value::<IgnoredAny>()?;
                false
            }
        };
    }
    let id = id.and_then(id_of);
    let method = method.and_then(string_of);
    let error = error.filter(|error| error.get() != "null");
    Ok(match (method.as_deref(), error, result) {
        _ if twice => Said::Other,
        (Some("heartbeat"), _, _) => Said::Heartbeat,
        (Some("push"), _, _) => match params {
            Some(Part::Object(subject)) => Said::Push(subject),
            _ => Said::Push(Subject::default()),
        },
        (_, Some(error), _) => Said::Error(id, ServerError::from_raw(error)),
        (_, _, Some(Part::Object(subject))) => Said::Reply(id, subject),
        (_, _, Some(Part::Value)) => Said::Reply(id, Subject::default()),
        _ => Said::Other,
    })
}

/// An id is a number; a server that sends it back as a string means the same.
fn id_of(value: &RawValue) -> Option<u64> {
    match string_of(value) {
        Some(text) => text.trim().parse().ok(),
        None => value.get().parse().ok(),
    }
}

/// What `params` or `result` is.
enum Part<'a> {
    Null,
    Value,
    Object(Subject<'a>),
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Field {
    #[serde(rename = "preset")]
    Preset,
    #[serde(rename = "isuSrtCd")]
    Code,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Part<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Part<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("params or a result")
            }

            scalars_are!(Part::Value);

            fn visit_none<E: de::Error>(self) -> Result<Part<'de>, E> {
                Ok(Part::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Part<'de>, D::Error> {
                value.deserialize_any(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Part<'de>, A::Error> {
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Part::Value)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Part<'de>, A::Error> {
                let mut subject = Subject::default();
                while let Some(field) = fields.next_key::<Field>()? {
                    // Of several, the first counts, as at a glance.
                    match field {
                        Field::Preset => {
                            let word = string_of(fields.next_value::<&RawValue>()?);
                            subject.preset = subject.preset.or(word);
                        }
                        Field::Code => {
                            let word = string_of(fields.next_value::<&RawValue>()?);
                            subject.code = subject.code.or(word);
                        }
                        Field::Other => {
                            fields.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Part::Object(subject))
            }
        }
        // An option, so that null is told from other values.
        deserializer.deserialize_option(Parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a message says, in short.
    fn words(message: &str) -> Vec<String> {
        let mut words = Vec::new();
        let subject = |subject: &Subject<'_>| {
            let word = |word: &Option<Cow<'_, str>>| word.as_deref().unwrap_or("-").to_owned();
            format!("{} {}", word(&subject.preset), word(&subject.code))
        };
        let id = |id: Option<u64>| id.map_or("-".to_owned(), |id| id.to_string());
        read(message.as_bytes(), |said| {
            words.push(match said {
                Said::Push(of) => format!("push {}", subject(&of)),
                Said::Reply(to, of) => format!("reply {} {}", id(to), subject(&of)),
                Said::Error(to, error) => format!("error {} {}", id(to), error.code),
                Said::Heartbeat => "heartbeat".to_owned(),
                Said::Other => "other".to_owned(),
            });
        });
        words
    }

    #[test]
    fn one_object_says_who_is_answered_or_what_it_is_about() {
        let cases = [
            (
                r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick","isuSrtCd":"005930"}}"#,
                "push tick 005930",
            ),
            (
                r#"{"params":{"trdPrc":1,"isuSrtCd":"00593\u0030"},"method":"p\u0075sh"}"#,
                "push - 005930",
            ),
            (
                r#"{"method":"push","params":{"preset":7,"isuSrtCd":5930}}"#,
                "push - -",
            ),
            (r#"{"method":"push","params":[1,[2]]}"#, "push - -"),
            (r#"{"method":"push"}"#, "push - -"),
            (r#"{"id":7,"result":{"message":"ok"}}"#, "reply 7 - -"),
            (r#"{"id":"7","result":true}"#, "reply 7 - -"),
            (r#"{"result":"ok","id":null}"#, "reply - - -"),
            (r#"{"id":7.0,"result":[]}"#, "reply - - -"),
            (r#"{"id":-7,"result":-1}"#, "reply - - -"),
            (r#"{"id":99999999999999999999,"result":0.5}"#, "reply - - -"),
            (
                r#"{"id":7,"result":{"isuSrtCd":"005930","trdTm":09450155}}"#,
                "reply 7 - 005930",
            ),
            (r#"{"id":007,"result":{}}"#, "reply 7 - -"),
            (r#"{"id":7,"error":null,"result":{}}"#, "reply 7 - -"),
            (
                r#"{"id":7,"error":{"code":10040,"message":"x"}}"#,
                "error 7 10040",
            ),
            (r#"{"error":{"code":"47"},"result":1}"#, "error - 47"),
            (r#"{"id":1,"method":"heartbeat"}"#, "heartbeat"),
            (r#"{"id":7,"result":null}"#, "other"),
            (r#"{"id":7,"id":8,"result":{}}"#, "other"),
            (r#"{"hello":[{"id":7,"result":{}}]}"#, "other"),
            ("\u{feff} {}", "other"),
        ];
        for (message, expected) in cases {
            assert_eq!(words(message), [expected], "{message}");
        }
    }

    #[test]
    fn each_object_of_a_message_is_told_once_and_in_order() {
        let cases: [(&str, &[&str]); 10] = [
            (
                r#"{"id":7,"result":{}} {"id":8,"result":{}}"#,
                &["reply 7 - -", "reply 8 - -"],
            ),
            (
                r#"{"id":7,"result":{}}{"id":8,"result":{"trdTm":09}}{"id":9,"result":{}}"#,
                &["reply 7 - -", "reply 8 - -", "reply 9 - -"],
            ),
            (
                r#"[{"id":7,"result":{}},1,null,"x",[{"id":9,"result":1}],{"id":08,"result":{}}]"#,
                &["reply 7 - -", "reply 8 - -"],
            ),
            (r#"[{}] {"id":8,"result":{}}"#, &["other", "reply 8 - -"]),
            (r#"{"id":7,"result":{}},{"id":8}"#, &["reply 7 - -"]),
            (r#"[{"id":7,"result":{}},{"id":8"#, &["reply 7 - -"]),
            ("[]", &[]),
            ("", &[]),
            (" \n", &[]),
            ("garbage", &[]),
        ];
        for (message, expected) in cases {
            assert_eq!(words(message), expected, "{message}");
        }
    }

    #[test]
    fn a_glance_sees_what_reading_sees() {
        let push = |rest: &str| {
            format!(r#"{{"jsonrpc":"2.0","method":"push","params":{{"preset":"tick","isuSrtCd":"00593{rest}"#)
        };
        let cases = [
            (push(r#"0"}}"#), true),
            (push(r#"0","trdPrc":1310000,"trdTm":09450155}}"#), true),
            (push(r#"0","isuSrtCd":"1","preset":"quote"}}"#), true),
            (push(r#"0","x":[1,[2]],"y":"\"}}"}}"#), true),
            (push(r#"\u0030"}}"#), false),
            (push(r#"0","x":{"isuSrtCd":"1"}}}"#), false),
            (push(r#"0","x":"{"}}"#), false),
            (push(r#"0"}} "#), false),
        ];
        for (message, at_a_glance) in &cases {
            assert_eq!(words(message), ["push tick 005930"], "{message}");
            assert_eq!(glance(message.as_bytes()).is_some(), *at_a_glance, "{message}");
            // A blank makes it be read.
            let read = words(&format!(" {message}"));
            assert_eq!(words(message), read, "{message}");
        }
        let two = push(r#"0"}}"#).repeat(2);
        assert_eq!(words(&two), ["push tick 005930"; 2]);
        let answered = push(r#"0"}}{"id":7,"result":{}}"#);
        assert_eq!(words(&answered), ["push tick 005930", "reply 7 - -"]);
    }

    #[test]
    fn depth_costs_nothing() {
        for open in ["[", "{\"a\":", "{\"result\":[", "[[", "{\"params\":{\"a\":"] {
            assert_eq!(words(&open.repeat(100_000)), Vec::<String>::new());
        }
        let deep = format!(
            r#"{{"id":7,"result":{{"a":{}{}}}}}"#,
            "[".repeat(9_999),
            "]".repeat(9_999)
        );
        assert_eq!(words(&deep), ["reply 7 - -"]);
    }

    #[test]
    fn a_push_names_its_pair_unless_it_is_of_preset_change() {
        let pair = |preset: Option<&'static str>, code: Option<&'static str>| {
            let subject = Subject {
                preset: preset.map(Cow::from),
                code: code.map(Cow::from),
            };
            subject
                .pair_of_push()
                .map(|(preset, code)| format!("{preset}:{code}"))
        };
        assert_eq!(pair(Some("tick10"), Some("005930")).unwrap(), "tick10:005930");
        assert_eq!(pair(None, Some("005930")).unwrap(), "change:005930");
        assert_eq!(pair(Some("tick5"), Some("005930")), None);
        assert_eq!(pair(Some("tick"), None), None);
    }
}
