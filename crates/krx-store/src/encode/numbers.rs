//! Numbers as they are, or the differences between each and the one before it.

use parquet::basic::Encoding;
use parquet::errors::Result;

use super::chunk::ValueFacts;
use super::column::PageEncoder;
use super::delta;
use super::value::Value;

/// A number that a column can hold.
pub(super) trait Number: Value + Copy {
    /// Appends a page of differences.
    fn push_differences(values: &[Self], page: &mut Vec<u8>);
}

impl Number for i32 {
    fn push_differences(values: &[Self], page: &mut Vec<u8>) {
        delta::encode_i32(values, page);
    }
}

impl Number for i64 {
    fn push_differences(values: &[Self], page: &mut Vec<u8>) {
        delta::encode_i64(values, page);
    }
}

/// The numbers of the page that is being filled.
pub(super) struct Numbers<V> {
    page: Vec<V>,
    are_differences: bool,
}

impl<V: Number> Numbers<V> {
    pub(super) fn plain() -> Self {
        Self {
            page: Vec::new(),
            are_differences: false,
        }
    }

    pub(super) fn differences() -> Self {
        Self {
            page: Vec::new(),
            are_differences: true,
        }
    }
}

impl<V: Number> PageEncoder for Numbers<V> {
    type Value = V;

    fn count(&self) -> usize {
        self.page.len()
    }

    #[inline]
    fn extend(&mut self, values: impl Iterator<Item = V>) {
        self.page.extend(values);
    }

    fn encoding(&self) -> Encoding {
        if self.are_differences {
            Encoding::DELTA_BINARY_PACKED
        } else {
            Encoding::PLAIN
        }
    }

    fn end_page(&mut self, page: &mut Vec<u8>) -> Result<ValueFacts<V>> {
        if self.are_differences {
            V::push_differences(&self.page, page);
        } else {
            page.reserve(size_of_val(self.page.as_slice()));
            self.page.iter().for_each(|value| value.push_plain(page));
        }
        let range = self.page.first().map(|first| {
            let wider = |(min, max): (V, V), value: &V| (min.min(*value), max.max(*value));
            self.page.iter().fold((*first, *first), wider)
        });
        self.page.clear();
        Ok(ValueFacts { range, text_bytes: 0 })
    }

    fn dictionary(&self) -> Option<&[V]> {
        None
    }
}
