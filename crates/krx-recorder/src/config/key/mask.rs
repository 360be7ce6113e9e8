//! Removes the key from a text, in every spelling in which a server may repeat it. Pure.
//!
//! A server may repeat a key verbatim, in other case, in Base64, in hexadecimal, or in the escapes of JSON, URLs or
//! HTML, even nested; and its message may be cut off in the middle of the key.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A key cut off at the end of a text is recognised from this many characters on.
const CUT_CHARS_MIN: usize = 4;

/// What remains of a cut-off escape is shorter than this.
const ESCAPE_BYTES_MAX: usize = 10;

/// A shorter encoded key would match ordinary words.
const ENCODED_CHARS_MIN: usize = 6;

/// `text` with `masked` in place of each of `keys`. One key may be part of another, and their spellings may overlap:
/// everything that any of them covers is removed.
pub(crate) fn mask<'a>(text: &str, keys: impl IntoIterator<Item = &'a str>, masked: &str) -> String {
    let mut found = Vec::new();
    for key in keys {
        find(text, key, &mut found);
        encodings(key)
            .iter()
            .for_each(|encoding| find(text, encoding, &mut found));
    }
    found.sort_unstable_by_key(|span| (span.start, span.end));
    let (mut plain, mut end) = (String::new(), 0);
    for span in found {
        if span.start >= end {
            plain.push_str(&text[end..span.start]);
            plain.push_str(masked);
        }
        end = end.max(span.end);
    }
    plain.push_str(&text[end..]);
    plain
}

