//! Which column a key fills.
//!
//! A server sends the members of a message in the same order each time. So the key that followed the last one before is
//! tried first, and the others are only searched when that is not the one.

use super::fields::{Field, FieldKind};
use super::message::{CODE, PRESET};

/// What a key is in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The code.
    Code,
    /// The preset.
    Preset,
    /// The column at this place.
    Field(usize),
}

/// The keys of a table.
pub(super) struct Keys {
    /// In the order of their bytes.
    known: Vec<(&'static str, Target)>,
    /// The key that followed each key in the last message; for its last key, the first one.
    after: Vec<usize>,
}

/// A place within a record.
#[derive(Clone, Copy)]
pub(super) struct Cursor(usize);

impl Keys {
    pub(super) fn new(fields: &'static [Field]) -> Self {
        let mut known = vec![(CODE, Target::Code), (PRESET, Target::Preset)];
        for (slot, field) in fields.iter().enumerate() {
            // A clock is filled together with its digits.
            if !matches!(field.kind, FieldKind::TradeClock | FieldKind::OrderClock) {
                known.extend(field.sources.iter().map(|key| (*key, Target::Field(slot))));
            }
        }
        known.sort_unstable_by_key(|(key, _)| *key);
        let after = vec![0; known.len() + 1];
        Self { known, after }
    }

    /// Where a record begins.
    #[inline]
    pub(super) fn start(&self) -> Cursor {
        Cursor(self.known.len())
    }

    /// The key, and what it is; `None` if the table does not have it.
    #[inline]
    pub(super) fn find(&mut self, cursor: &mut Cursor, key: &str) -> Option<(&'static str, Target)> {
        let likely = self.after[cursor.0];
        if self.known[likely].0 != key {
            self.after[cursor.0] = self.place(key)?;
        }
        cursor.0 = self.after[cursor.0];
        Some(self.known[cursor.0])
    }

    /// As [`Keys::find`], without a memory.
    pub(super) fn look_up(&self, key: &str) -> Option<Target> {
        self.place(key).map(|place| self.known[place].1)
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.known.binary_search_by_key(&key, |(known, _)| known).ok()
    }
}
