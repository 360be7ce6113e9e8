//! The per-issue service: its frames become rows of eight datasets, by registrations that the journal alone tells of.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::support::{
    DAY, NINE, SECOND, SMALL_SEGMENTS, batches, config, connected, date, event, files, frame, segments, until,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use krx_store::dataset::Rows;
use krx_store::day::{Layout, Outcome, Sealing, Watch, seal, unsealed};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::journal::GapReason;
use krx_store::rebuild::{Access, rebuild};
use krx_store::service::PER_ISSUE;
use krx_store::verify::verify;
use krx_store::{DataDir, Entry, Event, ExportConfig, Exporter, FeedName, JournalConfig};

pub(crate) fn issues() -> FeedName {
    "KOSPI".parse().unwrap()
}

pub(crate) fn registration(at: i64, text: &str) -> Entry<Vec<u8>> {
    let text = format!(r#"{{"event":"registration","registration":{text}}}"#);
    event(at, serde_json::from_str(&text).unwrap())
}

/// What is registered: preset, code, and what the journal says besides.
pub(crate) const WANTED: [(&str, &str, &str); 7] = [
    ("tick10", "005930", ""),
    ("quote10", "005930", ""),
    ("quote", "005930", ""),
    ("tick10", "101N6000", r#","instruments":"derivatives""#),
    ("quote10", "101N6000", r#","instruments":"derivatives""#),
    ("index", "001", r#","instruments":"indices""#),
    ("change", "005930", r#","items":["trdPrc","trdTm"]"#),
];

pub(crate) fn subscribed(at: i64) -> Vec<Entry<Vec<u8>>> {
    let wishes =
        WANTED.map(|(preset, code, more)| format!(r#"{{"preset":"{preset}","code":"{code}"{more}}}"#));
    let mut entries = vec![
        event(
            at,
            Event::Start {
                version: "1".to_owned(),
            },
        ),
        registration(at, &format!(r#""wanted","wishes":[{}]"#, wishes.join(","))),
        connected(at),
    ];
    for (place, (preset, code, more)) in WANTED.into_iter().enumerate() {
        let id = place + 2;
        let pair = format!(r#""id":{id},"preset":"{preset}","code":"{code}""#);
        entries.push(registration(at, &format!(r#""subscribe",{pair}{more}"#)));
        entries.push(frame(
            at,
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"message":"ok"}}}}"#),
        ));
        entries.push(registration(at, &format!(r#""state",{pair},"state":"active""#)));
    }
    entries
}

/// A push for each registration.
pub(crate) fn pushes(at: i64, price: i64) -> Vec<Entry<Vec<u8>>> {
    let push = |params: &str| {
        frame(
            at,
            &format!(r#"{{"jsonrpc":"2.0","method":"push","params":{{{params}}}}}"#),
        )
    };
    vec![
        push(&format!(
            r#""preset":"tick10","isuSrtCd":"005930","trdPrc":{price},"trdvol":3,"trdTm":9000155,"lstAskbidTpCd":"2","cmpprevddPrc":-100,"cmpprevddTpCd":"5""#
        )),
        push(&format!(
            r#""preset":"quote10","isuSrtCd":"005930","askStep1BstordPrc":{},"bidStep10BstordRqty":7"#,
            price + 1
        )),
        push(r#""preset":"quote","isuSrtCd":"005930","askStep1BstordPrc":71100,"bidStep1BstordRqty":12"#),
        push(r#""preset":"tick10","isuSrtCd":"101N6000","trdPrc":308.75,"trdvol":1,"trdTm":9000200"#),
        push(
            r#""preset":"quote10","isuSrtCd":"101N6000","askStep1BstordPrc":308.8,"askStep1BstordCnt":4,"ordAcptTm":90002000"#,
        ),
        push(r#""preset":"index","isuSrtCd":"001","trdPrc":2501.23,"trdTm":9000300,"cmpprevddPrc":-1.5"#),
        push(r#""isuSrtCd":"005930","isuCd":"KR7005930003","trdPrc":71000,"trdTm":9000155"#),
    ]
}

pub(crate) const ROUNDS: i64 = 40;

/// A day until midnight and the beginning of the next one in the same session, over many files of the journal.
pub(crate) fn recorded(dir: &Path, export: ExportConfig) -> DataDir {
    let data = DataDir::new(dir);
    let mut entries = subscribed(NINE);
    for round in 0..ROUNDS {
        entries.extend(pushes(NINE + (round + 1) * SECOND, 71_000 + round));
    }
    let next_day = NINE + DAY - 9 * 3600 * SECOND;
    for round in 0..ROUNDS {
        entries.extend(pushes(next_day + round * SECOND, 72_000 + round));
    }
    entries.push(event(next_day + 100 * SECOND, Event::Stop));
    let writer = krx_store::open_writer(&data, &issues(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    for entry in &entries {
        writer.append(std::slice::from_ref(entry)).unwrap();
    }
    writer.close().unwrap();
    assert!(segments(dir).len() > 8, "{}", segments(dir).len());
    Exporter::new(&data, &issues(), export, None, Arc::default())
        .run()
        .unwrap();
    data
}

pub(crate) fn rows(dir: &Path, dataset: &str) -> Vec<RecordBatch> {
    let paths = files(&dir.join(dataset), "parquet");
    paths.iter().flat_map(|path| batches(path)).collect()
}

fn count(dir: &Path, dataset: &str) -> usize {
    rows(dir, dataset).iter().map(RecordBatch::num_rows).sum()
}

/// Rows of each dataset of frames that has any.
fn counts(dir: &Path) -> BTreeMap<&'static str, usize> {
    let datasets = DataDir::new(dir).datasets().into_iter();
    let names = datasets.filter(|dataset| dataset.rows == Rows::OfFrames);
    let counts = names.map(|dataset| (dataset.name, count(dir, dataset.name)));
    counts.filter(|(_, rows)| *rows > 0).collect()
}

fn expected(rounds: i64) -> BTreeMap<&'static str, usize> {
    let rounds = usize::try_from(rounds).unwrap();
    [
        ("ticks", rounds),
        ("books", rounds),
        ("quotes", rounds),
        ("derivative_ticks", rounds),
        ("derivative_books", rounds),
        ("indices", rounds),
        ("changes", 2 * rounds),
    ]
    .into()
}

#[test]
fn each_push_is_a_row_of_its_dataset_over_files_of_the_journal_and_over_midnight() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path(), config(300, 100));
    assert_eq!(counts(dir.path()), expected(2 * ROUNDS));

    let first = &rows(dir.path(), "ticks")[0];
    let int64 = |name: &str| {
        first
            .column_by_name(name)
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0)
    };
    let word = |batch: &RecordBatch, name: &str| {
        let column = batch.column_by_name(name).unwrap().as_dictionary::<Int32Type>();
        let words = column.values().as_string::<i32>();
        column.key(0).map(|key| words.value(key).to_owned())
    };
    assert_eq!(
        (int64("price"), int64("volume"), int64("change")),
        (71_000, 3, -100)
    );
    let told = ["preset", "kind", "side", "change_kind"].map(|name| word(first, name).unwrap());
    assert_eq!(told, ["tick10", "trade", "buy", "down"]);
    let trade_ts = first
        .column_by_name("trade_ts")
        .unwrap()
        .as_primitive::<TimestampMillisecondType>();
    assert_eq!(trade_ts.value(0), NINE / 1000 + 1550);
    assert!(first.column_by_name("acc_volume").unwrap().is_null(0));

    let float = |batch: &RecordBatch, name: &str| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_primitive::<Float64Type>()
            .value(0)
    };
    assert_eq!(float(&rows(dir.path(), "derivative_ticks")[0], "price"), 308.75);
    let index = &rows(dir.path(), "indices")[0];
    assert_eq!((float(index, "value"), float(index, "change")), (2501.23, -1.5));
    let book = &rows(dir.path(), "books")[0];
    let level = |name: &str| {
        book.column_by_name(name)
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0)
    };
    assert_eq!((level("ask_price_01"), level("bid_size_10")), (71_001, 7));
    assert_eq!(word(book, "kind").unwrap(), "update");
    let changes = &rows(dir.path(), "changes")[0];
    let text = |name: &str, row| {
        changes
            .column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .value(row)
            .to_owned()
    };
    assert_eq!(
        [
            text("field", 0),
            text("value", 0),
            text("field", 1),
            text("value", 1)
        ],
        ["trdPrc", "71000", "trdTm", "9000155"]
    );
}

/// One file of the journal is enough to read its frames.
#[test]
fn each_file_of_the_journal_begins_with_the_registrations_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let mut entries = subscribed(NINE);
    for round in 0..ROUNDS {
        entries.extend(pushes(NINE + (round + 1) * SECOND, 71_000 + round));
    }
    // Room for some rounds after the registrations.
    let room = JournalConfig {
        segment_bytes: 16_384,
        ..SMALL_SEGMENTS
    };
    let writer = krx_store::open_writer(&data, &issues(), room, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    for entries in entries.chunks(5) {
        writer.append(entries).unwrap();
    }
    writer.close().unwrap();
    let mut files = 0;
    for path in segments(dir.path()) {
        let alone = tempfile::tempdir().unwrap();
        let data = DataDir::new(alone.path());
        let journal = data.journal(&issues());
        fs::create_dir_all(&journal).unwrap();
        fs::copy(&path, journal.join(path.file_name().unwrap())).unwrap();
        // A second is committed when the next one begins; what comes after the last one stays in the journal.
        Exporter::new(&data, &issues(), config(1, 100), None, Arc::default())
            .run()
            .unwrap();
        let counts = counts(alone.path());
        assert_eq!(
            counts.get("quarantine"),
            None,
            "none was taken for not registered"
        );
        files += usize::from(counts.len() == 7);
    }
    assert!(files > 2, "{files}");
}

#[test]
fn a_session_that_is_over_takes_its_registrations_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let mut entries = subscribed(NINE);
    entries.extend(pushes(NINE + SECOND, 71_000));
    entries.push(event(
        NINE + 2 * SECOND,
        Event::Disconnected {
            reason: GapReason::Reset,
            detail: String::new(),
        },
    ));
    entries.push(connected(NINE + 3 * SECOND));
    entries.extend(pushes(NINE + 4 * SECOND, 71_000));
    entries.push(event(NINE + 5 * SECOND, Event::Stop));
    let writer = krx_store::open_writer(&data, &issues(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    writer.append(&entries).unwrap();
    writer.close().unwrap();
    Exporter::new(&data, &issues(), config(300, 100), None, Arc::default())
        .run()
        .unwrap();
    let mut expected = expected(1);
    expected.insert("quarantine", WANTED.len());
    assert_eq!(counts(dir.path()), expected);
    let reasons = &rows(dir.path(), "quarantine")[0];
    let reasons = reasons.column_by_name("reason").unwrap().as_string::<i32>();
    assert!(reasons.iter().all(|reason| reason == Some("not_registered")));
}

/// An exporter that starts again finds the registrations among what is already committed.
#[test]
fn registrations_from_before_the_last_commit_still_count() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let room = JournalConfig {
        segment_bytes: 65_536,
        ..SMALL_SEGMENTS
    };
    let writer = krx_store::open_writer(&data, &issues(), room, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    let mut entries = subscribed(NINE);
    for round in 1..=3 {
        entries.extend(pushes(NINE + round * SECOND, 71_000));
        entries.push(event(NINE + round * SECOND + 1, Event::CommitNow));
        writer.append(&entries).unwrap();
        entries.clear();
        Exporter::new(&data, &issues(), config(300, 100), None, Arc::default())
            .run()
            .unwrap();
        assert_eq!(counts(dir.path()), expected(round));
    }
    assert_eq!(segments(dir.path()).len(), 1);
    writer.close().unwrap();
}

/// Refuses the next sync of a journal's file.
#[derive(Debug, Default)]
struct Refusing(AtomicBool);

impl Gate for Refusing {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        let is_journal = path.extension().is_some_and(|extension| extension == "journal");
        if op == Op::Sync && is_journal && self.0.swap(false, Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

/// What a failed sync makes the journal repeat is read by the registrations of its own session, not of the one that has
/// begun since.
#[test]
fn a_file_that_repeats_records_begins_with_what_was_in_force_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Refusing::default());
    let data = DataDir::on(Disk::behind(gate.clone()), dir.path());
    let room = JournalConfig {
        segment_bytes: 65_536,
        ..SMALL_SEGMENTS
    };
    let writer = krx_store::open_writer(&data, &issues(), room, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    writer.append(&subscribed(NINE)).unwrap();
    until("the registrations are on disk", || writer.unsynced_bytes() == 0);

    gate.0.store(true, Relaxed);
    let mut entries = pushes(NINE + SECOND, 71_000);
    entries.push(event(
        NINE + 2 * SECOND,
        Event::Disconnected {
            reason: GapReason::Reset,
            detail: String::new(),
        },
    ));
    entries.push(event(NINE + 3 * SECOND, Event::CommitNow));
    writer.append(&entries).unwrap();
    until("the sync is refused", || !gate.0.load(Relaxed));
    until("the journal goes on in a new file", || {
        writer
            .append(&[event(NINE + 4 * SECOND, Event::TimeMark)])
            .unwrap();
        segments(dir.path()).len() > 1
    });
    writer.close().unwrap();

    let alone = tempfile::tempdir().unwrap();
    let path = segments(dir.path()).pop().unwrap();
    let journal = DataDir::new(alone.path()).journal(&issues());
    fs::create_dir_all(&journal).unwrap();
    fs::copy(&path, journal.join(path.file_name().unwrap())).unwrap();
    Exporter::new(
        &DataDir::new(alone.path()),
        &issues(),
        config(300, 100),
        None,
        Arc::default(),
    )
    .run()
    .unwrap();
    assert_eq!(counts(alone.path()), expected(1));
}

pub(crate) fn findings(data: &DataDir) -> Vec<String> {
    let dates = [date(), date().succ_opt().unwrap()].into();
    let report = verify(data, &dates, &|_| ()).unwrap();
    report.findings.iter().map(ToString::to_string).collect()
}

/// Seals the day; returns how many datasets it had.
pub(crate) fn seal_all(data: &DataDir) -> u32 {
    let sealing = Sealing::take(data, 0).unwrap();
    let mut sealed = 0;
    for (date, dataset, feed) in unsealed(data, date(), 1).unwrap() {
        let watch = Watch::nobody();
        let outcome = seal(&sealing, dataset, &feed, date, &Layout::default(), watch).unwrap();
        assert!(matches!(outcome, Outcome::Sealed(_)), "{dataset}: {outcome:?}");
        sealed += 1;
    }
    sealing.finish().unwrap();
    sealed
}

#[test]
fn its_days_are_verified_sealed_and_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let keep = ExportConfig {
        keep_days: 36_500,
        ..config(300, 100)
    };
    let data = recorded(dir.path(), keep);
    assert_eq!(findings(&data), Vec::<String>::new());
    let before = counts(dir.path());

    // Anything that is lost comes back as it was, by the journal alone.
    let again = |dry_run| {
        let access = Access::take(&data, date()).unwrap();
        rebuild(&data, &issues(), date(), config(300, 100), &access, dry_run).unwrap()
    };
    let lost: Vec<_> = ["books", "changes", "ticks", "registrations"]
        .map(|dataset| {
            files(
                &dir.path().join(dataset).join(format!("date={}", date())),
                "parquet",
            )[0]
            .clone()
        })
        .into_iter()
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    for (_, path) in &lost {
        fs::remove_file(path).unwrap();
    }
    assert!(findings(&data).len() >= lost.len());
    assert_eq!(again(false).restored.len(), lost.len());
    for (bytes, path) in &lost {
        assert_eq!(fs::read(path).unwrap(), *bytes, "{}", path.display());
    }
    assert_eq!(findings(&data), Vec::<String>::new());

    let sealed = seal_all(&data);
    assert_eq!(sealed, 7, "the datasets that have rows");
    assert_eq!(findings(&data), Vec::<String>::new());
    assert_eq!(counts(dir.path()), before);
    assert_eq!(again(true).differing, Vec::<String>::new());
}
