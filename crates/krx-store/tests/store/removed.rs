//! What somebody removes or moves during recording: segments, the journal's directory, `.krx`, the data directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    self, NINE, SECOND, batch, config, connected, event, feed, follow, frame, segments, trades, until,
};
use krx_store::coverage::{Reason, view};
use krx_store::journal::{Followed, Follower};
use krx_store::{
    DataDir, DataDirLock, Entry, Event, ExportConfig, Exporter, JournalConfig, Moment, Progress, StoreError,
    Writer,
};

const LARGE: JournalConfig = JournalConfig {
    sync_interval: Duration::from_millis(1),
    segment_bytes: 1 << 20,
};

const SMALL: JournalConfig = JournalConfig {
    segment_bytes: 8192,
    ..LARGE
};

fn open(dir: &Path, config: JournalConfig) -> Writer {
    krx_store::open_writer(&DataDir::new(dir), &feed(), config, Arc::default()).unwrap()
}

/// Like the recorder: repeats the call until the disk accepts it.
fn append(writer: &mut Writer, entries: &[Entry<Vec<u8>>]) {
    until("the disk takes it", || writer.append(entries).is_ok());
}

fn until_synced(writer: &Writer) {
    until("all is synced", || !writer.tail().is_unsynced());
}

fn frames(numbers: std::ops::Range<usize>) -> Vec<Entry<Vec<u8>>> {
    let at = |number: usize| NINE + i64::try_from(number).unwrap() * SECOND;
    numbers
        .map(|number| frame(at(number), &batch(1, number)))
        .collect()
}

/// The volumes that the journal has, in its order.
fn journaled(dir: &Path) -> Vec<usize> {
    let volume = |line: &String| {
        let (_, rest) = line.split_once(r#""trdVol":""#)?;
        rest.split('"').next()?.parse().ok()
    };
    follow(dir).iter().filter_map(volume).collect()
}

fn journal_dir(dir: &Path) -> PathBuf {
    DataDir::new(dir).journal(&feed())
}

/// What is removed while it is in use.
#[derive(Clone, Copy, Debug)]
enum Removed {
    Segment,
    Journal,
    Internal,
}

impl Removed {
    const ALL: [Self; 3] = [Self::Segment, Self::Journal, Self::Internal];

    fn remove(self, dir: &Path) {
        match self {
            Self::Segment => fs::remove_file(segments(dir).last().unwrap()).unwrap(),
            Self::Journal => remove_dir_in_use(&journal_dir(dir)),
            Self::Internal => remove_dir_in_use(&DataDir::new(dir).internal()),
        }
    }
}

/// `rm -r` of a directory in which files are being made meanwhile.
fn remove_dir_in_use(dir: &Path) {
    while let Err(error) = fs::remove_dir_all(dir) {
        assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty, "{error}");
    }
}

#[test]
fn i1_what_is_removed_while_nothing_is_received_is_put_back_and_outlives_a_kill() {
    for removed in Removed::ALL {
        let dir = tempfile::tempdir().unwrap();
        let progress = Arc::new(Progress::default());
        let mut writer = krx_store::open_writer(
            &DataDir::new(dir.path()),
            &feed(),
            LARGE,
            Arc::clone(&progress.journal),
        )
        .unwrap();
        append(&mut writer, &[connected(NINE)]);
        append(&mut writer, &frames(1..21));
        until_synced(&writer);
        let path = segments(dir.path())[0].clone();
        let before = fs::read(&path).unwrap();
        removed.remove(dir.path());
        until("it is noticed", || writer.tail().failure().is_some());
        let after = fs::read(&path).unwrap();
        assert_eq!(
            after[..],
            before[..after.len()],
            "{removed:?}: the same header and records"
        );
        // As the recorder does every second then: see `Pipeline::second`.
        append(&mut writer, &[event(NINE + 30 * SECOND, Event::TimeMark)]);
        assert!(writer.tail().failure().is_none());
        append(&mut writer, &frames(31..41));
        until_synced(&writer);
        drop(writer);
        assert_eq!(segments(dir.path()).len(), 2, "{removed:?}");
        let expected: Vec<_> = (1..21).chain(31..41).collect();
        assert_eq!(journaled(dir.path()), expected, "{removed:?}");
        assert_eq!(
            progress
                .journal
                .renewals
                .load(std::sync::atomic::Ordering::Relaxed),
            1
        );
        // The next run continues with it.
        support::journal(dir.path(), LARGE, &frames(41..43));
        let expected: Vec<_> = expected.into_iter().chain(41..43).collect();
        assert_eq!(journaled(dir.path()), expected, "{removed:?}");
    }
}

