//! The lists of checksums: complete, readable by `sha256sum -c`, and never in the way of recording.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::support::{
    NINE, SECOND, SMALL_SEGMENTS, batch, config, date, event, export, feed, files, frame, journal,
};
use krx_store::checksums::{digest, missing, reopen};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::layout::{CommittedName, CommittedPath};
use krx_store::{Checksums, DataDir, Event, Moment};

/// Three trades files, and a quarantine file beside the second.
fn record(dir: &Path) {
    let entries = [
        frame(NINE, &batch(3, 1)),
        event(NINE + 1, Event::CommitNow),
        frame(NINE + 2, &batch(3, 2)),
        frame(NINE + 3, "garbage"),
        event(NINE + 4, Event::CommitNow),
        frame(NINE + 5, &batch(3, 3)),
        event(NINE + SECOND, Event::Stop),
    ];
    journal(dir, SMALL_SEGMENTS, &entries);
    export(dir, config(60, 1000));
}

fn list(dir: &Path) -> String {
    fs::read_to_string(DataDir::new(dir).checksum_list(date())).unwrap()
}

/// The output of `sha256sum -c`, run in the data directory.
fn sha256sum(dir: &Path) -> Result<(), String> {
    let list = format!(".krx/checksums/{}.sha256", date());
    let done = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", &list])
        .current_dir(dir)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    done.status
        .success()
        .then_some(())
        .ok_or_else(|| String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn each_committed_file_has_a_line_that_sha256sum_reads() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let text = list(dir.path());
    let paths: Vec<_> = text
        .lines()
        .map(|line| line.split_once("  ").unwrap().1)
        .collect();
    let mut committed: Vec<_> = krx_store::catalog::committed(&DataDir::new(dir.path()), &feed(), date())
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    committed.sort();
    assert_eq!(paths, committed, "sorted, and complete");
    assert_eq!(paths.len(), 5);
    sha256sum(dir.path()).unwrap();
    assert!(files(&DataDir::new(dir.path()).staging(), "partial").is_empty());

    let path = dir.path().join(&committed[2]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(sha256sum(dir.path()).unwrap_err().contains(&committed[2]));
}

#[test]
fn a_file_that_a_crash_left_without_a_line_gets_it_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let (data, whole) = (DataDir::new(dir.path()), list(dir.path()));
    let path = data.checksum_list(date());
    for lost in 0..4 {
        let kept: Vec<_> = whole
            .lines()
            .enumerate()
            .filter(|(line, _)| *line != lost)
            .collect();
        let kept: String = kept.iter().map(|(_, line)| format!("{line}\n")).collect();
        fs::write(&path, kept).unwrap();
        // The first line is that of the coverage, which the next start may replace.
        let without = missing(&data, &feed(), date()).unwrap();
        assert_eq!(without.len(), usize::from(lost > 0));
        export(dir.path(), config(60, 1000));
        assert_eq!(list(dir.path()), whole);
    }
    fs::remove_file(&path).unwrap();
    export(dir.path(), config(60, 1000));
    assert_eq!(list(dir.path()), whole);
}

#[test]
fn a_damaged_list_is_made_anew_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let (data, whole) = (DataDir::new(dir.path()), list(dir.path()));
    let path = data.checksum_list(date());
    let mut random = 7_u64;
    for _ in 0..50 {
        // A linear congruential generator is random enough to choose a bit.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bit = usize::try_from(random >> 33).unwrap() % (whole.len() * 8);
        let mut bytes = whole.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        Checksums::of(&data, date()).record(&[], &[]).unwrap();
        let list = Checksums::of(&data, date()).read().unwrap();
        assert_eq!(list.odd_lines, Vec::<usize>::new());
        // If one digit became another, or one path another, it still parses as a line: those are for `verify`.
        let lost = whole.lines().filter(|line| {
            let committed = line.split_once("  ").unwrap().1;
            !list.digests.contains_key(committed)
        });
        assert!(lost.count() <= 1);
    }
    for text in ["", "\u{fffd}\n\n\n", "no list\n"] {
        fs::write(&path, text).unwrap();
        export(dir.path(), config(60, 1000));
        assert_eq!(list(dir.path()), whole, "{text:?}");
    }
    // Not even readable.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(
        Checksums::of(&data, date()).record(&[], &[]).is_err(),
        "what cannot be replaced is an error"
    );
    export(dir.path(), config(60, 1000));
}

