//! The ids of a dictionary.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::value::Value;

/// Distinct values in the order in which they first came. The id of a value is its index.
pub(super) struct Ids<V> {
    values: Vec<V>,
    /// An open-addressing hash table of ids, at most half full; the other slots are [`EMPTY`].
    slots: Vec<u32>,
    hasher: RandomState,
}

const EMPTY: u32 = u32::MAX;

/// How many values there is room for at first; there are twice as many slots.
const VALUES: usize = 64;

impl<V: Value> Ids<V> {
    pub(super) fn new() -> Self {
        Self {
            values: Vec::with_capacity(VALUES),
            slots: vec![EMPTY; 2 * VALUES],
            hasher: RandomState::default(),
        }
    }

    /// The values, by their ids.
    pub(super) fn values(&self) -> &[V] {
        &self.values
    }

    /// The id of a value.
    #[inline]
    pub(super) fn of(&mut self, value: V) -> u32 {
        let slot = self.slot_of(&value);
        match self.slots[slot] {
            EMPTY => self.add(value, slot),
            id => id,
        }
    }

    /// The slot that has the value's id, or the one where it belongs.
    #[inline]
    fn slot_of(&self, value: &V) -> usize {
        let last = self.slots.len() - 1;
        // Its lower bits are as good as any.
        #[allow(clippy::cast_possible_truncation)]
        let mut slot = self.hasher.hash_one(value) as usize & last;
        while let id = self.slots[slot]
            && id != EMPTY
            && self.values[id as usize] != *value
        {
            slot = (slot + 1) & last;
        }
        slot
    }

    #[cold]
    fn add(&mut self, value: V, slot: usize) -> u32 {
        // A row group has fewer rows than that.
        let id = u32::try_from(self.values.len()).unwrap_or(EMPTY);
        self.slots[slot] = id;
        self.values.push(value);
        if self.values.len() * 2 > self.slots.len() {
            self.slots = vec![EMPTY; self.slots.len() * 4];
            for id in 0..=id {
                let slot = self.slot_of(&self.values[id as usize]);
                self.slots[slot] = id;
            }
        }
        id
    }
}
