//! Integers written as JSON numbers or as strings of digits, never converted through a float.

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