#[test]
fn many_may_record_at_once() {
    const THREADS: u64 = 4;
    const FILES: u64 = 25;
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let digest = digest(&file).unwrap();
    let path = |frame: u64| CommittedPath {
        date: date(),
        feed: feed(),
        name: CommittedName {
            dataset: &krx_store::service::TRADES,
            partition: Moment(NINE),
            first_frame: frame,
            last_frame: frame,
        },
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let data = &data;
            scope.spawn(move || {
                for file in 0..FILES {
                    let entry = (path(thread * FILES + file), digest);
                    Checksums::of(data, date()).record(&[entry], &[]).unwrap();
                }
            });
        }
    });
    assert_eq!(list(dir.path()).lines().count() as u64, THREADS * FILES);
    Checksums::of(&data, date())
        .record(&[], &[path(0), path(1)])
        .unwrap();
    assert_eq!(list(dir.path()).lines().count() as u64, THREADS * FILES - 2);
}

/// A quarantine file that was committed before its trades file, and cut off there, is committed again only if the journal has
/// its frames.
#[test]
fn a_line_goes_only_when_the_journal_gives_the_file_once_more() {
    for (first_frame, stays) in [(4, false), (5, false), (6, true)] {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let committed = CommittedPath {
            date: date(),
            feed: feed(),
            name: CommittedName {
                dataset: &krx_store::dataset::QUARANTINE,
                partition: Moment(NINE),
                first_frame: 5,
                last_frame: 9,
            },
        };
        let path = dir.path().join(committed.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        Checksums::of(&data, date())
            .record_files(std::slice::from_ref(&committed))
            .unwrap();
        let journal = data.journal(&feed());
        fs::create_dir_all(&journal).unwrap();
        fs::write(
            journal.join(format!("00000007-20261120-{first_frame:012}.journal")),
            "",
        )
        .unwrap();
        reopen(&data, &feed(), date(), 4).unwrap();
        let list = Checksums::of(&data, date()).read().unwrap();
        assert_eq!(
            list.digests.contains_key(&committed.to_string()),
            stays,
            "{first_frame}"
        );
        // What trades files cover is never committed again.
        Checksums::of(&data, date())
            .record_files(std::slice::from_ref(&committed))
            .unwrap();
        reopen(&data, &feed(), date(), 9).unwrap();
        assert!(
            Checksums::of(&data, date())
                .read()
                .unwrap()
                .digests
                .contains_key(&committed.to_string())
        );
    }
}

/// Syncs no list, and lets none be rewritten.
#[derive(Debug)]
struct NoList;

impl Gate for NoList {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        let is_list = path.extension().is_some_and(|extension| extension == "sha256");
        let is_anew = path.to_str().unwrap().contains("checksums-");
        if (op == Op::Sync && is_list) || is_anew {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// They are in the page cache, but perhaps not on the disk: the next start must not find them and believe that all is
/// well.
#[test]
fn lines_that_are_not_known_to_be_on_disk_are_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let before = list(dir.path());
    let last = before
        .lines()
        .find(|line| line.contains("000000000004.parquet"))
        .unwrap();
    let path = DataDir::new("/").parse(last.split_once("  ").unwrap().1).unwrap();
    Checksums::of(&DataDir::new(dir.path()), date())
        .record(&[], std::slice::from_ref(&path))
        .unwrap();
    let without = list(dir.path());
    let data = DataDir::on(Disk::behind(Arc::new(NoList)), dir.path());
    let appended = Checksums::of(&data, date()).append(std::slice::from_ref(&path));
    assert!(appended.is_err());
    assert_eq!(list(dir.path()), without);
    assert_eq!(missing(&data, &feed(), date()).unwrap(), [path]);
}
