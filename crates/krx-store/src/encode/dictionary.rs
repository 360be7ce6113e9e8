//! Ids in place of values: each value is hashed once, and only its id is kept.

use parquet::basic::Encoding;
use parquet::errors::Result;

use super::chunk::{ValueFacts, fitting};
use super::column::PageEncoder;
use super::hybrid;
use super::ids::Ids;
use super::value::Value;

/// A dictionary, and the ids of the page that is being filled.
pub(super) struct Dictionary<V> {
    ids: Ids<V>,
    page: Vec<u32>,
    /// For each id the number of the page in which it was last seen, so that a page compares each value once.
    seen: Vec<u32>,
    pages: u32,
}

impl<V: Value> Dictionary<V> {
    pub(super) fn new() -> Self {
        Self {
            ids: Ids::new(),
            page: Vec::new(),
            seen: Vec::new(),
            pages: 0,
        }
    }

    /// Adds values to the page, of which `id` finds the ids.
    #[inline]
    pub(super) fn try_extend<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut id: impl FnMut(&mut Ids<V>, T) -> Result<u32>,
    ) -> Result<()> {
        self.page.reserve(values.len());
        for value in values {
            self.page.push(id(&mut self.ids, value)?);
        }
        Ok(())
    }
}

impl<V: Value> PageEncoder for Dictionary<V> {
    type Value = V;

    fn count(&self) -> usize {
        self.page.len()
    }

    #[inline]
    fn extend(&mut self, values: impl Iterator<Item = V>) {
        let ids = &mut self.ids;
        self.page.extend(values.map(|value| ids.of(value)));
    }

    fn encoding(&self) -> Encoding {
        Encoding::RLE_DICTIONARY
    }

    fn end_page(&mut self, page: &mut Vec<u8>) -> Result<ValueFacts<V>> {
        let values = self.ids.values();
        let width = hybrid::width_of(values.len());
        page.push(fitting(width as usize)?);
        hybrid::encode(&self.page, width, page);
        self.pages += 1;
        self.seen.resize(values.len(), 0);
        let (mut range, mut text_bytes): (Option<(&V, &V)>, _) = (None, 0);
        for id in &self.page {
            let value = &values[*id as usize];
            text_bytes += value.text_len().unwrap_or_default();
            let seen = &mut self.seen[*id as usize];
            if *seen != self.pages {
                *seen = self.pages;
                range = Some(range.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
            }
        }
        self.page.clear();
        Ok(ValueFacts {
            range: range.map(|(min, max)| (min.clone(), max.clone())),
            text_bytes,
        })
    }

    fn dictionary(&self) -> Option<&[V]> {
        Some(self.ids.values())
    }
}
