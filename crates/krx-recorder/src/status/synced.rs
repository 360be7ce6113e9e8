//! How far each feed's journal is on disk: what a tail may show. Light enough to be asked many times a second.

use std::path::PathBuf;

use krx_store::journal::Position;
use serde::{Deserialize, Serialize};

use super::view::View;
use crate::pipeline::feed_view::FeedView;

/// What `/synced.json` says: the journals of a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncedJournals {
    /// The data directory, with links resolved: another recorder may have feeds of the same names.
    pub data_dir: PathBuf,
    /// Those of all feeds.
    pub feeds: Vec<Synced>,
}

/// A feed's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Synced {
    /// The feed.
    pub feed: String,
    /// The segment and the offset in it up to which it is on disk; `null` before anything is.
    pub synced: Option<Position>,
}

impl SyncedJournals {
    /// Those of all feeds.
    pub(super) fn of(view: &View) -> Self {
        let of = |feed: &FeedView| Synced {
            feed: feed.feed.to_string(),
            synced: feed.tail.synced(),
        };
        Self {
            data_dir: view.data_dir.clone(),
            feeds: view.feeds.iter().map(of).collect(),
        }
    }
}
