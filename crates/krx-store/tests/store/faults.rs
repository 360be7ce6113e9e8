//! The journal and the exporter against a model, over a disk that fails at will: whatever fails and whenever the
//! process is killed, what was acknowledged is recorded once, and the ledger accounts for it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{
    self, NINE, SECOND, batch, config, connected, event, fast_dir, feed, frame, trades, until,
};
use krx_store::coverage::{Reason, State, view};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::journal::{Followed, Follower, RecordKind};
use krx_store::{DataDir, Entry, Event, Exporter, JournalConfig, Moment, Writer};
use proptest::prelude::*;

/// Fails the operations whose numbers are in the plan, each `lasts` times over.
#[derive(Debug, Default)]
struct Moody {
    count: AtomicU64,
    plan: Mutex<BTreeSet<u64>>,
    only: Mutex<Option<Op>>,
    seen: Mutex<Vec<(Op, String)>>,
}

impl Moody {
    fn fail_at(&self, numbers: impl IntoIterator<Item = u64>) {
        *self.plan.lock().unwrap() = numbers.into_iter().collect();
    }

    /// Counts this operation only, from now on.
    fn only(&self, op: Op) {
        *self.only.lock().unwrap() = Some(op);
        self.count.store(0, Relaxed);
    }

    fn behave(&self) {
        self.plan.lock().unwrap().clear();
    }
}

impl Gate for Moody {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        if self.only.lock().unwrap().is_some_and(|only| only != op) {
            return Ok(());
        }
        let number = self.count.fetch_add(1, Relaxed);
        if !self.plan.lock().unwrap().contains(&number) {
            return Ok(());
        }
        let errno = [5, 28, 30, 122][usize::try_from(number % 4).unwrap()];
        self.seen.lock().unwrap().push((op, path.display().to_string()));
        Err(io::Error::from_raw_os_error(errno))
    }
}

const SMALL: JournalConfig = JournalConfig {
    sync_interval: Duration::from_millis(1),
    segment_bytes: 8192,
};

fn moody(dir: &Path) -> (Arc<Moody>, DataDir) {
    let gate = Arc::new(Moody::default());
    let data = DataDir::on(Disk::behind(gate.clone()), dir);
    (gate, data)
}

/// As the recorder does: the same call until the disk takes it.
fn append(writer: &mut Writer, entries: &[Entry<Vec<u8>>]) {
    for _ in 0..200 {
        if writer.append(entries).is_ok() {
            return;
        }
    }
    panic!("the disk never took it");
}

fn finish(mut writer: Writer) {
    for _ in 0..200 {
        if writer.finish().is_ok() {
            return writer.close().unwrap();
        }
    }
    panic!("the disk never took it");
}

/// What a follower reads: the volumes of the frames, and events as their words.
fn read(data: &DataDir) -> Vec<String> {
    let mut follower = Follower::new(data.journal(&feed()), None);
    let mut seen = Vec::new();
    loop {
        match follower.advance().unwrap() {
            Followed::Record(_, head) => {
                let text = String::from_utf8_lossy(follower.payload()).into_owned();
                seen.push(match head.kind {
                    RecordKind::Frame => format!("f{} {text}", head.frame),
                    RecordKind::Event => serde_json::from_str::<serde_json::Value>(&text).unwrap()["event"]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                });
            }
            Followed::Damage(name, span) => panic!("damage in {name} {span:?}"),
            Followed::SegmentEnd(_) => {}
            Followed::CaughtUp => return seen,
        }
    }
}

/// What is not known to be on disk is in memory. Writing all of it to a new segment takes one write of it more, and not two
/// copies of everything (I5).
#[test]
fn i5_a_journal_is_renewed_one_write_at_a_time() {
    const WRITES: usize = 40;
    let dir = fast_dir();
    let gate = Arc::new(Pieces::default());
    let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
    let large = JournalConfig {
        sync_interval: Duration::from_millis(1),
        segment_bytes: 1 << 20,
    };
    let mut writer = krx_store::open_writer(&data, &feed(), large, Arc::default()).unwrap();
    append(&mut writer, &[connected(NINE)]);
    // The disk takes writes, and no sync comes back.
    gate.hangs.store(true, Relaxed);
    for round in 0..WRITES {
        let at = NINE + i64::try_from(round).unwrap();
        append(&mut writer, &[frame(at, &round.to_string())]);
        until("a sync waits", || gate.waits.load(Relaxed));
    }
    gate.writes.store(0, Relaxed);
    gate.hangs.store(false, Relaxed);
    until("the sync fails", || writer.tail().failure().is_some());
    append(&mut writer, &[frame(NINE + 1000, "last")]);
    let writes = gate.writes.load(Relaxed);
    assert!(writes > WRITES as u64, "a header and each write: {writes}");
    finish(writer);
    let frames = read(&data).into_iter().filter(|record| record.starts_with('f'));
    let expected: Vec<_> = (0..WRITES)
        .map(|round| round.to_string())
        .chain(["last".to_owned()])
        .collect();
    let texts: Vec<_> = frames
        .map(|record| record.split_once(' ').unwrap().1.to_owned())
        .collect();
    assert_eq!(texts, expected);
}

