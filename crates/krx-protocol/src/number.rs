//! Numbers written as JSON numbers or as strings: integers, never converted through a float, and decimals, which come
//! back from their double exactly.

use simd_json::{Node, StaticNode};

use crate::reason::Reason;

/// A non-negative value, from either form.
///
/// # Errors
/// The reason why the record goes to quarantine.
#[inline]
pub(crate) fn integer(node: &Node<'_>) -> Result<i64, Reason> {
    match node {
        Node::String(text) => digits(text.as_bytes()),
        Node::Static(StaticNode::U64(value)) => i64::try_from(*value).map_err(|_| Reason::Overflow),
        // simd-json gives every number without a sign as `U64`, so this one has a sign, even if it is `-0`.
        Node::Static(StaticNode::I64(_)) => Err(Reason::Sign),
        Node::Static(StaticNode::F64(_)) => Err(Reason::Fraction),
        Node::Static(StaticNode::Null) => Err(Reason::NullValue),
        Node::Static(StaticNode::Bool(_)) | Node::Object { .. } | Node::Array { .. } => {
            Err(Reason::WrongType)
        }
    }
}

/// A value of either sign, from either form.
///
/// # Errors
/// The reason why the record goes to quarantine.
#[inline]
pub(crate) fn signed(node: &Node<'_>) -> Result<i64, Reason> {
    match node {
        Node::Static(StaticNode::I64(value)) => Ok(*value),
        Node::String(text) => match text.as_bytes() {
            // Without its sign, the smallest integer would be too large.
            [b'-' | b'+', first, ..] if first.is_ascii_digit() => digits(&text.as_bytes()[1..]).map_or_else(
                |reason| match reason {
                    Reason::Overflow => text.parse().map_err(|_| reason),
                    _ => Err(reason),
                },
                |value| Ok(if text.starts_with('-') { -value } else { value }),
            ),
            text => digits(text),
        },
        _ => integer(node),
    }
}

/// The most significant digits that a double always gives back as they were.
const DIGITS_MAX: usize = 15;

/// The powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// A decimal number from its text: the double nearest to it. Zero is never negative.
///
/// # Errors
/// [`Reason::NotANumber`]; [`Reason::Overflow`], when its double would not give back the same digits, because there are
/// more than fifteen, or it is out of range.
pub(crate) fn decimal(text: &[u8]) -> Result<f64, Reason> {
    let (is_negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut all = Digits::default();
    let rest = all.read(unsigned, 0);
    let rest = match rest {
        [b'.', rest @ ..] => all.read(rest, 1),
        _ => rest,
    };
    let power = match rest {
        [] => 0,
        [b'e' | b'E', rest @ ..] => exponent(rest).ok_or(Reason::NotANumber)?,
        _ => return Err(Reason::NotANumber),
    };
    if all.read == 0 {
        return Err(Reason::NotANumber);
    }
    let value = scaled(
        all.value()?,
        power.saturating_sub(all.fraction).saturating_add(all.zeros),
    )?;
    Ok(if is_negative && value != 0.0 {
        -value
    } else {
        value
    })
}

/// A decimal number that was sent as an integer.
pub(crate) fn decimal_of_integer(is_negative: bool, magnitude: u64) -> Result<f64, Reason> {
    let (mut digits, mut zeros) = (magnitude, 0);
    while digits != 0 && digits.is_multiple_of(10) {
        digits /= 10;
        zeros += 1;
    }
    if digits >= 10_u64.pow(15) {
        return Err(Reason::Overflow);
    }
    let value = scaled(digits, zeros)?;
    Ok(if is_negative && value != 0.0 {
        -value
    } else {
        value
    })
}

/// The digits of a decimal number, as they are read.
#[derive(Default)]
struct Digits {
    /// How many, in all.
    read: usize,
    /// How many of them follow the point.
    fraction: i64,
    /// From the first one that is not zero to the last one that is not, as a number, and how many they are.
    significant: u64,
    count: usize,
    /// Zeros after those.
    zeros: i64,
}

impl Digits {
    /// Reads the digits that `text` begins with, and returns what follows them.
    fn read<'a>(&mut self, text: &'a [u8], fraction: i64) -> &'a [u8] {
        let end = text
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(text.len());
        for digit in &text[..end] {
            self.fraction += fraction;
            match digit - b'0' {
                0 if self.count == 0 => {}
                0 => self.zeros += 1,
                digit => self.push(digit),
            }
        }
        self.read += end;
        &text[end..]
    }

    fn push(&mut self, digit: u8) {
        let zeros = std::mem::take(&mut self.zeros);
        let places = usize::try_from(zeros).unwrap_or(usize::MAX).saturating_add(1);
        self.count = self.count.saturating_add(places);
        // Beyond that it is refused, and no longer needed.
        if self.count <= DIGITS_MAX {
            for _ in 0..places {
                self.significant *= 10;
            }
            self.significant += u64::from(digit);
        }
    }

    fn value(&self) -> Result<u64, Reason> {
        if self.count > DIGITS_MAX {
            return Err(Reason::Overflow);
        }
        Ok(self.significant)
    }
}

