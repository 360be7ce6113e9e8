//! Packed trade batches: a JSON array of up to fifty objects, decoded record by record into the caller's sink.
//!
//! The usual message takes one pass of simd-json and one walk over its tape. What is not usual (a record that is
//! refused, an unknown key, a message that is not JSON as a whole) is looked at a second time in [`crate::salvage`],
//! which works on the bytes as they were received. All buffers are kept from one frame to the next.

use simd_json::{Buffers, INPUT_PADDING, Node, Tape};

use crate::control::Control;
use crate::issue_code::IssueCode;
use crate::number;
use crate::reason::Reason;
use crate::salvage::{self, Span};
use crate::trade_time::TradeTime;

/// The most records that the guide allows in one message. More are kept, and counted by the caller.
pub const PACKED_RECORDS_MAX: usize = 50;

/// The most elements of one array that are decoded one by one, so that a position fits into 16 bits; what follows
/// is rejected in one piece.
pub const MAX_ITEMS: usize = i16::MAX as usize;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One record that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'a> {
    /// `isuSrtCd`.
    pub code: IssueCode<'a>,
    /// `trdPrc`, KRW.
    pub price: i64,
    /// `trdVol` as sent; whether it is traded or cumulative volume is not known.
    pub volume: i64,
    /// `trdTm`.
    pub time: TradeTime,
    /// The keys that the guide does not name, as a JSON object of the bytes that were sent.
    pub extra: Option<&'a str>,
}

/// Where records go. Items are positions in the frame's array, from 0, and are given in rising order.
pub trait BatchSink {
    /// A record that is whole.
    fn trade(&mut self, item: i16, trade: &Trade<'_>);
    /// Something that is not: one record (`item`), or the message or a piece of it (`None`). `raw` is as received.
    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]);
}

/// What a frame was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// An array with this many elements, whole and rejected ones.
    Batch(usize),
    /// An object; all but replies and heartbeats were given to [`BatchSink::reject`] too.
    Control(Control),
    /// Neither; it was given to [`BatchSink::reject`].
    Rejected,
}

/// Decodes frames; holds the buffers that one frame leaves for the next.
pub struct Decoder {
    parser: Parser,
    spans: Vec<Span>,
    extra: String,
}

/// simd-json with its buffers. The input is copied since it is unescaped in place.
pub(crate) struct Parser {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

/// Why a record is refused: the reason, and the key that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Reason, pub(crate) &'static str);

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder with empty buffers; they grow to the largest frame seen.
    #[must_use]
    pub fn new() -> Self {
        Self {
            parser: Parser::new(),
            spans: Vec::new(),
            extra: String::new(),
        }
    }

    /// Decodes one frame into `sink`.
    pub fn decode(&mut self, frame: &[u8], sink: &mut impl BatchSink) -> Decoded {
        let text = frame.strip_prefix(BYTE_ORDER_MARK).unwrap_or(frame).trim_ascii();
        match text.first() {
            Some(b'[') => Decoded::Batch(self.decode_array(text, sink)),
            Some(b'{') => decode_object(frame, text, sink),
            Some(_) => {
                let scalar = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
                let reason = if scalar {
                    Reason::UnknownMessage
                } else {
                    Reason::MalformedJson
                };
                sink.reject(None, reason, "", frame);
                Decoded::Rejected
            }
            None => {
                sink.reject(None, Reason::EmptyMessage, "", frame);
                Decoded::Rejected
            }
        }
    }

    fn decode_array(&mut self, text: &[u8], sink: &mut impl BatchSink) -> usize {
        self.spans.clear();
        let Self { parser, spans, extra } = self;
        let whole = parser.parse(text, |tape| match tape.first() {
            Some(Node::Array { len, .. }) => Some(walk(text, *len, &tape[1..], spans, extra, sink)),
            _ => None,
        });
        match whole {
            Ok(Some(items)) => items,
            Ok(None) | Err(_) => salvage::decode(text, parser, extra, sink),
        }
    }
}

