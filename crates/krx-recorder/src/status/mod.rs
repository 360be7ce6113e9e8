//! What others see of a recorder at work, on a loopback port: a page for a person, metrics for Prometheus, JSON for
//! programs, a word for supervisors.
//!
//! ```text
//!   Progress, FeedStatus, DiskStatus ──▶ View::snapshot ──▶ Snapshot ──▶ status.json, metrics, health
//!                                          (thread `status`: nothing here touches the disk, and no feed waits for it)
//! ```

mod health;
mod host;
mod metrics;
mod page;
mod process;
mod rates;
mod router;
mod server;
mod snapshot;
mod view;

pub use health::Health;
pub(crate) use page::CSS as STYLE;
pub use server::{Server, bind};
pub use snapshot::{
    FileSnapshot, GapsSnapshot, Kst, MarketSnapshot, ProblemSnapshot, RatesSnapshot, ScheduleSnapshot,
    Snapshot,
};
pub use view::{MarketView, View};
