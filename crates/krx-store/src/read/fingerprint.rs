//! A fingerprint of rows that does not depend on their order: their number, and the sum of a hash of each.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

/// Compares what was read with what was written. A row that is lost, duplicated or changed goes unnoticed once in 2^64
/// cases: enough against mistakes, but no protection against malice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    rows: u64,
    sum: u128,
}

/// Stands for a null in a hash; any number would do.
const NULL: u64 = 0x9e37_79b9_7f4a_7c15;

impl Fingerprint {
    /// How many rows were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds rows. Texts count the same with or without a dictionary.
    ///
    /// # Panics
    /// When a column has a type that no dataset has.
    pub fn add(&mut self, batch: &RecordBatch) {
        let mut hashes = vec![0_u64; batch.num_rows()];
        for column in batch.columns() {
            mix_column(&mut hashes, column);
        }
        self.rows += hashes.len() as u64;
        self.sum = hashes.iter().fold(self.sum, |sum, hash| {
            sum.wrapping_add(u128::from(mix(*hash, NULL)))
        });
    }

    /// Adds another fingerprint.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            sum: self.sum.wrapping_add(other.sum),
        }
    }
}

/// One step of a hash by folded multiplication, as in wyhash.
#[inline]
fn mix(hash: u64, value: u64) -> u64 {
    const A: u64 = 0xa076_1d64_78bd_642f;
    const B: u64 = 0xe703_7ed1_a0b4_28db;
    let product = u128::from(hash ^ A) * u128::from(value ^ B);
    let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
    // Both halves fit.
    (low ^ high).try_into().unwrap_or_default()
}

fn mix_bytes(text: &[u8]) -> u64 {
    let mut chunks = text.chunks(8);
    chunks.by_ref().fold(text.len() as u64, |hash, chunk| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        mix(hash, u64::from_le_bytes(bytes))
    })
}

fn mix_column(hashes: &mut [u64], column: &ArrayRef) {
    match column.data_type() {
        DataType::Int16 => mix_numbers::<Int16Type>(hashes, column.as_primitive(), i64::from),
        DataType::Int32 => mix_numbers::<Int32Type>(hashes, column.as_primitive(), i64::from),
        DataType::Int64 => mix_numbers::<Int64Type>(hashes, column.as_primitive(), |value| value),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            mix_numbers::<TimestampMillisecondType>(hashes, column.as_primitive(), |value| value);
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            mix_numbers::<TimestampMicrosecondType>(hashes, column.as_primitive(), |value| value);
        }
        DataType::Dictionary(..) => {
            let column = column.as_dictionary::<Int32Type>();
            let texts: Vec<u64> = column.values().as_string::<i32>().iter().map(of_text).collect();
            for (row, hash) in hashes.iter_mut().enumerate() {
                *hash = mix(*hash, column.key(row).map_or(NULL, |key| texts[key]));
            }
        }
        DataType::Binary => {
            for (hash, bytes) in hashes.iter_mut().zip(column.as_binary::<i32>()) {
                *hash = mix(*hash, bytes.map_or(NULL, mix_bytes));
            }
        }
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            if texts.null_count() == texts.len() {
                hashes.iter_mut().for_each(|hash| *hash = mix(*hash, NULL));
                return;
            }
            for (hash, text) in hashes.iter_mut().zip(texts) {
                *hash = mix(*hash, of_text(text));
            }
        }
        DataType::Float64 => {
            let column = column.as_primitive::<Float64Type>();
            for (hash, value) in hashes.iter_mut().zip(column) {
                *hash = mix(*hash, value.map_or(NULL, f64::to_bits));
            }
        }
        other => panic!("a fingerprint of a dataset with a column of type {other}"),
    }
}

fn of_text(text: Option<&str>) -> u64 {
    text.map_or(NULL, |text| mix_bytes(text.as_bytes()))
}

fn mix_numbers<T: ArrowPrimitiveType>(
    hashes: &mut [u64],
    column: &PrimitiveArray<T>,
    wide: impl Fn(T::Native) -> i64,
) {
    if column.null_count() == 0 {
        for (hash, value) in hashes.iter_mut().zip(column.values()) {
            *hash = mix(*hash, wide(*value).cast_unsigned());
        }
        return;
    }
    for (hash, value) in hashes.iter_mut().zip(column) {
        *hash = mix(*hash, value.map_or(NULL, |value| wide(value).cast_unsigned()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{DictionaryArray, Int64Array, StringArray};
    use arrow_schema::{Field, Schema};
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, Option<String>);

    fn batch(rows: &[Row], keyed: bool) -> RecordBatch {
        let numbers: Int64Array = rows.iter().map(|row| row.0).collect();
        let texts: ArrayRef = if keyed {
            Arc::new(
                rows.iter()
                    .map(|row| row.1.as_deref())
                    .collect::<DictionaryArray<Int32Type>>(),
            )
        } else {
            Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringArray>())
        };
        let schema = Schema::new(vec![
            Field::new("number", DataType::Int64, true),
            Field::new("text", texts.data_type().clone(), true),
        ]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers), texts]).unwrap()
    }

    fn of(rows: &[Row], keyed: bool) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        fingerprint.add(&batch(rows, keyed));
        fingerprint
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (any::<Option<i64>>(), prop::option::of("[a-c]{0,17}"));
        prop::collection::vec(row, 1..20)
    }

    proptest! {
        #[test]
        fn order_and_dictionaries_do_not_count(rows in rows(), cut in any::<prop::sample::Index>()) {
            let whole = of(&rows, false);
            let mut turned = rows.clone();
            turned.reverse();
            prop_assert_eq!(of(&turned, false), whole);
            prop_assert_eq!(of(&rows, true), whole);
            let (left, right) = rows.split_at(cut.index(rows.len()));
            prop_assert_eq!(of(left, true).and(of(right, false)), whole);
        }

        #[test]
        fn a_row_that_is_lost_doubled_or_changed_shows(rows in rows(), at in any::<prop::sample::Index>(), other in any::<i64>()) {
            let (whole, at) = (of(&rows, false), at.index(rows.len()));
            let mut lost = rows.clone();
            lost.remove(at);
            prop_assert_ne!(of(&lost, false), whole);
            let mut doubled = rows.clone();
            doubled[(at + 1) % rows.len()] = rows[at].clone();
            prop_assert_eq!(of(&doubled, false) == whole, doubled == rows);
            let mut changed = rows.clone();
            changed[at].0 = Some(other);
            prop_assert_eq!(of(&changed, false) == whole, changed == rows);
            let mut changed = rows;
            changed[at].1 = changed[at].1.take().map_or(Some(String::new()), |text| Some(text + "a"));
            prop_assert_ne!(of(&changed, false), whole);
        }
    }

    #[test]
    fn values_that_change_rows_show() {
        let row = |number, text: &str| (Some(number), Some(text.to_owned()));
        let one = of(&[row(1, "a"), row(2, "b")], false);
        assert_ne!(one, of(&[row(2, "a"), row(1, "b")], false));
    }
}
