//! Lines are appended to the lists of checksums at a cost that does not grow with them; and each list passes `sha256sum
//! -c` at every instant, whatever the exporter is doing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::support::{
    DAY, NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, copy_tree, date, event, export, fast_dir,
    feed, files, frame, journal,
};
use krx_store::checksums::{List, complete, missing};
use krx_store::dataset::COVERAGE;
use krx_store::disk::{Disk, Gate, Op};
use krx_store::journal::GapReason;
use krx_store::layout::{CommittedName, CommittedPath};
use krx_store::rebuild::{Access, rebuild};
use krx_store::verify::verify;
use krx_store::{Checksums, DataDir, DataDirLock, Entry, Event, Exporter, FeedName, JournalConfig, Moment};
use proptest::prelude::*;

fn next_date() -> chrono::NaiveDate {
    Moment(NINE + DAY).date()
}

fn trades(feed: &FeedName, frame: u64) -> CommittedPath {
    CommittedPath {
        date: date(),
        feed: feed.clone(),
        name: CommittedName {
            dataset: &krx_store::service::TRADES,
            partition: Moment(NINE),
            first_frame: frame,
            last_frame: frame,
        },
    }
}

fn coverage(date: chrono::NaiveDate) -> String {
    let name = CommittedName::of_the_date(&COVERAGE, date);
    let feed = feed();
    CommittedPath { date, feed, name }.to_string()
}

/// Creates a file with this path; its contents do not matter to a list.
fn make(dir: &Path, committed: &CommittedPath) -> CommittedPath {
    let path = dir.join(committed.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, committed.to_string()).unwrap();
    committed.clone()
}

fn read(data: &DataDir, date: chrono::NaiveDate) -> List {
    Checksums::of(data, date).read().unwrap()
}

/// The output of `sha256sum -c` for all lists, run in the data directory.
fn sha256sum(dir: &Path) -> Result<(), String> {
    let lists = files(&dir.join(".krx/checksums"), "sha256");
    if lists.is_empty() {
        return Ok(());
    }
    let done = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet"])
        .args(lists.iter().map(|list| list.strip_prefix(dir).unwrap()))
        .current_dir(dir)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    done.status
        .success()
        .then_some(())
        .ok_or_else(|| String::from_utf8_lossy(&said).into_owned())
}

/// Records every operation, and refuses those with these numbers among those whose path contains this.
#[derive(Debug, Default)]
struct Porter {
    of: &'static str,
    seen: Mutex<Vec<(Op, String)>>,
    refused: Mutex<BTreeSet<usize>>,
    /// All from this number on.
    refused_from: Mutex<Option<usize>>,
    /// Checks all lists before each operation, and that no file is replaced that has a line.
    checks: AtomicBool,
}

impl Porter {
    fn before(&self, dir: &Path) -> (Arc<Self>, DataDir) {
        let porter = Arc::new(Self {
            of: self.of,
            checks: AtomicBool::new(self.checks.load(Relaxed)),
            ..Self::default()
        });
        (Arc::clone(&porter), DataDir::on(Disk::behind(porter), dir))
    }

    fn refuse_from(&self, number: usize) {
        *self.refused_from.lock().unwrap() = Some(number);
    }

    fn refuse(&self, number: usize) {
        self.refused.lock().unwrap().insert(number);
    }

