//! Turns rows of the per-issue service back into messages. Pure.
//!
//! | rows of a frame | text |
//! |---|---|
//! | a row, or adjoining rows of `changes` | a push: an object whose keys are those of the columns, then the members of `extra` as they were sent |
//! | a snapshot | none: it answers the registration of its pair |
//! | quarantined records | `raw`, at their place |
//! | several of these | an array of them |
//! | what is quarantined without a place | as for the full-market service ([`super::message`]) |
//!
//! Which key of several a value had, whether it was a number or a string, a null that was sent, and whether several objects
//! came in an array or one after the other is not recorded: it makes no difference to what is decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use krx_exchange::{PushFrame, PushPart, push_text};
use krx_protocol::Reason;
use krx_protocol::per_issue::{FieldKind, Pair, Preset, Value};
use krx_store::read::{QuarantineRow, Record};
use serde_json::Value as Json;

use super::message::{Place, Withheld, is_server_error, members_of};

/// What is to be sent for a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pushes {
    /// Its parts; none if the frame only answered registrations.
    pub parts: Vec<PushPart>,
    /// What is around them.
    pub frame: PushFrame,
    /// The rows of the frame, those that only answered registrations among them; not those of quarantine.
    pub rows: u32,
    /// Records left out because they are not text.
    pub left_out: u32,
    /// Whether a server error among other records is left out: those after it have other numbers then.
    pub has_lost_error: bool,
}

/// Builds messages, one frame after the other.
#[derive(Debug, Default)]
pub(crate) struct PushBuilder {
    parts: Vec<PushPart>,
    /// A push of `change`, to which the next row may belong.
    changes: Option<Changes>,
    /// Pairs that have come before: a day has a few hundred.
    pairs: BTreeMap<Pair, Arc<Pair>>,
    end: Option<String>,
    whole: Option<(Vec<u8>, bool)>,
    rows: u32,
    left_out: u32,
    has_lost_error: bool,
}

/// Rows of `changes` that can have come in one push.
#[derive(Debug)]
struct Changes {
    code: String,
    kind: String,
    extra: Option<String>,
    /// The items so far, each with its text in JSON.
    items: Vec<(String, String)>,
}

impl PushBuilder {
    /// Adds a row. Rows must come in order of `item`.
    pub(crate) fn row(&mut self, row: &Record<'_>) {
        self.rows += 1;
        if row.is_snapshot() {
            return self.end_changes();
        }
        let [Value::Text(field), value] = row.values[..] else {
            self.end_changes();
            return self.push(row.preset, row.code, &params(row, Some(row.preset)));
        };
        let item = (field.to_owned(), as_item(value));
        match &mut self.changes {
            Some(changes) if changes.takes(row, field) => changes.items.push(item),
            _ => {
                self.end_changes();
                self.changes = Some(Changes {
                    code: row.code.to_owned(),
                    kind: row.kind.to_owned(),
                    extra: row.extra.map(str::to_owned),
                    items: vec![item],
                });
            }
        }
    }

    /// Adds a row of quarantine. Rows without `item` come last.
    pub(crate) fn rejected(&mut self, row: &QuarantineRow) {
        self.end_changes();
        let is_error = row.reason == Reason::ServerError.as_str();
        let text = || String::from_utf8(row.raw.clone());
        match Place::of(row.item, &row.reason, &row.raw) {
            Place::End => self.end = Some(String::new()),
            Place::Whole => self.whole = Some((row.raw.clone(), is_error)),
            Place::AfterArray => match text() {
                Ok(text) => self.end = Some(format!("]{text}")),
                Err(_) => self.left_out += 1,
            },
            Place::InArray { is_last } => match text() {
                Err(_) => self.left_out += 1,
                Ok(_) if is_error => self.has_lost_error = true,
                Ok(text) => {
                    self.parts.push(PushPart { pair: None, text });
                    if is_last {
                        self.end = Some(String::new());
                    }
                }
            },
        }
    }

    /// What is to be sent, and the next frame begins.
    ///
    /// # Errors
    /// [`Withheld`], if it must not be sent.
    pub(crate) fn finish(&mut self) -> Result<Pushes, Withheld> {
        self.end_changes();
        let (mut parts, end) = (std::mem::take(&mut self.parts), self.end.take());
        let (rows, left_out) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.left_out));
        let has_lost_error = std::mem::take(&mut self.has_lost_error);
        if let Some((raw, server_error)) = self.whole.take() {
            if server_error || is_server_error(&raw) {
                return Err(Withheld::ServerError);
            }
            let text = String::from_utf8(raw).map_err(|_| Withheld::NotText)?;
            parts = vec![PushPart { pair: None, text }];
            return Ok(Pushes {
                parts,
                frame: PushFrame::Bare,
                rows,
                left_out,
                has_lost_error,
            });
        }
        let frame = match end {
            None if parts.len() <= 1 => PushFrame::Bare,
            end => PushFrame::Array {
                end: end.unwrap_or_else(|| "]".to_owned()),
            },
        };
        Ok(Pushes {
            parts,
            frame,
            rows,
            left_out,
            has_lost_error,
        })
    }

    fn end_changes(&mut self) {
        if let Some(changes) = self.changes.take() {
            let params = changes.params();
            self.push(Preset::Change, &changes.code, &params);
        }
    }

    fn push(&mut self, preset: Preset, code: &str, params: &str) {
        let pair = Pair {
            preset,
            code: code.to_owned(),
        };
        let known = self.pairs.entry(pair);
        let pair = match known {
            std::collections::btree_map::Entry::Occupied(known) => Arc::clone(known.get()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let pair = Arc::new(place.key().clone());
                Arc::clone(place.insert(pair))
            }
        };
        let text = push_text(params);
        self.parts.push(PushPart {
            pair: Some(pair),
            text,
        });
    }
}

