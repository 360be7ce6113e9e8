//! How far the journal is written, and how far it is known to be on disk.

use std::fmt;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::error;

use super::files::Files;
use super::position::Position;
use super::spare::Spare;
use crate::disk::is_at;
use crate::error::StoreError;
use crate::layout::SegmentName;

/// What the writer, its sync thread and the followers share.
#[derive(Debug, Default)]
pub struct Tail {
    state: Mutex<State>,
    /// The sync thread waits for this: something was written while it had nothing to do, the writer is in a hurry, or it is
    /// closing.
    pub(super) dirty: Condvar,
    /// Followers and the writer wait for this: more is synced, a sync has failed, or the journal is closed.
    pub(super) advanced: Condvar,
    /// The journal is closed. An exporter waits for this while it lets records gather, and before it tries again.
    closing: Condvar,
    synced_hook: SyncedHook,
}

/// Called by the sync thread when more is on disk.
#[derive(Default)]
struct SyncedHook(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for SyncedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SyncedHook").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The first segment of this run: older ones no longer change.
    pub(super) first: Option<SegmentName>,
    pub(super) written: Option<Position>,
    pub(super) synced: Option<Position>,
    /// Segments with bytes that are not synced, oldest first; the last is the one being written.
    pub(super) unsynced: Vec<(SegmentName, Arc<File>)>,
    /// The next segment's file.
    pub(super) spare: Option<Spare>,
    /// Raised when the writer abandons files: a pending sync of theirs is then ignored.
    pub(super) generation: u64,
    /// Why the last sync failed; nothing is synced until the writer has abandoned its files.
    pub(super) failure: Option<String>,
    /// The writer wants everything written so far synced now.
    pub(super) urgent: bool,
    /// The sync thread has nothing to do until something is written. While it lets writes gather, nobody needs to wake it.
    pub(super) is_idle: bool,
    /// The sync thread should end.
    pub(super) ending: bool,
    closed: bool,
}

impl State {
    /// Nothing new is written, or nothing may be synced before the writer has abandoned its files.
    pub(super) fn has_nothing_to_sync(&self) -> bool {
        self.written == self.synced || self.failure.is_some()
    }
}

/// How much of a segment a follower may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// All of it that counts; nothing will be added.
    Whole,
    /// Up to here, for now.
    Until(u64),
}

impl Tail {
    /// That of a journal which another process writes, and says how far it is synced.
    pub(crate) fn known(synced: Option<Position>) -> Self {
        let tail = Self::default();
        if let Some(synced) = synced {
            tail.advance(synced);
        }
        tail
    }

