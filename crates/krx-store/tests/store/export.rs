//! The exporter: every record once, files that depend only on the journal, and segments that end where they should.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::{
    self, HEADER, NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, copy_tree, event, export, feed,
    files, frame, journal, names, quarantine, segments, trades, tree,
};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::export::Poison;
use krx_store::journal::GapReason;
use krx_store::{DataDir, Entry, Event, ExportConfig, Exporter, StoreError};
use parquet::basic::{Compression, Encoding, PageType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;

#[test]
fn segments_end_with_interval_rows_and_events() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        connected(NINE),
        frame(NINE, &batch(3, 1)),
        frame(NINE + 59 * SECOND, &batch(3, 2)),
        frame(NINE + 60 * SECOND, &batch(999, 3)),
        frame(NINE + 61 * SECOND, &batch(1, 4)),
        frame(NINE + 62 * SECOND, &batch(1, 5)),
        event(NINE + 63 * SECOND, Event::CommitNow),
        frame(NINE + 64 * SECOND, &batch(1, 6)),
        event(NINE + 119 * SECOND, Event::TimeMark),
        event(NINE + 121 * SECOND, Event::TimeMark),
        frame(NINE + 122 * SECOND, &batch(1, 7)),
        event(NINE + 123 * SECOND, Event::Start { version: "0".into() }),
        frame(NINE + 124 * SECOND, &batch(1, 8)),
        event(NINE + 125 * SECOND, Event::Stop),
        frame(NINE + 126 * SECOND, &batch(1, 9)),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(60, 1000));
    assert_eq!(
        names(dir.path()),
        [
            "trades-20261120T090000-000000000001-000000000002.parquet",
            "trades-20261120T090100-000000000003-000000000004.parquet",
            "trades-20261120T090100-000000000005-000000000005.parquet",
            "trades-20261120T090100-000000000006-000000000006.parquet",
            "trades-20261120T090200-000000000007-000000000007.parquet",
            "trades-20261120T090200-000000000008-000000000008.parquet",
        ],
        "the ninth frame has no end yet: it stays in the journal"
    );
    assert_eq!(trades(dir.path()).len(), 3 + 3 + 999 + 1 + 1 + 1 + 1 + 1);
}

#[test]
fn i1_each_record_is_in_trades_or_in_quarantine_with_its_frame_and_item() {
    let dir = tempfile::tempdir().unwrap();
    let good = r#"{"isuSrtCd":"005930","trdPrc":"71000","trdVol":"5","trdTm":"9000001"}"#;
    let bad = r#"{"isuSrtCd":"005930","trdPrc":"-1","trdVol":"5","trdTm":"9000001"}"#;
    let entries = [
        connected(NINE),
        frame(NINE, r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#),
        frame(NINE + 7, &format!("[{good},{bad},{good}]")),
        frame(NINE + 8, "garbage"),
        event(NINE + 9, Event::Stop),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    let progress = export(dir.path(), config(60, 1000));
    assert_eq!(
        trades(dir.path()),
        [(2, 0, 1, 5, NINE + 7), (2, 2, 1, 5, NINE + 7)]
    );
    let rejected = vec![
        (2, Some(1), "sign".to_owned(), bad.as_bytes().to_vec()),
        (3, None, "malformed_json".to_owned(), b"garbage".to_vec()),
    ];
    assert_eq!(quarantine(dir.path()), rejected);
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        (
            load(&progress.rows_committed),
            load(&progress.quarantined_committed),
            load(&progress.frames_committed)
        ),
        (2, 2, 3)
    );
}

#[test]
fn frames_without_a_record_are_covered_by_a_file_without_rows() {
    let dir = tempfile::tempdir().unwrap();
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[frame(NINE, "[]"), event(NINE + 1, Event::Stop)],
    );
    export(dir.path(), config(60, 1000));
    assert_eq!(
        names(dir.path()),
        ["trades-20261120T090000-000000000001-000000000001.parquet"]
    );
    assert_eq!(trades(dir.path()), []);
    assert!(!dir.path().join("quarantine").exists());
}

