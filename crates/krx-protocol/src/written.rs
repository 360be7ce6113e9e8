//! What comes next in a message's text, compared several bytes at a time.

// Forced into the loop over a push's members, they save it a tenth of its time.
#![allow(clippy::inline_always)]

/// Text that may come next in a message, at most [`Written::LEN_MAX`] bytes long.
pub(crate) struct Written {
    bytes: [u8; Written::LEN_MAX],
    /// All ones where there is a byte.
    mask: [u8; Written::LEN_MAX],
    len: usize,
}

impl Written {
    const LEN_MAX: usize = 32;

    /// `,"key":`
    pub(crate) fn member(key: &str) -> Self {
        let text = format!(",\"{key}\":");
        let len = text.len();
        assert!(
            len <= Self::LEN_MAX,
            "the key {key} is too long for this comparison"
        );
        let (mut bytes, mut mask) = ([0; Self::LEN_MAX], [0; Self::LEN_MAX]);
        bytes[..len].copy_from_slice(text.as_bytes());
        mask[..len].fill(0xff);
        Self { bytes, mask, len }
    }

    /// Its length in bytes.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether `text` begins with it.
    #[inline(always)]
    pub(crate) fn begins(&self, text: &[u8]) -> bool {
        // Of one length for all, the comparison becomes a few instructions without a loop.
        let Some(start) = text.first_chunk::<{ Self::LEN_MAX }>() else {
            return text.starts_with(&self.bytes[..self.len]);
        };
        let expected = self.bytes.iter().zip(&self.mask);
        let differs = start.iter().zip(expected);
        differs.fold(0, |differs, (byte, (expected, mask))| {
            differs | ((byte ^ expected) & mask)
        }) == 0
    }
}

/// The number that `text` begins with, as JSON writes it, without sign, fraction and exponent: at most sixteen digits,
/// with something behind them. With it comes their count.
#[inline(always)]
pub(crate) fn integer(text: &[u8]) -> Option<(u64, usize)> {
    // JSON has no number like `05`.
    number(text).filter(|(_, len)| *len == 1 || text[0] != b'0')
}

/// The same, with zeros in front of it, as a string may have them.
#[inline(always)]
pub(crate) fn number(text: &[u8]) -> Option<(u64, usize)> {
    let (digits, len) = digits(text)?;
    let value = eight_digits(digits << (64 - 8 * len));
    if len < 8 {
        return Some((value, len));
    }
    match digits_or_none(&text[8..])? {
        (_, 0) => Some((value, 8)),
        (_, 8) if text.get(16).is_none_or(u8::is_ascii_digit) => None,
        (digits, more) => {
            let low = eight_digits(digits << (64 - 8 * more));
            Some((value * TENS[more] + low, 8 + more))
        }
    }
}

/// How many letters and digits of ASCII `text` begins with, if they are fewer than sixteen.
#[inline(always)]
pub(crate) fn alphanumerics(text: &[u8]) -> Option<usize> {
    match up_to_eight_alphanumerics(text)? {
        8 => Some(8 + up_to_eight_alphanumerics(&text[8..])?).filter(|len| *len < 16),
        len => Some(len),
    }
}

#[inline(always)]
fn up_to_eight_alphanumerics(text: &[u8]) -> Option<usize> {
    let word = first_word(text)?;
    let ascii = word & all(0x7f);
    // The highest bit of each byte from one character to another.
    let between = |first: u8, last: u8, word: u64| (word + all(0x80 - first)) & !(word + all(0x7f - last));
    let known = between(b'0', b'9', ascii) | between(b'a', b'z', ascii | all(0x20));
    let others = (!known | word) & all(0x80);
    Some(others.trailing_zeros() as usize / 8)
}

const TENS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

#[inline(always)]
fn digits(text: &[u8]) -> Option<(u64, usize)> {
    digits_or_none(text).filter(|(_, len)| *len > 0)
}