    /// The other process has synced so far; it never goes back.
    pub(crate) fn advance(&self, to: Position) {
        let mut state = self.lock();
        state.first.get_or_insert(to.segment);
        state.synced = state.synced.max(Some(to));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every instant, so a panic elsewhere is no reason to stop recording.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to here is written. Returns how far the journal is synced.
    pub(super) fn has_written(&self, end: Position) -> Option<Position> {
        let mut state = self.lock();
        state.written = Some(end);
        let (synced, is_idle) = (state.synced, state.is_idle);
        drop(state);
        if is_idle {
            self.dirty.notify_one();
        }
        synced
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

    /// The first segment after `left` that may still be written to: a follower that does not find it must wait for it.
    pub(super) fn first_written_after(&self, left: Option<SegmentName>) -> Option<SegmentName> {
        let state = self.lock();
        let names = state.unsynced.iter().map(|(name, _)| *name);
        names.filter(|name| left.is_none_or(|left| *name > left)).min()
    }

    /// Waits until more is synced than `seen`, the journal is closed, or `timeout` has passed; returns how much is
    /// synced now. `None` means that the journal is closed and nothing more will come.
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

    /// Has the sync thread call `hook` whenever more is on disk; only the first one given is called.
    pub fn when_synced(&self, hook: impl Fn() + Send + Sync + 'static) {
        let _ = self.synced_hook.0.set(Box::new(hook));
    }

    pub(super) fn tell_synced(&self) {
        if let Some(hook) = self.synced_hook.0.get() {
            hook();
        }
    }

    /// Waits until the journal is closed or `timeout` has passed.
    pub fn wait_closed(&self, timeout: Duration) {
        let waited = self
            .closing
            .wait_timeout_while(self.lock(), timeout, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// How far the journal is known to be on disk.
    pub fn synced(&self) -> Option<Position> {
        self.lock().synced
    }

    /// Whether anything is written that may not be on disk.
    pub fn is_unsynced(&self) -> bool {
        let state = self.lock();
        state.written != state.synced
    }

    /// Whether the journal is closed: nothing will be added.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Why nothing is being synced at present, if so.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Asks for an immediate sync of everything written so far, and waits until more than `seen` is synced or a sync has
    /// failed.
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
        self.closing.notify_all();
    }

    /// Checks that the files being written have their names. If one was removed, the part known to be on disk is
    /// restored, and a `failure` makes the writer begin a new segment with the rest. Returns whether one was removed.
    ///
    /// # Errors
    /// [`StoreError::Moved`], when all files went away with the data directory; other errors, when the disk refuses.
    /// Nothing is abandoned then, and the call must be repeated.
    pub(super) fn look_after(&self, files: &Files) -> Result<bool, StoreError> {
        loop {
            let (open, synced, generation) = {
                let state = self.lock();
                (state.unsynced.clone(), state.synced, state.generation)
            };
            let unlinked = files.unlinked(&open)?;
            // Files abandoned in the meantime may already be exported and removed.
            if unlinked.is_empty() || self.lock().generation != generation {
                return Ok(false);
            }
            let put_back = put_back(files, &open, &unlinked, synced)?;
            let mut state = self.lock();
            if state.generation != generation {
                return Ok(true);
            }
            // The sync thread may have got further in the meantime: then that much more must be restored.
            if state.synced == synced {
                state.unsynced.retain(|(name, _)| !unlinked.contains(name));
                state.unsynced.splice(0..0, put_back);
                let failure = || "a segment was removed while it was being written".to_owned();
                state.failure.get_or_insert_with(failure);
                self.advanced.notify_all();
                return Ok(true);
            }
        }
    }

    /// Drops a spare that was removed; another is created in time.
    pub(super) fn look_after_spare(&self) {
        // Only the sync thread, which calls this, creates spares; a writer that finds none creates its segment itself.
        let spare = self.lock().spare.take();
        let spare = spare.filter(|spare| is_at(&spare.file, &spare.path).unwrap_or(true));
        if let Some(spare) = spare {
            self.lock().spare.get_or_insert(spare);
        }
    }
}

/// Restores removed segments under their names, as far as they are known to be on disk. That is one segment at most: of
/// later ones nothing is on disk, and all of it is in the writer's memory.
fn put_back(
    files: &Files,
    open: &[(SegmentName, Arc<File>)],
    unlinked: &[SegmentName],
    synced: Option<Position>,
) -> Result<Option<(SegmentName, Arc<File>)>, StoreError> {
    files.data.create_dir(&files.dir)?;
    let mut back = None;
    for (name, file) in open.iter().filter(|(name, _)| unlinked.contains(name)) {
        let bytes = synced
            .filter(|synced| synced.segment == *name)
            .map_or(0, |synced| synced.offset);
        if bytes > 0 {
            back = Some((*name, Arc::new(files.put_back(*name, file, bytes)?)));
        }
        error!(feed = %files.feed, segment = %files.path(*name).display(), put_back_bytes = bytes,
            "the journal segment was removed while it was being written: what was on disk is restored, and recording continues in a new segment");
    }
    Ok(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> Option<Position> {
        let segment = SegmentName::parse("00000001-20261120-000000000001.journal").unwrap();
        Some(Position { segment, offset })
    }

    #[test]
    fn what_was_synced_last_is_told_before_the_end() {
        let tail = Tail::default();
        assert_eq!(tail.wait(None, Duration::ZERO), Some(None), "more may come");
        tail.lock().synced = place(8);
        assert_eq!(tail.wait(None, Duration::ZERO), Some(place(8)));
        tail.lock().synced = place(16);
        tail.close();
        assert_eq!(
            tail.wait(place(8), Duration::ZERO),
            Some(place(16)),
            "one last time"
        );
        assert_eq!(tail.wait(place(16), Duration::ZERO), None);
    }

    #[test]
    fn a_write_wakes_an_idle_sync_thread() {
        let tail = Arc::new(Tail::default());
        let waiting = std::thread::spawn({
            let tail = Arc::clone(&tail);
            move || {
                let mut state = tail.lock();
                state.is_idle = true;
                // Forever, if nobody wakes it.
                let state = tail.dirty.wait_while(state, |state| state.written.is_none());
                assert_eq!(state.unwrap().written, place(8));
            }
        });
        while !tail.lock().is_idle {
            std::thread::yield_now();
        }
        assert_eq!(tail.has_written(place(8).unwrap()), None);
        waiting.join().unwrap();
    }

    #[test]
    fn closing_the_journal_ends_a_wait_at_once() {
        let tail = Arc::new(Tail::default());
        let gathering = std::thread::spawn({
            let tail = Arc::clone(&tail);
            move || tail.wait_closed(Duration::from_secs(3600))
        });
        tail.close();
        gathering.join().unwrap();
    }
}