#[test]
fn journal_segments_go_when_all_of_them_is_committed_and_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let long = batch(8, 1);
    let mut entries: Vec<_> = (0..20).map(|index| frame(NINE + index, &long)).collect();
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    let before = segments(dir.path());
    assert!(before.len() > 3);
    export(dir.path(), config(60, 1000));
    assert_eq!(segments(dir.path()), before, "nothing is committed yet");
    entries = vec![event(NINE + 30, Event::Stop)];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(60, 1000));
    assert_eq!(segments(dir.path()).len(), 1);
    assert_eq!(trades(dir.path()).len(), 160);
    // The numbers continue where they were, and nothing is exported twice.
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[frame(NINE + 40, &long), event(NINE + 41, Event::Stop)],
    );
    export(dir.path(), config(60, 1000));
    assert_eq!(trades(dir.path()).last().unwrap().0, 21);
    // Not even when the journal is lost: the committed files know their numbers.
    fs::remove_dir_all(DataDir::new(dir.path()).journal(&feed())).unwrap();
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[frame(NINE + 50, &long), event(NINE + 51, Event::Stop)],
    );
    export(dir.path(), config(60, 1000));
    assert_eq!(trades(dir.path()).last().unwrap().0, 22);
}

#[test]
fn journal_is_kept_for_keep_days() {
    let dir = tempfile::tempdir().unwrap();
    let now = krx_store::Moment::now().0;
    let long = batch(8, 1);
    let mut entries: Vec<_> = (0..20).map(|index| frame(now + index, &long)).collect();
    entries.push(event(now + 30, Event::Stop));
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    let before = segments(dir.path());
    export(
        dir.path(),
        krx_store::ExportConfig {
            keep_days: 1,
            ..config(86_400, 1000)
        },
    );
    assert_eq!(segments(dir.path()).len(), 1, "only the newest stays as it is");
    assert_eq!(
        krx_store::catalog::archived(&DataDir::new(dir.path()), &feed())
            .unwrap()
            .len(),
        before.len() - 1
    );
}

#[test]
fn damage_costs_its_own_frames_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..5).map(|index| frame(NINE + index, &batch(1, 7))).collect();
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    journal(dir.path(), SMALL_SEGMENTS, &[event(NINE + 9, Event::Stop)]);
    let file = OpenOptions::new()
        .write(true)
        .open(&segments(dir.path())[0])
        .unwrap();
    let record = 32 + batch(1, 7).len() as u64;
    let record = record.next_multiple_of(8);
    std::os::unix::fs::FileExt::write_all_at(&file, b"damage", HEADER + 2 * record + 40).unwrap();
    export(dir.path(), config(60, 1000));
    assert_eq!(
        trades(dir.path()).iter().map(|row| row.0).collect::<Vec<_>>(),
        [1, 2, 4, 5]
    );
}

/// Each trades file covers exactly the frames of which it has a row.
fn assert_no_hole_within_a_file(dir: &Path) {
    let rows: BTreeSet<u64> = trades(dir).iter().map(|row| row.0.cast_unsigned()).collect();
    for name in names(dir) {
        let name = krx_store::layout::CommittedName::parse(&krx_store::service::TRADES, &name).unwrap();
        let missing: Vec<_> = (name.first_frame..=name.last_frame)
            .filter(|frame| !rows.contains(frame))
            .collect();
        assert!(missing.is_empty(), "{name} has no row of {missing:?}");
    }
}