/// The values of the digits that `text` begins with, up to eight of them, one in a byte, the first in the lowest; with
/// their count. The bytes above them hold anything.
#[inline(always)]
fn digits_or_none(text: &[u8]) -> Option<(u64, usize)> {
    let word = first_word(text)?;
    let values = word ^ all(b'0');
    // The highest bit of each byte that is not 0 to 9.
    let others = (((values & all(0x7f)) + all(0x7f - 9)) | values) & all(0x80);
    Some((values, others.trailing_zeros() as usize / 8))
}

/// The first eight bytes, the first in the lowest; zeros behind the end.
#[inline(always)]
fn first_word(text: &[u8]) -> Option<u64> {
    match text.first_chunk::<8>() {
        Some(bytes) => Some(u64::from_le_bytes(*bytes)),
        None => last_word(text),
    }
}

/// At the end of a message.
#[cold]
fn last_word(text: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes.get_mut(..text.len())?.copy_from_slice(text);
    Some(u64::from_le_bytes(bytes))
}

const fn all(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The number whose eight digits are the bytes of `values`, the lowest byte first.
#[inline(always)]
fn eight_digits(values: u64) -> u64 {
    // Neighbours are joined: digits to pairs, pairs to fours, fours to eight.
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_read_with_its_length() {
        for text in [
            "0",
            "7",
            "86",
            "1234567",
            "12345678",
            "123456789",
            "1234567890123456",
        ] {
            let expected = Some((text.parse().unwrap(), text.len()));
            for behind in [",", "}}", ".5", " ", ",\"trdPrc\":12345678"] {
                assert_eq!(
                    integer(format!("{text}{behind}").as_bytes()),
                    expected,
                    "{text}{behind}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_integer_or_too_long_is_left_to_the_parser() {
        for text in [
            "",
            ",",
            "-5",
            "+5",
            ":",
            "/",
            "a",
            "05",
            "00",
            "0123456789,",
            "12345678901234567,",
            "123456789012345678901,",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_number_in_a_string_may_begin_with_zeros() {
        for text in [
            "0",
            "00",
            "05",
            "0123456",
            "01234567",
            "012345678",
            "0000000000000007",
        ] {
            let expected = Some((text.parse().unwrap(), text.len()));
            assert_eq!(number(format!("{text}\"").as_bytes()), expected, "{text}");
        }
        for text in ["", "\"", "-5\"", "00000000000000007\"", "12345678901234567"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn letters_and_digits_end_at_any_other_byte() {
        for text in [
            "",
            "7",
            "000210",
            "00088K",
            "J0527101",
            "KR4101S60003",
            "azAZ09azAZ09azA",
        ] {
            for behind in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric()) {
                let mut bytes = text.as_bytes().to_vec();
                bytes.push(behind);
                assert_eq!(alphanumerics(&bytes), Some(text.len()), "{text} {behind}");
                bytes.extend_from_slice(b"0123456789abcdef");
                assert_eq!(alphanumerics(&bytes), Some(text.len()), "{text} {behind}");
            }
        }
        for byte in b'0'..=b'z' {
            let expected = usize::from(byte.is_ascii_alphanumeric());
            assert_eq!(alphanumerics(&[byte]), Some(expected), "{byte}");
        }
        assert_eq!(alphanumerics(b"0123456789abcdef"), None);
    }

    #[test]
    fn a_member_begins_with_its_key() {
        let written = Written::member("trdPrc");
        assert_eq!(written.len(), ",\"trdPrc\":".len());
        for behind in ["", "5}}", "1234567890,\"trdvol\":1234567890}}"] {
            assert!(
                written.begins(format!(",\"trdPrc\":{behind}").as_bytes()),
                "{behind}"
            );
            for other in [
                "",
                ",",
                ",\"trdPrc\"",
                ",\"trdPrd\":",
                ",\"trdPrc\" :",
                "x\"trdPrc\":",
                ",\"trdPrcs\":",
            ] {
                assert!(
                    !written.begins(format!("{other}{behind}").as_bytes()),
                    "{other}{behind}"
                );
            }
        }
    }
}
