//! The second look at a message: at its bytes as received, tolerant of anything, in linear time.
//!
//! A message that is not JSON as a whole is cut into its elements, and each is parsed separately, so that one bad
//! record never costs its neighbours. Elements that brackets do not separate, because a quote or a brace is missing,
//! are cut again wherever a comma meets an opening brace, as between any two records.

use simd_json::ErrorType;

use crate::parser::Parser;
use crate::reason::Reason;
use crate::record::{BatchSink, MAX_ITEMS, give, record};
use crate::scan::{Ending, Span, split, trimmed};

/// Decodes an array that is not JSON as a whole; returns the number of elements seen.
#[cold]
pub(crate) fn decode(
    text: &[u8],
    parser: &mut Parser,
    extra: &mut String,
    sink: &mut impl BatchSink,
) -> usize {
    let (spans, ending) = elements(text);
    let (mut items, mut cut_off_within) = (0, false);
    let last = spans.len().saturating_sub(1);
    for (index, span) in spans.into_iter().enumerate() {
        let cut_off = index == last && is_cut_off(text, ending);
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
        Ending::Open if !cut_off_within && is_cut_off(text, ending) => {
            sink.reject(None, Reason::Truncated, "", &text[text.len()..]);
        }
        Ending::Closed(_) | Ending::Open => {}
    }
    items
}

/// Where the elements of an array lie, and how it ends.
pub(crate) fn elements(text: &[u8]) -> (Vec<Span>, Ending) {
    let mut spans = Vec::new();
    let ending = split(text, &mut spans);
    // An extra quote makes the rest of the message one string; its last bracket is still the array's end.
    if let Some(last) = spans.last_mut()
        && ending == Ending::Open
        && text.ends_with(b"]")
    {
        *last = trimmed(text, last.start..text.len() - 1);
    }
    (spans, ending)
}

/// Whether the last of an array's elements is cut off.
pub(crate) fn is_cut_off(text: &[u8], ending: Ending) -> bool {
    ending == Ending::Open && !text.ends_with(b"]")
}

/// An element as it is if it parses, or else cut at every comma before a brace.
fn pieces(text: &[u8], span: Span, parser: &mut Parser) -> Vec<Span> {
    let element = &text[span.clone()];
    if parser.parse_with_zeros(element, |_, _| ()).is_ok() {
        return vec![span];
    }
    cut(text, span, false).collect()
}

/// Cuts a text that does not parse wherever a comma meets an opening brace, and `between_braces` also wherever a closing
/// brace does, which no JSON has.
pub(crate) fn cut(text: &[u8], span: Span, between_braces: bool) -> impl Iterator<Item = Span> {
    let (mut start, mut from) = (Some(span.start), span.start);
    std::iter::from_fn(move || {
        let begin = start?;
        while let Some(brace) = text[from..span.end].iter().position(|byte| *byte == b'{') {
            let brace = from + brace;
            from = brace + 1;
            let before = text[begin..brace].trim_ascii_end();
            let end = begin + before.len();
            match before.last() {
                Some(b',') => {
                    start = Some(brace);
                    return Some(trimmed(text, begin..end - 1));
                }
                Some(b'}') if between_braces => {
                    start = Some(brace);
                    return Some(trimmed(text, begin..end));
                }
                _ => {}
            }
        }
        start = None;
        Some(trimmed(text, begin..span.end))
    })
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
    let parsed = parser.parse_with_zeros(raw, |element, json| {
        give(item, record(element), element, json, raw, extra, sink);
    });
    let Err(error) = parsed else { return false };
    let reason = if cut_off {
        Reason::Truncated
    } else {
        fault(&error, raw)
    };
    sink.reject(Some(item), reason, "", raw);
    cut_off
}

/// Why the parser refused a text that is not cut off.
pub(crate) fn fault(error: &simd_json::Error, raw: &[u8]) -> Reason {
    match error.error() {
        ErrorType::Overflow => Reason::Overflow,
        ErrorType::InvalidNumber if integer_too_long(raw) => Reason::Overflow,
        _ => Reason::MalformedJson,
    }
}

/// Whether the text has a run of twenty digits, which is more than 64 bits hold.
fn integer_too_long(raw: &[u8]) -> bool {
    raw.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit())
        .any(|run| run.len() >= 20 && run[0].is_ascii_digit())
}