/// What is missing shows in the files' names: it is never between two frames of one file.
#[test]
fn damage_ends_a_file_and_its_segment_is_kept() {
    let frames = || (1..=9).map(|second| frame(NINE + second, &batch(1, 7)));
    for (text, in_frame) in [("\"isuSrtCd\"", true), ("time_mark", false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut entries: Vec<_> = frames().collect();
        entries.insert(5, event(NINE + 5, Event::TimeMark));
        let one_segment = krx_store::JournalConfig {
            segment_bytes: 1 << 20,
            ..SMALL_SEGMENTS
        };
        journal(dir.path(), one_segment, &entries);
        let segment = segments(dir.path()).remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        let places = bytes.windows(text.len()).enumerate();
        let places: Vec<_> = places
            .filter(|(_, window)| *window == text.as_bytes())
            .map(|(at, _)| at)
            .collect();
        bytes[places[places.len() / 2]] ^= 1;
        fs::write(&segment, &bytes).unwrap();
        journal(dir.path(), one_segment, &[event(NINE + 20, Event::Stop)]);
        export(dir.path(), config(60, 1000));
        assert_eq!(names(dir.path()).len(), 2, "{text}");
        assert_eq!(trades(dir.path()).len(), 9 - usize::from(in_frame));
        assert_no_hole_within_a_file(dir.path());
        // It is kept for inspection, after the journal has removed it.
        assert!(!segment.exists(), "it is exported");
        assert_eq!(
            fs::read(segment.with_extension("journal.damaged")).unwrap(),
            bytes,
            "{text}"
        );
    }
}

/// No record is left to reveal them: the numbers after them do.
#[test]
fn frames_that_went_with_a_segment_are_missing_between_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries: Vec<_> = (1..=40)
        .map(|second| frame(NINE + second, &batch(1, 7)))
        .collect();
    entries.push(event(NINE + SECOND, Event::Stop));
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    let all = segments(dir.path());
    assert!(all.len() > 2);
    fs::remove_file(&all[1]).unwrap();
    export(dir.path(), config(60, 1000));
    assert_eq!(names(dir.path()).len(), 2);
    assert!((10..40).contains(&trades(dir.path()).len()));
    assert_no_hole_within_a_file(dir.path());
}

/// Records every operation, and refuses to remove journal.
#[derive(Debug, Default)]
struct Porter {
    seen: Mutex<Vec<(Op, PathBuf)>>,
    keeps_journal: bool,
}

fn is_journal(op: Op, path: &Path) -> bool {
    op == Op::Remove && path.extension().is_some_and(|extension| extension == "journal")
}

impl Gate for Porter {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        self.seen.lock().unwrap().push((op, path.to_owned()));
        match self.keeps_journal && is_journal(op, path) {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    }
}

/// The previous exporter was killed right after its renames: the new names may be only in the page cache.
#[test]
fn i1_no_journal_goes_before_the_names_of_what_stands_for_it_are_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries: Vec<_> = (1..=40)
        .map(|second| frame(NINE + second, &batch(3, 7)))
        .collect();
    entries.push(event(NINE + SECOND, Event::Stop));
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    let before = segments(dir.path());
    let run = |keeps_journal| {
        let porter = Arc::new(Porter {
            keeps_journal,
            ..Porter::default()
        });
        let data = DataDir::on(Disk::behind(porter.clone()), dir.path());
        let ended = Exporter::new(&data, &feed(), config(60, 1000), None, Arc::default()).run();
        (ended, std::mem::take(&mut *porter.seen.lock().unwrap()))
    };
    assert!(run(true).0.is_err());
    assert_eq!((segments(dir.path()), trades(dir.path()).len()), (before, 120));
    let (ended, seen) = run(false);
    ended.unwrap();
    let first = seen.iter().position(|(op, path)| is_journal(*op, path)).unwrap();
    let partition = dir.path().join("trades/date=2026-11-20/market=KOSPI");
    for named in partition.ancestors().take(4) {
        let synced = seen[..first].contains(&(Op::SyncDir, named.to_owned()));
        assert!(synced, "{}: {seen:?}", named.display());
    }
}

