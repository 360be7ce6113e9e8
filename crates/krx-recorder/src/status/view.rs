//! The source of the figures.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use krx_store::{DataDir, Moment};
use tokio::sync::watch;
use tokio::time::Instant;

use super::tail::Tails;
use super::window::Window;
use crate::pipeline::feed_view::FeedView;
use crate::watch::clock::ClockState;
use crate::watch::disk_watch::DiskStatus;
use crate::watch::liveness::LivenessReport;

/// Everything that is shown.
pub(crate) struct View {
    /// Where it records.
    pub data: DataDir,
    /// The same, with links resolved.
    pub data_dir: PathBuf,
    /// When the process started.
    pub started: Moment,
    /// What is known about the disk.
    pub disk: Arc<DiskStatus>,
    /// Free bytes below which the disk is low.
    pub warn_free_bytes: u64,
    /// What is known of the clock.
    pub clock: watch::Receiver<ClockState>,
    /// How much later than its trade a record may come.
    pub lag_max: Duration,
    /// Whether all parts work.
    pub liveness: watch::Receiver<LivenessReport>,
    /// The feeds.
    pub feeds: Vec<FeedView>,
    /// The tails that are being sent.
    pub(super) tails: Tails,
    /// What each feed received in the last minute.
    windows: Mutex<Vec<Window>>,
}

impl View {
    /// A view of these feeds. Nothing is known yet about the last minute.
    #[must_use]
    pub(crate) fn new(
        data: DataDir,
        started: Moment,
        (disk, warn_free_bytes): (Arc<DiskStatus>, u64),
        (clock, lag_max): (watch::Receiver<ClockState>, Duration),
        liveness: watch::Receiver<LivenessReport>,
        feeds: Vec<FeedView>,
    ) -> Self {
        let windows = feeds.iter().map(|_| Window::default()).collect();
        // Here the disk is asked once, and not at each request.
        let data_dir = data.path().canonicalize();
        Self {
            data_dir: data_dir.unwrap_or_else(|_| data.path().to_owned()),
            data,
            started,
            disk,
            warn_free_bytes,
            clock,
            lag_max,
            liveness,
            feeds,
            tails: Tails::default(),
            windows: Mutex::new(windows),
        }
    }

    /// Samples the counters. Call this once a second.
    pub(super) fn sample(&self) {
        for (window, feed) in self.windows().iter_mut().zip(&self.feeds) {
            window.sample(Instant::now(), &feed.progress);
        }
    }

    /// What each feed received in the last minute.
    pub(super) fn windows(&self) -> MutexGuard<'_, Vec<Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
