//! Rebuild: what is lost comes back byte for byte, and what is sound is left alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{fs, io};

use crate::support::{
    self, DAY, NINE, SECOND, SMALL_SEGMENTS, batch, config, copy_tree, date, event, export, feed, files,
    frame, journal, tree,
};
use krx_store::dataset::QUARANTINE;
use krx_store::disk::{Disk, Gate, Op};
use krx_store::rebuild::{Access, Rebuilt, feeds, rebuild};
use krx_store::service::TRADES;
use krx_store::verify::verify;
use krx_store::{
    Checksums, DataDir, DataDirLock, Event, ExportConfig, Retention, StoreError, archive, retention,
};

fn keep() -> ExportConfig {
    ExportConfig {
        keep_days: 36_500,
        ..config(60, 1000)
    }
}

/// A date of ten files, three of them with quarantine; the next date's first record ends the last file.
fn record(dir: &Path) {
    record_minutes(dir, 10);
}

fn record_minutes(dir: &Path, minutes: i64) {
    let mut entries = Vec::new();
    for minute in 0..minutes {
        for index in 0..20 {
            let text = match (minute % 4, index) {
                (0, 7) => "garbage".to_owned(),
                _ => batch(6, index),
            };
            let index = i64::try_from(index).unwrap();
            entries.push(frame(NINE + minute * 60 * SECOND + index, &text));
        }
    }
    entries.push(frame(NINE + DAY, &batch(1, 1)));
    entries.push(event(NINE + DAY + 1, Event::Stop));
    journal(dir, SMALL_SEGMENTS, &entries);
    export(dir, keep());
}

fn again(dir: &Path, dry_run: bool) -> Rebuilt {
    let data = DataDir::new(dir);
    let access = Access::take(&data, date()).unwrap();
    rebuild(&data, &feed(), date(), keep(), &access, dry_run).unwrap()
}

fn is_sound(dir: &Path) -> bool {
    let data = DataDir::new(dir);
    verify(&data, &krx_store::catalog::all_dates(&data).unwrap(), &|_| {})
        .unwrap()
        .ok
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    fs::write(path, bytes).unwrap();
}

fn counts(rebuilt: &Rebuilt) -> (u64, usize, usize, u64, usize) {
    let Rebuilt {
        identical,
        restored,
        differing,
        unchecked,
        lost,
        ..
    } = rebuilt;
    (
        *identical,
        restored.len(),
        differing.len(),
        *unchecked,
        lost.len(),
    )
}

#[test]
fn what_is_damaged_or_gone_comes_back_and_nothing_else_changes() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let whole = tree(dir.path());
    let data = DataDir::new(dir.path());
    assert!(krx_store::catalog::archived(&data, &feed()).unwrap().len() > 5);
    assert_eq!(
        feeds(&data, date()).unwrap().into_iter().collect::<Vec<_>>(),
        [feed()]
    );
    assert_eq!(counts(&again(dir.path(), false)), (14, 0, 0, 0, 0));
    let paths: Vec<_> = whole
        .keys()
        .filter(|path| path.to_string_lossy().contains("2026-11-20"))
        .collect();
    assert_eq!(paths.len(), 14);
    let list = data.checksum_list(date());
    let lines = fs::read(&list).unwrap();
    for (index, path) in paths.iter().enumerate() {
        let full = dir.path().join(path);
        if index % 2 == 0 {
            flip(&full);
        } else {
            fs::remove_file(&full).unwrap();
        }
        assert!(!is_sound(dir.path()));
        assert_eq!(
            counts(&again(dir.path(), true)),
            (13, 1, 0, 0, 0),
            "{}",
            path.display()
        );
        assert!(!is_sound(dir.path()), "a dry run changes nothing");
        let rebuilt = again(dir.path(), false);
        assert_eq!(counts(&rebuilt), (13, 1, 0, 0, 0));
        assert_eq!(rebuilt.restored, [path.to_str().unwrap()]);
        assert_eq!(tree(dir.path()), whole);
    }
    // All of it, including the list.
    for dataset in ["trades", "quarantine", "coverage"] {
        fs::remove_dir_all(dir.path().join(dataset).join("date=2026-11-20")).unwrap();
    }
    fs::remove_file(&list).unwrap();
    assert_eq!(counts(&again(dir.path(), false)), (0, 14, 0, 0, 0));
    assert_eq!(tree(dir.path()), whole);
    assert_eq!(fs::read(&list).unwrap(), lines);
    assert!(is_sound(dir.path()));
    assert_eq!(fs::read_dir(data.staging().join("rebuild")).unwrap().count(), 0);
}

