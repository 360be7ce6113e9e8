//! Counters of one market, from socket to sealed file; every figure that is shown or served comes from here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the process started, and two frame numbers; each has one writer.
#[derive(Debug, Default)]
pub struct Progress {
    /// Frames in the journal.
    pub frames_journaled: AtomicU64,
    /// Bytes of frames in the journal.
    pub bytes_journaled: AtomicU64,
    /// The number of the last frame in the journal, on its date.
    pub last_frame_journaled: AtomicU64,
    /// The number of the last frame that the export has decoded, on its date.
    pub last_frame_exported: AtomicU64,
    /// Frames in sealed files.
    pub frames_sealed: AtomicU64,
    /// Rows in sealed trades files.
    pub rows_sealed: AtomicU64,
    /// Rows in sealed quarantine files.
    pub quarantined_sealed: AtomicU64,
    /// Sealed trades files.
    pub files_sealed: AtomicU64,
    /// Bytes of sealed files.
    pub bytes_sealed: AtomicU64,
    /// Batches of more records than the guide allows.
    pub oversized_batches: AtomicU64,
    /// Stretches of journal that could not be read.
    pub journal_damage: AtomicU64,
    /// Times that a new segment was begun since the disk had refused a write or a sync.
    pub journal_renewals: AtomicU64,
    /// Frames that the export could not digest, quarantined whole.
    pub poison_frames: AtomicU64,
}

impl Progress {
    /// Frames in the journal that the export has not decoded yet. Around a change of date it may be off for a moment.
    #[must_use]
    pub fn frames_behind(&self) -> u64 {
        let exported = self.last_frame_exported.load(Relaxed);
        self.last_frame_journaled.load(Relaxed).saturating_sub(exported)
    }

    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }
}
