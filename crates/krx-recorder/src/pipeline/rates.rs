//! Logs a line per feed once a minute: what arrived, what was committed, and how far behind the export is.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use krx_store::{FeedName, Moment, Progress};
use tracing::info;

use crate::feed::feed_status::{FeedState, FeedStatus};

/// How often rates are logged.
pub(crate) const INTERVAL: Duration = Duration::from_secs(60);

/// A feed's counters, and their values at the last line.
#[derive(Debug)]
pub(crate) struct Rates {
    feed: FeedName,
    progress: Arc<Progress>,
    status: Arc<FeedStatus>,
    frames: u64,
    bytes: u64,
    rows: u64,
}

impl Rates {
    /// All counters at zero.
    #[must_use]
    pub(crate) fn new(feed: FeedName, progress: Arc<Progress>, status: Arc<FeedStatus>) -> Self {
        Self {
            feed,
            progress,
            status,
            frames: 0,
            bytes: 0,
            rows: 0,
        }
    }

    /// Logs what arrived since the last line; rates are per second. While the hours are closed and nothing happens,
    /// logs nothing.
    pub(crate) fn log(&mut self) {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let (frames, bytes) = (
            load(&self.progress.journal.frames),
            load(&self.progress.journal.bytes),
        );
        let rows = load(&self.progress.rows_committed);
        let state = self.status.state();
        let is_idle = matches!(state, FeedState::Waiting | FeedState::Ended)
            && (frames, rows) == (self.frames, self.rows)
            && self.progress.frames_behind() == 0;
        if is_idle {
            return;
        }
        let last = self.status.last_frame_us.load(Relaxed);
        let silent_s = (last > 0).then(|| (Moment::now().0 - last) / 1_000_000);
        let seconds = INTERVAL.as_secs();
        info!(
            feed = %self.feed,
            state = state.as_str(),
            frames_per_s = (frames - self.frames) / seconds,
            bytes_per_s = (bytes - self.bytes) / seconds,
            rows_committed = rows - self.rows,
            frames,
            frames_behind = self.progress.frames_behind(),
            quarantined = load(&self.progress.quarantined_committed),
            silent_s,
            "rates"
        );
        (self.frames, self.bytes, self.rows) = (frames, bytes, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::logging::logged;

    #[test]
    fn an_idle_feed_outside_its_hours_logs_nothing() {
        let (progress, status) = (Arc::new(Progress::default()), Arc::new(FeedStatus::default()));
        let feed = "KOSPI".parse().unwrap();
        let mut rates = Rates::new(feed, Arc::clone(&progress), Arc::clone(&status));
        status.set(FeedState::Waiting);
        assert_eq!(logged(|| rates.log()), "");
        progress.journal.frames.store(120, Relaxed);
        let line = logged(|| rates.log());
        assert!(
            line.contains("rates feed=KOSPI") && line.contains("frames_per_s=2 "),
            "{line}"
        );
        assert_eq!(logged(|| rates.log()), "", "it was logged already");
        status.set(FeedState::Live);
        let line = logged(|| rates.log());
        assert!(
            line.contains("frames_per_s=0 ") && line.contains("frames=120 "),
            "{line}"
        );
    }
}
