//! The rows that a text of the per-issue service must become, following docs/protocol.md in the plainest way.
//!
//! It knows what the simulator sends, not all that a server could send.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::{Column, DATASETS, How, dataset_of};
use super::registered::Registered;
use crate::expected::kind;

/// What a part of a text must become.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece<'t> {
    /// A row of a dataset.
    Row(Row<'t>),
    /// A row of `quarantine`.
    Rejected {
        item: Option<i16>,
        reason: &'static str,
        raw: &'t str,
    },
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row<'t> {
    /// Its place in [`DATASETS`].
    pub(super) dataset: usize,
    pub(super) item: i16,
    pub(super) code: &'t str,
    pub(super) kind: &'static str,
    /// One for each column.
    pub(super) values: Vec<Value<'t>>,
    pub(super) extra: Option<String>,
}

/// What must be in a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'t> {
    Null,
    Integer(i64),
    /// The number's text.
    Decimal(&'t str),
    Text(&'t str),
}

/// The members of an object in their order, each value as its text.
struct Members<'t>(Vec<(&'t str, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl<'t> Members<'t> {
    fn of(text: &'t str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A member's value as its text.
    fn get(&self, name: &str) -> Option<&'t str> {
        let found = self.0.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.get())
    }
}

/// A string without its quotes; anything else as it is.
fn unquoted(raw: &str) -> &str {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    inner.unwrap_or(raw)
}

/// The text as JSON: a number with leading zeros, which are no JSON, becomes a string of the same digits.
pub(super) fn as_json(text: &str) -> Cow<'_, str> {
    let (mut json, mut done) = (String::new(), 0);
    for (colon, _) in text.match_indices("\":0") {
        let start = colon + 2;
        let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 1 {
            json.push_str(&text[done..start]);
            json.push('"');
            json.push_str(&text[start..start + digits]);
            json.push('"');
            done = start + digits;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    json.push_str(&text[done..]);
    Cow::Owned(json)
}

/// What a text, made JSON, must become; nothing for answers without data and for heartbeats. And how many good records it
/// has: a push of `change` is one, and becomes several rows.
pub(super) fn pieces<'t>(text: &'t str, registered: &Registered<'_>) -> (Vec<Piece<'t>>, u32) {
    let mut output = Output {
        registered,
        item: 0,
        records: 0,
        pieces: Vec::new(),
    };
    match text.as_bytes().first() {
        Some(b'{') => output.objects(text),
        Some(b'[') => output.elements(text),
        _ => output.reject_all("malformed_json", text),
    }
    (output.pieces, output.records)
}

struct Output<'r, 't> {
    registered: &'r Registered<'r>,
    /// The next row's.
    item: i16,
    records: u32,
    pieces: Vec<Piece<'t>>,
}