/// With less than this free no new segment is begun, as long as the journal may need the space.
#[test]
fn the_reserve_is_the_journals_until_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let config = ExportConfig {
        reserve_bytes: u64::MAX,
        ..config(60, 1000)
    };
    let mut writer = krx_store::open_writer(&data, &feed(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let tail = writer.tail();
    let run = || Exporter::new(&data, &feed(), config, Some(Arc::clone(&tail)), Arc::default()).run();
    writer
        .append(&[
            connected(NINE),
            frame(NINE, &batch(3, 1)),
            event(NINE, Event::Stop),
        ])
        .unwrap();
    assert!(matches!(run(), Err(StoreError::NoRoom { .. })));
    assert_eq!(trades(dir.path()), []);
    writer.close().unwrap();
    run().unwrap();
    assert_eq!(trades(dir.path()).len(), 3);
}

/// The clock is set back by a few seconds just after midnight: the date continues, and so do the names of its files.
#[test]
fn a_file_begins_in_its_date_though_its_first_frame_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let midnight = NINE + 15 * 3600 * SECOND;
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            connected(midnight + SECOND),
            frame(midnight + SECOND, &batch(1, 1)),
            event(midnight + SECOND, Event::CommitNow),
            frame(midnight - 10 * SECOND, &batch(1, 2)),
            event(midnight - 9 * SECOND, Event::Stop),
        ],
    );
    export(dir.path(), config(60, 1000));
    assert_eq!(
        names(dir.path()),
        [
            "trades-20261121T000000-000000000001-000000000001.parquet",
            "trades-20261121T000000-000000000002-000000000002.parquet",
        ]
    );
    assert_eq!(trades(dir.path()).len(), 2);
}

/// A recorder was killed: the events after its last frame are only in the journal until an exporter reaches its end.
#[test]
fn i4_coverage_has_what_the_journal_ends_with() {
    let dir = tempfile::tempdir().unwrap();
    let (reason, detail) = (GapReason::Reset, String::new());
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE),
            frame(NINE + SECOND, &batch(1, 1)),
            event(NINE + 2 * SECOND, Event::CommitNow),
            event(NINE + 3 * SECOND, Event::Disconnected { reason, detail }),
            event(NINE + 9 * SECOND, Event::TimeMark),
        ],
    );
    let poison = Arc::new(Poison::default());
    let exporter = Exporter::new(
        &DataDir::new(dir.path()),
        &feed(),
        config(60, 1000),
        None,
        Arc::default(),
    );
    exporter.with_poison(&poison).run().unwrap();
    let all = support::coverage(dir.path());
    let last = all.last().unwrap();
    assert_eq!(
        (last.reason.as_str(), last.from.0, last.to.0),
        ("reset", NINE + 3 * SECOND, NINE + 9 * SECOND)
    );
    assert!(!poison.panicked(), "no frame is in hand any more");
}

/// Restores no coverage.
#[derive(Debug)]
struct NoCoverage;

impl Gate for NoCoverage {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        match op == Op::Rename && path.to_str().unwrap().contains("coverage-") {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    }
}

/// The exporter was killed between a trades file and the coverage of its frames. The events after them are in a segment
/// whose frames are all committed: it is read once more.
#[test]
fn i4_a_segment_is_read_again_until_coverage_has_what_it_tells() {
    let dir = tempfile::tempdir().unwrap();
    let (reason, detail) = (GapReason::Reset, String::new());
    let mut entries = vec![
        connected(NINE),
        frame(NINE + SECOND, &batch(1, 1)),
        event(NINE + 2 * SECOND, Event::CommitNow),
        event(NINE + 3 * SECOND, Event::Disconnected { reason, detail }),
    ];
    entries.extend((0..100).map(|index| event(NINE + 4 * SECOND + index, Event::TimeMark)));
    entries.push(connected(NINE + 10 * SECOND));
    entries.push(frame(NINE + 11 * SECOND, &batch(1, 1)));
    entries.push(event(NINE + 12 * SECOND, Event::Stop));
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    assert!(segments(dir.path()).len() > 2);
    let data = DataDir::on(Disk::behind(Arc::new(NoCoverage)), dir.path());
    let cut_off = Exporter::new(&data, &feed(), config(60, 1000), None, Arc::default()).run();
    assert!(cut_off.is_err());
    assert_eq!(trades(dir.path()).len(), 1);
    export(dir.path(), config(60, 1000));
    assert_eq!(trades(dir.path()).len(), 2);
    let all = support::coverage(dir.path());
    let lost = all.iter().find(|row| row.reason.as_str() == "reset").unwrap();
    assert_eq!((lost.from.0, lost.to.0), (NINE + 3 * SECOND, NINE + 10 * SECOND));
}

