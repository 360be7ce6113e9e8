//! The end of the journal while it is written: what is called synced is on disk, and nobody reads further.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use crate::support::{self, NINE, connected, feed, follow, frame, until};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::journal::{Followed, Follower, Position};
use krx_store::{DataDir, Entry, JournalConfig, Tail, Writer};

/// Every record gets its own segment.
const TINY: JournalConfig = JournalConfig {
    sync_interval: Duration::from_millis(20),
    segment_bytes: 4096,
};

/// Sees every operation; can hold up the syncs of segments, and refuse one write to them.
#[derive(Debug, Default)]
struct Porter {
    seen: Mutex<Vec<(Op, PathBuf)>>,
    state: Mutex<State>,
    changed: Condvar,
    /// What is called synced whenever a segment is to be synced, from when it is set.
    tail: OnceLock<Arc<Tail>>,
    synced: Mutex<Vec<Option<Position>>>,
}

#[derive(Debug, Default)]
struct State {
    holds: bool,
    is_held: bool,
    refuses_write: bool,
}

impl Porter {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn is_held(&self) -> bool {
        self.state.lock().unwrap().is_held
    }
}

impl Gate for Porter {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        let is_segment = path.extension().is_some_and(|extension| extension == "journal");
        let mut state = self.state.lock().unwrap();
        if op == Op::Sync && is_segment {
            if let Some(tail) = self.tail.get() {
                self.synced.lock().unwrap().push(tail.synced());
            }
            state.is_held = state.holds;
            state = self.changed.wait_while(state, |state| state.holds).unwrap();
            state.is_held = false;
        }
        if op == Op::Write && is_segment && std::mem::take(&mut state.refuses_write) {
            return Err(io::Error::from_raw_os_error(5));
        }
        // In order of their ends, so that whatever comes after a write was begun after it.
        self.seen.lock().unwrap().push((op, path.to_owned()));
        Ok(())
    }
}

fn open(dir: &Path) -> (Arc<Porter>, Writer) {
    let porter = Arc::new(Porter::default());
    let data = DataDir::on(Disk::behind(porter.clone()), dir);
    let writer = krx_store::open_writer(&data, &feed(), TINY, Arc::default()).unwrap();
    (porter, writer)
}

fn frames(numbers: std::ops::Range<i64>) -> Vec<Entry<Vec<u8>>> {
    numbers.map(|number| frame(NINE + number, "x")).collect()
}

#[test]
fn i1_segments_are_synced_with_their_names_before_any_of_it_is_called_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (porter, mut writer) = open(dir.path());
    for round in 0..5 {
        // Several segments between two syncs.
        writer.append(&frames(round * 8..round * 8 + 8)).unwrap();
        until("it is synced", || !writer.tail().is_unsynced());
        let seen = porter.seen.lock().unwrap();
        let segments = support::segments(dir.path());
        assert_eq!(i64::try_from(segments.len()).unwrap(), (round + 1) * 8);
        for segment in &segments {
            let last = |op: Op, of: &Path| {
                let found = seen.iter().rposition(|(seen, path)| *seen == op && path == of);
                found.unwrap_or_else(|| panic!("{op:?} of {}: {seen:?}", of.display()))
            };
            assert!(
                last(Op::Sync, segment) > last(Op::Write, segment),
                "{}",
                segment.display()
            );
            let named = last(Op::SyncDir, segment.parent().unwrap());
            assert!(named > last(Op::Rename, segment), "{}", segment.display());
        }
    }
    writer.close().unwrap();
}

/// A sync hangs, and succeeds long after the writer has given up the file that it was of.
#[test]
fn i1_a_sync_of_a_file_that_was_given_up_sets_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let (porter, mut writer) = open(dir.path());
    porter.set(|state| state.holds = true);
    writer.append(&[connected(NINE)]).unwrap();
    until("its sync hangs", || porter.is_held());
    porter.set(|state| state.refuses_write = true);
    assert!(writer.append(&frames(1..3)).is_err());
    writer.append(&frames(1..3)).unwrap();
    let tail = writer.tail();
    let renewed = tail.synced();
    assert!(
        renewed.is_some(),
        "a renewed segment is synced before it has its name"
    );
    assert!(porter.is_held());
    porter.tail.set(Arc::clone(&tail)).unwrap();
    porter.set(|state| state.holds = false);
    writer.append(&frames(3..4)).unwrap();
    until("it is synced", || !tail.is_unsynced());
    writer.close().unwrap();
    let synced = porter.synced.lock().unwrap();
    assert!(
        !synced.is_empty() && synced.iter().all(|synced| *synced >= renewed),
        "{synced:?}"
    );
    assert_eq!(follow(dir.path()).len(), 4);
}

#[test]
fn a_follower_passes_over_no_segment_that_is_not_synced_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (porter, mut writer) = open(dir.path());
    let journal = DataDir::new(dir.path()).journal(&feed());
    let mut follower = Follower::new(journal, Some(writer.tail()));
    porter.set(|state| state.holds = true);
    writer.append(&frames(1..6)).unwrap();
    until("the first sync hangs", || porter.is_held());
    assert_eq!(support::segments(dir.path()).len(), 5);
    for _ in 0..9 {
        assert_eq!(follower.advance().unwrap(), Followed::CaughtUp);
    }
    porter.set(|state| state.holds = false);
    let mut read = Vec::new();
    until("all is read", || {
        match follower.advance().unwrap() {
            Followed::Record(_, head) => read.push(head.frame),
            Followed::SegmentEnd(_) | Followed::CaughtUp => {}
            damage @ Followed::Damage(..) => panic!("{damage:?}"),
        }
        read.last() == Some(&5)
    });
    assert_eq!(read, [1, 2, 3, 4, 5]);
    writer.close().unwrap();
}
