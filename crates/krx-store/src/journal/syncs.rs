//! How long the journal's syncs take.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Syncs {
    /// One more than there are bounds: the last is for whatever exceeds them all.
    buckets: [AtomicU64; Syncs::BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// A histogram's counts.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncCounts {
    /// Syncs that took up to each of [`Syncs::BOUNDS`], including those of smaller bounds.
    pub up_to: [u64; Syncs::BOUNDS.len()],
    /// All syncs.
    pub count: u64,
    /// How long they took in total.
    pub sum: Duration,
}

impl Syncs {
    /// The buckets' upper bounds. Half a millisecond is a good SSD; 50 ms is the default `sync_interval`, which a
    /// longer sync stretches; 500 ms is where coverage starts to mention it; a disk that hangs for 30 s still costs
    /// nothing, since the queue holds a minute.
    pub const BOUNDS: [Duration; 15] = [
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2500),
        Duration::from_secs(5),
        Duration::from_secs(10),
        Duration::from_secs(30),
    ];

    pub(crate) fn record(&self, took: Duration) {
        let bucket = Self::BOUNDS.partition_point(|bound| *bound < took);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> SyncCounts {
        let mut count = 0;
        let mut next = |bucket: &AtomicU64| {
            count += bucket.load(Relaxed);
            count
        };
        let up_to = std::array::from_fn(|bound| next(&self.buckets[bound]));
        next(&self.buckets[Self::BOUNDS.len()]);
        SyncCounts {
            up_to,
            count,
            sum: Duration::from_nanos(self.nanos.load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_all_that_took_up_to_its_bound() {
        let syncs = Syncs::default();
        let durations = [500, 501, 30_000_000, 30_000_001].map(Duration::from_micros);
        durations.into_iter().for_each(|took| syncs.record(took));
        let counts = syncs.counts();
        assert_eq!((counts.up_to[0], counts.up_to[1]), (1, 2));
        assert_eq!((counts.up_to[13], counts.up_to[14], counts.count), (2, 3, 4));
        assert_eq!(counts.sum, durations.iter().sum());
        assert!(Syncs::BOUNDS.is_sorted());
    }
}
