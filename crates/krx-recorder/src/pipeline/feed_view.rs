//! One feed as others see it: what the status shows and the checks watch.

use std::sync::Arc;

use krx_protocol::per_issue::WishList;
use krx_store::{FeedName, Progress, Tail};
use tokio::sync::watch;

use crate::feed::feed_status::FeedStatus;
use crate::feed::queue::QueueGauge;
use crate::hours::schedule::Schedule;

/// One feed, as others may see it.
#[derive(Clone, Debug)]
pub(crate) struct FeedView {
    /// The feed.
    pub feed: FeedName,
    /// Its service's name.
    pub service: &'static str,
    /// The server's name.
    pub host: String,
    /// Its counters.
    pub progress: Arc<Progress>,
    /// How far its journal is on disk.
    pub tail: Arc<Tail>,
    /// When it should be connected.
    pub schedule: watch::Receiver<Schedule>,
    /// Its state.
    pub status: Arc<FeedStatus>,
    /// Its queue.
    pub queue: QueueGauge,
    /// What the configuration wants registered, if the service has registrations.
    pub registered: Option<Registered>,
}

/// What the configuration wants of a service with registrations; follows every reload.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    /// What is to be registered.
    pub wanted: watch::Receiver<WishList>,
    /// The most registrations that a session may have.
    pub max: watch::Receiver<usize>,
}
