//! The sync thread: lets what was written gather, then syncs it. Now and then it checks that the files being written still
//! have their names.

use std::fs::File;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::config::JournalConfig;
use super::files::Files;
use super::position::Position;
use super::spare::Spare;
use super::syncs::Syncs;
use super::tail::{State, Tail};
use crate::error::StoreError;
use crate::layout::SegmentName;

/// How often the names are checked. A check is a few calls that the kernel answers from memory.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often a persisting state is logged.
const ALARM_INTERVAL: Duration = Duration::from_secs(60);

/// How long to wait before trying again to create a spare: on a full disk each attempt costs something.
const SPARE_RETRY: Duration = Duration::from_secs(1);

/// The last sync.
#[derive(Clone, Copy, Debug)]
struct Last {
    begun: Instant,
    took: Duration,
}

/// How long the thread rests after the last sync, given how long ago that began and how long it took. Syncs are `interval` apart. A
/// slow disk rests for as long as the sync took, but no longer than `interval`.
fn rest_for(interval: Duration, since: Duration, took: Duration) -> Duration {
    let slow = took.saturating_mul(2).saturating_sub(since).min(interval);
    interval.saturating_sub(since).max(slow)
}

/// The sync thread: waits for something to be written, lets it gather, syncs it, and repeats. Now and then, even while nothing
/// is written, it checks that the files still have their names.
pub(super) fn sync_until_closed(tail: &Tail, files_of: &Files, config: JournalConfig, syncs: &Syncs) {
    let (disk, dir) = (files_of.data.disk(), &files_of.dir);
    let mut watch = Watch::over(files_of);
    let mut listed: Option<SegmentName> = None;
    let mut spare_tried: Option<Instant> = None;
    let mut last: Option<Last> = None;
    while let Some(batch) = next_batch(tail, &mut watch, config.sync_interval, last) {
        let Batch {
            target,
            files,
            generation,
            wants_spare,
        } = batch;
        let newest = files.last().map(|(name, _)| *name);
        let begun = Instant::now();
        let mut synced = sync_all(files_of, &files, newest != listed);
        let took = begun.elapsed();
        syncs.record(took);
        last = Some(Last { begun, took });
        listed = newest;
        // A missing spare is no failure: the writer then creates its next segment itself, and reports why if it cannot.
        let may_try = spare_tried.is_none_or(|tried| tried.elapsed() >= SPARE_RETRY);
        let spare = (wants_spare && may_try).then(|| {
            let spare = Spare::create(disk, dir, config.segment_bytes).ok();
            spare_tried = spare.is_none().then(Instant::now);
            spare
        });

        if let Some(spare) = spare.flatten() {
            tail.lock().spare.get_or_insert(spare);
        }
        // Before a file is closed, it must be known to have its name.
        let is_leaving = |(name, _): &(SegmentName, _)| target.is_some_and(|target| *name < target.segment);
        let is_leaving = files.iter().any(is_leaving);
        if synced.is_ok() && (is_leaving || watch.due_in().is_zero()) {
            match watch.look(tail) {
                Found::AllThere => {}
                Found::PutBack => continue,
                Found::Unknown(error) if is_leaving => synced = Err(error),
                Found::Unknown(_) => {}
            }
        }

        let mut state = tail.lock();
        // Files were abandoned, or one was removed and restored as it was before this sync.
        if state.generation != generation || state.failure.is_some() {
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
        drop(state);
        tail.advanced.notify_all();
        tail.tell_synced();
    }
}

/// What is to be synced, as the writer had left it.
struct Batch {
    /// The last position written.
    target: Option<Position>,
    /// The files that may have something unsynced, oldest first.
    files: Vec<(SegmentName, Arc<File>)>,
    /// Which files these are: it changes when files are abandoned or put back.
    generation: u64,
    /// Whether there is no spare segment.
    wants_spare: bool,
}

/// Rests after the last sync, and waits until something is to be synced. What is written while it rests gathers and wakes nobody;
/// the first write after that gathers for a tenth of the interval, which is enough for the rest of a burst. Meanwhile looks
/// after the files' names. `None` when the journal ends.
fn next_batch(
    tail: &Tail,
    watch: &mut Watch<'_>,
    sync_interval: Duration,
    last: Option<Last>,
) -> Option<Batch> {
    let rest = last.map_or(Duration::ZERO, |last| {
        rest_for(sync_interval, last.begun.elapsed(), last.took)
    });
    let mut state = gather(tail, tail.lock(), rest);
    let waits = |state: &mut State| state.has_nothing_to_sync() && !state.ending;
    while waits(&mut state) {
        state.is_idle = true;
        let waited = tail.dirty.wait_timeout_while(state, watch.due_in(), waits);
        let (mut waited, result) = waited.unwrap_or_else(PoisonError::into_inner);
        waited.is_idle = false;
        state = if result.timed_out() {
            drop(waited);
            watch.look(tail);
            tail.lock()
        } else {
            gather(tail, waited, sync_interval / 10)
        };
    }
    // A writer that gives up without closing the journal leaves something to sync.
    if state.has_nothing_to_sync() {
        return None;
    }
    state.urgent = false;
    Some(Batch {
        target: state.written,
        files: state.unsynced.clone(),
        generation: state.generation,
        wants_spare: state.spare.is_none(),
    })
}

/// Waits for `time`, unless the writer is in a hurry or the journal ends.
fn gather<'a>(tail: &'a Tail, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
    let waits = |state: &mut State| !state.ending && !state.urgent;
    let waited = tail.dirty.wait_timeout_while(state, time, waits);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

fn sync_all(files_of: &Files, files: &[(SegmentName, Arc<File>)], new_names: bool) -> Result<(), String> {
    let disk = files_of.data.disk();
    let sync = || {
        for (name, file) in files {
            disk.sync(file, &files_of.path(*name))?;
        }
        if new_names {
            disk.sync_dir(&files_of.dir)
        } else {
            Ok(())
        }
    };
    sync().map_err(|error: StoreError| error.to_string())
}

/// The result of a check.
enum Found {
    /// All files have their names, or the data directory was moved and they have them there.
    AllThere,
    /// One had been removed. The part that was on disk has its name again, and the writer is told to renew.
    PutBack,
    /// One may be gone, and could not be restored.
    Unknown(String),
}

/// The sync thread's watch over the files.
struct Watch<'a> {
    files: &'a Files,
    looked: Instant,
    /// When a persisting state was last logged.
    alarmed: Option<Instant>,
}

