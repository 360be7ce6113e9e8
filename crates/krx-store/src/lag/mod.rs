//! Whether the clock is right, as the records show it: a record of a running feed comes within moments of its trade. Pure.
//!
//! ```text
//!   records ──▶ Lags, of a frame ──▶ Lags, of a received second ──▶ LagWatch ──▶ Verdict
//! ```
//!
//! A single record proves nothing: servers send old records again, repeat the last trade of an issue, and send times that
//! mean nothing. So a verdict against the clock takes seconds that agree (docs/adr/0048).

mod lags;
mod seconds;
mod shown;
mod watch;

pub use lags::{EARLY_MAX_MS, Lags, RecvTime};
pub use seconds::{DayVerdicts, LagsBySecond};
pub use shown::ShownLag;
pub use watch::{FeedLag, LagVerdict, LagWatch};