impl Changes {
    /// Whether a row with this item can be of the same push: none that we were sent has an item twice.
    fn takes(&self, row: &Record<'_>, field: &str) -> bool {
        (self.code.as_str(), self.kind.as_str(), self.extra.as_deref()) == (row.code, row.kind, row.extra)
            && self.items.iter().all(|(known, _)| known != field)
    }

    fn params(&self) -> String {
        let mut params = Params::new(&self.code);
        for (field, value) in &self.items {
            params.member(field, value);
        }
        params.finish(self.extra.as_deref())
    }
}

/// The states that answered the registrations of one pair, in the making: rows come in any order.
#[derive(Debug, Default)]
pub(crate) struct StateBuilder {
    /// By frame; those of preset `change` by item.
    states: BTreeMap<u64, BTreeMap<i16, State>>,
}

/// A row of a state.
#[derive(Debug)]
struct State {
    code: String,
    extra: Option<String>,
    /// The whole state, or the value of an item.
    text: String,
    item: Option<String>,
}

impl StateBuilder {
    /// Adds a row; the states of the first `states_max` frames are kept.
    pub(crate) fn row(&mut self, row: &Record<'_>, states_max: usize) {
        let (text, item) = match row.values[..] {
            [Value::Text(field), value] => (as_item(value), Some(field.to_owned())),
            _ => (params(row, None), None),
        };
        let state = State {
            code: row.code.to_owned(),
            extra: row.extra.map(str::to_owned),
            text,
            item,
        };
        self.states.entry(row.frame).or_default().insert(row.item, state);
        if self.states.len() > states_max {
            self.states.pop_last();
        }
    }

    /// Each as a JSON object, in the order of their frames.
    pub(crate) fn finish(self) -> Vec<String> {
        self.states.into_values().filter_map(as_state).collect()
    }
}

/// The state that the rows of a frame are, as a JSON object.
fn as_state(rows: BTreeMap<i16, State>) -> Option<String> {
    let first = rows.values().next()?;
    if first.item.is_none() {
        return Some(first.text.clone());
    }
    let mut state = Params::new(&first.code);
    for row in rows.values() {
        state.member(row.item.as_deref().unwrap_or_default(), &row.text);
    }
    Some(state.finish(first.extra.as_deref()))
}

/// The members of a row as a JSON object, with the preset if it is a push.
fn params(row: &Record<'_>, preset: Option<Preset>) -> String {
    let mut params = Params::new(row.code);
    if let Some(preset) = preset {
        params.member("preset", &Json::from(preset.as_str()).to_string());
    }
    for (field, value) in row.table.fields().iter().zip(&row.values) {
        // The decoder fills a clock from the digits, and a column without keys from what is registered.
        let is_clock = matches!(field.kind, FieldKind::TradeClock | FieldKind::OrderClock);
        if let (Some(key), false, Some(text)) = (field.sources.first(), is_clock, as_json(*value)) {
            params.member(key, &text);
        }
    }
    params.finish(row.extra)
}

/// A JSON object in the making.
struct Params(String);

impl Params {
    fn new(code: &str) -> Self {
        Self(format!("{{\"isuSrtCd\":{}", Json::from(code)))
    }

    fn member(&mut self, key: &str, value: &str) {
        self.0.push(',');
        self.0.push_str(&Json::from(key).to_string());
        self.0.push(':');
        self.0.push_str(value);
    }

    /// With the members of `extra`, a JSON object.
    fn finish(mut self, extra: Option<&str>) -> String {
        if let Some(members) = members_of(extra) {
            self.0.push(',');
            self.0.push_str(members);
        }
        self.0.push('}');
        self.0
    }
}

/// A value as JSON; `None` for one that was not sent.
fn as_json(value: Value<'_>) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Integer(integer) => integer.to_string(),
        Value::Decimal(decimal) => Json::from(decimal).to_string(),
        Value::Word(place) => (place + 1).to_string(),
        Value::Text(text) => Json::from(text).to_string(),
    })
}

/// The value of an item as JSON: a number if it may have been one, since its column has the same text for both.
fn as_item(value: Value<'_>) -> String {
    let Value::Text(text) = value else {
        return "null".to_owned();
    };
    let is_number =
        text.len() <= NUMBER_CHARS_MAX && serde_json::from_str::<serde_json::Number>(text).is_ok();
    if is_number && text.trim() == text {
        text.to_owned()
    } else {
        Json::from(text).to_string()
    }
}

/// Numbers as long as this are numbers to any reader of JSON.
const NUMBER_CHARS_MAX: usize = 15;

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