#[test]
fn a_damaged_list_is_put_right() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let list = DataDir::new(dir.path()).checksum_list(date());
    let lines = fs::read_to_string(&list).unwrap();
    for damaged in [
        // A wrong digest, a wrong name, a line that is not one, and no list at all.
        lines.replacen(&lines[..64], &"0".repeat(64), 1),
        lines.replacen("-000000000020.parquet", "-000000000024.parquet", 1),
        lines.replacen("trades/", "trodes/", 1),
        String::new(),
    ] {
        assert_ne!(damaged, lines);
        fs::write(&list, damaged).unwrap();
        assert!(!is_sound(dir.path()));
        let rebuilt = again(dir.path(), false);
        assert_eq!(counts(&rebuilt), (14, 0, 0, 0, 0));
        assert_eq!(fs::read_to_string(&list).unwrap(), lines);
    }
}

#[test]
fn sound_files_of_other_settings_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let whole = tree(dir.path());
    let data = DataDir::new(dir.path());
    let access = Access::take(&data, date()).unwrap();
    let other = ExportConfig {
        rotate_interval: std::time::Duration::from_secs(90),
        ..keep()
    };
    let rebuilt = rebuild(&data, &feed(), date(), other, &access, false).unwrap();
    // The last file would end where it ends with either setting.
    assert_eq!(counts(&rebuilt), (2, 0, 12, 0, 0));
    assert_eq!(tree(dir.path()), whole);
    // And what is lost is not patched with a file that would overlap its neighbours.
    fs::remove_file(files(&dir.path().join("trades/date=2026-11-20"), "parquet").remove(4)).unwrap();
    let rebuilt = rebuild(&data, &feed(), date(), other, &access, false).unwrap();
    assert_eq!(
        (rebuilt.restored.len(), rebuilt.lost.len()),
        (1, 1),
        "coverage has a gap now: {rebuilt:?}"
    );
    assert!(
        rebuilt.lost.iter().any(|lost| lost.detail.contains("--config")),
        "{rebuilt:?}"
    );
}

#[test]
fn sound_files_of_another_version_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    // The version in the footer is text of its own length: another of that length changes nothing else.
    let (key, ours) = ("krx.recorder_version", env!("CARGO_PKG_VERSION"));
    let other = "9".repeat(ours.len());
    let mut changed = BTreeSet::new();
    for path in tree(dir.path()).into_keys() {
        let Some(committed) = path.to_str().and_then(|path| data.parse(path)) else {
            continue;
        };
        let mut bytes = fs::read(dir.path().join(&path)).unwrap();
        let at = bytes
            .windows(key.len())
            .position(|window| window == key.as_bytes());
        let Some(at) = at else { continue };
        let value = bytes[at..]
            .windows(ours.len())
            .position(|window| window == ours.as_bytes());
        let value = at + value.unwrap();
        bytes[value..value + ours.len()].copy_from_slice(other.as_bytes());
        fs::write(dir.path().join(&path), bytes).unwrap();
        Checksums::of(&data, committed.date)
            .record_files(std::slice::from_ref(&committed))
            .unwrap();
        changed.insert(committed.name.dataset.name);
    }
    assert_eq!(changed, BTreeSet::from(["coverage", "quarantine", "trades"]));
    assert!(is_sound(dir.path()));
    let before = tree(dir.path());
    for dry_run in [true, false] {
        assert_eq!(counts(&again(dir.path(), dry_run)), (14, 0, 0, 0, 0));
        assert_eq!(tree(dir.path()), before);
    }
}

