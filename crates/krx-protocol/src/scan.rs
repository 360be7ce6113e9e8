//! The structure of a JSON text, by brackets, commas and strings alone: tolerant of anything, in linear time.

use std::ops::Range;

/// The message without the mark that some senders begin UTF-8 with.
#[must_use]
pub fn without_byte_order_mark(message: &[u8]) -> &[u8] {
    message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message)
}

/// Where an element lies in the message, without the white space around it.
pub(crate) type Span = Range<usize>;

/// What follows the last element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The array is closed; the `usize` is the position after its bracket.
    Closed(usize),
    /// The message ends inside the array.
    Open,
}

/// Cuts an array's text into its elements, at brackets and commas outside strings.
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
    // `[]` and `[ ]` have no element; `[1,]` has an empty one, which should be reported.
    if !last.is_empty() || !spans.is_empty() {
        spans.push(last);
    }
    ending
}

/// Where the first value of `text`, from `start` on, lies: an object or array with its brackets, as far as the text has
/// it, or else everything before the next one. Blanks and commas between values are passed over. With it comes whether
/// the value is whole.
pub(crate) fn next_value(text: &[u8], start: usize) -> Option<(Span, bool)> {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    let start = start + text.get(start..)?.iter().position(|byte| !is_between(byte))?;
    let rest = &text[start..];
    if !opens(&rest[0]) {
        let len = rest.iter().position(opens).unwrap_or(rest.len());
        return Some((trimmed(text, start..start + len), true));
    }
    let closing = if rest[0] == b'[' { b']' } else { b'}' };
    let mut scan = Scan::default();
    let closed = rest[1..].iter().position(|&byte| {
        let is_end = byte == closing && scan.depth == 0 && !scan.in_string;
        scan.step(byte);
        is_end
    });
    Some((
        start..closed.map_or(text.len(), |last| start + 1 + last + 1),
        closed.is_some(),
    ))
}

/// The value of a member's text, `"key":value`.
pub(crate) fn value_of(member: &[u8]) -> &[u8] {
    let mut scan = Scan::default();
    let key = member.iter().position(|&byte| {
        scan.step(byte);
        !scan.in_string
    });
    let after = key.map_or(member, |end| &member[end + 1..]).trim_ascii_start();
    after.strip_prefix(b":").unwrap_or(after).trim_ascii()
}

/// Finds the members of an object's text, `"key":value` each.
pub(crate) fn members(json: &[u8], spans: &mut Vec<Span>) {
    spans.clear();
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
}

/// The state of a scan over JSON text.
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
            // A bracket that closes nothing belongs to the bad record in which it stands.
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// A span without the white space around it.
pub(crate) fn trimmed(text: &[u8], span: Span) -> Span {
    let piece = &text[span.clone()];
    let start = span.start + (piece.len() - piece.trim_ascii_start().len());
    start..start + piece.trim_ascii().len()
}

/// The guide prints `"trdTm":09450155`, which is not JSON. Returns the text with leading zeros removed from all its
/// numbers; `None` if there are none.
pub(crate) fn without_leading_zeros(raw: &[u8]) -> Option<Vec<u8>> {
    let (mut scan, mut kept, mut start) = (Scan::default(), Vec::new(), 0);
    for (index, &byte) in raw.iter().enumerate() {
        if byte == b'0' && !scan.in_string && begins_number(&raw[..index]) {
            let zeros = raw[index..].iter().take_while(|byte| **byte == b'0').count();
            // If no digit follows, the last of several zeros is the number 0 itself.
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

/// Whether a number begins after `before`, rather than continuing one, as in an exponent.
fn begins_number(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"-").unwrap_or(before);
    before
        .last()
        .is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b':' | b',' | b'['))
}
