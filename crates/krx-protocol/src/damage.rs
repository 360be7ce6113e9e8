//! Damaged messages, for tests of the ways that need no parser.

use proptest::prelude::*;
use proptest::sample::Index;

/// What a value or a place between values may be replaced with.
const PIECES: [&str; 35] = [
    "0",
    "7",
    "-",
    "+",
    ".",
    "e",
    "\"",
    "\\",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    " ",
    "\n",
    "\0",
    "A",
    "null",
    "true",
    "1.5",
    "-0",
    "1e5",
    "00",
    "\"7\"",
    "\"-7\"",
    "가",
    "\u{7f}",
    "},{",
    ",\"trdPrc\":1",
    "\",\"trdPrc\":\"1",
    "\"trdVol\":\"",
    ",\"isuCd\":\"KR\"",
    "123456789012345",
    "0123456789abcdef",
];

/// A place in a message, how many bytes are removed there, and what takes their place.
pub(crate) type Damage = (Index, usize, &'static str);

/// Up to three of them.
pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(
        (any::<Index>(), 0..4_usize, prop::sample::select(&PIECES[..])),
        0..4,
    )
}

/// A message with these damages.
pub(crate) fn damaged(message: String, damages: &[Damage]) -> Vec<u8> {
    let mut message = message.into_bytes();
    for (place, removed, piece) in damages {
        let start = place.index(message.len());
        let end = (start + removed).min(message.len());
        message.splice(start..end, piece.bytes());
    }
    message
}
