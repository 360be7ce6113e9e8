//! Numbers of any width in bits, and numbers of seven bits to a byte, as Parquet's encodings have them. Pure.

/// Appends values of at most `width` bits, the lowest bit first. The last byte is filled up with zeros.
#[inline]
pub(super) fn pack(values: impl IntoIterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    // Bits that are not written yet, the lowest first.
    let (mut bits, mut count) = (0_u64, 0);
    for value in values {
        bits |= value << count;
        count += width;
        if count >= u64::BITS {
            out.extend_from_slice(&bits.to_le_bytes());
            count -= u64::BITS;
            // What did not fit.
            bits = value.checked_shr(width - count).unwrap_or(0);
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..count.div_ceil(u8::BITS) as usize]);
}

/// Appends a number, seven bits to a byte.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a number that may be negative: small ones of either sign are short.
pub(super) fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint((value << 1 ^ value >> (i64::BITS - 1)).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_width_lie_back_to_back() {
        for width in 1..=64 {
            let all = u64::MAX >> (64 - width);
            let values = [all, 0, all, all, 0, 1, all, 0, 0, all, 1];
            let mut out = Vec::new();
            pack(values, width, &mut out);
            assert_eq!(out.len(), (values.len() * width as usize).div_ceil(8));
            let bit = |at: usize| u64::from(out[at / 8] >> (at % 8) & 1);
            for (place, value) in values.into_iter().enumerate() {
                let bits = (0..width as usize).map(|nth| bit(place * width as usize + nth) << nth);
                assert_eq!(bits.sum::<u64>(), value, "{place} of {width} bits");
            }
            let unused = values.len() * width as usize..out.len() * 8;
            assert!(unused.into_iter().all(|at| bit(at) == 0));
        }
    }

    #[test]
    fn numbers_are_as_long_as_they_need() {
        let mut out = Vec::new();
        for value in [0, 1, 0x7f, 0x80, 300] {
            varint(value, &mut out);
        }
        assert_eq!(out, [0, 1, 0x7f, 0x80, 1, 0xac, 2]);
        out.clear();
        for value in [0, -1, 1, -64, 64, i64::MIN] {
            zigzag(value, &mut out);
        }
        assert_eq!(out[..6], [0, 1, 2, 0x7f, 0x80, 1]);
        assert_eq!(
            out[6..],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]
        );
    }
}