#[test]
fn the_layout_of_a_committed_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries: Vec<_> = (0..400).map(|index| frame(NINE + index, &batch(50, 7))).collect();
    entries.push(event(NINE + SECOND, Event::Stop));
    journal(
        dir.path(),
        krx_store::JournalConfig {
            segment_bytes: 64 << 20,
            ..SMALL_SEGMENTS
        },
        &entries,
    );
    export(dir.path(), config(300, 1_000_000));
    let path = files(&dir.path().join("trades"), "parquet").remove(0);
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let metadata = reader.metadata();
    assert_eq!(
        (metadata.num_row_groups(), metadata.file_metadata().num_rows()),
        (1, 20_000)
    );
    let pairs = metadata.file_metadata().key_value_metadata().unwrap();
    for (key, value) in [
        ("schema_version", "1"),
        ("feed", "KOSPI"),
        ("date", "2026-11-20"),
        ("first_frame", "1"),
        ("last_frame", "400"),
        ("rows", "20000"),
        ("quarantined", "0"),
    ] {
        let found = pairs
            .iter()
            .find(|pair| pair.key == format!("krx.{key}"))
            .unwrap();
        assert_eq!(found.value.as_deref(), Some(value), "{key}");
    }
    let group = reader.get_row_group(0).unwrap();
    for column in 0..group.num_columns() {
        let chunk = group.metadata().column(column);
        let name = chunk.column_descr().name().to_owned();
        assert!(matches!(chunk.compression(), Compression::ZSTD(_)), "{name}");
        assert!(
            chunk.statistics().is_some()
                && chunk.column_index_offset().is_some()
                && chunk.offset_index_offset().is_some(),
            "{name}"
        );
        let expected = match name.as_str() {
            "trade_ts" | "trade_time" | "frame" | "session" => Encoding::DELTA_BINARY_PACKED,
            "volume" | "recv_ts" => Encoding::PLAIN,
            _ => Encoding::RLE_DICTIONARY,
        };
        let mut pages = group.get_column_page_reader(column).unwrap();
        while let Some(page) = pages.get_next_page().unwrap() {
            match page.page_type() {
                PageType::DATA_PAGE => assert_eq!(page.encoding(), expected, "{name}"),
                PageType::DICTIONARY_PAGE => assert_eq!(expected, Encoding::RLE_DICTIONARY, "{name}"),
                other => panic!("{name}: {other}"),
            }
        }
    }
}

fn message() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..60_usize, 0..1000_usize).prop_map(|(records, volume)| batch(records, volume)),
        1 => Just("garbage".to_owned()),
        1 => Just(r#"[{"isuSrtCd":"005930"}]"#.to_owned()),
        1 => Just(r#"{"jsonrpc":"2.0","id":1,"method":"heartbeat"}"#.to_owned()),
    ]
}

