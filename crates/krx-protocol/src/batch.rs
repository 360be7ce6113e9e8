//! Packed trade batches: a JSON array of up to fifty objects, decoded record by record into the caller's sink.
//!
//! The usual message is read by [`crate::usual`]. Any other takes one pass of simd-json and one walk over its tape.
//! Anything unusual in it (a rejected record, an unknown key, a message that is not JSON as a whole) gets a second look in
//! [`crate::salvage`], which works on the bytes as received. All buffers are reused from frame to frame.

use simd_json::Node;

use crate::control::Control;
use crate::parser::{Parser, node_count};
use crate::reason::Reason;
use crate::record::{BatchSink, Fields, MAX_ITEMS, PACKED_RECORDS_MAX, Trade, give, record};
use crate::salvage;
use crate::scan::{Span, split, without_byte_order_mark};
use crate::usual;

/// What a frame was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// An array with this many elements, whole or rejected.
    Batch(usize),
    /// An object; all except replies and heartbeats also went to [`BatchSink::reject`].
    Control(Control),
    /// Neither; it went to [`BatchSink::reject`].
    Rejected,
}

/// Decodes frames; holds the buffers that are reused between them.
pub struct Decoder {
    parser: Parser,
    spans: Vec<Span>,
    extra: String,
}

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
        if let Some(trades) = usual::trades(frame, &mut [Trade::NONE; PACKED_RECORDS_MAX]) {
            sink.trades(trades);
            return Decoded::Batch(trades.len());
        }
        self.decode_by_parser(frame, sink)
    }

    /// The same, with the parser alone: slower, and never with another result. Tests and the fuzzer compare the two.
    pub fn decode_by_parser(&mut self, frame: &[u8], sink: &mut impl BatchSink) -> Decoded {
        let text = without_byte_order_mark(frame).trim_ascii();
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

/// Passes on the `items` elements that follow on the tape.
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
                // The spans of all elements are found once per frame, however many of them are unusual.
                if spans.is_empty() {
                    split(text, spans);
                }
                let raw = &text[spans[position].clone()];
                give(item, unusual, element, raw, raw, extra, sink);
            }
        }
        if position + 1 == MAX_ITEMS && items > MAX_ITEMS {
            if spans.is_empty() {
                split(text, spans);
            }
            sink.reject(None, Reason::TooManyRecords, "", &text[spans[MAX_ITEMS].start..]);
            break;
        }
    }
    items
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

#[cfg(test)]
#[path = "batch_tests.rs"]
pub(crate) mod tests;