#[test]
fn what_the_archive_lacks_is_said_and_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let names = krx_store::catalog::archived(&data, &feed()).unwrap();
    let remove = |index: usize| fs::remove_file(archive::path(&data, &feed(), names[index])).unwrap();
    let trades = files(&dir.path().join("trades/date=2026-11-20"), "parquet");
    // The beginning is gone, and so are the first file, whose frames went with it, and the last, whose did not.
    remove(0);
    remove(1);
    let (whole, rows_before) = (tree(dir.path()), support::trades(dir.path()));
    fs::remove_file(&trades[0]).unwrap();
    flip(&trades[9]);
    let rebuilt = again(dir.path(), false);
    assert_eq!(rebuilt.lacking, [(1, names[2].first_frame - 1)]);
    let lost = trades[0].strip_prefix(dir.path()).unwrap().to_str().unwrap();
    assert_eq!(
        rebuilt
            .lost
            .iter()
            .map(|lost| lost.path.as_str())
            .collect::<Vec<_>>(),
        [lost]
    );
    assert!(
        rebuilt.lost[0].detail.contains("does not have frames 1 to "),
        "{rebuilt:?}"
    );
    assert_eq!(
        rebuilt.restored.len(),
        2,
        "the file, and coverage, which has a gap now: {rebuilt:?}"
    );
    let after = tree(dir.path());
    assert_eq!(after.len(), whole.len() - 1);
    // What was exported from part of the journal has the same rows; how its session began is lost.
    let made_again =
        |path: &std::path::Path| rebuilt.restored.iter().any(|restored| path.ends_with(restored));
    assert!(
        after
            .iter()
            .all(|(path, bytes)| whole[path] == *bytes || made_again(path))
    );
    let rows = |row: &(i64, i16, i32, i64, i64)| row.0 > 20;
    let after_rows: Vec<_> = support::trades(dir.path()).into_iter().filter(rows).collect();
    assert_eq!(
        after_rows,
        rows_before.into_iter().filter(rows).collect::<Vec<_>>()
    );
    // A gap in the middle: both sides of it are exported, and nothing across it.
    remove(6);
    let rebuilt = again(dir.path(), false);
    assert_eq!(
        rebuilt.lacking[1],
        (names[6].first_frame, names[7].first_frame - 1)
    );
    assert_eq!((rebuilt.restored.len(), rebuilt.lost.len()), (0, 1));
    assert!(rebuilt.identical > 3 && rebuilt.unchecked > 1, "{rebuilt:?}");
    // Nothing at all.
    fs::remove_dir_all(data.archive(&feed())).unwrap();
    let rebuilt = again(dir.path(), false);
    assert_eq!((rebuilt.segments, counts(&rebuilt)), (0, (0, 0, 0, 13, 1)));
    assert_eq!(tree(dir.path()), after);
}

#[test]
fn beside_a_recorder_only_dates_are_rebuilt_that_it_is_past() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let held = DataDirLock::take(&data).unwrap();
    let next = date().succ_opt().unwrap();
    assert!(matches!(
        Access::take(&data, next),
        Err(StoreError::Locked { .. })
    ));
    let access = Access::take(&data, date()).unwrap();
    assert!(
        matches!(
            Access::take(&data, date()),
            Err(StoreError::SealingElsewhere { .. })
        ),
        "one rebuild at a time"
    );
    let trades = files(&dir.path().join("trades/date=2026-11-20"), "parquet");
    let whole = tree(dir.path());
    flip(&trades[9]);
    fs::remove_file(&trades[3]).unwrap();
    let rebuilt = rebuild(&data, &feed(), date(), keep(), &access, false).unwrap();
    assert_eq!(rebuilt.restored.len(), 2);
    assert_eq!(tree(dir.path()), whole);
    // Frames that no file has ever had may be about to be committed by the recorder.
    let fresh = tempfile::tempdir().unwrap();
    copy_tree(
        &dir.path().join(".krx/archive"),
        &fresh.path().join(".krx/archive"),
    );
    let fresh_data = DataDir::new(fresh.path());
    let fresh_lock = DataDirLock::take(&fresh_data).unwrap();
    let access = Access::take(&fresh_data, date()).unwrap();
    let rebuilt = rebuild(&fresh_data, &feed(), date(), keep(), &access, false).unwrap();
    assert_eq!(counts(&rebuilt), (0, 0, 0, 0, 0));
    drop((held, fresh_lock, access));
    let access = Access::take(&fresh_data, date()).unwrap();
    let rebuilt = rebuild(&fresh_data, &feed(), date(), keep(), &access, false).unwrap();
    assert_eq!(
        rebuilt.restored.len(),
        13,
        "without the next date's first record the last file has no end"
    );
}