impl<'t> Output<'_, 't> {
    fn reject_all(&mut self, reason: &'static str, raw: &'t str) {
        self.pieces.push(Piece::Rejected {
            item: None,
            reason,
            raw,
        });
    }

    fn reject(&mut self, reason: &'static str, raw: &'t str) {
        self.pieces.push(Piece::Rejected {
            item: Some(self.item),
            reason,
            raw,
        });
        self.item += 1;
    }

    /// One object, or several one after the other.
    fn objects(&mut self, text: &'t str) {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        while let Some(Ok(raw)) = values.next() {
            self.element(raw.get(), raw.get().len() == text.len());
        }
    }

    /// An array, of which the end may be missing.
    fn elements(&mut self, text: &'t str) {
        let mut rest = &text[1..];
        loop {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(raw)) => self.element(raw.get(), false),
                _ => return self.reject("truncated", rest),
            }
            match rest[values.byte_offset()..].strip_prefix(',') {
                Some(more) => rest = more,
                None => return,
            }
        }
    }

    fn element(&mut self, raw: &'t str, is_alone: bool) {
        let Some(members) = Members::of(raw) else {
            return self.reject("not_an_object", raw);
        };
        let method = members.get("method").map(unquoted);
        let reason = match (method, members.get("error"), members.get("result")) {
            (Some("push"), ..) => {
                let params = members.get("params").and_then(Members::of);
                return self.data(&params.unwrap_or(Members(Vec::new())), None, raw);
            }
            (Some("heartbeat"), ..) => return,
            (_, Some(_), _) => {
                let id = members.get("id");
                if id.is_some_and(|id| self.registered.preset_of(id).is_some()) {
                    return;
                }
                "server_error"
            }
            (_, _, Some(result)) => {
                if let Some(state) = Members::of(result)
                    && state.get("isuSrtCd").is_some()
                {
                    self.data(&state, Some(members.get("id").unwrap_or_default()), raw);
                }
                return;
            }
            _ => "unknown_message",
        };
        if is_alone {
            self.reject_all(reason, raw);
        } else {
            self.reject(reason, raw);
        }
    }

    /// A push, or the state that answers the request `answered`.
    fn data(&mut self, data: &Members<'t>, answered: Option<&str>, raw: &'t str) {
        let code = data.get("isuSrtCd").map(unquoted).unwrap_or_default();
        let preset = match (data.get("preset"), answered) {
            (Some(preset), _) => Some(unquoted(preset)),
            (None, Some(id)) => self.registered.preset_of(id),
            (None, None) => Some("change"),
        };
        let preset = preset.and_then(|preset| self.registered.pair(preset, code));
        let dataset = preset.and_then(|preset| dataset_of(preset, self.registered.is_derivative(code)));
        let (Some(preset), Some(dataset)) = (preset, dataset) else {
            return self.reject("not_registered", raw);
        };
        let of = Of {
            dataset,
            code,
            kind: kind_of(data, answered.is_some()),
        };
        self.records += 1;
        if preset == "change" {
            self.changes(of, data);
        } else {
            self.record(of, preset, data);
        }
    }

    fn row(&mut self, of: Of<'t>, values: Vec<Value<'t>>, extra: &[String]) {
        let extra = (!extra.is_empty()).then(|| format!("{{{}}}", extra.join(",")));
        self.pieces.push(Piece::Row(Row {
            dataset: of.dataset,
            item: self.item,
            code: of.code,
            kind: of.kind,
            values,
            extra,
        }));
        self.item += 1;
    }

    fn changes(&mut self, of: Of<'t>, data: &Members<'t>) {
        let is_item = |key: &str| !matches!(key, "isuSrtCd" | "isuCd" | "preset");
        let standard = data.0.iter().filter(|(key, _)| *key == "isuCd");
        let extra: Vec<_> = standard.map(|(key, raw)| member(key, raw.get())).collect();
        for (key, raw) in data.0.iter().filter(|(key, _)| is_item(key)) {
            let value = match raw.get() {
                "null" => Value::Null,
                raw => Value::Text(unquoted(raw)),
            };
            self.row(of, vec![Value::Text(key), value], &extra);
        }
    }

    fn record(&mut self, of: Of<'t>, preset: &str, data: &Members<'t>) {
        let dataset = &DATASETS[of.dataset];
        let mut values = vec![Value::Null; dataset.columns.len()];
        let mut extra = Vec::new();
        for (key, raw) in &data.0 {
            let raw = raw.get();
            if matches!(*key, "isuSrtCd" | "preset") {
                continue;
            }
            let Some(&place) = dataset.keys.get(*key) else {
                extra.push(member(key, raw));
                continue;
            };
            let text = unquoted(raw);
            match dataset.columns[place].how {
                How::Word(words) => {
                    let number = text.parse::<usize>().ok();
                    let word = number.and_then(|number| words.get(number.checked_sub(1)?));
                    match word {
                        Some(word) => values[place] = Value::Text(word),
                        None => extra.push(member(key, raw)),
                    }
                }
                How::Decimal => values[place] = Value::Decimal(text),
                how => {
                    // A number that is none stays null, and is told apart.
                    values[place] = text.parse().map_or(Value::Null, Value::Integer);
                    if how == How::Digits && dataset.columns[..place].last().is_some_and(Column::is_clock) {
                        values[place - 1] = clock(values[place]);
                    }
                }
            }
        }
        if let Some(place) = dataset
            .columns
            .iter()
            .position(|column| column.how == How::Preset)
        {
            values[place] = Value::Text(preset_word(preset));
        }
        self.row(of, values, &extra);
    }
}

/// What all rows of an object have in common.
#[derive(Clone, Copy)]
struct Of<'t> {
    dataset: usize,
    code: &'t str,
    kind: &'static str,
}

fn member(key: &str, raw: &str) -> String {
    format!("\"{key}\":{raw}")
}

/// The milliseconds of the day that digits mean, unless they are a signal.
fn clock(digits: Value<'_>) -> Value<'static> {
    let Value::Integer(digits) = digits else {
        return Value::Null;
    };
    let millis = i32::try_from(digits).ok().and_then(crate::expected::clock_ms);
    millis.map_or(Value::Null, Value::Integer)
}

fn preset_word(preset: &str) -> &'static str {
    if preset == "tick10" { "tick10" } else { "tick" }
}

fn kind_of(data: &Members<'_>, is_snapshot: bool) -> &'static str {
    let time = data.get("trdTm").and_then(|raw| unquoted(raw).parse().ok());
    match time {
        _ if is_snapshot => "snapshot",
        Some(time) => kind(time),
        None => "update",
    }
}