/// The value of an exponent; `None` if the text is not one. It saturates: no number needs one that large.
fn exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some(if is_negative { -value } else { value })
}

/// At most fifteen `digits` times a power of ten.
fn scaled(digits: u64, power: i64) -> Result<f64, Reason> {
    // Exact: a double holds integers up to 2^53.
    #[allow(clippy::cast_precision_loss)]
    let value = digits as f64;
    // Of two numbers that are exact, product and quotient are the nearest double.
    let of = |power: u64| usize::try_from(power).ok().and_then(|power| POWERS.get(power));
    match (power, of(power.unsigned_abs())) {
        _ if digits == 0 => Ok(0.0),
        (0.., Some(scale)) => Ok(value * scale),
        (_, Some(scale)) => Ok(value / scale),
        (_, None) => {
            let value: f64 = format!("{digits}e{power}")
                .parse()
                .map_err(|_| Reason::Overflow)?;
            if value.is_normal() {
                Ok(value)
            } else {
                Err(Reason::Overflow)
            }
        }
    }
}

#[inline]
fn digits(text: &[u8]) -> Result<i64, Reason> {
    // Eighteen digits always fit into 63 bits, so the usual value needs no overflow check.
    if text.is_empty() || text.len() > 18 {
        return unusual_digits(text);
    }
    let mut value = 0_i64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return unusual_digits(text);
        }
        value = value * 10 + i64::from(digit);
    }
    Ok(value)
}

