//! A sealed day is put in place only once it is proved: made from what was recorded, read back as it was read, and on
//! disk before anything that it replaces is removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::support::{
    NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, date, event, export, feed, files, frame, journal,
    trades, tree,
};
use krx_store::day::{GRACE, Layout, Outcome, Sealing, Uptime, Watch, seal, settle};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::{DataDir, Event, StoreError};

/// Two files of a date. Recording another `volume` with as many digits changes nothing else, not even the footers.
fn recorded(volume: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        connected(NINE),
        frame(NINE, &batch(3, volume)),
        event(NINE, Event::CommitNow),
        frame(NINE + SECOND, &batch(3, volume)),
        event(NINE + SECOND, Event::Stop),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(3600, 1_000_000));
    assert_eq!(names(dir.path()).len(), 2);
    dir
}

fn names(dir: &Path) -> Vec<PathBuf> {
    files(&dir.join("trades"), "parquet")
}

fn sealed(data: &DataDir) -> Result<Outcome, StoreError> {
    let watch = Watch::nobody();
    let sealing = Sealing::take(data, 0)?;
    seal(
        &sealing,
        &krx_store::service::TRADES,
        &feed(),
        date(),
        &Layout::default(),
        watch,
    )
}

/// A sound file with other rows has the name of a committed one: only its digest shows it.
#[test]
fn a_file_that_is_not_the_one_in_the_list_does_not_become_part_of_the_day() {
    let (dir, other) = (recorded(1), recorded(2));
    for index in 0..2 {
        let (path, of_other) = (&names(dir.path())[index], &names(other.path())[index]);
        assert_eq!(path.file_name(), of_other.file_name());
        let original = fs::read(path).unwrap();
        fs::copy(of_other, path).unwrap();
        let before = tree(dir.path());
        let refused = sealed(&DataDir::new(dir.path())).unwrap_err();
        assert!(refused.to_string().contains("SHA-256"), "{refused}");
        assert_eq!(tree(dir.path()), before);
        fs::write(path, original).unwrap();
    }
    assert!(matches!(
        sealed(&DataDir::new(dir.path())),
        Ok(Outcome::Sealed(_))
    ));
}

/// Writes other bytes to the file being built when it is about to be synced.
#[derive(Debug)]
struct Swaps {
    bytes: Vec<u8>,
    swapped: AtomicBool,
}

impl Gate for Swaps {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        if op == Op::Sync && path.ends_with("day.partial") {
            fs::write(path, &self.bytes)?;
            self.swapped.store(true, Relaxed);
        }
        Ok(())
    }
}

/// As many rows, in the same order, of the same frames, with the same footer: only their contents differ.
#[test]
fn a_day_whose_rows_read_back_otherwise_is_not_put_in_place() {
    let (dir, other) = (recorded(1), recorded(2));
    assert!(matches!(
        sealed(&DataDir::new(other.path())),
        Ok(Outcome::Sealed(_))
    ));
    let gate = Arc::new(Swaps {
        bytes: fs::read(&names(other.path())[0]).unwrap(),
        swapped: AtomicBool::new(false),
    });
    let before = tree(dir.path());
    let refused = sealed(&DataDir::on(Disk::behind(gate.clone()), dir.path())).unwrap_err();
    assert!(gate.swapped.load(Relaxed));
    assert!(
        refused.to_string().contains("reads back differently"),
        "{refused}"
    );
    assert_eq!(tree(dir.path()), before);
    assert!(trades(dir.path()).iter().all(|row| row.3 == 1));
}

/// Checks before each operation whether a power cut could still undo an exchange, and whether all replaced files are
/// present in that case; and can refuse the syncs that end that time.
#[derive(Debug, Default)]
struct Careful {
    /// The directories changed by an exchange and not synced since.
    unsynced: Mutex<Vec<PathBuf>>,
    refuses: AtomicBool,
    exchanges: Mutex<usize>,
}