/// Counts writes to segments that have no name yet. While it hangs no sync comes back, and then the one that waited fails.
#[derive(Debug, Default)]
struct Pieces {
    writes: AtomicU64,
    hangs: AtomicBool,
    waits: AtomicBool,
}

impl Gate for Pieces {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        match op {
            Op::Sync if self.hangs.load(Relaxed) => {
                self.waits.store(true, Relaxed);
                while self.hangs.load(Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(io::Error::from_raw_os_error(5))
            }
            Op::Write if path.to_string_lossy().contains("spare-") => {
                self.writes.fetch_add(1, Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[test]
fn i1_every_operation_of_the_journal_may_fail_once() {
    let entries = |round: i64| -> Vec<Entry<Vec<u8>>> {
        (0..5)
            .map(|index| frame(NINE + round, &format!("{round}-{index} {}", "x".repeat(200))))
            .collect()
    };
    let expected: Vec<String> = std::iter::once("connected".to_owned())
        .chain((0..12).flat_map(|round| {
            (0..5).map(move |index| format!("f{} {round}-{index} {}", round * 5 + index + 1, "x".repeat(200)))
        }))
        .collect();
    for op in [
        Op::Create,
        Op::Preallocate,
        Op::Write,
        Op::Sync,
        Op::SyncDir,
        Op::Rename,
        Op::Remove,
        Op::Truncate,
    ] {
        for number in 0.. {
            let dir = fast_dir();
            let (gate, data) = moody(dir.path());
            let mut writer = krx_store::open_writer(&data, &feed(), SMALL, Arc::default()).unwrap();
            gate.only(op);
            gate.fail_at([number]);
            append(&mut writer, &[connected(NINE)]);
            for round in 0..12 {
                append(&mut writer, &entries(round));
                if round % 4 == 3 {
                    // The sync thread gets its turn, so that its failures fall between appends too.
                    std::thread::sleep(Duration::from_millis(4));
                }
            }
            finish(writer);
            let failed = gate.seen.lock().unwrap().clone();
            assert_eq!(read(&data), expected, "I1: operation {number} failed: {failed:?}");
            if failed.is_empty() {
                assert!(number > 0 || op == Op::Truncate, "{op:?} was never asked for");
                break;
            }
        }
    }
}

#[test]
fn i1_a_sync_that_failed_is_never_believed_and_what_it_was_for_is_written_again() {
    let dir = fast_dir();
    let (gate, data) = moody(dir.path());
    let mut writer = krx_store::open_writer(&data, &feed(), SMALL, Arc::default()).unwrap();
    append(&mut writer, &[connected(NINE), frame(NINE, "a")]);
    std::thread::sleep(Duration::from_millis(20));
    gate.only(Op::Sync);
    gate.fail_at([0]);
    append(&mut writer, &[frame(NINE, "b")]);
    while writer.tail().failure().is_none() {
        assert!(gate.count.load(Relaxed) < 1000);
        std::thread::sleep(Duration::from_millis(1));
    }
    append(&mut writer, &[frame(NINE, "c")]);
    finish(writer);
    assert_eq!(read(&data), ["connected", "f1 a", "f2 b", "f3 c"]);
    let files = support::segments(dir.path());
    assert_eq!(files.len(), 2);
    let second = std::fs::read(&files[1]).unwrap();
    let has = |text: &[u8]| second.windows(text.len()).any(|bytes| bytes == text);
    assert!(
        has(b"b") && has(b"c"),
        "what was not known to be on disk is in the new segment"
    );
    // The first segment's own copy of what is written again does not count, whatever the disk holds of it.
    let first = std::fs::read(&files[0]).unwrap();
    assert!(first.len() > 4160 + 40);
    std::fs::write(&files[0], &first[..]).unwrap();
    assert_eq!(read(&data), ["connected", "f1 a", "f2 b", "f3 c"]);
}

/// Refuses an operation on all paths that have this in them.
#[derive(Debug, Default)]
struct Refusing(Mutex<Option<(Op, &'static str)>>);

impl Refusing {
    fn refuse(&self, what: Option<(Op, &'static str)>) {
        *self.0.lock().unwrap() = what;
    }
}

impl Gate for Refusing {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        let refused = *self.0.lock().unwrap();
        match refused {
            Some((refused, of)) if refused == op && path.to_str().unwrap().contains(of) => {
                Err(io::Error::from_raw_os_error(5))
            }
            _ => Ok(()),
        }
    }
}

#[test]
fn i1_a_renewed_segment_has_no_name_before_it_is_on_disk() {
    let dir = fast_dir();
    let gate = Arc::new(Refusing::default());
    let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
    let config = JournalConfig {
        segment_bytes: 1 << 20,
        ..SMALL
    };
    let mut writer = krx_store::open_writer(&data, &feed(), config, Arc::default()).unwrap();
    append(&mut writer, &[connected(NINE), frame(NINE, "a")]);
    until("the first segment is on disk", || !writer.tail().is_unsynced());
    gate.refuse(Some((Op::Sync, ".journal")));
    append(&mut writer, &[frame(NINE, "b")]);
    until("its next sync fails", || writer.tail().failure().is_some());
    // The segment that is to take its place is under another name until it is synced.
    gate.refuse(Some((Op::Sync, "spare-")));
    for _ in 0..3 {
        assert!(writer.append(&[frame(NINE, "c")]).is_err());
        assert_eq!(support::segments(dir.path()).len(), 1);
    }
    gate.refuse(None);
    append(&mut writer, &[frame(NINE, "c")]);
    assert!(support::segments(dir.path()).len() > 1);
    finish(writer);
    assert_eq!(read(&data), ["connected", "f1 a", "f2 b", "f3 c"]);
}

/// Refuses to sync a directory once a file with this in its path was renamed.
#[derive(Debug)]
struct NameUnsynced {
    of: &'static str,
    is_named: AtomicBool,
}

impl Gate for NameUnsynced {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        if op == Op::Rename && path.to_str().unwrap().contains(self.of) {
            self.is_named.store(true, Relaxed);
        }
        if op == Op::SyncDir && self.is_named.load(Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// The next start takes a name for a commit and removes the journal, so the name must be on disk.
#[test]
fn i1_a_file_whose_name_is_not_known_to_be_on_disk_is_no_commit() {
    for of in ["trades-2026", "quarantine-2026"] {
        let dir = fast_dir();
        let entries = [
            connected(NINE),
            frame(NINE, &batch(3, 1)),
            frame(NINE, "garbage"),
            event(NINE, Event::Stop),
        ];
        support::journal(dir.path(), SMALL, &entries);
        let gate = Arc::new(NameUnsynced {
            of,
            is_named: AtomicBool::new(false),
        });
        let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
        let exported = Exporter::new(&data, &feed(), config(300, 1000), None, Arc::default()).run();
        assert!(exported.is_err() && gate.is_named.load(Relaxed), "{of}");
        let names: Vec<_> = support::tree(dir.path()).into_keys().collect();
        let has = |name: &std::path::PathBuf| name.to_str().unwrap().contains(of);
        assert!(!names.iter().any(has), "{of}: {names:?}");
        support::export(dir.path(), config(300, 1000));
        assert_eq!(trades(dir.path()).len(), 3);
        assert_eq!(support::quarantine(dir.path()).len(), 1);
    }
}

#[test]
fn i1_a_new_date_may_begin_while_the_disk_refuses() {
    const DAY: i64 = 86_400 * SECOND;
    for op in [Op::Create, Op::Write, Op::Sync, Op::Rename] {
        for number in 0..6 {
            let dir = fast_dir();
            let (gate, data) = moody(dir.path());
            let mut writer = krx_store::open_writer(&data, &feed(), SMALL, Arc::default()).unwrap();
            append(&mut writer, &[connected(NINE), frame(NINE, "a")]);
            gate.only(op);
            gate.fail_at(number..number + 5);
            append(
                &mut writer,
                &[
                    frame(NINE, "b"),
                    frame(NINE + DAY, "c"),
                    frame(NINE + DAY, "d"),
                    frame(NINE + 2 * DAY, "e"),
                ],
            );
            finish(writer);
            assert_eq!(
                support::follow(dir.path()),
                [
                    "2026-11-20 s1 after f0 connected",
                    "2026-11-20 s1 f1 a",
                    "2026-11-20 s1 f2 b",
                    "2026-11-21 s1 after f0 continued",
                    "2026-11-21 s1 f1 c",
                    "2026-11-21 s1 f2 d",
                    "2026-11-22 s1 after f0 continued",
                    "2026-11-22 s1 f1 e",
                ],
                "{op:?} {number}"
            );
        }
    }
}

/// What happens to a recorder, for the model.
#[derive(Clone, Debug)]
enum Step {
    /// So many frames, after so many seconds.
    Frames(usize, i64),
    Disconnect,
    /// The process is killed: what it had written stays, what it had in memory does not.
    Kill,
    /// A clean stop.
    Stop,
    /// The exporter runs, and may fail on the way.
    Export,
    /// Operations fail from now on: which ones, counted from here.
    Fail(BTreeSet<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..6_usize, 0..400_i64).prop_map(|(count, seconds)| Step::Frames(count, seconds)),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Kill),
        1 => Just(Step::Stop),
        2 => Just(Step::Export),
        5 => prop::collection::btree_set(0..60_u64, 1..12).prop_map(Step::Fail),
    ]
}

struct Model {
    dir: tempfile::TempDir,
    gate: Arc<Moody>,
    data: DataDir,
    writer: Option<Writer>,
    now: i64,
    connected: bool,
    next: usize,
    acknowledged: Vec<usize>,
}

impl Model {
    fn new() -> Self {
        let dir = fast_dir();
        let (gate, data) = moody(dir.path());
        Self {
            dir,
            gate,
            data,
            writer: None,
            now: NINE,
            connected: false,
            next: 0,
            acknowledged: Vec::new(),
        }
    }

    /// The writer of the process that runs; a start that fails is tried again, as a supervisor would.
    fn writer(&mut self) -> &mut Writer {
        if self.writer.is_none() {
            let opened = (0..200)
                .find_map(|_| krx_store::open_writer(&self.data, &feed(), SMALL, Arc::default()).ok())
                .unwrap();
            self.writer = Some(opened);
            let start = Event::Start {
                version: "test".into(),
            };
            append(self.writer.as_mut().unwrap(), &[event(self.now, start)]);
            self.connected = false;
        }
        self.writer.as_mut().unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Frames(count, seconds) => {
                self.now += seconds * SECOND;
                let now = self.now;
                self.writer();
                if !self.connected {
                    append(self.writer(), &[connected(now)]);
                    self.connected = true;
                }
                let range = self.next..self.next + count;
                let frames: Vec<_> = range
                    .clone()
                    .map(|volume| frame(now, &batch(1, volume)))
                    .collect();
                append(self.writer(), &frames);
                self.acknowledged.extend(range);
                self.next += count;
            }
            Step::Disconnect if self.connected => {
                let end = Event::Disconnected {
                    reason: krx_store::journal::GapReason::Reset,
                    detail: "test".into(),
                };
                let now = self.now;
                append(self.writer(), &[event(now, end)]);
                self.connected = false;
            }
            Step::Disconnect => {}
            Step::Kill => drop(self.writer.take()),
            Step::Stop => {
                if self.writer.is_some() {
                    let now = self.now;
                    append(self.writer(), &[event(now, Event::Stop)]);
                    finish(self.writer.take().unwrap());
                }
            }
            Step::Export => {
                drop(self.writer.take());
                let _ = self.export();
            }
            Step::Fail(numbers) => {
                let from = self.gate.count.load(Relaxed);
                self.gate.fail_at(numbers.iter().map(|number| from + number));
            }
        }
    }

    fn export(&self) -> Result<(), krx_store::StoreError> {
        Exporter::new(&self.data, &feed(), config(300, 10), None, Arc::default()).run()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn i1_i2_i4_whatever_fails_the_acknowledged_is_recorded_once_and_accounted_for(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.gate.behave();
        drop(model.writer.take());
        // A last start and stop: what is still open is committed.
        model.writer();
        model.step(&Step::Stop);
        model.export().unwrap();
        let before = support::tree(model.dir.path());
        model.export().unwrap();
        prop_assert_eq!(&support::tree(model.dir.path()), &before, "I3: a second recovery changes nothing");

        let mut rows = trades(model.dir.path());
        rows.sort_unstable();
        let volumes: Vec<usize> = rows.iter().map(|row| usize::try_from(row.3).unwrap()).collect();
        prop_assert_eq!(&volumes, &model.acknowledged, "I1");
        let frames: Vec<i64> = rows.iter().map(|row| row.0).collect();
        prop_assert_eq!(frames, (1..=i64::try_from(model.next).unwrap()).collect::<Vec<_>>());

        let date = Moment(NINE).date();
        let intervals = view(&model.data, &feed(), date, Moment(model.now)).unwrap();
        for pair in intervals.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from, "I4: no hole and no overlap");
        }
        prop_assert_eq!(intervals.iter().map(|row| row.frames).sum::<u64>(), model.next as u64, "I4");
        prop_assert_eq!(intervals.iter().map(|row| row.rows).sum::<u64>(), model.next as u64, "I4");
        for (_, _, session, _, recv) in &rows {
            let live = intervals.iter().any(|row| {
                row.state == State::Live && row.session == Some((*session).cast_unsigned())
                    && row.from.0 <= *recv && *recv <= row.to.0
            });
            prop_assert!(live, "I4: a frame lies in a live interval of its session");
        }
        for row in &intervals {
            prop_assert!(row.reason != Reason::Damage && row.reason != Reason::Unknown, "{row:?}");
        }
    }
}

/// Every byte of the last three records, cut off there, zeroed from there on, or flipped.
#[test]
fn i1_i4_any_damage_to_the_last_records_costs_no_other_and_is_on_record() {
    let whole = fast_dir();
    let data = DataDir::new(whole.path());
    let mut writer = krx_store::open_writer(&data, &feed(), SMALL, Arc::default()).unwrap();
    append(&mut writer, &[connected(NINE)]);
    for (at, volume) in (NINE..).zip(0..8) {
        append(&mut writer, &[frame(at, &batch(1, volume))]);
    }
    finish(writer);
    let path = support::segments(whole.path())[0].clone();
    let bytes = std::fs::read(&path).unwrap();
    let record = (bytes.len() - 4160) / 9;
    let first_damaged = bytes.len() - 3 * record.next_multiple_of(8);
    let mut tried = 0;
    for at in first_damaged..bytes.len() {
        for kind in 0..3 {
            let mut damaged = bytes.clone();
            match kind {
                0 => damaged.truncate(at),
                1 => damaged[at..].fill(0),
                _ => damaged[at] ^= 1 << (at % 8),
            }
            let dir = fast_dir();
            let data = DataDir::new(dir.path());
            std::fs::create_dir_all(data.journal(&feed())).unwrap();
            std::fs::write(data.journal(&feed()).join(path.file_name().unwrap()), &damaged).unwrap();
            let mut writer = krx_store::open_writer(&data, &feed(), SMALL, Arc::default()).unwrap();
            let start = Event::Start {
                version: "test".into(),
            };
            append(
                &mut writer,
                &[event(NINE + SECOND, start), connected(NINE + SECOND)],
            );
            append(
                &mut writer,
                &[
                    frame(NINE + SECOND, &batch(1, 99)),
                    event(NINE + SECOND, Event::Stop),
                ],
            );
            finish(writer);
            Exporter::new(&data, &feed(), config(300, 1000), None, Arc::default())
                .run()
                .unwrap();
            let mut rows = trades(dir.path());
            rows.sort_unstable();
            let volumes: Vec<i64> = rows.iter().map(|row| row.3).collect();
            // Records before the damage are whole; one that lost only padding or zeros is too.
            assert!(
                volumes.starts_with(&[0, 1, 2, 3, 4]),
                "I1: {kind} {at}: {volumes:?}"
            );
            assert_eq!(volumes.last(), Some(&99), "I1: {kind} {at}");
            assert!(
                volumes.is_sorted() && volumes.iter().all(|volume| *volume < 8 || *volume == 99),
                "no flipped byte becomes a row: {kind} {at}: {volumes:?}"
            );
            let intervals = view(&data, &feed(), Moment(NINE).date(), Moment(NINE + SECOND)).unwrap();
            let gap = |reason| intervals.iter().any(|row| row.reason == reason);
            assert!(gap(Reason::Crash), "I4: {kind} {at}: {intervals:?}");
            let lost_in_the_middle = kind == 2 && volumes.len() < 9 && volumes.contains(&7);
            assert_eq!(
                gap(Reason::Damage),
                lost_in_the_middle,
                "I4: {kind} {at}: {intervals:?}"
            );
            tried += 1;
        }
    }
    println!("{tried} kinds of damage tried");
}
