//! How far the journal is written, and how far it is known to be on disk.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::writer::Spare;
use crate::durable;
use crate::layout::SegmentName;

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment.
    pub segment: SegmentName,
    /// Bytes from its start.
    pub offset: u64,
}

/// What the writer, its sync thread and the followers share.
#[derive(Debug, Default)]
pub struct Tail {
    state: Mutex<State>,
    /// Something was written that is not synced yet, or the writer closes: the sync thread waits for it.
    dirty: Condvar,
    /// More is synced, or the journal is closed: followers wait for it.
    advanced: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The first segment of this run: older ones are at rest.
    pub(super) first: Option<SegmentName>,
    pub(super) written: Option<Position>,
    synced: Option<Position>,
    /// Segments with bytes that are not synced, oldest first; the last is the one being written.
    pub(super) unsynced: Vec<(SegmentName, Arc<File>)>,
    /// The next segment's file.
    pub(super) spare: Option<Spare>,
    closing: bool,
    closed: bool,
    /// The first failure of the sync thread; nothing is synced after it.
    pub(super) failure: Option<String>,
}

/// How much of a segment a follower may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// All of it; nothing will be added.
    Whole,
    /// Up to here, for now.
    Until(u64),
}

impl Tail {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every instant: a panic elsewhere is no reason to stop recording.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify_dirty(&self) {
        self.dirty.notify_one();
    }

    /// What a follower may read of `segment`.
    pub(super) fn readable(&self, segment: SegmentName) -> Readable {
        let state = self.lock();
        match (state.first, state.synced) {
            (Some(first), _) if segment < first => Readable::Whole,
            (None, _) => Readable::Whole,
            (Some(_), Some(synced)) if segment < synced.segment => Readable::Whole,
            (Some(_), Some(synced)) if segment == synced.segment => Readable::Until(synced.offset),
            (Some(_), _) => Readable::Until(0),
        }
    }

    /// Waits until more is synced than `seen`, the journal is closed, or `timeout` is over; what is synced now.
    /// `None` stands for a journal that is closed: nothing will follow.
    pub fn wait(&self, seen: Option<Position>, timeout: Duration) -> Option<Option<Position>> {
        let state = self.lock();
        let (state, _) = self
            .advanced
            .wait_timeout_while(state, timeout, |state| state.synced == seen && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed && state.synced == seen {
            None
        } else {
            Some(state.synced)
        }
    }

    /// How far the journal is known to be on disk.
    pub fn synced(&self) -> Option<Position> {
        self.lock().synced
    }

    /// Whether the journal is closed: nothing will be added.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Why nothing more is synced, if so.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Ends the sync thread, once all that is written is synced.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.dirty.notify_one();
    }

    /// The sync thread: waits for something written, lets it gather for `interval`, syncs it, and again.
    pub(super) fn sync_until_closed(&self, dir: &Path, interval: Duration, segment_bytes: u64) {
        let mut listed: Option<SegmentName> = None;
        loop {
            let state = self.lock();
            let mut state = self
                .dirty
                .wait_while(state, |state| state.written == state.synced && !state.closing)
                .unwrap_or_else(PoisonError::into_inner);
            if !state.closing {
                state = self
                    .dirty
                    .wait_timeout_while(state, interval, |state| !state.closing)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            let (target, files) = (state.written, state.unsynced.clone());
            let (closing, wants_spare) = (state.closing, state.spare.is_none());
            drop(state);

            let newest = files.last().map(|(name, _)| *name);
            let synced = sync_all(dir, &files, newest != listed);
            listed = newest;
            // A missing spare is no failure: the writer then makes its next segment itself, and says why it cannot.
            let spare = if wants_spare && !closing {
                Spare::create(dir, segment_bytes).ok()
            } else {
                None
            };

            let mut state = self.lock();
            if let Err(error) = synced {
                state.failure = Some(error);
                state.closed = true;
                self.advanced.notify_all();
                return;
            }
            state.synced = target;
            state
                .unsynced
                .retain(|(name, _)| target.is_none_or(|target| *name >= target.segment));
            state.spare = state.spare.take().or(spare);
            let done = state.closing && state.synced == state.written;
            state.closed |= done;
            self.advanced.notify_all();
            if done {
                return;
            }
        }
    }
}

fn sync_all(dir: &Path, files: &[(SegmentName, Arc<File>)], new_names: bool) -> Result<(), String> {
    for (name, file) in files {
        file.sync_data()
            .map_err(|error| format!("fdatasync of {}: {error}", dir.join(name.to_string()).display()))?;
    }
    if new_names {
        durable::sync_dir(dir).map_err(|error| error.to_string())?;
    }
    Ok(())
}
