//! Values of the columns that are encoded here: how each is stored and compared.

use std::hash::Hash;

use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::{Statistics, ValueStatistics};

/// A value. Its order is that of the column's statistics.
pub(super) trait Value: Clone + Eq + Hash + Ord {
    /// Its bytes, if it is text.
    fn text_len(&self) -> Option<usize>;

    /// As a page of plain values has it, or a dictionary.
    fn push_plain(&self, page: &mut Vec<u8>);

    /// As the index of pages has it.
    fn to_bytes(&self) -> Vec<u8>;

    /// The statistics of a column chunk.
    fn statistics(range: Option<(Self, Self)>, nulls: u64) -> Statistics;
}

macro_rules! integer {
    ($integer:ty) => {
        impl Value for $integer {
            fn text_len(&self) -> Option<usize> {
                None
            }

            fn push_plain(&self, page: &mut Vec<u8>) {
                page.extend_from_slice(&self.to_le_bytes());
            }

            fn to_bytes(&self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }

            fn statistics(range: Option<(Self, Self)>, nulls: u64) -> Statistics {
                let (min, max) = range.unzip();
                ValueStatistics::new(min, max, None, Some(nulls), false)
                    .with_backwards_compatible_min_max(true)
                    .into()
            }
        }
    };
}

integer!(i32);
integer!(i64);

/// An issue code as one number: its bytes, zeros, and its length. Numbers compare as the texts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Code(u128);

impl Code {
    /// The longest code that fits, in bytes. The exchange has shorter ones only.
    const LEN_MAX: usize = 15;

    #[inline]
    pub(super) fn new(text: &str) -> Result<Self> {
        let text = text.as_bytes();
        // Nearly all codes: without memory in between.
        if let [a, b, c, d, e, f] = *text {
            let text = u64::from_be_bytes([a, b, c, d, e, f, 0, 0]);
            return Ok(Self(u128::from(text) << 64 | 6));
        }
        let mut bytes = [0; Self::LEN_MAX + 1];
        let Some(place) = bytes[..Self::LEN_MAX].get_mut(..text.len()) else {
            let (max, len) = (Self::LEN_MAX, text.len());
            let what = format!("an issue code has at most {max} bytes, but this one has {len}");
            return Err(ParquetError::General(what));
        };
        place.copy_from_slice(text);
        bytes[Self::LEN_MAX] = text.len().to_le_bytes()[0];
        Ok(Self(u128::from_be_bytes(bytes)))
    }

    fn len(self) -> usize {
        usize::from(self.0.to_le_bytes()[0])
    }
}

/// A word of a small set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Word(Box<str>);

impl Word {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl Value for Code {
    fn text_len(&self) -> Option<usize> {
        Some(self.len())
    }

    fn push_plain(&self, page: &mut Vec<u8>) {
        push_text(&self.0.to_be_bytes()[..self.len()], page);
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes()[..self.len()].to_vec()
    }

    fn statistics(range: Option<(Self, Self)>, nulls: u64) -> Statistics {
        text_statistics(range, nulls)
    }
}

impl Value for Word {
    fn text_len(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn push_plain(&self, page: &mut Vec<u8>) {
        push_text(self.0.as_bytes(), page);
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }

    fn statistics(range: Option<(Self, Self)>, nulls: u64) -> Statistics {
        text_statistics(range, nulls)
    }
}

fn push_text(text: &[u8], page: &mut Vec<u8>) {
    // No code and no word is longer than that.
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    page.extend_from_slice(&len.to_le_bytes());
    page.extend_from_slice(text);
}

fn text_statistics<V: Value>(range: Option<(V, V)>, nulls: u64) -> Statistics {
    let (min, max) = range.unzip();
    let text = |value: Option<V>| value.map(|value| ByteArray::from(value.to_bytes()));
    ValueStatistics::new(text(min), text(max), None, Some(nulls), false).into()
}
