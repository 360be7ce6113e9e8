//! How a file's footer says that its columns are ordered, in a form that old readers accept.
//!
//! ```text
//!   … FileMetaData: … │ orders: 3 bytes a column │ 0 │ its length: 4 bytes │ PAR1
//! ```
//!
//! The Parquet library says of floating-point columns that they have the IEEE 754 total order, and cannot be told otherwise.
//! That is a new member of a union of the format, and polars 1.0 refuses a file with a member that it does not know. The
//! order of the column's type was the only one before, and is as true: there are no NaNs in our files, and readers must
//! expect zeros of either sign.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A union with the member `TYPE_ORDER` in thrift's compact protocol: a struct as field 1, its end, and the union's end.
const OF_TYPE: [u8; ORDER_BYTES] = [0x1c, 0, 0];

/// The same with the member `IEEE_754_TOTAL_ORDER`, field 2.
const TOTAL: [u8; ORDER_BYTES] = [0x2c, 0, 0];

const ORDER_BYTES: usize = 3;

/// What follows the orders: the end of the `FileMetaData`, its length, and the magic number.
const AFTER_BYTES: usize = 1 + 4 + 4;

/// What must replace the orders of a finished file of so many columns, and its offset; `None` if nothing must.
///
/// # Errors
/// When the file cannot be read, or does not end as the Parquet library writes it ([`io::ErrorKind::InvalidData`]).
pub(crate) fn known_orders(file: &File, columns: usize) -> io::Result<Option<(Vec<u8>, u64)>> {
    let tail_bytes = columns * ORDER_BYTES + AFTER_BYTES;
    let length = file.metadata()?.len();
    let offset = length.checked_sub(tail_bytes as u64).ok_or_else(unexpected)?;
    let mut tail = vec![0; tail_bytes];
    file.read_exact_at(&mut tail, offset)?;
    let orders = with_order_of_type(&tail, columns).ok_or_else(unexpected)?;
    Ok((!tail.starts_with(&orders)).then_some((orders, offset)))
}

/// The orders at the beginning of a file's tail, each that of the column's type; `None` if it is not such a tail.
fn with_order_of_type(tail: &[u8], columns: usize) -> Option<Vec<u8>> {
    let (orders, after) = tail.split_at_checked(columns * ORDER_BYTES)?;
    let is_end = after.first() == Some(&0) && after.ends_with(b"PAR1");
    let is_known = |order: &[u8]| order == OF_TYPE || order == TOTAL;
    let is_orders = is_end && orders.chunks(ORDER_BYTES).all(is_known);
    is_orders.then(|| OF_TYPE.repeat(columns))
}

fn unexpected() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it does not end with the orders of its columns",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(orders: &[[u8; ORDER_BYTES]]) -> Vec<u8> {
        [&orders.concat()[..], &[0, 9, 0, 0, 0], b"PAR1"].concat()
    }

    #[test]
    fn each_order_becomes_that_of_the_type() {
        let known = with_order_of_type(&tail(&[OF_TYPE, TOTAL, TOTAL]), 3);
        assert_eq!(known, Some(OF_TYPE.repeat(3)));
    }

    #[test]
    fn a_file_that_ends_otherwise_is_left_alone() {
        for (bytes, columns) in [
            (tail(&[OF_TYPE, [0x3c, 0, 0]]), 2),
            (tail(&[TOTAL]), 2),
            (tail(&[TOTAL, TOTAL]), 1),
            (b"PAR1".to_vec(), 1),
            (tail(&[TOTAL])[..11].to_vec(), 1),
        ] {
            assert_eq!(with_order_of_type(&bytes, columns), None, "{bytes:?}");
        }
    }
}
