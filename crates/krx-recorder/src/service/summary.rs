//! The recorder in one line, for `systemctl status`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use krx_store::Moment;

use crate::feed::feed_status::FeedState;
use crate::hours::schedule::kst;
use crate::hours::schedule::{Hours, Schedule};
use crate::pipeline::feed_view::FeedView;
use crate::watch::disk_watch::DiskStatus;

/// Writes the line, with rates since the last one.
pub(super) struct Summary {
    feeds: Vec<(FeedView, u64)>,
    disk: Arc<DiskStatus>,
    told: Moment,
}

impl Summary {
    /// All counters at zero.
    #[must_use]
    pub(super) fn new(feeds: &[FeedView], disk: Arc<DiskStatus>) -> Self {
        Self {
            feeds: feeds.iter().map(|view| (view.clone(), 0)).collect(),
            disk,
            told: Moment::now(),
        }
    }

    /// `KOSPI live, 812 messages/s, 24 files; KOSDAQ …; 123.4 GB free`
    pub(super) fn line(&mut self, now: Moment) -> String {
        let mut line = String::new();
        let schedules: Vec<_> = self
            .feeds
            .iter()
            .map(|(view, _)| view.schedule.borrow())
            .collect();
        let hours = Schedule::together(schedules.iter().map(|schedule| &**schedule), now);
        drop(schedules);
        if let Hours::ClosedUntil(opening) = hours {
            let _ = write!(line, "waiting until {} KST; ", kst(opening));
        }
        // The clock may have been set back.
        let elapsed = (now.0 - self.told.0).max(1);
        self.told = now;
        for (view, before) in &mut self.feeds {
            let (progress, state) = (&view.progress, view.status.state());
            let frames = progress.journal.frames.load(Relaxed);
            let per_second = i64::try_from(frames - *before)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000_000)
                / elapsed;
            *before = frames;
            let _ = write!(line, "{} {}", view.feed, state.as_str());
            if state == FeedState::Live {
                let _ = write!(line, ", {per_second} messages/s");
            }
            let behind = progress.frames_behind();
            if behind > 0 {
                let _ = write!(line, ", {behind} to export");
            }
            let _ = write!(line, ", {} files; ", progress.files_committed.load(Relaxed));
        }
        let free = self.disk.free_bytes.load(Relaxed);
        let _ = write!(
            line,
            "{}.{} GB free",
            free / 1_000_000_000,
            free / 100_000_000 % 10
        );
        line
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::hours::schedule::tests::{daily, kst as at};

    #[test]
    fn it_shows_states_rates_and_free_space() {
        let (_keep, schedule) = watch::channel(daily(vec![]));
        let view = FeedView {
            feed: "KOSPI".parse().unwrap(),
            service: "full_market",
            host: String::new(),
            queue: crate::feed::queue::queue().0.gauge(),
            progress: Arc::default(),
            tail: Arc::default(),
            schedule,
            status: Arc::default(),
            registered: None,
        };
        let disk: Arc<DiskStatus> = Arc::default();
        disk.free_bytes.store(123_450_000_000, Relaxed);
        let mut summary = Summary::new(std::slice::from_ref(&view), disk);
        assert_eq!(
            summary.line(at("2026-11-21 10:00:00")),
            "waiting until 2026-11-23 08:20 KST; KOSPI waiting, 0 files; 123.4 GB free"
        );
        view.status.set(FeedState::Live);
        view.progress.journal.frames.store(8120, Relaxed);
        summary.told = at("2026-11-23 10:00:00");
        assert_eq!(
            summary.line(at("2026-11-23 10:00:10")),
            "KOSPI live, 812 messages/s, 0 files; 123.4 GB free"
        );
    }
}