/// Refuses the operation with this number, and counts all of them.
#[derive(Debug)]
struct Once {
    refused: u64,
    count: AtomicU64,
}

impl Gate for Once {
    fn pass(&self, _: Op, _: &Path) -> io::Result<()> {
        match self.count.fetch_add(1, Relaxed) {
            number if number == self.refused => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }
}

/// Calls `work` over a disk that refuses one operation after the other, each time on a copy of `from`, until it comes to its
/// end without one; what it leaves is looked at by `check`, which is told whether it failed. How many operations there were.
fn refusing_each(
    from: &Path,
    work: impl Fn(&DataDir) -> Result<(), StoreError>,
    check: impl Fn(&Path, bool),
) -> u64 {
    for refused in 0.. {
        let dir = support::fast_dir();
        copy_tree(from, dir.path());
        let gate = Arc::new(Once {
            refused,
            count: AtomicU64::new(0),
        });
        let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
        let failed = work(&data).is_err();
        check(dir.path(), failed);
        if gate.count.load(Relaxed) <= refused {
            return refused;
        }
    }
    unreachable!("the numbers do not end")
}

#[test]
fn every_operation_of_a_rebuild_may_fail_once_and_the_next_one_makes_it_good() {
    let dir = support::fast_dir();
    record_minutes(dir.path(), 3);
    let whole = tree(dir.path());
    let lost: Vec<_> = whole
        .keys()
        .filter(|path| {
            ["trades", "quarantine"]
                .iter()
                .any(|dataset| path.starts_with(format!("{dataset}/date={}", date())))
        })
        .step_by(2)
        .cloned()
        .collect();
    for path in &lost {
        fs::remove_file(dir.path().join(path)).unwrap();
    }
    let sound: Vec<_> = tree(dir.path()).into_iter().collect();
    let operations = refusing_each(
        dir.path(),
        |data| {
            let access = Access::take(data, date())?;
            rebuild(data, &feed(), date(), keep(), &access, false).map(drop)
        },
        |dir, _| {
            let after = tree(dir);
            for (path, bytes) in &sound {
                let is_data = ["trades/", "quarantine/", ".krx/archive/"]
                    .iter()
                    .any(|start| path.starts_with(start));
                assert!(
                    !is_data || after.get(path) == Some(bytes),
                    "{} was sound",
                    path.display()
                );
            }
            again(dir, false);
            let data = DataDir::new(dir);
            let report = verify(&data, &krx_store::catalog::all_dates(&data).unwrap(), &|_| {}).unwrap();
            assert!(report.ok, "{:?}", report.findings);
            let made = tree(dir);
            for path in &lost {
                assert_eq!(made.get(path), whole.get(path), "{}", path.display());
            }
        },
    );
    assert!(
        operations > 50,
        "it changes the disk through its gate: {operations}"
    );
}

#[test]
fn every_operation_of_retention_may_fail_once_and_the_next_one_goes_on() {
    let dir = support::fast_dir();
    record_minutes(dir.path(), 3);
    fs::remove_dir_all(DataDir::new(dir.path()).journal(&feed())).unwrap();
    let today = date() + chrono::Days::new(100);
    for days in 1..=5 {
        let recent = DataDir::new(dir.path()).date_dir(&TRADES, today - chrono::Days::new(days));
        fs::create_dir_all(recent).unwrap();
    }
    let retention = Retention::default().keeping(&TRADES, 30).keeping(&QUARANTINE, 30);
    let is_gone = |dir: &Path| {
        let data = DataDir::new(dir);
        [&TRADES, &QUARANTINE].map(|dataset| !data.date_dir(dataset, date()).exists())
    };
    let operations = refusing_each(
        dir.path(),
        |data| retention::expire(data, &retention, today).map(drop),
        |dir, failed| {
            assert!(failed || is_gone(dir) == [true; 2]);
            retention::expire(&DataDir::new(dir), &retention, today).unwrap();
            assert_eq!(is_gone(dir), [true; 2]);
            assert!(is_sound(dir));
            let staging = DataDir::new(dir).staging();
            let left = fs::read_dir(staging).unwrap().flatten();
            let left: Vec<_> = left
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("expired-"))
                .collect();
            assert!(left.is_empty(), "{left:?}");
        },
    );
    assert!(
        operations > 20,
        "it changes the disk through its gate: {operations}"
    );
}
