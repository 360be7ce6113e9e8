//! The second look at a message: at its bytes as received, tolerant of anything, in linear time.
//!
//! A message that is not JSON as a whole is cut into its elements, and each is parsed separately, so that one bad
//! record never costs its neighbours. Elements that brackets do not separate, because a quote or a brace is missing,
//! are cut again wherever a comma meets an opening brace, as between any two records.

use simd_json::ErrorType;

use crate::parser::Parser;
use crate::reason::Reason;
use crate::record::{BatchSink, MAX_ITEMS, give, record};
use crate::scan::{Ending, Span, split, trimmed, without_leading_zeros};

/// Decodes an array that is not JSON as a whole; returns the number of elements seen.
#[cold]
pub(crate) fn decode(
    text: &[u8],
    parser: &mut Parser,
    extra: &mut String,
    sink: &mut impl BatchSink,
) -> usize {
    let mut spans = Vec::new();
    let ending = split(text, &mut spans);
    let (mut items, mut cut_off_within) = (0, false);
    let last = spans.len().saturating_sub(1);
    for (index, span) in spans.into_iter().enumerate() {
        let open = ending == Ending::Open && index == last;
        // An extra quote makes the rest of the message one string; its last bracket is still the array's end.
        let span = if open && text.ends_with(b"]") {
            trimmed(text, span.start..text.len() - 1)
        } else {
            span
        };
        let cut_off = open && !text.ends_with(b"]");
        for piece in pieces(text, span, parser) {
            let Some(item) = i16::try_from(items).ok().filter(|_| items < MAX_ITEMS) else {
                sink.reject(None, Reason::TooManyRecords, "", &text[piece.start..]);
                return items;
            };
            let at_the_end = cut_off && piece.end == text.len();
            cut_off_within |= decode_element(item, &text[piece], at_the_end, parser, extra, sink);
            items += 1;
        }
    }
    match ending {
        Ending::Closed(end) if end < text.len() => sink.reject(None, Reason::TrailingBytes, "", &text[end..]),
        Ending::Open if items == 0 => sink.reject(None, Reason::Truncated, "", text),
        // Everything that came is decoded, but the message is still cut off: nobody knows what was to follow.
        Ending::Open if !cut_off_within && !text.ends_with(b"]") => {
            sink.reject(None, Reason::Truncated, "", &text[text.len()..]);
        }
        Ending::Closed(_) | Ending::Open => {}
    }
    items
}

/// An element as it is if it parses, or else cut at every comma before a brace.
fn pieces(text: &[u8], span: Span, parser: &mut Parser) -> Vec<Span> {
    let element = &text[span.clone()];
    let mut parses = |text: &[u8]| parser.parse(text, |_| ()).is_ok();
    if parses(element) || without_leading_zeros(element).is_some_and(|repaired| parses(&repaired)) {
        return vec![span];
    }
    let mut pieces = Vec::new();
    let mut start = span.start;
    for (index, _) in element.iter().enumerate().filter(|(_, byte)| **byte == b',') {
        let after = &element[index + 1..];
        let blank = after.len() - after.trim_ascii_start().len();
        if after.get(blank) == Some(&b'{') {
            pieces.push(trimmed(text, start..span.start + index));
            start = span.start + index + 1;
        }
    }
    pieces.push(trimmed(text, start..span.end));
    pieces
}

/// Decodes one element; returns whether it is what the end of the message cut off.
fn decode_element(
    item: i16,
    raw: &[u8],
    cut_off: bool,
    parser: &mut Parser,
    extra: &mut String,
    sink: &mut impl BatchSink,
) -> bool {
    let first = parser.parse(raw, |element| {
        give(item, record(element), element, raw, raw, extra, sink);
    });
    let Err(error) = first else { return false };
    if let Some(repaired) = without_leading_zeros(raw) {
        let second = parser.parse(&repaired, |element| {
            give(item, record(element), element, &repaired, raw, extra, sink);
        });
        if second.is_ok() {
            return false;
        }
    }
    let reason = match error.error() {
        _ if cut_off => Reason::Truncated,
        ErrorType::Overflow => Reason::Overflow,
        ErrorType::InvalidNumber if integer_too_long(raw) => Reason::Overflow,
        _ => Reason::MalformedJson,
    };
    sink.reject(Some(item), reason, "", raw);
    cut_off
}

/// Whether the text has a run of twenty digits, which is more than 64 bits hold.
fn integer_too_long(raw: &[u8]) -> bool {
    raw.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit())
        .any(|run| run.len() >= 20 && run[0].is_ascii_digit())
}
