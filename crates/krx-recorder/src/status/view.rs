//! Where the figures come from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use krx_store::Moment;
use tokio::sync::watch;
use tokio::time::Instant;

use super::window::Window;
use crate::hours::schedule::Schedule;
use crate::pipeline::market_view::MarketView;
use crate::watch::disk_watch::DiskStatus;
use crate::watch::liveness::LivenessReport;

/// All that is shown.
pub(crate) struct View {
    /// When the process started.
    pub started: Moment,
    /// When a session is to be open.
    pub schedule: watch::Receiver<Schedule>,
    /// What is known of the disk.
    pub disk: Arc<DiskStatus>,
    /// Below this the disk is low, bytes.
    pub warn_free_bytes: u64,
    /// Whether all parts do what they are there for.
    pub liveness: watch::Receiver<LivenessReport>,
    /// The markets.
    pub markets: Vec<MarketView>,
    /// What came in the last minute, a market each.
    windows: Mutex<Vec<Window>>,
}

impl View {
    /// A view of these markets; nothing is known yet of the last minute.
    #[must_use]
    pub(crate) fn new(
        started: Moment,
        schedule: watch::Receiver<Schedule>,
        disk: Arc<DiskStatus>,
        warn_free_bytes: u64,
        liveness: watch::Receiver<LivenessReport>,
        markets: Vec<MarketView>,
    ) -> Self {
        let windows = markets.iter().map(|_| Window::default()).collect();
        Self {
            started,
            schedule,
            disk,
            warn_free_bytes,
            liveness,
            markets,
            windows: Mutex::new(windows),
        }
    }

    /// Notes where the counters stand. To be called once a second.
    pub(super) fn sample(&self) {
        for (window, market) in self.windows().iter_mut().zip(&self.markets) {
            window.sample(Instant::now(), &market.progress);
        }
    }

    /// What came in the last minute, a market each.
    pub(super) fn windows(&self) -> MutexGuard<'_, Vec<Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
