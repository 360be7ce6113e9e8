//! What a sealed day replaced: how long it stays, and that nothing takes it for anything else.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::{
    NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, copy_tree, date, event, export, feed, files,
    frame, journal, trades,
};
use krx_store::day::{GRACE, Layout, Outcome, Sealing, Uptime, Watch, is_due, make_room, seal, settle};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::verify::verify;
use krx_store::{DataDir, Event, StoreError};

const MINUTE: Duration = Duration::from_secs(60);

/// Two more files of the date, from this second on.
fn record(dir: &Path, second: i64) {
    let at = NINE + second * SECOND;
    let entries = [
        connected(at),
        frame(at, &batch(3, 1)),
        event(at, Event::CommitNow),
        frame(at, &batch(3, 2)),
        event(at, Event::Stop),
    ];
    journal(dir, SMALL_SEGMENTS, &entries);
    export(dir, config(3600, 1_000_000));
}

fn seal_with(sealing: &Sealing) -> Result<Outcome, StoreError> {
    let watch = Watch::nobody();
    seal(
        sealing,
        &krx_store::service::TRADES,
        &feed(),
        date(),
        &Layout::default(),
        watch,
    )
}

fn sealed(dir: &Path) {
    let sealing = Sealing::take(&DataDir::new(dir), 0).unwrap();
    assert!(matches!(seal_with(&sealing).unwrap(), Outcome::Sealed(_)));
    sealing.finish().unwrap();
}

/// A date that was sealed a moment ago, and when that was.
fn replaced() -> (tempfile::TempDir, Uptime) {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 0);
    sealed(dir.path());
    (dir, Uptime::now())
}

fn settled(dir: &Path, now: Uptime, started: Option<Uptime>) {
    let data = DataDir::new(dir);
    let sealing = Sealing::take(&data, 0).unwrap();
    settle(&sealing, now, started).unwrap();
    assert!(!is_due(&data, now, started, false).unwrap(), "all is done");
}

/// The replaced files in each directory in `sealing`, and whether it is marked as replaced.
fn left(dir: &Path) -> Vec<(String, usize, bool)> {
    let mut left: Vec<_> = fs::read_dir(dir.join(".krx/sealing"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let is_replaced = path.join("replaced.parquet").exists();
            (
                name,
                files(&path, "parquet").len() - usize::from(is_replaced),
                is_replaced,
            )
        })
        .collect();
    left.sort();
    left
}

fn is(name: &str, files: usize) -> (String, usize, bool) {
    (name.to_owned(), files, true)
}

const FIRST: &str = "2026-11-20-trades-KOSPI";
const SECOND_DIR: &str = "2026-11-20-trades-KOSPI-2";

