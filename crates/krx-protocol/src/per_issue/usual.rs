//! The usual push, read without the parser: one object in the layout that the guide prints, byte for byte.
//!
//! `{"jsonrpc":"2.0","method":"push","params":{"preset":"tick10","isuSrtCd":"005930","trdPrc":81000,…}}`
//!
//! Its values are plain: numbers, strings without escapes, null. A message with anything else in it, even a blank, is not
//! one: nothing of it has been given out, and simd-json decides (docs/adr/0044).

use simd_json::{Node, StaticNode};

use super::preset::Preset;
use crate::number;
use crate::written::integer;

/// How a push begins.
pub(super) struct Head<'m> {
    pub(super) preset: Preset,
    pub(super) code: &'m str,
    /// What follows its code: `,"key":value` for each member, and then [`END`].
    pub(super) members: &'m [u8],
}

/// How a push ends.
pub(super) const END: &[u8] = b"}}";

const PRESET: &[u8] = br#"{"jsonrpc":"2.0","method":"push","params":{"preset":""#;
const CODE: &[u8] = br#","isuSrtCd":"#;

/// The head of a usual push.
#[inline]
pub(super) fn head(text: &[u8]) -> Option<Head<'_>> {
    let text = text.strip_prefix(PRESET)?;
    let preset = plain(text)?;
    let text = text
        .get(preset.len() + 1..)?
        .strip_prefix(CODE)?
        .strip_prefix(b"\"")?;
    let code = plain(text)?;
    Some(Head {
        preset: preset.parse().ok()?,
        code,
        members: &text[code.len() + 1..],
    })
}

/// The value that `text` begins with, as the parser gives it, and its length.
#[allow(clippy::inline_always)] // It saves a twentieth of a push's time.
#[inline(always)]
pub(super) fn value(text: &[u8]) -> Option<(Node<'_>, usize)> {
    match text.split_first()? {
        (b'"', rest) => plain(rest).map(|string| (Node::String(string), string.len() + 2)),
        (b'n', rest) => rest
            .starts_with(b"ull")
            .then_some((Node::Static(StaticNode::Null), 4)),
        (b'-', unsigned) => match integer(unsigned)? {
            (_, len) if unsigned.get(len) == Some(&b'.') => fraction(text, 1 + len),
            (value, len) => {
                let value = i64::try_from(value).ok()?;
                Some((Node::Static(StaticNode::I64(-value)), 1 + len))
            }
        },
        _ => match integer(text)? {
            (_, len) if text.get(len) == Some(&b'.') => fraction(text, len),
            (value, len) => Some((Node::Static(StaticNode::U64(value)), len)),
        },
    }
}

/// A number whose point is at position `point`. If a double does not hold its digits, the parser decides.
#[inline]
fn fraction(text: &[u8], point: usize) -> Option<(Node<'_>, usize)> {
    let digits = text[point + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let len = point + 1 + digits;
    let value = number::decimal(&text[..len]).ok().filter(|_| digits > 0)?;
    Some((Node::Static(StaticNode::F64(value)), len))
}

/// The text of a string up to its quote, if each of its characters stands for itself.
#[inline]
fn plain(text: &[u8]) -> Option<&str> {
    let end = text
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))?;
    if text[end] != b'"' {
        return None;
    }
    std::str::from_utf8(&text[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_with_an_escape_is_not_plain() {
        assert_eq!(plain(br#"86","#), Some("86"));
        for text in [
            &br#"8\u0036","#[..],
            br#"8\"6","#,
            b"86",
            b"8\x006\"",
            "86원\"".as_bytes(),
        ] {
            assert_eq!(plain(text), None, "{text:?}");
        }
    }
}
