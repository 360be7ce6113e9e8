//! The second look at a message: on its bytes as received, tolerant of anything, in time linear in its length.
//!
//! A message that is not JSON as a whole is cut into its elements, and each is parsed by itself, so that one bad
//! record never costs its neighbours. Elements that cannot be told apart by their brackets (a quote or a brace is
//! missing) are cut again wherever a comma and an opening brace stand together, as between any two records.

use std::ops::Range;

use simd_json::{ErrorType, Node};

use crate::batch::{BatchSink, MAX_ITEMS, Parser, give, known_key, node_count, record};
use crate::reason::Reason;

/// Where an element lies in the message, white space around it left out.
pub(crate) type Span = Range<usize>;

/// What follows the last element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The array is closed; `usize` is the position behind its bracket.
    Closed(usize),
    /// The message ends inside the array.
    Open,
}

/// Cuts an array's text into its elements, by brackets and commas outside of strings.
pub(crate) fn split(text: &[u8], spans: &mut Vec<Span>) -> Ending {
    spans.clear();
    let mut scan = Scan::default();
    let mut start = 1;
    let mut ending = Ending::Open;
    let mut end = text.len();
    for (index, &byte) in text.iter().enumerate().skip(1) {
        let top = scan.depth == 0 && !scan.in_string;
        match byte {
            b',' if top => {
                spans.push(trimmed(text, start..index));
                start = index + 1;
            }
            b']' if top => {
                ending = Ending::Closed(index + 1);
                end = index;
                break;
            }
            _ => scan.step(byte),
        }
    }
    let last = trimmed(text, start..end);
    // `[]` and `[ ]` have no element; `[1,]` has an empty one that shall be seen.
    if !last.is_empty() || !spans.is_empty() {
        spans.push(last);
    }
    ending
}

/// Decodes an array that is not JSON as a whole; the number of elements seen.
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
        // A quote too many makes the rest of the message one string; its bracket is still the array's end.
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
        // All that came is decoded, and the message is cut off all the same: nobody knows what was to follow.
        Ending::Open if !cut_off_within && !text.ends_with(b"]") => {
            sink.reject(None, Reason::Truncated, "", &text[text.len()..]);
        }
        Ending::Closed(_) | Ending::Open => {}
    }
    items
}

/// An element as it is when it parses, or else cut at every comma before a brace.
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

/// Decodes one element; whether it is what the end of the message cut off.
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

/// Whether the text has a run of twenty digits, more than 64 bits hold.
fn integer_too_long(raw: &[u8]) -> bool {
    raw.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit())
        .any(|run| run.len() >= 20 && run[0].is_ascii_digit())
}

/// The guide prints `"trdTm":09450155`, which is not JSON. Returns the text without leading zeros in any of its numbers;
/// `None` if no number has one.
pub(crate) fn without_leading_zeros(raw: &[u8]) -> Option<Vec<u8>> {
    let (mut scan, mut kept, mut start) = (Scan::default(), Vec::new(), 0);
    for (index, &byte) in raw.iter().enumerate() {
        if byte == b'0' && !scan.in_string && begins_number(&raw[..index]) {
            let zeros = raw[index..].iter().take_while(|byte| **byte == b'0').count();
            // The last of several zeros is the number 0 itself when no digit follows.
            let own = usize::from(!raw.get(index + zeros).is_some_and(u8::is_ascii_digit));
            if zeros > own {
                kept.extend_from_slice(&raw[start..index]);
                start = index + zeros - own;
            }
        }
        scan.step(byte);
    }
    if start == 0 {
        return None;
    }
    kept.extend_from_slice(&raw[start..]);
    Some(kept)
}

/// Whether a number begins behind `before`, and not in the middle of one, as in an exponent.
fn begins_number(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"-").unwrap_or(before);
    before
        .last()
        .is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b':' | b',' | b'['))
}

/// Writes the members that [`known_key`] does not know, with their bytes as sent, as one JSON object.
/// `json` is the text of `element`, which parsed.
pub(crate) fn unknown_members(element: &[Node<'_>], json: &[u8], object: &mut String) {
    object.clear();
    object.push('{');
    let mut nodes = &element[1..];
    for member in members(json) {
        let [Node::String(key), value @ ..] = nodes else {
            break;
        };
        nodes = &value[node_count(value)..];
        if known_key(key).is_none() {
            if object.len() > 1 {
                object.push(',');
            }
            object.push_str(&String::from_utf8_lossy(&json[member]));
        }
    }
    object.push('}');
}

/// The members of an object's text, `"key":value` each.
fn members(json: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut scan = Scan::default();
    let mut start = 1;
    for (index, &byte) in json.iter().enumerate().skip(1) {
        let top = scan.depth == 0 && !scan.in_string;
        if top && matches!(byte, b',' | b'}') {
            spans.push(trimmed(json, start..index));
            start = index + 1;
            if byte == b'}' {
                break;
            }
        }
        scan.step(byte);
    }
    spans
}

/// Where a scan over JSON text stands.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    fn step(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' | b'{' => self.depth += 1,
            // A bracket that closes nothing belongs to the bad record that it stands in.
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

fn trimmed(text: &[u8], span: Span) -> Span {
    let piece = &text[span.clone()];
    let start = span.start + (piece.len() - piece.trim_ascii_start().len());
    start..start + piece.trim_ascii().len()
}
