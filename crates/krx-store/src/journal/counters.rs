//! What the writer counts, for those who show it.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

use chrono::NaiveDate;

use super::place::Place;
use super::syncs::Syncs;

/// Counts since the process started, and where the writer is. The writer and its sync thread alone write to it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames in the journal.
    pub frames: AtomicU64,
    /// Bytes of frames in the journal.
    pub bytes: AtomicU64,
    /// Times that a new segment was begun because the disk had refused a write or a sync, or a segment was removed.
    pub renewals: AtomicU64,
    /// How long syncs take.
    pub syncs: Syncs,
    /// The thread that syncs, by its number in the system; 0 before it has begun.
    pub sync_thread: AtomicI32,
    /// The last frame in the journal.
    last: Place,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }

    /// The journal of `date` goes on behind this frame.
    pub(crate) fn reached(&self, date: NaiveDate, frame: u64) {
        self.last.set(date, frame);
    }

    /// The frames from a place up to the last one in the journal; while the place is at an earlier date, at least so many.
    pub(crate) fn ahead_of(&self, place: &Place) -> u64 {
        self.last.ahead_of(place)
    }
}