#[test]
fn i1_what_is_removed_may_end_before_it_is_noticed() {
    for removed in Removed::ALL {
        // As many frames as end the segment before anybody has looked, and the journal closed at once.
        for more in [0, 1, 30, 200] {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = open(dir.path(), SMALL);
            append(&mut writer, &[connected(NINE)]);
            append(&mut writer, &frames(1..21));
            until_synced(&writer);
            removed.remove(dir.path());
            for entry in frames(21..21 + more) {
                append(&mut writer, &[entry]);
            }
            until("it is finished", || writer.finish().is_ok());
            writer.close().unwrap();
            let expected: Vec<_> = (1..21 + more).collect();
            assert_eq!(journaled(dir.path()), expected, "{removed:?}, {more} more");
        }
    }
}

#[test]
fn i1_an_exporter_at_work_exports_all_of_what_was_removed_and_put_back() {
    for removed in Removed::ALL {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let lock = DataDirLock::take(&data).unwrap();
        let data = lock.data().clone();
        let progress = Arc::new(Progress::default());
        let mut writer =
            krx_store::open_writer(&data, &feed(), SMALL, Arc::clone(&progress.journal)).unwrap();
        let tail = writer.tail();
        // As the recorder does: an exporter that fails is followed by another.
        let exporting = std::thread::spawn({
            let (data, tail) = (data.clone(), Arc::clone(&tail));
            move || {
                until("it is exported", || {
                    let tail = Some(Arc::clone(&tail));
                    let exporter = Exporter::new(&data, &feed(), config(300, 7), tail, Arc::clone(&progress));
                    exporter.run().is_ok()
                });
            }
        });
        append(&mut writer, &[connected(NINE)]);
        let mut next = 1;
        for _ in 0..4 {
            for entry in frames(next..next + 60) {
                append(&mut writer, &[entry]);
            }
            next += 60;
            // What is only in segments that are at rest would be lost with them.
            append(
                &mut writer,
                &[event(
                    NINE + i64::try_from(next).unwrap() * SECOND,
                    Event::CommitNow,
                )],
            );
            until("only the newest segment is left", || {
                segments(dir.path()).len() == 1
            });
            for entry in frames(next..next + 5) {
                append(&mut writer, &[entry]);
            }
            next += 5;
            let renewed = writer.tail();
            removed.remove(dir.path());
            until("it is noticed", || renewed.failure().is_some());
            append(&mut writer, &[event(NINE, Event::TimeMark)]);
        }
        append(&mut writer, &[event(NINE + 400 * SECOND, Event::Stop)]);
        until("it is finished", || writer.finish().is_ok());
        writer.close().unwrap();
        exporting.join().unwrap();
        let mut volumes: Vec<_> = trades(dir.path()).iter().map(|row| row.3).collect();
        volumes.sort_unstable();
        let expected: Vec<_> = (1..i64::try_from(next).unwrap()).collect();
        assert_eq!(volumes, expected, "{removed:?}");
        let intervals = view(&data, &feed(), Moment(NINE).date(), Moment(NINE + 500 * SECOND)).unwrap();
        for row in &intervals {
            assert!(
                row.reason != Reason::Damage && row.reason != Reason::Unknown,
                "{removed:?}: {row:?}"
            );
        }
    }
}