fn assert_sound(dir: &Path) {
    let report = verify(&DataDir::new(dir), &BTreeSet::from([date()]), &|_| ()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}

fn day(dir: &Path) -> PathBuf {
    let found = files(&dir.join("trades"), "parquet");
    assert_eq!(found.len(), 1);
    found[0].clone()
}

#[test]
fn it_stays_for_an_hour_and_no_longer() {
    let (dir, now) = replaced();
    assert_eq!(left(dir.path()), [is(FIRST, 2)]);
    assert_sound(dir.path());
    settled(dir.path(), now.later(GRACE - MINUTE), None);
    assert_eq!(left(dir.path()), [is(FIRST, 2)]);
    assert!(is_due(&DataDir::new(dir.path()), now.later(GRACE), None, false).unwrap());
    settled(dir.path(), now.later(GRACE), None);
    assert_eq!(left(dir.path()), []);
    assert_sound(dir.path());
}

#[test]
fn the_next_start_of_a_recorder_removes_its_files_and_leaves_a_name() {
    let before = Uptime::now();
    let (dir, now) = replaced();
    // Sealed beside a running recorder: its start is no reason.
    settled(dir.path(), now, Some(before));
    assert_eq!(left(dir.path()), [is(FIRST, 2)]);
    let started = now.later(MINUTE);
    settled(dir.path(), started, Some(started));
    // A reader with the directory open finds a name in it that cannot be opened.
    assert_eq!(left(dir.path()), [is(FIRST, 0)]);
    settled(dir.path(), now.later(GRACE), Some(started));
    assert_eq!(left(dir.path()), []);
}

#[test]
fn no_time_that_cannot_be_keeps_it_for_ever() {
    for text in ["", "nonsense", "123 456"] {
        let (dir, now) = replaced();
        fs::write(
            dir.path()
                .join(".krx/sealing")
                .join(FIRST)
                .join("replaced.parquet"),
            text,
        )
        .unwrap();
        settled(dir.path(), now, None);
        assert_eq!(left(dir.path()), [is(FIRST, 2)], "{text:?}");
        settled(dir.path(), now.later(GRACE), None);
        assert_eq!(left(dir.path()), [], "{text:?}");
    }
    // The machine was started since.
    let (dir, now) = replaced();
    let ahead = now.later(GRACE);
    fs::write(
        dir.path()
            .join(".krx/sealing")
            .join(FIRST)
            .join("replaced.parquet"),
        ahead.to_string(),
    )
    .unwrap();
    settled(dir.path(), now, None);
    assert_eq!(left(dir.path()), [is(FIRST, 2)]);
    settled(dir.path(), now.later(GRACE), None);
    assert_eq!(left(dir.path()), []);
}

#[test]
fn a_date_that_is_sealed_again_meanwhile_has_two() {
    let (dir, now) = replaced();
    record(dir.path(), 60);
    sealed(dir.path());
    assert_eq!(left(dir.path()), [is(FIRST, 2), is(SECOND_DIR, 3)]);
    assert_eq!(trades(dir.path()).len(), 12);
    assert_sound(dir.path());
    settled(dir.path(), now.later(GRACE + MINUTE), None);
    assert_eq!(left(dir.path()), []);
    assert_eq!(trades(dir.path()).len(), 12);
}

#[test]
fn the_oldest_goes_first_when_space_is_short() {
    let (dir, now) = replaced();
    record(dir.path(), 60);
    sealed(dir.path());
    let data = DataDir::new(dir.path());
    let sealing = Sealing::take(&data, 0).unwrap();
    // The one with the greater number is the older one.
    let marker = dir
        .path()
        .join(".krx/sealing")
        .join(FIRST)
        .join("replaced.parquet");
    fs::write(marker, now.later(MINUTE).to_string()).unwrap();
    // Asked before each: nothing, one, and all of them is enough.
    for (enough_after, expected) in [
        (0, [is(FIRST, 2), is(SECOND_DIR, 3)]),
        (1, [is(FIRST, 2), is(SECOND_DIR, 0)]),
        (9, [is(FIRST, 0), is(SECOND_DIR, 0)]),
    ] {
        let asked = Cell::new(0);
        let has_room = make_room(&sealing, &|| {
            asked.set(asked.get() + 1);
            Ok(asked.get() > enough_after)
        });
        assert_eq!(has_room.unwrap(), enough_after < 9);
        assert_eq!(left(dir.path()), expected, "{enough_after}");
    }
    assert!(
        !is_due(&data, now.later(MINUTE), None, true).unwrap(),
        "no files are left to remove"
    );
    assert_eq!(trades(dir.path()).len(), 12);
    assert_sound(dir.path());
}

#[test]
fn a_seal_makes_room_before_it_gives_up_and_where_the_disk_is_nearly_full() {
    let (dir, _) = replaced();
    record(dir.path(), 60);
    let data = DataDir::new(dir.path());
    let sealing = Sealing::take(&data, u64::MAX).unwrap();
    let refused = seal_with(&sealing);
    assert!(
        matches!(refused, Err(StoreError::NoRoomToSeal { .. })),
        "{refused:?}"
    );
    assert_eq!(left(dir.path()), [is(FIRST, 0)]);
    drop(sealing);

    let (dir, _) = replaced();
    record(dir.path(), 60);
    let sealing = Sealing::take(&DataDir::new(dir.path()), 0).unwrap();
    let sealing = sealing.with_low_bytes(u64::MAX);
    assert!(matches!(seal_with(&sealing), Ok(Outcome::Sealed(_))));
    assert_eq!(left(dir.path()), [is(FIRST, 0), is(SECOND_DIR, 3)]);
}

#[test]
fn what_has_no_other_copy_stays_whatever_the_time_and_the_space() {
    let (dir, now) = replaced();
    let (day, aside) = (day(dir.path()), dir.path().join("aside"));
    fs::rename(&day, &aside).unwrap();
    settled(dir.path(), now.later(GRACE), None);
    assert_eq!(left(dir.path()), [is(FIRST, 2)]);
    let sealing = Sealing::take(&DataDir::new(dir.path()), 0).unwrap();
    assert!(!make_room(&sealing, &|| Ok(false)).unwrap());
    drop(sealing);
    assert_eq!(left(dir.path()), [is(FIRST, 2)]);
    fs::rename(&aside, &day).unwrap();
    // It is looked at again an hour after that.
    settled(dir.path(), now.later(2 * GRACE + MINUTE), None);
    assert_eq!(left(dir.path()), []);
}

#[test]
fn a_seal_that_was_killed_before_it_said_so_has_replaced_all_the_same() {
    let (dir, now) = replaced();
    fs::remove_file(
        dir.path()
            .join(".krx/sealing")
            .join(FIRST)
            .join("replaced.parquet"),
    )
    .unwrap();
    // Nor had it got as far as the list.
    fs::remove_file(dir.path().join(format!(".krx/checksums/{}.sha256", date()))).unwrap();
    settled(dir.path(), now, None);
    assert_eq!(left(dir.path()), [is(FIRST, 2)]);
    assert_sound(dir.path());
    settled(dir.path(), now.later(GRACE), None);
    assert_eq!(left(dir.path()), []);
}

/// Fails from this operation on, like a process that is killed there.
#[derive(Debug)]
struct KilledAt {
    number: u64,
    count: AtomicU64,
}

impl Gate for KilledAt {
    fn pass(&self, _: Op, _: &Path) -> io::Result<()> {
        if self.count.fetch_add(1, Relaxed) >= self.number {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

#[test]
fn a_removal_that_is_killed_is_gone_on_with_and_costs_no_row() {
    let (original, now) = replaced();
    record(original.path(), 60);
    sealed(original.path());
    let later = now.later(GRACE + MINUTE);
    let (mut number, mut killed) = (0, 0);
    loop {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(original.path(), dir.path());
        let gate = Arc::new(KilledAt {
            number,
            count: AtomicU64::new(0),
        });
        let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
        let taken = Sealing::take(&data, 0);
        if let Ok(sealing) = taken {
            let _ = settle(&sealing, later, None);
        }
        let is_through = gate.count.load(Relaxed) <= number;
        killed += usize::from(!is_through);
        assert_eq!(trades(dir.path()).len(), 12, "operation {number}");
        // At the latest, with an hour that starts again.
        settled(dir.path(), later.later(GRACE), None);
        assert_eq!(left(dir.path()), [], "operation {number}");
        assert_eq!(trades(dir.path()).len(), 12, "operation {number}");
        assert_sound(dir.path());
        if is_through {
            break;
        }
        number += 1;
    }
    assert!(killed > 10, "{killed}");
}
