//! What arrived in the last minute.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use krx_store::Progress;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How far back it goes: a minute of samples, one a second, and the one before.
const SAMPLES_MAX: usize = 61;

/// The values of a feed's counters, second by second.
#[derive(Debug, Default)]
pub(super) struct Window {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    frames: u64,
    bytes: u64,
    records: u64,
    syncs: u64,
    sync_time: Duration,
}

/// Averages over the last minute, or since the start if that is shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RatesSnapshot {
    /// The period, in seconds.
    pub seconds: f64,
    /// Frames journaled.
    pub frames_per_s: f64,
    /// Bytes of them.
    pub bytes_per_s: f64,
    /// Records decoded.
    pub records_per_s: f64,
    /// How long a sync of the journal took; `None` if there was none.
    pub sync_seconds: Option<f64>,
}

impl Window {
    pub(super) fn sample(&mut self, at: Instant, progress: &Progress) {
        let syncs = progress.journal.syncs.counts();
        self.samples.truncate(SAMPLES_MAX - 1);
        self.samples.push_front(Sample {
            at,
            frames: progress.journal.frames.load(Relaxed),
            bytes: progress.journal.bytes.load(Relaxed),
            records: progress.records_decoded.load(Relaxed),
            syncs: syncs.count,
            sync_time: syncs.sum,
        });
    }

    pub(super) fn rates(&self) -> RatesSnapshot {
        let (Some(new), Some(old)) = (self.samples.front(), self.samples.back()) else {
            return RatesSnapshot::default();
        };
        let seconds = (new.at - old.at).as_secs_f64();
        if seconds == 0.0 {
            return RatesSnapshot::default();
        }
        let per_s = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
        let syncs = new.syncs.saturating_sub(old.syncs);
        let sync_time = new.sync_time.saturating_sub(old.sync_time);
        RatesSnapshot {
            seconds,
            frames_per_s: per_s(new.frames, old.frames),
            bytes_per_s: per_s(new.bytes, old.bytes),
            records_per_s: per_s(new.records, old.records),
            sync_seconds: (syncs > 0).then(|| sync_time.as_secs_f64() / syncs as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_cover_the_last_minute() {
        let (mut window, progress) = (Window::default(), Progress::default());
        let start = Instant::now();
        assert_eq!(window.rates(), RatesSnapshot::default());
        for second in 0..200 {
            // A hundred frames a second for a while, then half as many.
            let more = if second < 100 { 100 } else { 50 };
            progress.journal.frames.fetch_add(more, Relaxed);
            progress.journal.bytes.fetch_add(more * 10, Relaxed);
            window.sample(start + Duration::from_secs(second), &progress);
            if second == 50 {
                let rates = window.rates();
                assert_eq!((rates.seconds, rates.frames_per_s), (50.0, 100.0));
            }
        }
        let rates = window.rates();
        assert_eq!(
            (rates.seconds, rates.frames_per_s, rates.bytes_per_s),
            (60.0, 50.0, 500.0)
        );
        assert_eq!((rates.records_per_s, rates.sync_seconds), (0.0, None));
    }
}