/// Hands out the `items` elements that follow on the tape.
#[inline]
fn walk(
    text: &[u8],
    items: usize,
    mut tape: &[Node<'_>],
    spans: &mut Vec<Span>,
    extra: &mut String,
    sink: &mut impl BatchSink,
) -> usize {
    for position in 0..items {
        let Ok(item) = i16::try_from(position) else {
            unreachable!("the loop ends at MAX_ITEMS")
        };
        let (element, rest) = tape.split_at(node_count(tape));
        tape = rest;
        match record(element) {
            Ok(Fields { trade, plain: true }) => sink.trade(item, &trade),
            unusual => {
                // The spans of all elements are found once a frame, however many of them are unusual.
                if spans.is_empty() {
                    salvage::split(text, spans);
                }
                let raw = &text[spans[position].clone()];
                give(item, unusual, element, raw, raw, extra, sink);
            }
        }
        if position + 1 == MAX_ITEMS && items > MAX_ITEMS {
            if spans.is_empty() {
                salvage::split(text, spans);
            }
            sink.reject(None, Reason::TooManyRecords, "", &text[spans[MAX_ITEMS].start..]);
            break;
        }
    }
    items
}

/// Gives a record that is refused, or has unknown keys, to the sink. `json` is what was parsed, `raw` what was
/// received.
#[cold]
pub(crate) fn give(
    item: i16,
    decoded: Result<Fields<'_>, Refused>,
    element: &[Node<'_>],
    json: &[u8],
    raw: &[u8],
    extra: &mut String,
    sink: &mut impl BatchSink,
) {
    match decoded {
        Ok(Fields { trade, plain: true }) => sink.trade(item, &trade),
        Ok(Fields { trade, plain: false }) => {
            salvage::unknown_members(element, json, extra);
            sink.trade(
                item,
                &Trade {
                    extra: Some(extra),
                    ..trade
                },
            );
        }
        Err(Refused(reason, key)) => sink.reject(Some(item), reason, key, raw),
    }
}

fn decode_object(frame: &[u8], text: &[u8], sink: &mut impl BatchSink) -> Decoded {
    let Some(control) = Control::classify(text) else {
        sink.reject(None, Reason::MalformedJson, "", frame);
        return Decoded::Rejected;
    };
    match &control {
        Control::Reply | Control::Heartbeat => {}
        Control::Error(error) => {
            sink.reject(
                None,
                Reason::ServerError,
                &format!("{}: {}", error.code, error.meaning()),
                frame,
            );
        }
        Control::Push => sink.reject(None, Reason::Push, "", frame),
        Control::Unknown => sink.reject(None, Reason::UnknownMessage, "", frame),
    }
    Decoded::Control(control)
}

/// A record's four values, and whether it has no others.
pub(crate) struct Fields<'a> {
    pub(crate) trade: Trade<'a>,
    plain: bool,
}

const KEYS: [&str; 4] = ["isuSrtCd", "trdPrc", "trdVol", "trdTm"];

/// Which of [`KEYS`] a key is. The per-issue service spells the volume `trdvol`, and the guide mixes both.
#[inline]
pub(crate) fn known_key(key: &str) -> Option<usize> {
    match key {
        "isuSrtCd" => Some(0),
        "trdPrc" => Some(1),
        "trdVol" | "trdvol" => Some(2),
        "trdTm" => Some(3),
        _ => None,
    }
}

/// Reads one element of the array from its nodes.
#[inline]
pub(crate) fn record<'a>(element: &[Node<'a>]) -> Result<Fields<'a>, Refused> {
    // The guide's own order of keys, and nothing else: nearly every record of a day.
    if let [
        Node::Object { len: 4, .. },
        Node::String("isuSrtCd"),
        code,
        Node::String("trdPrc"),
        price,
        Node::String("trdVol"),
        volume,
        Node::String("trdTm"),
        time,
    ] = element
    {
        return Ok(Fields {
            trade: trade(code, price, volume, time)?,
            plain: true,
        });
    }
    record_in_any_order(element)
}

fn record_in_any_order<'a>(element: &[Node<'a>]) -> Result<Fields<'a>, Refused> {
    let Some(Node::Object { len, .. }) = element.first() else {
        return Err(Refused(Reason::NotAnObject, ""));
    };
    let mut values: [Option<&Node<'a>>; 4] = [None; 4];
    let mut members = &element[1..];
    let mut plain = true;
    for _ in 0..*len {
        let [Node::String(key), rest @ ..] = members else {
            break;
        };
        match known_key(key) {
            Some(slot) if values[slot].is_some() => return Err(Refused(Reason::DuplicateKey, KEYS[slot])),
            Some(slot) => values[slot] = rest.first(),
            None => plain = false,
        }
        members = &rest[node_count(rest)..];
    }
    let value = |slot: usize| values[slot].ok_or(Refused(Reason::MissingKey, KEYS[slot]));
    Ok(Fields {
        trade: trade(value(0)?, value(1)?, value(2)?, value(3)?)?,
        plain,
    })
}

#[inline]
fn trade<'a>(
    code: &Node<'a>,
    price: &Node<'_>,
    volume: &Node<'_>,
    time: &Node<'_>,
) -> Result<Trade<'a>, Refused> {
    let code = match code {
        Node::String(text) => IssueCode::new(text).map_err(|_| Refused(Reason::BadCode, KEYS[0]))?,
        Node::Static(simd_json::StaticNode::Null) => return Err(Refused(Reason::NullValue, KEYS[0])),
        _ => return Err(Refused(Reason::WrongType, KEYS[0])),
    };
    let integer = |node, slot: usize| number::integer(node).map_err(|reason| Refused(reason, KEYS[slot]));
    let (price, volume) = (integer(price, 1)?, integer(volume, 2)?);
    let time = TradeTime::from_digits(integer(time, 3)?).map_err(|_| Refused(Reason::BadTime, KEYS[3]))?;
    Ok(Trade {
        code,
        price,
        volume,
        time,
        extra: None,
    })
}

/// How many nodes the first value of `tape` has, itself included.
#[inline]
pub(crate) fn node_count(tape: &[Node<'_>]) -> usize {
    match tape.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        Some(_) => 1,
        None => 0,
    }
}

impl Parser {
    fn new() -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::default(),
            tape: Tape::null(),
        }
    }

    /// Parses `text` and lends the tape to `read`.
    pub(crate) fn parse<T>(
        &mut self,
        text: &[u8],
        read: impl FnOnce(&[Node<'_>]) -> T,
    ) -> Result<T, simd_json::Error> {
        self.scratch.clear();
        self.scratch.extend_from_slice(text);
        self.scratch.resize(text.len() + INPUT_PADDING, b' ');
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(&mut self.scratch, text.len(), &mut self.buffers, &mut tape);
        let value = parsed.map(|()| read(&tape.0));
        self.tape = tape.reset();
        value
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