#[test]
fn i4_segments_at_rest_that_are_removed_are_on_record_as_damage() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let mut writer = open(dir.path(), SMALL);
    append(&mut writer, &[connected(NINE)]);
    for entry in frames(1..301) {
        append(&mut writer, &[entry]);
    }
    until_synced(&writer);
    let all = segments(dir.path());
    assert!(all.len() > 4, "{all:?}");
    for path in &all[1..3] {
        fs::remove_file(path).unwrap();
    }
    append(&mut writer, &[event(NINE + 400 * SECOND, Event::Stop)]);
    writer.close().unwrap();
    let keeping = ExportConfig {
        keep_days: 30_000,
        ..config(300, 20)
    };
    Exporter::new(&data, &feed(), keeping, None, Arc::default())
        .run()
        .unwrap();
    let rows = trades(dir.path()).len();
    let intervals = view(&data, &feed(), Moment(NINE).date(), Moment(NINE + 500 * SECOND)).unwrap();
    let details: Vec<_> = intervals
        .iter()
        .filter(|row| row.reason == Reason::Damage)
        .map(|row| row.detail.clone().unwrap_or_default())
        .collect();
    assert_eq!(details.len(), 1, "{intervals:?}");
    let lost = 300 - rows;
    assert!(lost > 10, "{lost}");
    assert!(details[0].contains("are missing"), "{details:?}");
    let counted: u64 = intervals.iter().map(|row| row.frames).sum();
    assert_eq!(counted, rows as u64);
}

#[test]
fn a_segment_that_is_gone_keeps_no_other_from_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let keeping = ExportConfig {
        keep_days: 30_000,
        ..config(3600, 1_000_000)
    };
    let progress = Arc::new(Progress::default());
    let mut writer = krx_store::open_writer(&data, &feed(), SMALL, Arc::clone(&progress.journal)).unwrap();
    let tail = Some(writer.tail());
    append(&mut writer, &[connected(NINE)]);
    for entry in frames(1..301) {
        append(&mut writer, &[entry]);
    }
    until_synced(&writer);
    let exporter = Exporter::new(&data, &feed(), keeping, tail, Arc::clone(&progress));
    let exporting = std::thread::spawn(move || exporter.run());
    // All of it is read, but none of it is committed: all segments wait to be archived.
    until("all is read", || progress.frames_behind() == 0);
    let all = segments(dir.path());
    fs::remove_file(&all[1]).unwrap();
    append(&mut writer, &[event(NINE + 400 * SECOND, Event::Stop)]);
    writer.close().unwrap();
    exporting.join().unwrap().unwrap();
    assert_eq!(trades(dir.path()).len(), 300);
    let archived = krx_store::catalog::archived(&data, &feed()).unwrap().len();
    assert_eq!(
        archived,
        all.len() - 2,
        "all but the newest, and the one that is gone"
    );
    assert_eq!(segments(dir.path()).len(), 1);
}

#[test]
fn a_follower_waits_for_a_segment_that_is_about_to_be_put_back() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = open(dir.path(), SMALL);
        append(&mut writer, &[connected(NINE)]);
        append(&mut writer, &frames(1..21));
        until_synced(&writer);
        Removed::Segment.remove(dir.path());
        let mut follower = Follower::new(journal_dir(dir.path()), Some(writer.tail()));
        let following = std::thread::spawn(move || {
            let mut seen = Vec::new();
            let begin = Instant::now();
            while seen.last() != Some(&120) {
                assert!(begin.elapsed() < Duration::from_secs(60), "{seen:?}");
                match follower.advance().unwrap() {
                    Followed::Record(_, head) if head.frame > 0 => seen.push(head.frame),
                    Followed::CaughtUp => std::thread::yield_now(),
                    _ => {}
                }
            }
            seen.dedup();
            seen
        });
        for entry in frames(21..121) {
            append(&mut writer, &[entry]);
        }
        until("all is followed", || {
            // As the recorder does every second.
            if writer.tail().failure().is_some() {
                append(&mut writer, &[event(NINE + 200 * SECOND, Event::TimeMark)]);
            }
            following.is_finished()
        });
        assert_eq!(following.join().unwrap(), (1..121).collect::<Vec<_>>());
        writer.close().unwrap();
    }
}

