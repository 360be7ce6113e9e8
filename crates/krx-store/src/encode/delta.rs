//! Parquet's DELTA_BINARY_PACKED: the differences between neighbours, in blocks, each with as many bits as the largest of its part of
//! a block needs. Gives the same bytes as arrow-rs. Pure.

use super::bits::{pack, varint, zigzag};

/// A block is in so many parts, each with its own width.
const PARTS: usize = 4;

/// Values in a part. arrow-rs chooses the numbers by the type.
const PART_I32: usize = 32;
const PART_I64: usize = 64;

/// Appends a page of 32-bit numbers. Differences wrap around.
pub(super) fn encode_i32(values: &[i32], out: &mut Vec<u8>) {
    let difference = |before: i32, value: i32| i64::from(value.wrapping_sub(before));
    #[allow(clippy::cast_possible_truncation, reason = "both are differences of 32 bits")]
    let above =
        |difference: i64, min: i64| u64::from((difference as i32).wrapping_sub(min as i32).cast_unsigned());
    encode::<_, { PART_I32 * PARTS }>(values, difference, above, out);
}

/// Appends a page of 64-bit numbers. Differences wrap around.
pub(super) fn encode_i64(values: &[i64], out: &mut Vec<u8>) {
    let difference = |before: i64, value: i64| value.wrapping_sub(before);
    let above = |difference: i64, min: i64| difference.wrapping_sub(min).cast_unsigned();
    encode::<_, { PART_I64 * PARTS }>(values, difference, above, out);
}

/// Appends a page in blocks of `BLOCK` differences. `above` is how far a difference is above the least of its block.
#[inline]
fn encode<V: Copy + Into<i64>, const BLOCK: usize>(
    values: &[V],
    difference: impl Fn(V, V) -> i64,
    above: impl Fn(i64, i64) -> u64,
    out: &mut Vec<u8>,
) {
    varint(BLOCK as u64, out);
    varint(PARTS as u64, out);
    varint(values.len() as u64, out);
    zigzag(values.first().map_or(0, |first| (*first).into()), out);
    let (mut differences, mut packed) = ([0; BLOCK], [0; BLOCK]);
    // Of one part.
    let packed = &mut packed[..BLOCK / PARTS];
    for start in (1..values.len()).step_by(BLOCK) {
        let end = (start + BLOCK).min(values.len());
        let differences = &mut differences[..end - start];
        for ((found, before), value) in differences
            .iter_mut()
            .zip(&values[start - 1..])
            .zip(&values[start..end])
        {
            *found = difference(*before, *value);
        }
        let min = differences.iter().copied().fold(i64::MAX, i64::min);
        zigzag(min, out);
        let widths = out.len();
        // Parts without values have no width and no bits.
        out.resize(widths + PARTS, 0);
        let parts = differences.chunks(BLOCK / PARTS);
        for (place, part) in parts.enumerate() {
            // The last one is filled up with zeros.
            packed.fill(0);
            let mut all = 0;
            for (packed, difference) in packed.iter_mut().zip(part) {
                *packed = above(*difference, min);
                all |= *packed;
            }
            let width = u64::BITS - all.leading_zeros();
            out[widths + place] = width.to_le_bytes()[0];
            pack(packed.iter().copied(), width, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(values: &[i32]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_i32(values, &mut out);
        out
    }

    /// The examples of the format's description: github.com/apache/parquet-format, Encodings.md.
    #[test]
    fn differences_are_packed_above_the_least() {
        let head = |values: u8, first: u8| [0x80, 0x01, 4, values, first];
        let mut rising = head(5, 2).to_vec();
        // The least difference is 1, and no other is larger.
        rising.extend([2, 0, 0, 0, 0]);
        assert_eq!(encoded(&[1, 2, 3, 4, 5]), rising);
        let mut mixed = head(8, 14).to_vec();
        // -2, and above it 0, 0, 0, 3, 3, 3, 3 in two bits each.
        mixed.extend([3, 2, 0, 0, 0, 0b1100_0000, 0b0011_1111, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(&[7, 5, 3, 1, 2, 3, 4, 5]), mixed);
    }

    /// arrow-rs writes the same, as the property test of files shows; here are the numbers that a file has least often.
    #[test]
    fn differences_wrap_around() {
        let mut out = Vec::new();
        encode_i64(&[i64::MAX, i64::MIN, i64::MAX], &mut out);
        // 256 in a block, 4 parts, 3 values, and the first one.
        let mut expected = vec![0x80, 0x02, 4, 3];
        expected.extend([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        // The differences are 1 and -1: the least, and above it 2 and 0 in two bits each, of 64 values.
        expected.extend([1, 2, 0, 0, 0, 2]);
        expected.extend([0; 15]);
        assert_eq!(out, expected);
        let mut out = Vec::new();
        encode_i32(&[i32::MIN, i32::MAX], &mut out);
        // One difference of -1, with nothing above it.
        assert_eq!(out[..4], [0x80, 0x01, 4, 2]);
        assert_eq!(out[out.len() - 5..], [1, 0, 0, 0, 0]);
    }

    #[test]
    fn one_value_and_none_have_no_block() {
        assert_eq!(encoded(&[]), [0x80, 0x01, 4, 0, 0]);
        assert_eq!(encoded(&[-1]), [0x80, 0x01, 4, 1, 1]);
    }
}
