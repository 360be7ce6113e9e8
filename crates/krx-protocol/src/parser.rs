//! simd-json, with buffers that are reused from frame to frame.

use simd_json::{Buffers, INPUT_PADDING, Node, Tape};

use crate::scan::without_leading_zeros;

/// simd-json and its buffers. The input is copied because it is unescaped in place.
pub(crate) struct Parser {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Self {
            scratch: Vec::new(),
            buffers: Buffers::default(),
            tape: Tape::null(),
        }
    }

    /// Whether it has parsed anything yet.
    #[cfg(test)]
    pub(crate) fn is_unused(&self) -> bool {
        self.scratch.capacity() == 0
    }

    /// Parses `text` and lends the tape to `read`.
    pub(crate) fn parse<T>(
        &mut self,
        text: &[u8],
        read: impl FnOnce(&[Node<'_>]) -> T,
    ) -> Result<T, simd_json::Error> {
        self.scratch.clear();
        self.scratch.extend_from_slice(text);
        self.scratch.resize(text.len() + INPUT_PADDING, b' ');
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape_padded(&mut self.scratch, text.len(), &mut self.buffers, &mut tape);
        let value = parsed.map(|()| read(&tape.0));
        self.tape = tape.reset();
        value
    }

    /// As [`Parser::parse`], but numbers may have leading zeros. Lends what was parsed too: `text`, or a copy of it
    /// without these zeros.
    pub(crate) fn parse_with_zeros<T>(
        &mut self,
        text: &[u8],
        mut read: impl FnMut(&[Node<'_>], &[u8]) -> T,
    ) -> Result<T, simd_json::Error> {
        self.parse(text, |tape| read(tape, text)).or_else(|error| {
            let repaired = without_leading_zeros(text).ok_or(error)?;
            self.parse(&repaired, |tape| read(tape, &repaired))
        })
    }
}

/// How many nodes the first value of `tape` has, itself included.
#[inline]
pub(crate) fn node_count(tape: &[Node<'_>]) -> usize {
    match tape.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        Some(_) => 1,
        None => 0,
    }
}
