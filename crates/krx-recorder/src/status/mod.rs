//! What a running recorder shows on a loopback port: a page for people, metrics for Prometheus, JSON for programs, a
//! health check for supervisors.
//!
//! ```text
//!   (thread `status`: it never touches the disk, and no feed waits for it)
//!   Progress, FeedStatus, DiskStatus ──▶ View ──▶ Snapshot ──▶ status.json, metrics, health
//!   journal ──▶ tail ──▶ /tail/DATASET.arrows      (threads `tail`, a few at a time)
//! ```

mod clock;
mod connection;
mod family;
mod health;
mod host;
mod kst;
mod metrics;
mod page;
mod registrations;
mod router;
mod server;
mod snapshot;
mod synced;
mod tail;
mod usage;
mod view;
mod window;

pub(crate) use clock::{ClockSnapshot, FeedClockSnapshot};
pub(crate) use kst::Kst;
pub(crate) use page::CSS as STYLE;
pub(crate) use registrations::RegistrationsSnapshot;
pub(crate) use server::{Server, bind};
pub(crate) use snapshot::{FeedSnapshot, Snapshot};
pub(crate) use synced::SyncedJournals;
pub(crate) use view::View;
