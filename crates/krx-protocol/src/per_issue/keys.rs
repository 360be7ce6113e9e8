//! Which column a key fills.
//!
//! A server sends the members of a message in the same order each time. So the key that followed the last one before is
//! tried first, and the others are only searched when that is not the one.

use super::fields::{Field, FieldKind};
use super::message::{CODE, PRESET};
use crate::written::Written;

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

/// A key of a table.
struct Known {
    key: &'static str,
    target: Target,
    /// `,"key":`, as it stands in a message.
    written: Written,
}

/// The keys of a table.
pub(super) struct Keys {
    /// In the order of their bytes.
    known: Vec<Known>,
    /// The key that followed each key in the last message; for its last key, the first one.
    after: Vec<usize>,
    /// The place of [`CODE`].
    code: usize,
}

/// A place within a record.
#[derive(Clone, Copy)]
pub(super) struct Cursor(usize);

impl Keys {
    pub(super) fn new(fields: &'static [Field]) -> Self {
        let mut keys = vec![(CODE, Target::Code), (PRESET, Target::Preset)];
        for (slot, field) in fields.iter().enumerate() {
            // A clock is filled together with its digits.
            if !matches!(field.kind, FieldKind::TradeClock | FieldKind::OrderClock) {
                keys.extend(field.sources.iter().map(|key| (*key, Target::Field(slot))));
            }
        }
        keys.sort_unstable_by_key(|(key, _)| *key);
        let code = keys.iter().position(|(key, _)| *key == CODE);
        let known = keys.into_iter().map(|(key, target)| Known {
            key,
            target,
            written: Written::member(key),
        });
        let known: Vec<_> = known.collect();
        Self {
            after: vec![0; known.len() + 1],
            known,
            code: code.expect("each table has a code"),
        }
    }

    /// Where a record begins.
    #[inline]
    pub(super) fn start(&self) -> Cursor {
        Cursor(self.known.len())
    }

    /// After a code.
    #[inline]
    pub(super) fn after_code(&self) -> Cursor {
        Cursor(self.code)
    }

    /// The key, and what it is; `None` if the table does not have it.
    #[inline]
    pub(super) fn find(&mut self, cursor: &mut Cursor, key: &str) -> Option<(&'static str, Target)> {
        let likely = self.after[cursor.0];
        let place = if self.known[likely].key == key {
            likely
        } else {
            self.place(key)?
        };
        self.go(cursor, place);
        let known = &self.known[place];
        Some((known.key, known.target))
    }

    /// As [`Keys::find`], of the key with which the text of a message goes on, `,"key":`, and with the length of that.
    #[allow(clippy::inline_always)] // It saves a twentieth of a push's time.
    #[inline(always)]
    pub(super) fn find_written(&mut self, cursor: &mut Cursor, text: &[u8]) -> Option<(Target, usize)> {
        let likely = self.after[cursor.0];
        let known = &self.known[likely];
        if known.written.begins(text) {
            *cursor = Cursor(likely);
            return Some((known.target, known.written.len()));
        }
        let key = text.strip_prefix(b",\"")?.split(|byte| *byte == b'"').next()?;
        let place = self.place(std::str::from_utf8(key).ok()?)?;
        self.go(cursor, place);
        let known = &self.known[place];
        let is_whole = known.written.begins(text);
        is_whole.then_some((known.target, known.written.len()))
    }

    /// As [`Keys::find`], without a memory.
    pub(super) fn look_up(&self, key: &str) -> Option<Target> {
        self.place(key).map(|place| self.known[place].target)
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.known.binary_search_by_key(&key, |known| known.key).ok()
    }

    /// Goes on to a key, and remembers that it came here.
    #[inline]
    fn go(&mut self, cursor: &mut Cursor, place: usize) {
        self.after[cursor.0] = place;
        *cursor = Cursor(place);
    }
}
