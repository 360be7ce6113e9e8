//! The sealed day: the same rows, in one file, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::support::{
    NINE, SECOND, SMALL_SEGMENTS, batches, config, connected, copy_tree, date, event, export, feed, files,
    frame, journal, names, trades, tree,
};
use krx_store::day::{GRACE, Layout, Outcome, Sealing, State, Uptime, Watch, seal, settle, state, unsealed};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::progress::seed;
use krx_store::rebuild::{Access, rebuild};
use krx_store::resume::last_committed;
use krx_store::service::TRADES;
use krx_store::verify::verify;
use krx_store::{DataDir, Event, ExportConfig, Moment, Progress, StoreError, read};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

const SMALL: Layout = Layout {
    run_rows: 50,
    row_group_rows: 16,
    page_rows: 8,
};

/// A message of this many records: every shape of row, and now and then a record that goes to quarantine.
fn message(number: usize, records: usize) -> String {
    let record = |item: usize| {
        let code = ["005930", "000660", "0000D0", "005935", "Q500001"][(number * 7 + item * 3) % 5];
        let time = if (number + item).is_multiple_of(11) {
            "31000000".to_owned()
        } else {
            format!("9{:07}", number * 10 + item)
        };
        let extra = if (number + item).is_multiple_of(5) {
            format!(r#","note":"한글 {number}""#)
        } else {
            String::new()
        };
        let price = if (number + item).is_multiple_of(13) {
            "-1"
        } else {
            "71000"
        };
        format!(
            r#"{{"isuSrtCd":"{code}","trdPrc":"{price}","trdVol":"{}","trdTm":"{time}"{extra}}}"#,
            number * 100 + item
        )
    };
    let records: Vec<_> = (0..records).map(record).collect();
    format!("[{}]", records.join(","))
}

/// A recorded date: messages with this many records, in files that end after the frames in `cuts`.
fn record(dir: &Path, messages: &[usize], cuts: &BTreeSet<usize>) {
    let mut entries = vec![connected(NINE)];
    for (number, records) in messages.iter().enumerate() {
        let at = NINE + i64::try_from(number).unwrap() * 1000;
        entries.push(frame(at, &message(number, *records)));
        if cuts.contains(&number) {
            entries.push(event(at, Event::CommitNow));
        }
    }
    entries.push(event(NINE + SECOND, Event::Stop));
    journal(dir, SMALL_SEGMENTS, &entries);
    export(dir, config(3600, 1_000_000));
}

/// Seals the date; `None` on an error, which is printed.
fn try_seal(data: &DataDir, layout: &Layout) -> Result<Outcome, StoreError> {
    let watch = Watch::nobody();
    let sealing = Sealing::take(data, 0)?;
    let outcome = seal(
        &sealing,
        &krx_store::service::TRADES,
        &feed(),
        date(),
        layout,
        watch,
    )?;
    // As if it were an hour later, so that what was replaced is removed.
    settle(&sealing, Uptime::now().later(GRACE), None)?;
    Ok(outcome)
}

fn sealed(dir: &Path) -> Outcome {
    try_seal(&DataDir::new(dir), &SMALL).unwrap()
}

/// All columns of all rows, in order of arrival.
fn arrived(dir: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    let mut trades = read::Trades::open(&DataDir::new(dir), &feed(), date()).unwrap();
    while let Some(batch) = trades.next_batch().unwrap() {
        rows.extend(batch.rows().map(|row| format!("{row:?}")));
    }
    assert_eq!(rows.len() as u64, trades.rows());
    rows
}

fn assert_sound(dir: &Path) {
    let report = verify(&DataDir::new(dir), &BTreeSet::from([date()]), &|_| ()).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    let list = format!(".krx/checksums/{}.sha256", date());
    let check = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", &list])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    let left_over: Vec<_> = fs::read_dir(dir.join(".krx/sealing")).unwrap().collect();
    assert!(left_over.is_empty(), "{left_over:?}");
}

#[test]
fn a_day_becomes_one_sorted_file_with_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let messages = [20; 40];
    record(dir.path(), &messages, &BTreeSet::from([3, 9, 10, 25]));
    let (before, rows) = (arrived(dir.path()), trades(dir.path()));
    let quarantine = files(&dir.path().join("quarantine"), "parquet");
    assert_eq!(
        (names(dir.path()).len(), quarantine.len() > 1, rows.len() > 700),
        (5, true, true)
    );
    assert_eq!(
        state(
            &DataDir::new(dir.path()),
            &krx_store::service::TRADES,
            &feed(),
            date()
        )
        .unwrap(),
        State::Files {
            files: 5,
            rows: rows.len() as u64
        }
    );
    assert_eq!(
        unsealed(&DataDir::new(dir.path()), date(), 1).unwrap(),
        [(date(), &krx_store::service::TRADES, feed())]
    );
    let Outcome::Sealed(day) = sealed(dir.path()) else {
        panic!("it was not sealed");
    };
    assert_eq!(
        names(dir.path()),
        ["trades-20261120T000000-000000000001-000000000040.parquet"]
    );
    assert_eq!((day.files, day.rows), (5, rows.len() as u64));
    assert_eq!(arrived(dir.path()), before, "all columns, in order of arrival");
    assert_eq!(
        files(&dir.path().join("quarantine"), "parquet"),
        quarantine,
        "quarantine stays as it is"
    );
    assert_sound(dir.path());

    // Independently of our own reading: row groups of rising codes in each run, and each in order of arrival.
    let path = files(&dir.path().join("trades"), "parquet").remove(0);
    let file = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(file.schema().fields(), TRADES.schema().fields());
    let metadata = file.metadata().clone();
    let value = |key: &str| {
        let pairs = metadata.file_metadata().key_value_metadata().unwrap();
        pairs
            .iter()
            .find(|pair| pair.key == key)
            .unwrap()
            .value
            .clone()
            .unwrap()
    };
    let runs: Vec<usize> = value("krx.runs")
        .split(',')
        .map(|rows| rows.parse().unwrap())
        .collect();
    assert_eq!(runs.iter().sum::<usize>(), rows.len());
    assert!(
        runs[..runs.len() - 1].iter().all(|rows| (50..70).contains(rows)),
        "{runs:?}"
    );
    assert_eq!(value("krx.frames"), "1-40");
    let keys: Vec<(String, i64, i16)> = batches(&path).iter().flat_map(keys_of).collect();
    let (mut at, mut groups) = (0, metadata.row_groups().iter());
    let mut end_of_run_before = 0;
    for rows in runs {
        let (end, mut greatest) = (at + rows, String::new());
        while at < end {
            let group = groups.next().unwrap();
            let sorting: Vec<_> = group
                .sorting_columns()
                .unwrap()
                .iter()
                .map(|column| column.column_idx)
                .collect();
            assert_eq!(sorting, [7, 8]);
            let rows = usize::try_from(group.num_rows()).unwrap();
            assert!(rows <= 16 && at + rows <= end, "{rows} at {at} of {end}");
            let keys = &keys[at..at + rows];
            assert!(keys.is_sorted_by_key(|(_, frame, item)| (*frame, *item)));
            assert!(
                keys.iter()
                    .all(|(code, frame, _)| *code >= greatest && *frame > end_of_run_before)
            );
            greatest.clone_from(&keys.iter().max().unwrap().0);
            at += rows;
        }
        end_of_run_before = keys[end - rows..end]
            .iter()
            .map(|(_, frame, _)| *frame)
            .max()
            .unwrap();
    }
    assert!(groups.next().is_none());

    assert_eq!(sealed(dir.path()), Outcome::AlreadySealed);
    assert_eq!(
        state(
            &DataDir::new(dir.path()),
            &krx_store::service::TRADES,
            &feed(),
            date()
        )
        .unwrap(),
        State::Sealed
    );
    assert_eq!(unsealed(&DataDir::new(dir.path()), date(), 1).unwrap(), []);
    assert_eq!(
        last_committed(&DataDir::new(dir.path()), &feed(), date())
            .unwrap()
            .frame,
        40
    );
}

