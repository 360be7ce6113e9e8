//! What the writer counts, for others to read.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

use chrono::NaiveDate;

use super::place::Place;
use super::syncs::Syncs;

/// Counts since the process started, and where the writer is. Only the writer and its sync thread write to it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames in the journal.
    pub frames: AtomicU64,
    /// Bytes of frames in the journal.
    pub bytes: AtomicU64,
    /// How often a new segment was begun because the disk had refused a write or a sync, or because a segment was
    /// removed.
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

    /// The journal of `date` continues after this frame.
    pub(crate) fn reached(&self, date: NaiveDate, frame: u64) {
        self.last.set(date, frame);
    }

    /// How many frames lie between a place and the last frame in the journal; if the place is on an earlier date, a
    /// lower bound.
    pub(crate) fn ahead_of(&self, place: &Place) -> u64 {
        self.last.ahead_of(place)
    }
}