#[test]
fn i1_a_data_directory_that_is_moved_away_goes_on_and_finds_no_stub_when_it_comes_back() {
    for mkdir in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (here, away) = (folder.path().join("data"), folder.path().join("data.old"));
        let lock = DataDirLock::take(&DataDir::new(&here)).unwrap();
        let data = lock.data().clone();
        let mut writer = krx_store::open_writer(&data, &feed(), SMALL, Arc::default()).unwrap();
        append(&mut writer, &[connected(NINE)]);
        append(&mut writer, &frames(1..11));
        until_synced(&writer);
        fs::rename(&here, &away).unwrap();
        if mkdir {
            fs::create_dir(&here).unwrap();
        }
        // Into the file that is open, and synced there.
        writer.append(&frames(11..21)).unwrap();
        until_synced(&writer);
        assert_eq!(journaled(&away), (1..21).collect::<Vec<_>>());
        // Longer than from one look to the next: what is noticed must not be taken for a removed segment.
        let looks = Instant::now();
        while looks.elapsed() < Duration::from_millis(1500) {
            assert_eq!(writer.tail().failure(), None);
            std::thread::sleep(Duration::from_millis(50));
        }
        // A new segment cannot be had, and no other part makes anything where the directory was.
        let mut refused = Ok(());
        let mut next = 21;
        while refused.is_ok() {
            refused = writer.append(&frames(next..next + 1));
            next += 1;
        }
        assert!(writer.append(&frames(next - 1..next)).is_err());
        let export = Exporter::new(&data, &feed(), config(300, 5), None, Arc::default()).run();
        assert!(export.is_ok(), "there is no journal: {export:?}");
        let sealing = krx_store::day::Sealing::take(&data, 0).unwrap_err();
        assert!(matches!(sealing, StoreError::Moved { .. }), "{sealing}");
        let list = krx_store::Checksums::of(&data, Moment(NINE).date()).record(&[], &[]);
        assert!(matches!(list, Err(StoreError::Moved { .. })), "{list:?}");
        if mkdir {
            assert_eq!(fs::read_dir(&here).unwrap().count(), 0);
            fs::remove_dir(&here).unwrap();
        }
        assert!(!here.exists());
        fs::rename(&away, &here).unwrap();
        append(&mut writer, &frames(next - 1..next));
        append(&mut writer, &frames(next..next + 100));
        until("it is finished", || writer.finish().is_ok());
        writer.close().unwrap();
        assert_eq!(journaled(&here), (1..next + 100).collect::<Vec<_>>());
    }
}

/// A start that finds nothing, because the directory is away at that moment, must not begin with frame 1 again.
#[test]
fn i1_no_number_is_given_out_while_the_data_directory_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (here, away) = (folder.path().join("data"), folder.path().join("data.old"));
    fs::create_dir(&here).unwrap();
    support::journal(&here, SMALL, &frames(1..6));
    let mut writer = open(&here, SMALL);
    fs::rename(&here, &away).unwrap();
    assert!(writer.append(&frames(6..7)).is_err());
    fs::rename(&away, &here).unwrap();
    append(&mut writer, &frames(6..7));
    writer.close().unwrap();
    assert_eq!(journaled(&here), (1..7).collect::<Vec<_>>());
    assert!(follow(&here)[5].contains(" f6 "), "{:?}", follow(&here));
}

#[test]
fn i1_a_removed_data_directory_is_not_made_again_and_its_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("data");
    fs::create_dir(&here).unwrap();
    let mut writer = open(&here, LARGE);
    append(&mut writer, &frames(1..6));
    until_synced(&writer);
    fs::remove_dir_all(&here).unwrap();
    append(&mut writer, &frames(6..11));
    let finished = writer.finish();
    assert!(matches!(finished, Err(StoreError::Moved { .. })), "{finished:?}");
    assert!(!here.exists());
}