fn keys_of(batch: &arrow_array::RecordBatch) -> Vec<(String, i64, i16)> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int16Type, Int64Type};
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let (code, frame) = (
        column("code").as_string::<i32>(),
        column("frame").as_primitive::<Int64Type>(),
    );
    let item = column("item").as_primitive::<Int16Type>();
    (0..batch.num_rows())
        .map(|row| (code.value(row).to_owned(), frame.value(row), item.value(row)))
        .collect()
}

#[test]
fn readers_of_the_files_can_read_the_sealed_day() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &[5; 20], &BTreeSet::from([9]));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let partition = files(&dir.path().join("trades"), "parquet")[0]
        .parent()
        .unwrap()
        .to_owned();
    fs::set_permissions(&partition, fs::Permissions::from_mode(0o751)).unwrap();
    for path in files(&partition, "parquet") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o604)).unwrap();
    }
    sealed(dir.path());
    let sealed = files(&partition, "parquet");
    assert_eq!(
        (mode(&partition), sealed.len(), mode(&sealed[0])),
        (0o751, 1, 0o604)
    );
}

#[test]
fn nothing_is_sealed_where_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(sealed(dir.path()), Outcome::Nothing);
    // A date without a single good record has files without rows.
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE),
            frame(NINE, "garbage"),
            event(NINE, Event::CommitNow),
            frame(NINE, "more"),
            event(NINE, Event::Stop),
        ],
    );
    export(dir.path(), config(3600, 1000));
    assert_eq!(names(dir.path()).len(), 2);
    assert!(matches!(sealed(dir.path()), Outcome::Sealed(day) if day.rows == 0));
    assert_sound(dir.path());
    assert_eq!((names(dir.path()).len(), arrived(dir.path()).len()), (1, 0));
}

