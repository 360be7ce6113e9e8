//! Which object is what: a push, an answer with data, or control.

use simd_json::{Node, StaticNode};

use crate::parser::node_count;
use crate::reason::Reason;
use crate::record::Refused;

/// The key of an issue's code.
pub(super) const CODE: &str = "isuSrtCd";

/// The key of the standard code, which a push of `change` has beside its items.
pub(super) const STANDARD_CODE: &str = "isuCd";

/// The key of the preset.
pub(super) const PRESET: &str = "preset";

/// An object's members, one after the other: key and value.
pub(super) struct Members<'t, 'a> {
    nodes: &'t [Node<'a>],
    left: usize,
}

impl<'t, 'a> Members<'t, 'a> {
    /// Of the object that `element` is; none of anything else.
    #[inline]
    pub(super) fn of(element: &'t [Node<'a>]) -> Self {
        match element {
            [Node::Object { len, .. }, nodes @ ..] => Self { nodes, left: *len },
            _ => Self { nodes: &[], left: 0 },
        }
    }
}

impl<'t, 'a> Iterator for Members<'t, 'a> {
    type Item = (&'a str, &'t [Node<'a>]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let [Node::String(key), rest @ ..] = self.nodes else {
            return None;
        };
        let (value, nodes) = rest.split_at(node_count(rest));
        self.nodes = nodes;
        Some((key, value))
    }
}

/// Data: an object of fields.
#[derive(Clone, Copy)]
pub(super) struct Data<'t, 'a> {
    pub(super) element: &'t [Node<'a>],
    /// The position of its member within the message's object.
    pub(super) member: usize,
    /// Whether it answers a `subscribe`.
    pub(super) is_snapshot: bool,
    /// The `id` of the message.
    pub(super) id: Option<u64>,
    /// Whether the message has members beside it that no message should have.
    pub(super) has_others: bool,
}

/// What an object is.
pub(super) enum Object<'t, 'a> {
    /// A push, or an answer that may have data.
    Data(Data<'t, 'a>),
    /// A heartbeat, or an answer without data.
    Control,
    /// The server reports an error; the `id` of the request that it answers.
    Error(Option<u64>),
    /// JSON, but nothing that the guide describes.
    Unknown,
}

/// The members that a message may have.
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// Whether a member of a message belongs to every message's form.
pub(super) fn is_of_a_message(key: &str) -> bool {
    MEMBERS.contains(&key)
}

/// A value with its member's position.
type At<'t, 'a> = (usize, &'t [Node<'a>]);

/// Tells an object by its members, as [`crate::Control::classify`] does. Members that are null are as good as absent.
///
/// # Errors
/// When it is to be quarantined: a member is there twice, or a push has no data.
#[inline]
pub(super) fn classify<'t, 'a>(element: &'t [Node<'a>]) -> Result<Object<'t, 'a>, Refused> {
    let mut found: [Option<At<'t, 'a>>; MEMBERS.len()] = [None; MEMBERS.len()];
    let mut has_others = false;
    for (position, (key, value)) in Members::of(element).enumerate() {
        let Some(slot) = MEMBERS.iter().position(|known| *known == key) else {
            has_others = true;
            continue;
        };
        if found[slot].is_some() {
            return Err(Refused(Reason::DuplicateKey, MEMBERS[slot]));
        }
        found[slot] = Some((position, value));
    }
    let not_null = |(_, value): &At<'t, 'a>| !is_null(value);
    let [_, id, method, params, result, error] = found.map(|member| member.filter(not_null));
    let data = |(member, element), is_snapshot| Data {
        element,
        member,
        is_snapshot,
        id: id.and_then(|(_, value)| number(value)),
        has_others,
    };
    Ok(
        match (method.and_then(|(_, value)| string(value)), error, result) {
            (Some("push"), ..) => {
                let params = params.ok_or(Refused(Reason::MissingKey, "params"))?;
                if !matches!(params.1, [Node::Object { .. }, ..]) {
                    return Err(Refused(Reason::NotAnObject, "params"));
                }
                Object::Data(data(params, false))
            }
            (Some("heartbeat"), ..) => Object::Control,
            (_, Some(_), _) => Object::Error(id.and_then(|(_, value)| number(value))),
            (_, None, Some(result)) => match result.1 {
                [Node::Object { .. }, ..] => Object::Data(data(result, true)),
                // It may hold data, in a form that the guide does not describe.
                [Node::Array { len: 1.., .. }, ..] => Object::Unknown,
                _ => Object::Control,
            },
            _ => Object::Unknown,
        },
    )
}

/// What an answer's object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The current state of an issue.
    State,
    /// An acknowledgement.
    Words,
    /// Members that may be data, but without a code.
    Nameless,
}

/// Tells an answer's object by its members.
pub(super) fn answer(result: &[Node<'_>]) -> Answer {
    let keys = || Members::of(result).map(|(key, _)| key);
    if keys().any(|key| key == CODE) {
        Answer::State
    } else if keys().next().is_none() || keys().any(|key| key == "message") {
        Answer::Words
    } else {
        Answer::Nameless
    }
}

pub(super) fn is_null(value: &[Node<'_>]) -> bool {
    matches!(value, [Node::Static(StaticNode::Null), ..])
}

pub(super) fn string<'a>(value: &[Node<'a>]) -> Option<&'a str> {
    match value {
        [Node::String(text), ..] => Some(text),
        _ => None,
    }
}

/// A request's number, which we sent as a number.
fn number(value: &[Node<'_>]) -> Option<u64> {
    match value {
        [Node::Static(StaticNode::U64(number)), ..] => Some(*number),
        [Node::String(text), ..] => text.parse().ok(),
        _ => None,
    }
}