fn root_of(path: &Path) -> Option<&Path> {
    path.ancestors().find(|above| above.join(".krx").is_dir())
}

impl Gate for Careful {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        let Some(dir) = root_of(path) else { return Ok(()) };
        // Two empty directories, used to test whether the filesystem can exchange any.
        if path.to_string_lossy().contains("probe-") {
            return Ok(());
        }
        let above = path.parent().unwrap().to_owned();
        let mut unsynced = self.unsynced.lock().unwrap();
        if !unsynced.is_empty() {
            let replaced = files(&dir.join(".krx/sealing"), "parquet");
            let is_file = |path: &&PathBuf| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| name.starts_with("trades-"))
            };
            assert_eq!(
                replaced.iter().filter(is_file).count(),
                2,
                "{op:?} of {}: they may be all that a power cut leaves",
                path.display()
            );
        }
        match op {
            Op::Exchange => {
                *unsynced = vec![above, dir.join(".krx/sealing")];
                *self.exchanges.lock().unwrap() += 1;
            }
            Op::SyncDir if self.refuses.load(Relaxed) && !unsynced.is_empty() => {
                return Err(io::Error::from_raw_os_error(5));
            }
            Op::SyncDir => unsynced.retain(|dir| dir != path),
            Op::Remove => assert!(unsynced.is_empty(), "{} is removed", path.display()),
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn nothing_that_was_replaced_goes_before_the_exchange_is_on_disk() {
    let dir = recorded(1);
    let gate = Arc::new(Careful::default());
    let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
    assert!(matches!(sealed(&data), Ok(Outcome::Sealed(_))));
    assert_eq!(*gate.exchanges.lock().unwrap(), 1);
    assert_eq!(*gate.unsynced.lock().unwrap(), Vec::<PathBuf>::new());
    assert_eq!(trades(dir.path()).len(), 6);
}

#[test]
fn an_exchange_that_is_not_known_to_be_on_disk_leaves_the_date_as_it_was() {
    let dir = recorded(1);
    let before = tree(dir.path());
    let gate = Arc::new(Careful::default());
    gate.refuses.store(true, Relaxed);
    let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
    assert!(sealed(&data).is_err());
    assert_eq!(*gate.exchanges.lock().unwrap(), 1);
    assert_eq!(tree(dir.path()), before);
    assert!(matches!(
        sealed(&DataDir::new(dir.path())),
        Ok(Outcome::Sealed(_))
    ));
    assert_eq!(trades(dir.path()).len(), 6);
}

/// The process that exchanged the directories was killed before it synced them. The replaced files must not be removed
/// before the next one has done that.
#[test]
fn what_a_killed_seal_replaced_goes_only_behind_a_sync_of_both_directories() {
    for is_told in [true, false] {
        let dir = recorded(1);
        sealed(&DataDir::new(dir.path())).unwrap();
        if !is_told {
            fs::remove_file(
                dir.path()
                    .join(".krx/sealing/2026-11-20-trades-KOSPI/replaced.parquet"),
            )
            .unwrap();
        }
        let gate = Arc::new(Careful::default());
        let changed = ["trades/date=2026-11-20", ".krx/sealing"].map(|name| dir.path().join(name));
        *gate.unsynced.lock().unwrap() = changed.to_vec();
        let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
        let sealing = Sealing::take(&data, 0).unwrap();
        let now = Uptime::now();
        // The hour of an unmarked one begins now.
        for now in [now.later(GRACE), now.later(2 * GRACE)] {
            settle(&sealing, now, None).unwrap();
        }
        assert_eq!(
            files(&dir.path().join(".krx/sealing"), "parquet"),
            Vec::<PathBuf>::new()
        );
        assert_eq!(*gate.unsynced.lock().unwrap(), Vec::<PathBuf>::new());
        assert_eq!(trades(dir.path()).len(), 6);
    }
}
