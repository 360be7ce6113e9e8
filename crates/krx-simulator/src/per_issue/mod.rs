//! The per-issue service: the same trades as the full-market service, one by one, with the books around them.
//!
//! ```text
//!  tapes ─▶ trades ─▶ floor ─▶ issues ─▶ krx_exchange
//!  (prints) (behind   (instruments,      (what is registered,
//!            them)     books, indices)    as pushes)
//! derivatives ────────▲
//! ```
//!
//! * A print of the tape stands for one to four trades: the print is their conflation, with the last price and the sum of
//!   the volumes.
//! * Before a trade the book changes until the trade can take its volume from the best level; then it takes it.
//! * All of the floor passes whatever is registered, so that what is pushed of an issue at a time depends on the seed alone.

mod book;
mod derivative;
mod fields;
mod floor;
mod index;
mod instrument;
mod issues;
mod ladder;
mod object;
mod standard_code;
mod trades;

pub(crate) use issues::FloorIssues;
