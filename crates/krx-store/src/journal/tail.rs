//! How far the journal is written, and how far it is known to be on disk.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::writer::Spare;
use crate::disk::Disk;
use crate::layout::SegmentName;
use crate::progress::Syncs;

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
    /// Something was written that is not synced yet, or the writer wants it now, or ends: the sync thread waits for it.
    dirty: Condvar,
    /// More is synced, a sync has failed, or the journal is closed: followers and the writer wait for it.
    advanced: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The first segment of this run: older ones are at rest.
    pub(super) first: Option<SegmentName>,
    pub(super) written: Option<Position>,
    pub(super) synced: Option<Position>,
    /// Segments with bytes that are not synced, oldest first; the last is the one being written.
    pub(super) unsynced: Vec<(SegmentName, Arc<File>)>,
    /// The next segment's file.
    pub(super) spare: Option<Spare>,
    /// Raised when the writer gives files up: what a sync of theirs still says is not listened to.
    pub(super) generation: u64,
    /// Why the last sync failed; nothing is synced until the writer has given its files up.
    pub(super) failure: Option<String>,
    /// The writer wants all that is written synced now.
    urgent: bool,
    /// The sync thread is to end.
    ending: bool,
    closed: bool,
}

/// How much of a segment a follower may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// All of it that counts; nothing will be added.
    Whole,
    /// Up to here, for now.
    Until(u64),
}

/// A spare that could not be made is tried again this much later: on a full disk each try costs something.
const SPARE_RETRY: Duration = Duration::from_secs(1);

impl Tail {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every instant: a panic elsewhere is no reason to stop recording.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify_dirty(&self) {
        self.dirty.notify_one();
    }

    pub(super) fn notify_advanced(&self) {
        self.advanced.notify_all();
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

    /// Waits until the journal is closed, or `timeout` is over.
    pub fn wait_closed(&self, timeout: Duration) {
        let waited = self
            .advanced
            .wait_timeout_while(self.lock(), timeout, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// How far the journal is known to be on disk.
    pub fn synced(&self) -> Option<Position> {
        self.lock().synced
    }

    /// Whether something is written that is not known to be on disk.
    pub fn is_unsynced(&self) -> bool {
        let state = self.lock();
        state.written != state.synced
    }

    /// Whether the journal is closed: nothing will be added.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Why nothing is synced at present, if so.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Has all that is written synced at once, and waits until more than `seen` is, or a sync has failed.
    pub(super) fn wait_for_sync(&self, seen: Option<Position>) {
        let mut state = self.lock();
        state.urgent = true;
        self.dirty.notify_one();
        let waiting = |state: &mut State| state.synced == seen && state.failure.is_none() && !state.closed;
        drop(
            self.advanced
                .wait_while(state, waiting)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Tells followers that nothing will be added, and the sync thread to end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.ending = true;
        state.closed = true;
        self.dirty.notify_one();
        self.advanced.notify_all();
    }

    /// The sync thread: waits for something written, lets it gather for `interval`, syncs it, and again.
    pub(super) fn sync_until_closed(
        &self,
        disk: &Disk,
        dir: &Path,
        interval: Duration,
        segment_bytes: u64,
        syncs: &Syncs,
    ) {
        let mut listed: Option<SegmentName> = None;
        let mut spare_tried: Option<Instant> = None;
        loop {
            let idle = |state: &mut State| {
                let nothing = state.written == state.synced || state.failure.is_some();
                nothing && !state.ending
            };
            let mut state = self
                .dirty
                .wait_while(self.lock(), idle)
                .unwrap_or_else(PoisonError::into_inner);
            if state.ending {
                return;
            }
            state = self
                .dirty
                .wait_timeout_while(state, interval, |state| !state.ending && !state.urgent)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            state.urgent = false;
            let (target, files, generation) = (state.written, state.unsynced.clone(), state.generation);
            let wants_spare = state.spare.is_none();
            drop(state);

            let newest = files.last().map(|(name, _)| *name);
            let begun = Instant::now();
            let synced = sync_all(disk, dir, &files, newest != listed);
            syncs.record(begun.elapsed());
            listed = newest;
            // A missing spare is no failure: the writer then makes its next segment itself, and says why it cannot.
            let may_try = spare_tried.is_none_or(|tried| tried.elapsed() >= SPARE_RETRY);
            let spare = (wants_spare && may_try).then(|| {
                let spare = Spare::create(disk, dir, segment_bytes).ok();
                spare_tried = spare.is_none().then(Instant::now);
                spare
            });

            let mut state = self.lock();
            if let Some(spare) = spare.flatten() {
                state.spare.get_or_insert(spare);
            }
            if state.generation != generation {
                continue;
            }
            match synced {
                Ok(()) => {
                    state.synced = target;
                    state
                        .unsynced
                        .retain(|(name, _)| target.is_none_or(|target| *name >= target.segment));
                }
                Err(error) => state.failure = Some(error),
            }
            self.advanced.notify_all();
        }
    }
}

fn sync_all(
    disk: &Disk,
    dir: &Path,
    files: &[(SegmentName, Arc<File>)],
    new_names: bool,
) -> Result<(), String> {
    let sync = || {
        for (name, file) in files {
            disk.sync(file, &dir.join(name.to_string()))?;
        }
        if new_names { disk.sync_dir(dir) } else { Ok(()) }
    };
    sync().map_err(|error: crate::StoreError| error.to_string())
}