    fn behave(&self) {
        self.refused.lock().unwrap().clear();
        *self.refused_from.lock().unwrap() = None;
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn root(path: &Path) -> Option<(&Path, &str)> {
    path.ancestors().find_map(|above| {
        let is_root = above.join(".krx").is_dir();
        is_root.then(|| (above, path.strip_prefix(above).unwrap().to_str().unwrap()))
    })
}

impl Gate for Porter {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        if self.checks.load(Relaxed)
            && let Some((dir, relative)) = root(path)
        {
            sha256sum(dir).unwrap_or_else(|said| panic!("before {op:?} of {relative}: {said}"));
            if let Some(committed) = DataDir::new("/").parse(relative).filter(|_| op == Op::Rename) {
                let list = read(&DataDir::new(dir), committed.date);
                assert!(
                    !list.digests.contains_key(relative),
                    "{relative} has a line and is replaced"
                );
            }
        }
        if !path.to_str().unwrap().contains(self.of) {
            return Ok(());
        }
        let mut seen = self.seen.lock().unwrap();
        seen.push((op, path.display().to_string()));
        let number = seen.len() - 1;
        let from = *self.refused_from.lock().unwrap();
        if self.refused.lock().unwrap().contains(&number) || from.is_some_and(|from| number >= from) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// Bytes that this thread has read so far; `None` where the kernel does not count them.
fn bytes_read() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/io").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
}

#[test]
fn a_commit_neither_reads_nor_replaces_a_long_list() {
    const LINES: u64 = 15_000;
    let dir = fast_dir();
    let (porter, data) = Porter::default().before(dir.path());
    let list = Checksums::of(&data, date());
    let first = make(dir.path(), &trades(&feed(), 1));
    list.append(std::slice::from_ref(&first)).unwrap();
    let digest = read(&data, date()).digests[&first.to_string()];
    let entries: Vec<_> = (2..LINES).map(|frame| (trades(&feed(), frame), digest)).collect();
    list.record(&entries, &[]).unwrap();
    // An implementation that read the list would drop this line.
    let path = data.checksum_list(date());
    let before = fs::read_to_string(&path)
        .unwrap()
        .replacen("trades/", "trodes/", 1);
    fs::write(&path, &before).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    porter.seen.lock().unwrap().clear();
    let files = [LINES, LINES + 1].map(|frame| make(dir.path(), &trades(&feed(), frame)));
    let read_before = bytes_read();
    list.append(&files).unwrap();
    if let Some((before, after)) = read_before.zip(bytes_read()) {
        // The files themselves, and the counters.
        assert!(after - before < 4096, "{} bytes", after - before);
    }
    let operations: Vec<_> = porter.seen.lock().unwrap().iter().map(|(op, _)| *op).collect();
    assert_eq!(operations, [Op::Write, Op::Sync]);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    let after = fs::read_to_string(&path).unwrap();
    let added = after.strip_prefix(&before).unwrap();
    assert_eq!(added.lines().count(), 2);
    let digests = read(&data, date()).digests;
    assert!(files.iter().all(|file| digests.contains_key(&file.to_string())));
}

/// The segment's files get their lines by one append, in an exporter too.
#[test]
fn each_commit_but_the_first_appends() {
    let dir = fast_dir();
    journal(
        dir.path(),
        JournalConfig {
            segment_bytes: 1 << 20,
            ..SMALL_SEGMENTS
        },
        &day(NINE, 12),
    );
    let (porter, data) = Porter {
        of: ".sha256",
        ..Porter::default()
    }
    .before(dir.path());
    Exporter::new(&data, &feed(), config(60, 1000), None, Arc::default())
        .run()
        .unwrap();
    let operations: Vec<_> = porter.seen.lock().unwrap().iter().map(|(op, _)| *op).collect();
    let appends = [Op::Write, Op::Sync].repeat(11);
    // The first commit creates the list, and the coverage's line comes at the end.
    let expected = [vec![Op::Rename], appends, vec![Op::Rename]].concat();
    assert_eq!(operations, expected);
    sha256sum(dir.path()).unwrap();
}

/// A day's entries: a commit a minute, reconnects, a quarantined frame here and there.
fn day(begin: i64, minutes: i64) -> Vec<Entry<Vec<u8>>> {
    let mut entries = vec![connected(begin)];
    for minute in 0..minutes {
        let at = begin + minute * 60 * SECOND;
        entries.push(frame(at, &batch(20, 1)));
        if minute % 3 == 1 {
            entries.push(frame(at + SECOND, "garbage"));
            let reason = GapReason::Reset;
            let detail = "test".to_owned();
            entries.push(event(at + 2 * SECOND, Event::Disconnected { reason, detail }));
            entries.push(connected(at + 3 * SECOND));
        }
        entries.push(frame(at + 4 * SECOND, &batch(20, 2)));
    }
    entries.push(event(begin + minutes * 60 * SECOND, Event::Stop));
    entries
}

#[test]
fn sha256sum_passes_before_every_operation_of_days_with_reconnects_and_restarts() {
    let dir = fast_dir();
    let (porter, data) = Porter {
        checks: AtomicBool::new(true),
        ..Porter::default()
    }
    .before(dir.path());
    let run = || Exporter::new(&data, &feed(), config(60, 1000), None, Arc::default()).run();
    // A day in two runs of the recorder, which moves on to the next date in the second; and another start on that.
    for entries in [
        day(NINE, 5),
        [day(NINE + 3600 * SECOND, 4), day(NINE + DAY, 3)].concat(),
        day(NINE + DAY + 3600 * SECOND, 3),
    ] {
        journal(dir.path(), SMALL_SEGMENTS, &entries);
        run().unwrap();
        sha256sum(dir.path()).unwrap();
    }
    run().unwrap();
    for date in [date(), next_date()] {
        assert!(read(&data, date).digests.contains_key(&coverage(date)));
        assert_eq!(missing(&data, &feed(), date).unwrap(), []);
    }
    assert!(porter.count() > 200);
}

/// The exporter is ended before each of its operations, as by a kill, and restarted.
#[test]
fn wherever_an_exporter_is_cut_off_the_lists_hold_and_the_next_start_completes_them() {
    let recorded = fast_dir();
    journal(recorded.path(), SMALL_SEGMENTS, &day(NINE, 3));
    export(recorded.path(), config(60, 1000));
    let more = [day(NINE + 3600 * SECOND, 2), day(NINE + DAY, 2)].concat();
    journal(recorded.path(), SMALL_SEGMENTS, &more);
    for number in 0.. {
        let dir = fast_dir();
        copy_tree(recorded.path(), dir.path());
        let (porter, data) = Porter::default().before(dir.path());
        porter.refuse_from(number);
        let cut_off = Exporter::new(&data, &feed(), config(60, 1000), None, Arc::default()).run();
        sha256sum(dir.path()).unwrap_or_else(|said| panic!("cut off at {number}: {said}"));
        let last = porter.seen.lock().unwrap().get(number).cloned();
        export(dir.path(), config(60, 1000));
        let at = format!("cut off at {number}: {last:?}");
        sha256sum(dir.path()).unwrap_or_else(|said| panic!("{at}: {said}"));
        let report = verify(&data, &krx_store::catalog::all_dates(&data).unwrap(), &|_| ()).unwrap();
        assert_eq!(report.findings, [], "{at}");
        for date in [date(), next_date()] {
            assert!(read(&data, date).digests.contains_key(&coverage(date)), "{at}");
        }
        if last.is_none() {
            cut_off.unwrap();
            assert!(number > 100, "{number}");
            break;
        }
    }
}

#[test]
fn a_line_that_a_crash_has_torn_is_made_whole_by_the_next_append_and_by_the_next_start() {
    let dir = fast_dir();
    let data = DataDir::new(dir.path());
    let list = Checksums::of(&data, date());
    for frame in 1..4 {
        list.append(&[make(dir.path(), &trades(&feed(), frame))]).unwrap();
    }
    let path = data.checksum_list(date());
    let whole = fs::read(&path).unwrap();
    let last = whole.len() / 3;
    let fourth = make(dir.path(), &trades(&feed(), 4));
    for torn in (1..last).chain([last + 1, whole.len() - 1, whole.len()]) {
        let cut = &whole[..whole.len() - torn];
        // Where only the length reached the disk, zeros stand for the rest.
        for bytes in [cut.to_vec(), [cut, &vec![0; torn]].concat()] {
            fs::write(&path, &bytes).unwrap();
            list.append(std::slice::from_ref(&fourth)).unwrap();
            let read = read(&data, date());
            assert_eq!((read.digests.len(), read.odd_lines), (4, vec![]), "{torn}");
            sha256sum(dir.path()).unwrap();
            fs::write(&path, &bytes).unwrap();
            complete(&data, &feed(), date()).unwrap();
            let read = self::read(&data, date());
            assert_eq!((read.digests.len(), read.odd_lines), (4, vec![]), "{torn}");
        }
    }
    // An append does not notice a damaged line before the last; a start does.
    let four = fs::read(&path).unwrap();
    fs::write(&path, [b"what is this\n", &four[..]].concat()).unwrap();
    complete(&data, &feed(), date()).unwrap();
    let read = read(&data, date());
    assert_eq!((read.digests.len(), read.odd_lines), (4, vec![]));
}

#[test]
fn an_append_that_the_disk_refuses_costs_no_line() {
    for number in 0_usize.. {
        // Once, twice in a row, and from then on.
        for times in [1, 2, 3, usize::MAX] {
            let dir = fast_dir();
            let (porter, data) = Porter::default().before(dir.path());
            let list = Checksums::of(&data, date());
            list.append(&[make(dir.path(), &trades(&feed(), 1))]).unwrap();
            let inode = fs::metadata(data.checksum_list(date())).unwrap().ino();
            let second = make(dir.path(), &trades(&feed(), 2));
            porter.seen.lock().unwrap().clear();
            for number in number..number.saturating_add(times).min(number + 100) {
                porter.refuse(number);
            }
            let appended = list.append(std::slice::from_ref(&second));
            let at = format!("{number} {times}: {:?}", porter.seen.lock().unwrap());
            if porter.count() <= number {
                assert!(number == 2 && appended.is_ok(), "{at}");
                return;
            }
            sha256sum(dir.path()).unwrap_or_else(|said| panic!("{at}: {said}"));
            let has_line = read(&data, date()).digests.contains_key(&second.to_string());
            assert!(has_line || appended.is_err(), "{at}");
            assert!(times > 1 || appended.is_ok(), "{at}");
            if appended.is_ok() {
                // A file whose sync has failed is no longer the list.
                assert_ne!(
                    fs::metadata(data.checksum_list(date())).unwrap().ino(),
                    inode,
                    "{at}"
                );
            }
            porter.behave();
            complete(&data, &feed(), date()).unwrap();
            let read = read(&data, date());
            assert_eq!((read.digests.len(), read.odd_lines), (2, vec![]), "{at}");
            sha256sum(dir.path()).unwrap();
        }
    }
}

#[test]
fn feeds_may_append_at_once_while_another_rewrites() {
    const FILES: u64 = 60;
    let dir = fast_dir();
    let data = DataDir::new(dir.path());
    fs::create_dir_all(data.staging()).unwrap();
    let feeds = ["KOSPI", "KOSDAQ", "KONEX"].map(|name| name.parse::<FeedName>().unwrap());
    std::thread::scope(|scope| {
        for feed in &feeds {
            let (dir, data) = (dir.path(), &data);
            scope.spawn(move || {
                for frame in 1..=FILES {
                    let committed = make(dir, &trades(feed, frame));
                    Checksums::of(data, date()).append(&[committed]).unwrap();
                    if frame % 10 == 0 {
                        let gone = trades(feed, frame - 5);
                        Checksums::of(data, date()).record(&[], &[gone]).unwrap();
                    }
                }
            });
        }
    });
    let list = read(&data, date());
    let lines = feeds.len() as u64 * (FILES - FILES / 10);
    assert_eq!((list.digests.len() as u64, list.odd_lines), (lines, vec![]));
}

/// A day in progress beside its writer: coverage gets its line when the recorder has stopped, and not before.
#[test]
fn coverage_has_a_line_only_while_it_is_not_going_to_be_replaced() {
    let dir = fast_dir();
    let data = DataDir::new(dir.path());
    let _lock = DataDirLock::take(&data).unwrap();
    let has_line = |date| read(&data, date).digests.contains_key(&coverage(date));
    let look = || {
        verify(&data, &krx_store::catalog::all_dates(&data).unwrap(), &|_| ())
            .unwrap()
            .findings
    };
    for (begin, committed) in [(NINE, 4), (NINE + 3600 * SECOND, 3)] {
        let mut writer = krx_store::open_writer(&data, &feed(), SMALL_SEGMENTS, Arc::default()).unwrap();
        let progress = Arc::new(krx_store::Progress::default());
        let tail = Some(writer.tail());
        let exporter = Exporter::new(&data, &feed(), config(60, 1000), tail, Arc::clone(&progress));
        std::thread::scope(|scope| {
            let running = scope.spawn(|| exporter.run());
            let entries = day(begin, committed + 1);
            let (stop, entries) = entries.split_last().unwrap();
            writer.append(entries).unwrap();
            while progress.files_committed.load(Relaxed) < u64::try_from(committed).unwrap() {
                assert!(!running.is_finished());
                std::thread::yield_now();
            }
            assert!(dir.path().join(coverage(date())).exists() && !has_line(date()));
            assert_eq!(look(), []);
            writer.append(std::slice::from_ref(stop)).unwrap();
            writer.close().unwrap();
            running.join().unwrap().unwrap();
        });
        assert!(has_line(date()));
        assert_eq!(look(), []);
        sha256sum(dir.path()).unwrap();
    }
    // Another date begins, and the one before is over.
    journal(dir.path(), SMALL_SEGMENTS, &day(NINE + DAY, 2));
    export(dir.path(), config(60, 1000));
    assert!(has_line(date()) && has_line(next_date()));
}

/// A recorder that is past the date may still be exporting it.
#[test]
fn rebuild_gives_no_line_to_coverage_that_may_be_replaced() {
    let dir = fast_dir();
    let data = DataDir::new(dir.path());
    journal(dir.path(), SMALL_SEGMENTS, &day(NINE, 3));
    export(dir.path(), config(60, 1000));
    let committed = DataDir::new("/").parse(&coverage(date())).unwrap();
    Checksums::of(&data, date()).record(&[], &[committed]).unwrap();
    let again = || {
        let access = Access::take(&data, date()).unwrap();
        let rebuilt = rebuild(&data, &feed(), date(), config(60, 1000), &access, false).unwrap();
        (
            rebuilt.lines,
            read(&data, date()).digests.contains_key(&coverage(date())),
        )
    };
    assert_eq!(again(), (0, false));
    fs::remove_dir_all(data.journals()).unwrap();
    assert_eq!(again(), (1, true));
}

/// What can happen to a list.
#[derive(Clone, Debug)]
enum Step {
    /// This many files are committed and appended; the next start adds those that the disk refuses.
    Append(u64),
    /// The list is replaced as a whole.
    Rewrite,
    /// A file leaves the dataset.
    Remove(prop::sample::Index),
    /// A crash, which may cost this many bytes at the list's end.
    Crash(usize),
    /// Operations fail from now on, counted from here.
    Fail(BTreeSet<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4_u64).prop_map(Step::Append),
        1 => Just(Step::Rewrite),
        1 => any::<prop::sample::Index>().prop_map(Step::Remove),
        2 => (0..400_usize).prop_map(Step::Crash),
        3 => prop::collection::btree_set(0..20_usize, 1..8).prop_map(Step::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_no_line_is_wrong_and_the_next_start_adds_those_that_are_missing(
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let dir = fast_dir();
        let (porter, data) = Porter::default().before(dir.path());
        let list = Checksums::of(&data, date());
        let (mut there, mut next) = (BTreeSet::new(), 1);
        for step in &steps {
            match step {
                Step::Append(count) => {
                    let committed: Vec<_> = (next..next + count)
                        .map(|frame| make(dir.path(), &trades(&feed(), frame)))
                        .collect();
                    next += count;
                    there.extend(committed.iter().map(ToString::to_string));
                    // An exporter that fails is followed by one that starts up.
                    if list.append(&committed).is_err() {
                        let _ = complete(&data, &feed(), date());
                    }
                }
                Step::Rewrite => drop(list.record(&[], &[])),
                Step::Remove(_) if there.is_empty() => {}
                Step::Remove(index) => {
                    let path = index.get(&there.iter().cloned().collect::<Vec<_>>()).clone();
                    if list.record(&[], &[DataDir::new("/").parse(&path).unwrap()]).is_ok() {
                        fs::remove_file(dir.path().join(&path)).unwrap();
                        there.remove(&path);
                    }
                }
                Step::Crash(torn) => {
                    if let Ok(file) = File::options().write(true).open(data.checksum_list(date())) {
                        let bytes = file.metadata().unwrap().len();
                        file.set_len(bytes.saturating_sub(*torn as u64)).unwrap();
                    }
                    let _ = complete(&data, &feed(), date());
                }
                Step::Fail(numbers) => {
                    let from = porter.count();
                    numbers.iter().for_each(|number| porter.refuse(from + number));
                }
            }
            for path in read(&data, date()).digests.keys() {
                prop_assert!(there.contains(path), "{} is in the list after {:?}", path, step);
            }
        }
        porter.behave();
        complete(&data, &feed(), date()).unwrap();
        let read = read(&data, date());
        prop_assert_eq!(read.digests.keys().cloned().collect::<BTreeSet<_>>(), there);
        prop_assert_eq!(read.odd_lines, Vec::<usize>::new());
        prop_assert_eq!(sha256sum(dir.path()), Ok(()));
    }
}