#[test]
fn a_file_that_has_changed_since_does_not_become_part_of_a_sound_one() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &[5; 20], &BTreeSet::from([9]));
    let path = files(&dir.path().join("trades"), "parquet").remove(1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let before = tree(dir.path());
    let error = try_seal(&DataDir::new(dir.path()), &SMALL).unwrap_err();
    assert!(matches!(error, StoreError::Unsound { .. }), "{error}");
    assert_eq!(tree(dir.path()), before);
}

/// Changes something in a partition.
type Spoil = fn(&Path);

#[test]
fn what_is_not_the_recorders_keeps_its_date_from_being_sealed_and_no_other() {
    let original = tempfile::tempdir().unwrap();
    record(original.path(), &[5; 20], &BTreeSet::from([9]));
    let spoil: [(&str, Spoil); 4] = [
        ("holds .notes", |partition| {
            fs::write(partition.join(".notes"), "mine").unwrap();
        }),
        ("holds more", |partition| {
            fs::create_dir(partition.join("more")).unwrap();
        }),
        ("it is a link", |partition| {
            let elsewhere = partition.with_file_name("elsewhere");
            fs::rename(partition, &elsewhere).unwrap();
            std::os::unix::fs::symlink(elsewhere, partition).unwrap();
        }),
        ("another feed, date or frames", |partition| {
            let first = fs::read_dir(partition).unwrap().next().unwrap().unwrap().path();
            let name = "trades-20261120T230000-000000000090-000000000099.parquet";
            fs::copy(first, partition.join(name)).unwrap();
        }),
    ];
    for (words, spoil) in spoil {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(original.path(), dir.path());
        let partition = dir.path().join("trades/date=2026-11-20/market=KOSPI");
        spoil(&partition);
        let before = tree(dir.path());
        let error = try_seal(&DataDir::new(dir.path()), &SMALL)
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{words}: {error}");
        assert_eq!(tree(dir.path()), before, "{words}");
        assert_eq!(
            unsealed(&DataDir::new(dir.path()), date(), 1).unwrap(),
            [(date(), &krx_store::service::TRADES, feed())]
        );
    }
}

