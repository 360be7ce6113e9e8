//! Where the figures come from.

use std::sync::{Arc, Mutex, PoisonError};

use krx_store::{Market, Moment, Progress};
use tokio::sync::watch;
use tokio::time::Instant;

use super::rates::Window;
use super::snapshot::Snapshot;
use crate::disk_watch::DiskStatus;
use crate::queue::QueueGauge;
use crate::schedule::Schedule;
use crate::standing::FeedStatus;
use crate::vitals::Vigil;

/// One market, as others may see it.
#[derive(Clone, Debug)]
pub struct MarketView {
    /// The market.
    pub market: Market,
    /// The server's name.
    pub host: String,
    /// Its counters.
    pub progress: Arc<Progress>,
    /// Its feed.
    pub status: Arc<FeedStatus>,
    /// Its queue.
    pub queue: QueueGauge,
}

/// All that is shown.
pub struct View {
    /// When the process started.
    pub started: Moment,
    /// When a session is to be open.
    pub schedule: watch::Receiver<Schedule>,
    /// What is known of the disk.
    pub disk: Arc<DiskStatus>,
    /// Below this the disk is low, bytes.
    pub warn_free_bytes: u64,
    /// Whether all parts do what they are there for.
    pub vigil: watch::Receiver<Vigil>,
    /// The markets.
    pub markets: Vec<MarketView>,
    /// What came in the last minute, a market each.
    windows: Mutex<Vec<Window>>,
}

impl View {
    /// A view of these markets; nothing is known yet of the last minute.
    #[must_use]
    pub fn new(
        started: Moment,
        schedule: watch::Receiver<Schedule>,
        disk: Arc<DiskStatus>,
        warn_free_bytes: u64,
        vigil: watch::Receiver<Vigil>,
        markets: Vec<MarketView>,
    ) -> Self {
        let windows = markets.iter().map(|_| Window::default()).collect();
        Self {
            started,
            schedule,
            disk,
            warn_free_bytes,
            vigil,
            markets,
            windows: Mutex::new(windows),
        }
    }

    /// Notes where the counters stand. To be called once a second.
    pub(super) fn sample(&self) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        for (window, market) in windows.iter_mut().zip(&self.markets) {
            window.sample(Instant::now(), &market.progress);
        }
    }

    /// All of it as of now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot::take(self, &windows, Moment::now())
    }
}