fn entry() -> impl Strategy<Value = (i64, Option<Entry<Vec<u8>>>)> {
    let frame = message().prop_map(|text| Some(frame(0, &text)));
    let event = prop_oneof![
        Just(Event::TimeMark),
        Just(Event::CommitNow),
        Just(Event::Start { version: "0".into() }),
        Just(Event::Stop)
    ]
    .prop_map(|word| Some(event(0, word)));
    // The clock may jump ahead by hours, or be set back.
    (
        prop_oneof![9 => 0..2 * SECOND, 1 => -10 * SECOND..8 * 3600 * SECOND],
        prop_oneof![9 => frame, 2 => event, 1 => Just(None)],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// I3: the same journal gives the same bytes, however often the export was stopped and started in between; and
    /// what is not committed is still in the journal (I1).
    #[test]
    fn i3_exports_are_byte_identical_whatever_the_stops(
        entries in prop::collection::vec(entry(), 1..80), rotate_s in 1..120_u64, rows_max in 1000..1500_u64,
        stops in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let (at_once, in_steps) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = krx_store::ExportConfig { keep_days: 36_500, ..config(rotate_s, rows_max) };
        let mut now = NINE;
        let entries: Vec<_> = entries.into_iter().map(|(wait, entry)| {
            now += wait;
            entry.map(|entry| Entry { at: krx_store::Moment(now), ..entry })
        }).collect();
        // `None` is a restart: the journal is closed there and opened again.
        for run in entries.split(Option::is_none) {
            let run: Vec<_> = run.iter().flatten().cloned().collect();
            journal(at_once.path(), SMALL_SEGMENTS, &run);
        }
        let frames = entries.iter().flatten().filter(|entry| matches!(entry.what, krx_store::journal::What::Frame(_))).count();
        // The same journal, growing segment by segment, exported at each stop.
        let whole = segments(at_once.path());
        let journal_dir = DataDir::new(in_steps.path()).journal(&feed());
        fs::create_dir_all(&journal_dir).unwrap();
        let mut lengths: Vec<_> = stops.iter().filter(|_| !whole.is_empty()).map(|stop| stop.index(whole.len()) + 1).collect();
        lengths.push(whole.len());
        lengths.sort_unstable();
        for length in lengths {
            for segment in &whole[..length] {
                fs::copy(segment, journal_dir.join(segment.file_name().unwrap())).unwrap();
            }
            export(in_steps.path(), config);
        }
        export(at_once.path(), config);
        prop_assert_eq!(tree(at_once.path()), tree(in_steps.path()));
        // Recovery run twice changes nothing.
        let before = tree(at_once.path());
        export(at_once.path(), config);
        prop_assert_eq!(&tree(at_once.path()), &before);
        // With an end to it, all of it is committed.
        journal(at_once.path(), SMALL_SEGMENTS, &[event(now, Event::Stop)]);
        export(at_once.path(), config);
        let covered: u64 = names(at_once.path()).iter().map(|name| {
            let committed = krx_store::layout::CommittedName::parse(&krx_store::service::TRADES, name).unwrap();
            committed.last_frame + 1 - committed.first_frame
        }).sum();
        prop_assert_eq!(covered, frames as u64);
    }
}

#[test]
fn an_export_killed_before_its_rename_leaves_nothing_behind_that_matters() {
    let dir = tempfile::tempdir().unwrap();
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            frame(NINE, &batch(2, 1)),
            frame(NINE, "bad"),
            event(NINE, Event::Stop),
        ],
    );
    let other = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), other.path());
    export(dir.path(), config(60, 1000));
    // As if killed between the renames: the quarantine is there, the trades are not, staging has a torn file.
    copy_tree(&dir.path().join("quarantine"), &other.path().join("quarantine"));
    fs::create_dir_all(other.path().join(".krx/staging")).unwrap();
    fs::write(
        other.path().join(".krx/staging/trades-KOSPI.partial"),
        "PAR1 torn",
    )
    .unwrap();
    export(other.path(), config(60, 1000));
    assert_eq!(tree(other.path()), tree(dir.path()));
}

#[test]
fn a_committed_file_has_the_rights_of_one_that_was_born_in_its_partition() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let dir = tempfile::tempdir().unwrap();
    let record = |at: i64| {
        let entries = [connected(at), frame(at, &batch(3, 1)), event(at, Event::Stop)];
        journal(dir.path(), SMALL_SEGMENTS, &entries);
        export(dir.path(), config(60, 1000));
    };
    record(NINE);
    let partition = dir.path().join("trades/date=2026-11-20/market=KOSPI");
    // Only root can give a directory a group that it is not in.
    if rustix::process::geteuid().is_root() {
        chown(&partition, None, Some(4712)).unwrap();
    }
    fs::set_permissions(&partition, fs::Permissions::from_mode(0o2770)).unwrap();
    record(NINE + 60 * SECOND);
    let born = partition.join("born");
    fs::write(&born, "").unwrap();
    let rights = |path: &std::path::Path| {
        let known = fs::metadata(path).unwrap();
        (known.gid(), known.mode())
    };
    let committed = files(&partition, "parquet");
    assert_eq!(committed.len(), 2);
    assert_eq!(rights(&committed[1]), rights(&born));
}