#[test]
fn what_a_killed_seal_left_over_is_kept_while_its_rows_are_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &[5; 20], &BTreeSet::from([9]));
    let partition = dir.path().join("trades/date=2026-11-20/market=KOSPI");
    let left_over = dir.path().join(".krx/sealing/2026-11-20-trades-KOSPI");
    fs::create_dir_all(&left_over).unwrap();
    // As if the one file with the last frames were only in there.
    let last = files(&partition, "parquet").remove(1);
    let kept = left_over.join(last.file_name().unwrap());
    fs::rename(&last, &kept).unwrap();
    let error = try_seal(&DataDir::new(dir.path()), &SMALL).unwrap_err();
    assert!(error.to_string().contains("interrupted seal"), "{error}");
    assert!(kept.exists());
    // Put back, all is well again.
    fs::rename(&kept, &last).unwrap();
    assert!(matches!(sealed(dir.path()), Outcome::Sealed(_)));
    assert_sound(dir.path());
}

#[test]
fn frames_that_damage_has_taken_stay_known_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &[5; 30], &BTreeSet::from([9, 19]));
    let middle = files(&dir.path().join("trades"), "parquet").remove(1);
    let quarantine = Path::new(
        &middle
            .to_str()
            .unwrap()
            .replace("trades", "quarantine")
            .replace("market=", "feed="),
    )
    .to_owned();
    for path in [middle, quarantine] {
        fs::remove_file(path).unwrap();
    }
    fs::remove_file(dir.path().join(format!(".krx/checksums/{}.sha256", date()))).unwrap();
    assert!(matches!(sealed(dir.path()), Outcome::Sealed(_)));
    let report = verify(&DataDir::new(dir.path()), &BTreeSet::from([date()]), &|_| ()).unwrap();
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings
            .iter()
            .any(|finding| finding.contains("frames 11 to 20 were in none of the files")),
        "{findings:?}"
    );
    assert!(
        findings
            .iter()
            .any(|finding| finding.contains("coverage: it counts 30 frames")),
        "{findings:?}"
    );
}

#[test]
fn a_recorder_that_starts_in_the_evening_shows_when_the_day_was_received() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = vec![connected(NINE)];
    for hour in 0..3 {
        let at = NINE + hour * 3600 * SECOND;
        entries.extend((0..12).map(|frame_of_hour| frame(at + frame_of_hour, &message(1, 10))));
    }
    entries.push(event(NINE + 3 * 3600 * SECOND, Event::Stop));
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(3600, 1_000_000));
    let shown = || {
        let progress = Progress::since(Moment(NINE));
        seed(&progress, &DataDir::new(dir.path()), &feed(), date()).unwrap();
        progress.day(Moment(NINE + 12 * 3600 * SECOND)).minutes
    };
    let rows = trades(dir.path()).len();
    // A run for each hour.
    let layout = Layout {
        run_rows: rows / 3,
        ..SMALL
    };
    assert!(matches!(
        try_seal(&DataDir::new(dir.path()), &layout).unwrap(),
        Outcome::Sealed(_)
    ));
    let minutes = shown();
    let hours: Vec<_> = [540, 600, 660]
        .iter()
        .map(|minute| minutes[*minute] as usize)
        .collect();
    assert_eq!(hours, [rows / 3; 3]);
    assert_eq!(minutes.iter().map(|count| *count as usize).sum::<usize>(), rows);
}

/// Fails one operation, or all of them from then on: like a disk that fails, or a process that is killed there.
#[derive(Debug)]
struct FailsAt {
    number: u64,
    only: bool,
    count: AtomicU64,
    failed: AtomicBool,
}

