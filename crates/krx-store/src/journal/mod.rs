//! The journal: raw frames and connection events of one feed, in the order in which they were received.
//!
//! The format is described in `record`. `writer` appends, `begin` starts a segment, `renew` recovers after the disk has
//! refused, and `sync` is the thread that syncs what was written; `files` watches over the files' names, `spare` creates
//! the next file ahead of time. Readers come in two layers: `scan` for one segment, `follow` for all of them, live or at
//! rest.

mod begin;
mod config;
mod counters;
mod files;
mod follow;
mod place;
mod position;
mod record;
mod recover;
mod renew;
mod scan;
mod spare;
mod sync;
mod syncs;
mod tail;
mod writer;

pub use crate::event::{Event, GapReason};
pub use config::JournalConfig;
pub use counters::Counters;
pub use follow::{Followed, Follower};
pub(crate) use place::Place;
pub use position::Position;
pub use record::{FRAME_BYTES_MAX, RecordHead, RecordKind, Resumes, SegmentHeader};
pub(crate) use recover::end_of_damage;
pub use recover::{Committed, Last};
pub use scan::{Scanned, SegmentReader};
pub use syncs::{SyncCounts, Syncs};
pub use tail::Tail;
pub use writer::{CommittedOf, DateRules, Entry, RulesOf, What, Writer};
