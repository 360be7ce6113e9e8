//! The journal: raw frames and connection events of one market, in the order in which they were received.
//!
//! The format is explained in `record`; the writer and its sync thread are in `writer` and `tail`, and what looks after
//! the names of their files in `files`; readers come in two layers, `scan` for one segment and `follow` for all of them, live or at rest.

mod event;
mod files;
mod follow;
mod record;
mod recover;
mod scan;
mod tail;
mod writer;

pub use event::{Event, GapReason};
pub use follow::{Followed, Follower, list_segments};
pub use record::{FRAME_BYTES_MAX, RecordHead, RecordKind, Resumes, SegmentHeader};
pub(crate) use recover::end_of_damage;
pub use recover::{Last, last_of_date};
pub use scan::{Scanned, SegmentReader};
pub use tail::{Position, Tail};
pub use writer::{DateRules, Entry, JournalConfig, RulesOf, What, Writer};