impl Gate for FailsAt {
    fn pass(&self, _: Op, _: &Path) -> io::Result<()> {
        let number = self.count.fetch_add(1, Relaxed);
        if number == self.number || (number > self.number && !self.only) {
            self.failed.store(true, Relaxed);
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

#[test]
fn whatever_fails_the_day_is_as_it_was_or_sealed() {
    let original = tempfile::tempdir().unwrap();
    record(original.path(), &[5; 30], &BTreeSet::from([9, 19]));
    let rows = arrived(original.path());
    let before = names(original.path());
    let (mut ends, mut number) = ([0, 0], 0);
    for only in [true, false] {
        number = 0;
        loop {
            let dir = tempfile::tempdir().unwrap();
            copy_tree(original.path(), dir.path());
            let gate = Arc::new(FailsAt {
                number,
                only,
                count: AtomicU64::new(0),
                failed: AtomicBool::new(false),
            });
            let outcome = try_seal(&DataDir::on(Disk::behind(gate.clone()), dir.path()), &SMALL);
            if !gate.failed.load(Relaxed) {
                assert!(matches!(outcome, Ok(Outcome::Sealed(_))));
                break;
            }
            let names = names(dir.path());
            assert!(
                names == before || names.len() == 1,
                "operation {number}: {names:?}"
            );
            assert_eq!(arrived(dir.path()), rows, "operation {number}");
            ends[usize::from(names.len() == 1)] += 1;
            // The next seal clears up.
            assert!(matches!(
                sealed(dir.path()),
                Outcome::Sealed(_) | Outcome::AlreadySealed
            ));
            assert_eq!(arrived(dir.path()), rows, "operation {number}");
            assert_sound(dir.path());
            number += 1;
        }
    }
    assert!(ends[0] > 20 && ends[1] > 5, "{ends:?} of {number}");
}

/// Runs something once, in the middle of the operation that it waits for.
struct Meanwhile<F> {
    op: Op,
    what: F,
    done: AtomicBool,
}

impl<F> std::fmt::Debug for Meanwhile<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl<F: Fn() + Send + Sync> Gate for Meanwhile<F> {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        let is_day = path.to_string_lossy().contains(".krx/sealing/");
        if op == self.op && is_day && !self.done.swap(true, Relaxed) {
            (self.what)();
        }
        Ok(())
    }
}

#[test]
fn files_that_a_recorder_adds_meanwhile_are_sealed_too() {
    for op in [Op::Create, Op::Write, Op::Sync, Op::Rename] {
        let dir = tempfile::tempdir().unwrap();
        record(dir.path(), &[5; 20], &BTreeSet::from([9]));
        let late = dir.path().to_owned();
        let gate = Arc::new(Meanwhile {
            op,
            what: move || {
                let entries = [
                    connected(NINE + 2 * SECOND),
                    frame(NINE + 2 * SECOND, &message(77, 3)),
                    event(NINE + 3 * SECOND, Event::Stop),
                ];
                journal(&late, SMALL_SEGMENTS, &entries);
                export(&late, config(3600, 1_000_000));
            },
            done: AtomicBool::new(false),
        });
        let outcome = try_seal(&DataDir::on(Disk::behind(gate.clone()), dir.path()), &SMALL).unwrap();
        assert!(gate.done.load(Relaxed));
        assert!(
            matches!(&outcome, Outcome::Sealed(day) if day.files == 3),
            "{op:?}: {outcome:?}"
        );
        assert_eq!(
            names(dir.path()),
            ["trades-20261120T000000-000000000001-000000000021.parquet"]
        );
        assert_sound(dir.path());
    }
}

#[test]
fn a_seal_that_is_stopped_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &[50; 100], &BTreeSet::from([9]));
    let before = tree(dir.path());
    let data = DataDir::new(dir.path());
    // While it writes, and while it checks.
    for after in [1, 5, 9_000] {
        let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
        let rows = |rows| {
            if done.fetch_add(rows, Relaxed) + rows >= after {
                stop.store(true, Relaxed);
            }
        };
        let sealing = Sealing::take(&data, 0).unwrap();
        assert!(matches!(
            Sealing::take(&data, 0),
            Err(StoreError::SealingElsewhere { .. })
        ));
        let outcome = seal(
            &sealing,
            &krx_store::service::TRADES,
            &feed(),
            date(),
            &SMALL,
            Watch {
                rows: &rows,
                stop: &stop,
            },
        )
        .unwrap();
        assert_eq!(outcome, Outcome::Stopped, "after {after}");
        sealing.finish().unwrap();
        assert_eq!(tree(dir.path()), before);
        assert_sound(dir.path());
    }
    let error = Sealing::take(&data, u64::MAX).and_then(|sealing| {
        let watch = Watch::nobody();
        seal(
            &sealing,
            &krx_store::service::TRADES,
            &feed(),
            date(),
            &SMALL,
            watch,
        )
    });
    assert!(matches!(error, Err(StoreError::NoRoomToSeal { .. })));
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn a_sealed_day_is_rebuilt_from_the_archive_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let keeping = ExportConfig {
        keep_days: 30,
        ..config(3600, 1_000_000)
    };
    let mut entries = vec![connected(NINE)];
    for number in 0..30 {
        let at = NINE + i64::try_from(number).unwrap() * 1000;
        entries.push(frame(at, &message(number, 5)));
        if number % 10 == 9 {
            entries.push(event(at, Event::CommitNow));
        }
    }
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), keeping);
    let rebuilt = || {
        let access = Access::take(&data, date()).unwrap();
        rebuild(&data, &feed(), date(), keeping, &access, false).unwrap()
    };
    // As the recorder seals: with its own layout.
    assert!(matches!(
        try_seal(&data, &Layout::default()).unwrap(),
        Outcome::Sealed(_)
    ));
    let (sound, rows) = (tree(dir.path()), arrived(dir.path()));
    let nothing = rebuilt();
    assert_eq!(
        (
            nothing.restored.len(),
            nothing.lost.len(),
            nothing.differing.len()
        ),
        (0, 0, 0),
        "{nothing:?}"
    );
    assert_eq!(tree(dir.path()), sound);

    let day = files(&dir.path().join("trades"), "parquet").remove(0);
    for harm in ["gone", "changed"] {
        if harm == "gone" {
            fs::remove_file(&day).unwrap();
        } else {
            let mut bytes = fs::read(&day).unwrap();
            bytes[200] ^= 4;
            fs::write(&day, bytes).unwrap();
        }
        let quarantine = files(&dir.path().join("quarantine"), "parquet").remove(0);
        fs::remove_file(quarantine).unwrap();
        let rebuilt = rebuilt();
        assert_eq!(
            (rebuilt.restored.len(), rebuilt.lost.len()),
            (2, 0),
            "{harm}: {rebuilt:?}"
        );
        assert_eq!(tree(dir.path()), sound, "{harm}");
        assert_sound(dir.path());
    }
    assert_eq!(arrived(dir.path()), rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn however_often_it_is_sealed_the_file_is_the_same(
        messages in prop::collection::vec(1..12_usize, 1..40),
        cuts in prop::collection::btree_set(0..40_usize, 0..8),
        stages in prop::collection::vec(0..9_usize, 0..3),
    ) {
        let original = tempfile::tempdir().unwrap();
        record(original.path(), &messages, &cuts);
        let before = trades(original.path());
        let rows = arrived(original.path());
        let files_before = files(&original.path().join("trades"), "parquet");

        let at_once = tempfile::tempdir().unwrap();
        copy_tree(original.path(), at_once.path());
        sealed(at_once.path());
        prop_assert_eq!(arrived(at_once.path()), rows);
        let mut after = trades(at_once.path());
        after.sort_unstable();
        prop_assert_eq!(after, before);

        // The same files arrive one after another, and in between the day is sealed as it is.
        let staged = tempfile::tempdir().unwrap();
        for (index, path) in files_before.iter().enumerate() {
            let target = staged.path().join(path.strip_prefix(original.path()).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(path, target).unwrap();
            if stages.contains(&index) {
                sealed(staged.path());
            }
        }
        sealed(staged.path());
        let day = |dir: &Path| tree(&dir.join(".")).into_iter().filter(|(path, _)| path.starts_with("trades")).collect::<Vec<_>>();
        prop_assert_eq!(day(staged.path()), day(at_once.path()));
    }
}
