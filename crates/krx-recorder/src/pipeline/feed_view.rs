//! One feed as others see it: what the status shows and the checks watch.

use std::sync::Arc;

use krx_store::{FeedName, Progress};
use tokio::sync::watch;

use crate::feed::feed_status::FeedStatus;
use crate::feed::queue::QueueGauge;
use crate::hours::schedule::Schedule;

/// One feed, as others may see it.
#[derive(Clone, Debug)]
pub(crate) struct FeedView {
    /// The feed.
    pub feed: FeedName,
    /// The server's name.
    pub host: String,
    /// Its counters.
    pub progress: Arc<Progress>,
    /// When it should be connected.
    pub schedule: watch::Receiver<Schedule>,
    /// Its state.
    pub status: Arc<FeedStatus>,
    /// Its queue.
    pub queue: QueueGauge,
}
