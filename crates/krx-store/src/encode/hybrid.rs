//! Parquet's hybrid of runs and packed bits, which holds ids of dictionaries and definition levels. Gives the same bytes as
//! arrow-rs. Pure.

#![allow(clippy::cast_possible_truncation, reason = "numbers are cut into bytes here")]

use super::bits;

/// Values are packed in groups of this many.
const GROUP: usize = 8;

/// After this many packed groups, arrow-rs begins a new stretch of them.
const PACKED_GROUPS_MAX: usize = 63;

/// The bits that ids below `count` need.
pub(super) fn width_of(count: usize) -> u32 {
    usize::BITS - count.saturating_sub(1).leading_zeros()
}

/// Appends `values` of at most `width` bits.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    // Groups that wait to be packed begin here.
    let (mut waiting, mut at) = (0, 0);
    while let Some(group) = values.get(at..at + GROUP) {
        let first = group[0];
        if group.iter().all(|value| *value == first) {
            pack(&values[waiting..at], width, out);
            let length = values[at..].iter().take_while(|value| **value == first).count();
            run(length, first, width, out);
            at += length;
            waiting = at;
        } else {
            at += GROUP;
            if at - waiting == PACKED_GROUPS_MAX * GROUP {
                pack(&values[waiting..at], width, out);
                waiting = at;
            }
        }
    }
    match &values[at..] {
        [] => pack(&values[waiting..], width, out),
        [first, rest @ ..] if waiting == at && rest.iter().all(|value| value == first) => {
            run(1 + rest.len(), *first, width, out);
        }
        _ => pack(&values[waiting..], width, out),
    }
}

/// Appends `length` times the same value.
pub(super) fn run(length: usize, value: u32, width: u32, out: &mut Vec<u8>) {
    bits::varint((length as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Appends packed groups, the last of them filled up with zeros.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(GROUP);
    out.push((groups << 1 | 1) as u8);
    let end = out.len() + groups * width as usize;
    bits::pack(values.iter().map(|value| u64::from(*value)), width, out);
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(values: &[u32], width: u32) -> Vec<u8> {
        let mut out = Vec::new();
        encode(values, width, &mut out);
        out
    }

    #[test]
    fn ids_need_as_many_bits_as_the_largest() {
        for (count, width) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (256, 8),
            (257, 9),
            (1 << 20, 20),
        ] {
            assert_eq!(width_of(count), width, "{count}");
        }
    }

    /// The examples of the format's description: github.com/apache/parquet-format, Encodings.md.
    #[test]
    fn values_are_packed_from_the_lowest_bit() {
        let packed = [0x03, 0b1000_1000, 0b1100_0110, 0b1111_1010];
        assert_eq!(encoded(&[0, 1, 2, 3, 4, 5, 6, 7], 3), packed);
        assert_eq!(encoded(&[4; 100], 3), [0xc8, 0x01, 4]);
        assert_eq!(encoded(&[300; 9], 9), [0x12, 0x2c, 0x01]);
    }

    #[test]
    fn a_rest_is_a_run_or_filled_up() {
        assert_eq!(encoded(&[], 3), Vec::<u8>::new());
        assert_eq!(encoded(&[5, 5, 5], 3), [0x06, 5]);
        assert_eq!(encoded(&[1, 0, 1], 1), [0x03, 0b101]);
        assert_eq!(
            encoded(&[0, 0], 0),
            [0x04],
            "of one value nothing but its number is stored"
        );
    }
}