/// The key in Base64, at any offset within longer encoded data, and in hexadecimal.
fn encodings(key: &str) -> Vec<String> {
    let mut found = Vec::new();
    for shift in 0..3 {
        // Each digit holds six bits: only the digits that hold no bits of a neighbour are always the same.
        let padded = [&[0; 2][..shift], key.as_bytes()].concat();
        let digits = STANDARD_NO_PAD.encode(&padded);
        let first = (shift * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        if let Some(whole) = digits.get(first..last) {
            found.push(whole.to_owned());
            found.push(whole.replace('+', "-").replace('/', "_"));
        }
    }
    found.push(key.bytes().map(|byte| format!("{byte:02x}")).collect());
    found.retain(|encoding| encoding.len() >= ENCODED_CHARS_MIN);
    found
}

/// Finds everything that spells `word`.
fn find(text: &str, word: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    found.extend((0..bytes.len()).filter_map(|at| Some(at..spelled(bytes, at, word.as_bytes())?)));
}

/// Where a spelling of `word` that begins at `start` ends. One spelling of a character may be a prefix of another, so
/// all possible ends are followed.
fn spelled(text: &[u8], start: usize, word: &[u8]) -> Option<usize> {
    let mut ends = vec![start];
    for (index, byte) in word.iter().enumerate() {
        let mut next = Vec::new();
        for end in &ends {
            character(&text[*end..], *byte, &mut |len| {
                if !next.contains(&(end + len)) {
                    next.push(end + len);
                }
            });
        }
        // The text may be cut off, even within an escape, with or without an ellipsis.
        let is_end = |end: &usize| match &text[*end..] {
            b"" | b"..." | [0xe2, 0x80, 0xa6] => true,
            [b'\\' | b'%' | b'&', rest @ ..] => rest.len() < ESCAPE_BYTES_MAX,
            _ => false,
        };
        if next.is_empty() {
            let cut = ends.iter().copied().find(is_end);
            return cut.filter(|_| index >= CUT_CHARS_MIN);
        }
        ends = next;
    }
    ends.into_iter().max()
}

/// Calls `found` with the length of each spelling of one character at the beginning of `text`.
fn character(text: &[u8], byte: u8, found: &mut impl FnMut(usize)) {
    let is_it = |value: u32| u8::try_from(value).is_ok_and(|value| value.eq_ignore_ascii_case(&byte));
    // `"`, `\\"` within JSON, `\\\\\\"` within JSON within JSON.
    let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
    for skipped in 0..=slashes {
        if text.get(skipped).is_some_and(|first| is_it((*first).into())) {
            found(skipped + 1);
        }
    }
    // JSON's \\u0041, others' \\x41, Rust's \\u{41}.
    if slashes > 0 {
        let rest = &text[slashes..];
        let escapes: [(&[u8], usize, &[u8]); 4] =
            [(b"u", 4, b""), (b"x", 2, b""), (b"u{", 2, b"}"), (b"U", 8, b"")];
        for (before, digits, after) in escapes {
            if let Some(len) = number(rest, before, digits, after, &is_it) {
                found(slashes + len);
            }
        }
    }
    // %41, and %2541 if that was escaped again.
    if text.first() == Some(&b'%') {
        let mut at = 1;
        while text[at..].starts_with(b"25") {
            at += 2;
        }
        for skipped in (1..=at).step_by(2) {
            if let Some(len) = number(&text[skipped..], b"", 2, b"", &is_it) {
                found(skipped + len);
            }
        }
    }
    // &#65; &#x41; &quot; and the same with &amp; for each ampersand.
    if text.first() == Some(&b'&') {
        let mut at = 1;
        while text[at..].starts_with(b"amp;") {
            at += 4;
        }
        let rest = &text[at..];
        if byte == b'&' && at > 1 {
            found(at);
        }
        for (name, value) in [("lt;", b'<'), ("gt;", b'>'), ("quot;", b'"'), ("apos;", b'\'')] {
            if value == byte && rest.starts_with(name.as_bytes()) {
                found(at + name.len());
            }
        }
        for (before, radix) in [(&b"#x"[..], 16), (b"#X", 16), (b"#", 10)] {
            let Some(digits) = rest.strip_prefix(before) else {
                continue;
            };
            let len = digits
                .iter()
                .take_while(|byte| char::from(**byte).is_digit(radix))
                .count();
            let value = std::str::from_utf8(&digits[..len]).ok();
            let value = value.and_then(|digits| u32::from_str_radix(digits, radix).ok());
            if value.is_some_and(is_it) {
                let semicolon = usize::from(digits.get(len) == Some(&b';'));
                found(at + before.len() + len + semicolon);
            }
        }
    }
}

/// Matches `before`, a fixed number of hexadecimal digits, and `after`; returns the matched length if `is_it` accepts
/// the value.
fn number(
    text: &[u8],
    before: &[u8],
    digits: usize,
    after: &[u8],
    is_it: &impl Fn(u32) -> bool,
) -> Option<usize> {
    let rest = text.strip_prefix(before)?;
    let number = rest
        .get(..digits)
        .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    let value = u32::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    (is_it(value) && rest[digits..].starts_with(after)).then_some(before.len() + digits + after.len())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::mask as mask_as;
    use super::*;

    const MASK: &str = "(the key)";

    fn mask(text: &str, key: &str) -> String {
        mask_as(text, [key], MASK)
    }

    const KEY: &str = "aB3-\"/\\&%+k'<z>9x";

    fn each(spell: impl Fn(u8) -> String) -> String {
        KEY.bytes().map(spell).collect()
    }

    #[test]
    fn i7_a_key_is_masked_in_every_spelling() {
        let json = serde_json::to_string(KEY).unwrap();
        let url = each(|byte| format!("%{byte:02X}"));
        let html = KEY
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        let spellings = [
            KEY.to_owned(),
            KEY.to_lowercase(),
            KEY.to_uppercase(),
            json.trim_matches('"').to_owned(),
            json.replace('/', "\\/").trim_matches('"').to_owned(),
            serde_json::to_string(&json)
                .unwrap()
                .trim_matches(['"', '\\'])
                .to_owned(),
            each(|byte| format!("\\u{byte:04x}")),
            each(|byte| format!("\\u{byte:04X}")),
            each(|byte| format!("\\\\u{byte:04x}")),
            each(|byte| format!("\\x{byte:02x}")),
            each(|byte| format!("\\u{{{byte:02x}}}")),
            url.clone(),
            url.to_lowercase(),
            url.replace('%', "%25"),
            url.replace('%', "%2525"),
            KEY.replace('%', "%25").replace('"', "%22").replace('+', "%2B"),
            html.clone(),
            html.replace('&', "&amp;"),
            each(|byte| format!("&#{byte};")),
            each(|byte| format!("&#x{byte:x};")),
            each(|byte| format!("&#X{byte:04X};")),
            each(|byte| format!("{byte:02x}")),
            each(|byte| format!("{byte:02X}")),
            STANDARD.encode(KEY),
            URL_SAFE_NO_PAD.encode(KEY),
        ];
        for spelling in spellings {
            for (before, after) in [("", ""), ("key ", " is bad"), ("\"", "\""), ("고객=", "&x=1")] {
                let masked = mask(&format!("{before}{spelling}{after}"), KEY);
                let rest = masked
                    .strip_prefix(before)
                    .and_then(|masked| masked.strip_suffix(after));
                let rest = rest.unwrap_or_else(|| panic!("{spelling}: {masked}"));
                // In Base64 a digit on either side may remain, since it also holds bits of a neighbour.
                assert!(
                    rest.contains(MASK) && rest.len() <= MASK.len() + 4,
                    "{spelling}: {masked}"
                );
            }
        }
    }

    #[test]
    fn i7_a_key_inside_longer_base64_is_masked() {
        for before in ["", "a", "ab", "key="] {
            let masked = mask(&STANDARD.encode(format!("{before}{KEY}:x")), KEY);
            assert!(masked.contains(MASK), "{before}: {masked}");
        }
    }

    #[test]
    fn i7_a_truncated_key_is_masked() {
        assert_eq!(mask("bad key qzx-api", "qzx-api-key-7391"), "bad key (the key)");
        assert_eq!(mask("bad key qzx-api…", "qzx-api-key-7391"), "bad key (the key)…");
        assert_eq!(
            mask("bad key qzx-%61p%", "qzx-api-key-7391"),
            "bad key (the key)%"
        );
        let cut = "bad key \\u0071zx-a\\u00";
        assert_eq!(mask(cut, "qzx-api-key-7391"), "bad key (the key)\\u00");
        assert_eq!(
            mask("bad key qzx", "qzx-api-key-7391"),
            "bad key qzx",
            "any word could begin like that"
        );
        assert_eq!(mask("qzx-api is no key", "qzx-api-key-7391"), "qzx-api is no key");
    }

    #[test]
    fn everything_else_is_left_unchanged() {
        for text in [
            "",
            "고객정보가 일치하지 않습니다",
            "%",
            "&",
            "\\",
            "\\u00",
            "&#;",
            "%25%2",
            "a&amp;",
        ] {
            assert_eq!(mask(text, "qzx-api-key-7391"), text);
        }
        assert_eq!(mask("kkk", "k"), "(the key)".repeat(3));
    }

    proptest! {
        #[test]
        fn i7_no_text_breaks_it_and_no_key_remains(
            key in "[!-~]{4,20}",
            texts in prop::collection::vec("\\PC{0,20}", 2..4),
        ) {
            let text = texts.join(&key);
            let masked = mask(&text, &key);
            // The mask itself may contain a key made of its letters.
            let without = masked.replace(MASK, "\u{0}");
            prop_assert!(!without.to_ascii_lowercase().contains(&key.to_ascii_lowercase()), "{masked}");
        }
    }
}
