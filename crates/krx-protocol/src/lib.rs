//! Koscom's feeds, as messages: no sockets, no clock, no disk.
//!
//! ```text
//!   full-market frame ──▶ Decoder::decode ──▶ BatchSink::trade   (a record that is whole)
//!                              │         └──▶ BatchSink::reject  (one that is not, with its reason and its bytes)
//!                              └──▶ Decoded::Control             (reply, error, heartbeat: nothing to store)
//!
//!   per-issue frame ──▶ PerIssueDecoder::decode ──▶ RowSink::row     (a row of one of its datasets)
//!   RegistrationBook ──────────┘               └──▶ RowSink::reject  (what is not a row, with the reason and its bytes)
//! ```
//!
//! Two properties hold for any input: decoding never panics, and one bad record never costs its neighbours. Facts about
//! the protocol are explained in `docs/protocol.md`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod control;
pub mod conversation;
#[cfg(test)]
mod damage;
mod issue_code;
mod number;
mod parser;
pub mod per_issue;
mod reason;
mod record;
mod salvage;
mod scan;
mod trade_time;
mod usual;
mod written;

pub use batch::{Decoded, Decoder};
pub use control::{Control, Refusal, ServerError};
pub use conversation::request::{heartbeat, init};
pub use issue_code::{IssueCode, IssueCodeError};
pub use reason::Reason;
pub use record::{BatchSink, MAX_ITEMS, PACKED_RECORDS_MAX, Trade};
pub use scan::without_byte_order_mark;
pub use trade_time::{Kind, TradeTime, TradeTimeError};
