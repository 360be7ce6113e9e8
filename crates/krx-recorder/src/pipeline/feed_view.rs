//! One feed as others see it: what is shown of it, and looked after.

use std::sync::Arc;

use krx_store::{FeedName, Progress};

use crate::feed::feed_status::FeedStatus;
use crate::feed::queue::QueueGauge;

/// One feed, as others may see it.
#[derive(Clone, Debug)]
pub(crate) struct FeedView {
    /// The feed.
    pub feed: FeedName,
    /// The server's name.
    pub host: String,
    /// Its counters.
    pub progress: Arc<Progress>,
    /// Its feed.
    pub status: Arc<FeedStatus>,
    /// Its queue.
    pub queue: QueueGauge,
}