impl<'a> Watch<'a> {
    fn over(files: &'a Files) -> Self {
        Self {
            files,
            looked: Instant::now(),
            alarmed: None,
        }
    }

    /// How long until the next check.
    fn due_in(&self) -> Duration {
        LOOK_INTERVAL.saturating_sub(self.looked.elapsed())
    }

    /// Checks the files, and restores what was removed.
    fn look(&mut self, tail: &Tail) -> Found {
        let looked = tail.look_after(self.files);
        self.looked = Instant::now();
        let (feed, data_dir) = (&self.files.feed, self.files.data.path().display());
        let error = match looked {
            Ok(put_back) => {
                tail.look_after_spare();
                if self.alarmed.take().is_some() {
                    info!(%feed, %data_dir, "the journal's files are back where they belong");
                }
                return if put_back { Found::PutBack } else { Found::AllThere };
            }
            Err(error) => error,
        };
        let is_moved = matches!(error, StoreError::Moved { .. });
        if self.alarmed.is_none_or(|at| at.elapsed() >= ALARM_INTERVAL) {
            self.alarmed = Some(Instant::now());
            if is_moved {
                error!(%feed, %data_dir, "the data directory was moved or removed: recording continues into the open file, and nothing is exported; put the directory back where it was");
            } else {
                error!(%feed, %error, "the journal's files cannot be checked, or a removed one cannot be restored: see to the disk, and do not stop the recorder before that");
            }
        }
        if is_moved {
            Found::AllThere
        } else {
            Found::Unknown(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::{Entry, What, Writer};
    use crate::layout::DataDir;
    use crate::moment::Moment;

    #[test]
    fn syncs_are_an_interval_apart_and_a_slow_disk_rests() {
        let ms = Duration::from_millis;
        for (since, took, rests) in [
            (2, 2, 48),
            (44, 2, 6),
            (50, 2, 0),
            (100_000, 2, 0),
            (40, 40, 40),
            (60, 40, 20),
            (50, 50, 50),
            (300, 300, 50),
            (550, 300, 50),
            (590, 300, 10),
            (600, 300, 0),
        ] {
            assert_eq!(rest_for(ms(50), ms(since), ms(took)), ms(rests), "{since} {took}");
        }
    }

    fn journal(dir: &Path, sync_interval: Duration) -> Writer {
        let config = JournalConfig {
            sync_interval,
            segment_bytes: 4 << 20,
        };
        let feed = "KOSPI".parse().unwrap();
        crate::open_writer(&DataDir::new(dir), &feed, config, Arc::default()).unwrap()
    }

    fn write(writer: &mut Writer) {
        let entry = Entry {
            at: Moment(1_795_132_800_000_000),
            what: What::Frame(b"[]"),
        };
        writer.append(&[entry]).unwrap();
    }

    fn wait_until(limit: Duration, is_so: impl Fn() -> bool) {
        let until = Instant::now() + limit;
        while !is_so() {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_a_writer_leaves_that_gave_up_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        // Nothing is synced in time.
        let mut writer = journal(dir.path(), Duration::from_secs(3600));
        let tail = writer.tail();
        write(&mut writer);
        assert!(tail.is_unsynced());
        drop(writer);
        assert!(!tail.is_unsynced());
    }

    #[test]
    fn the_first_write_after_a_pause_is_synced_soon_and_the_next_waits_for_its_turn() {
        const INTERVAL: Duration = Duration::from_secs(30);
        let dir = tempfile::tempdir().unwrap();
        let mut writer = journal(dir.path(), INTERVAL);
        let tail = writer.tail();
        wait_until(INTERVAL, || tail.lock().is_idle);
        write(&mut writer);
        // After a tenth of it.
        wait_until(INTERVAL * 9 / 10, || !tail.is_unsynced());
        write(&mut writer);
        let state = tail.lock();
        assert!(!state.is_idle, "nobody needs to wake it");
        assert_ne!(state.written, state.synced);
        drop(state);
        writer.close().unwrap();
        assert!(!tail.is_unsynced());
    }

    #[test]
    fn the_thread_says_when_it_is_idle() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = journal(dir.path(), Duration::from_millis(1));
        let tail = writer.tail();
        // Otherwise a write would never wake it.
        let wait_until_idle = || wait_until(Duration::from_secs(60), || tail.lock().is_idle);
        wait_until_idle();
        write(&mut writer);
        wait_until(Duration::from_secs(60), || !tail.is_unsynced());
        wait_until_idle();
        writer.close().unwrap();
    }
}