#[cold]
fn unusual_digits(text: &[u8]) -> Result<i64, Reason> {
    match text {
        [b'+' | b'-', rest @ ..] if rest.first().is_some_and(u8::is_ascii_digit) => Err(Reason::Sign),
        [_, ..] if text.iter().all(u8::is_ascii_digit) => {
            let text = std::str::from_utf8(text).map_err(|_| Reason::NotAnInteger)?;
            text.parse().map_err(|_| Reason::Overflow)
        }
        [first, ..]
            if first.is_ascii_digit()
                && text.iter().all(|byte| {
                    byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')
                }) =>
        {
            Err(Reason::Fraction)
        }
        _ => Err(Reason::NotAnInteger),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Result<f64, Reason> {
        super::decimal(text.as_bytes())
    }

    #[test]
    fn decimals_are_the_double_nearest_to_their_text() {
        for text in [
            "0",
            "0.0",
            "352",
            "308.75",
            "0.01",
            "379.25",
            "-1.5",
            "2456.37",
            "0.1",
            "0.3",
            "100.10",
            "00012.50",
            "1e3",
            "1E-3",
            "2.5e+2",
            "123456789012345",
            "12345678901234.5",
            "0.000123456789012345",
            "123456789012345e30",
            "999999999999999e200",
            "1e-300",
            "100000000000000000000000000",
            "1.000000000000000000000",
        ] {
            let value = decimal(text).unwrap();
            assert_eq!(value, text.parse::<f64>().unwrap(), "{text}");
        }
        assert_eq!(decimal("+1.25"), Ok(1.25));
        assert_eq!(decimal(".5"), Ok(0.5));
        assert_eq!(decimal("5."), Ok(5.0));
        for zero in ["-0", "-0.00", "0e400", "-0e-400"] {
            assert_eq!(decimal(zero).map(f64::to_bits), Ok(0), "{zero}");
        }
    }

    #[test]
    fn a_decimal_whose_digits_would_not_come_back_is_refused() {
        for text in [
            "1234567890123456",
            "0.1234567890123456",
            "1.000000000000001e0",
            "0.30000000000000001",
            "1e400",
            "-1e400",
            "1e-400",
            "4.9e-324",
            "1e99999999999999999999",
            "1e-99999999999999999999",
        ] {
            assert_eq!(decimal(text), Err(Reason::Overflow), "{text}");
        }
        for text in [
            "", "-", ".", "+", "e5", "1e", "1e+", "1.2.3", "1 ", " 1", "NaN", "inf", "0x1", "1,000", "5원",
            "--1",
        ] {
            assert_eq!(decimal(text), Err(Reason::NotANumber), "{text:?}");
        }
        assert_eq!(
            decimal_of_integer(false, 999_999_999_999_999),
            Ok(999_999_999_999_999.0)
        );
        assert_eq!(decimal_of_integer(true, 352_000_000_000_000_000), Ok(-352e15));
        assert_eq!(
            decimal_of_integer(false, 1_000_000_000_000_001),
            Err(Reason::Overflow)
        );
        assert_eq!(decimal_of_integer(false, u64::MAX), Err(Reason::Overflow));
        assert_eq!(decimal_of_integer(true, 0).map(f64::to_bits), Ok(0));
    }

    #[test]
    fn a_sign_is_read_where_it_is_allowed() {
        let text = |value: &str| signed(&Node::String(value));
        assert_eq!(text("-500"), Ok(-500));
        assert_eq!(text("+500"), Ok(500));
        assert_eq!(text("500"), Ok(500));
        assert_eq!(text("-0"), Ok(0));
        assert_eq!(text("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(text("-9223372036854775809"), Err(Reason::Overflow));
        assert_eq!(text("9223372036854775808"), Err(Reason::Overflow));
        assert_eq!(text("-5.0"), Err(Reason::Fraction));
        for bad in ["-", "", "--5", "- 5", "-x"] {
            assert_eq!(text(bad), Err(Reason::NotAnInteger), "{bad}");
        }
        assert_eq!(signed(&Node::Static(StaticNode::I64(i64::MIN))), Ok(i64::MIN));
        assert_eq!(signed(&Node::Static(StaticNode::U64(7))), Ok(7));
        assert_eq!(
            signed(&Node::Static(StaticNode::U64(u64::MAX))),
            Err(Reason::Overflow)
        );
        assert_eq!(signed(&Node::Static(StaticNode::F64(1.5))), Err(Reason::Fraction));
        assert_eq!(signed(&Node::Static(StaticNode::Null)), Err(Reason::NullValue));
    }

    fn text(value: &str) -> Result<i64, Reason> {
        integer(&Node::String(value))
    }

    #[test]
    fn digits_are_exact_to_63_bits() {
        assert_eq!(text("0"), Ok(0));
        assert_eq!(text("0081000"), Ok(81_000));
        assert_eq!(text("9007199254740993"), Ok(9_007_199_254_740_993));
        assert_eq!(text("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(text("0000000000000000000000001"), Ok(1));
        assert_eq!(text("9223372036854775808"), Err(Reason::Overflow));
        assert_eq!(text("99999999999999999999"), Err(Reason::Overflow));
    }

    #[test]
    fn each_oddity_has_its_reason() {
        assert_eq!(text(""), Err(Reason::NotAnInteger));
        assert_eq!(text("-5"), Err(Reason::Sign));
        assert_eq!(text("+5"), Err(Reason::Sign));
        assert_eq!(text("-"), Err(Reason::NotAnInteger));
        assert_eq!(text("5.0"), Err(Reason::Fraction));
        assert_eq!(text("1e3"), Err(Reason::Fraction));
        assert_eq!(text(" 5"), Err(Reason::NotAnInteger));
        assert_eq!(text("5원"), Err(Reason::NotAnInteger));
        assert_eq!(integer(&Node::Static(StaticNode::I64(-5))), Err(Reason::Sign));
        assert_eq!(integer(&Node::Static(StaticNode::I64(0))), Err(Reason::Sign));
        assert_eq!(
            integer(&Node::Static(StaticNode::U64(u64::MAX))),
            Err(Reason::Overflow)
        );
        assert_eq!(
            integer(&Node::Static(StaticNode::F64(5.0))),
            Err(Reason::Fraction)
        );
        assert_eq!(integer(&Node::Static(StaticNode::Null)), Err(Reason::NullValue));
        assert_eq!(
            integer(&Node::Static(StaticNode::Bool(true))),
            Err(Reason::WrongType)
        );
    }
}
