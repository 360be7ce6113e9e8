//! How far each feed's journal is on disk: what a tail may show. Light enough to be asked many times a second.

use krx_store::journal::Position;
use serde::{Deserialize, Serialize};

use super::view::View;

/// A feed's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Synced {
    /// The feed.
    pub feed: String,
    /// The segment and the offset in it up to which it is on disk; `null` before anything is.
    pub synced: Option<Position>,
}

impl Synced {
    /// Those of all feeds.
    pub(super) fn all(view: &View) -> Vec<Self> {
        let of = |feed: &crate::pipeline::feed_view::FeedView| Self {
            feed: feed.feed.to_string(),
            synced: feed.tail.synced(),
        };
        view.feeds.iter().map(of).collect()
    }
}
