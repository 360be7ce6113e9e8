//! Reading committed files in order of arrival, for callers that examine a recorded day without Arrow.
//!
//! ```text
//!   files of a feed and date ─▶ Arrivals ─▶ batches in order of (frame, item) ─▶ Trades ─▶ TradeRow
//!                                  └ a day in one file: a run at a time, put back in order
//! ```

mod again;
mod arrivals;
mod codes;
mod columns;
mod file;
mod fingerprint;
mod issues;
mod pushes;
mod quarantine;
mod records;
mod texts;
mod trades;

pub use again::again_if_gone;
pub(crate) use arrivals::Arrivals;
pub use codes::codes;
pub(crate) use columns::Columns;
pub(crate) use file::{Opened, READ_ROWS, builder, open, undecodable};
pub use fingerprint::Fingerprint;
pub use issues::{active_pairs, pairs, registrations, snapshots};
pub use pushes::{Push, PushBatch, PushedQuote, PushedTrade, Pushes};
pub use quarantine::{Quarantine, QuarantineRow};
pub use records::{Record, RecordRows, Records};
pub(crate) use texts::Texts;
pub use trades::{TradeBatch, TradeRow, Trades};

pub use crate::registrations::Stretch;
