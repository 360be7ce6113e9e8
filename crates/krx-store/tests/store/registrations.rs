//! Registrations on record: whether each wanted pair is in one state at each instant, whatever happens (I11).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::per_issue::{ROUNDS, WANTED, findings, issues, pushes, recorded, registration, rows, subscribed};
use crate::support::{
    NINE, SECOND, SMALL_SEGMENTS, config, connected, date, event, fast_dir, files, segments,
};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::journal::GapReason;
use krx_store::rebuild::{Access, rebuild};
use krx_store::service::PER_ISSUE;
use krx_store::{DataDir, DateRules, Entry, Event, ExportConfig, Exporter, JournalConfig};

/// Each stretch, in order of its beginning, as `preset:code from-to state session detail`; times in seconds since 09:00.
fn stretches(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for batch in rows(dir, "registrations") {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let time = |name: &str| {
            let column = batch.column_by_name(name).unwrap();
            column.as_primitive::<TimestampMicrosecondType>().clone()
        };
        let (preset, code, state, detail) = (text("preset"), text("code"), text("state"), text("detail"));
        let (from, to) = (time("from_ts"), time("to_ts"));
        let session = batch
            .column_by_name("session")
            .unwrap()
            .as_primitive::<Int32Type>();
        for row in 0..batch.num_rows() {
            let session = if session.is_null(row) {
                "-".to_owned()
            } else {
                session.value(row).to_string()
            };
            let detail = if detail.is_null(row) {
                ""
            } else {
                detail.value(row)
            };
            let seconds = |us: i64| (us - NINE).div_euclid(SECOND);
            let words = format!(
                "{}:{} {}-{} {} {session} {detail}",
                preset.value(row),
                code.value(row),
                seconds(from.value(row)),
                seconds(to.value(row)),
                state.value(row)
            );
            found.push((from.value(row), words.trim_end().to_owned()));
        }
    }
    found.sort();
    found.into_iter().map(|(_, words)| words).collect()
}

fn of_pair(dir: &Path, pair: &str) -> Vec<String> {
    let mut of_pair = stretches(dir);
    of_pair.retain(|words| words.starts_with(&format!("{pair} ")));
    of_pair
}

#[test]
fn i11_a_date_that_ends_without_a_word_has_its_registrations_until_midnight() {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path(), config(300, 100));
    let midnight = 15 * 3600;
    for (preset, code, _) in WANTED {
        let pair = format!("{preset}:{code}");
        assert_eq!(
            of_pair(dir.path(), &pair),
            [
                format!("{pair} 0-{ROUNDS} active 1"),
                format!("{pair} {ROUNDS}-{midnight} requested - crash"),
                format!("{pair} {midnight}-{} active 1", midnight + 100),
            ]
        );
    }
}

#[test]
fn i11_a_session_that_goes_on_over_midnight_keeps_its_registrations() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let midnight = NINE + 15 * 3600 * SECOND;
    let mut entries = subscribed(NINE);
    for at in [
        midnight - 50 * SECOND,
        midnight + 3 * SECOND,
        midnight + 9 * SECOND,
    ] {
        entries.extend(pushes(at, 71_000));
    }
    let lost = Event::Disconnected {
        reason: GapReason::Reset,
        detail: String::new(),
    };
    entries.push(event(midnight + 10 * SECOND, lost));
    entries.push(event(midnight + 12 * SECOND, Event::Stop));
    let rules = |_| DateRules {
        expected: None,
        rotate_us: 300 * SECOND,
        rows_max: 1000,
    };
    let writer = krx_store::open_writer(&data, &issues(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE).with_rules(Box::new(rules));
    for entry in &entries {
        writer.append(std::slice::from_ref(entry)).unwrap();
    }
    writer.close().unwrap();
    Exporter::new(&data, &issues(), config(300, 100), None, Arc::default())
        .run()
        .unwrap();
    for (preset, code, _) in WANTED {
        let pair = format!("{preset}:{code}");
        assert_eq!(
            of_pair(dir.path(), &pair),
            [
                format!("{pair} 0-54000 active 1"),
                format!("{pair} 54000-54010 active 1"),
                format!("{pair} 54010-54012 requested - reset"),
            ]
        );
    }
}

/// A feed with a refusal, a lost session, a list that is changed, and a recorder that crashes.
fn eventful() -> Vec<Entry<Vec<u8>>> {
    let mut entries = subscribed(NINE);
    entries.extend(pushes(NINE + SECOND, 71_000).into_iter().take(2));
    entries.push(event(NINE + 2 * SECOND, Event::CommitNow));
    let pair = r#""id":3,"preset":"quote10","code":"005930""#;
    entries.push(registration(
        NINE + 3 * SECOND,
        &format!(r#""state",{pair},"state":"silent""#),
    ));
    entries.push(registration(NINE + 4 * SECOND, &format!(r#""subscribe",{pair}"#)));
    entries.push(registration(
        NINE + 5 * SECOND,
        &format!(r#""state",{pair},"state":"refused","detail":"error 10040""#),
    ));
    entries.extend(pushes(NINE + 6 * SECOND, 71_000).into_iter().take(2));
    let lost = Event::Disconnected {
        reason: GapReason::Reset,
        detail: "a cable".to_owned(),
    };
    entries.push(event(NINE + 10 * SECOND, lost));
    entries.push(event(NINE + 11 * SECOND, Event::CommitNow));
    entries.push(registration(
        NINE + 15 * SECOND,
        r#""wanted","wishes":[{"preset":"quote10","code":"005930"},{"preset":"tick","code":"000660"}]"#,
    ));
    entries.push(connected(NINE + 20 * SECOND));
    entries.push(registration(
        NINE + 21 * SECOND,
        &format!(r#""state",{pair},"state":"active""#),
    ));
    entries.extend(pushes(NINE + 30 * SECOND, 71_000).into_iter().take(2));
    // It crashed here, and starts again.
    entries.push(event(
        NINE + 60 * SECOND,
        Event::Start {
            version: "1".to_owned(),
        },
    ));
    entries.push(registration(
        NINE + 61 * SECOND,
        r#""wanted","wishes":[{"preset":"quote10","code":"005930"}]"#,
    ));
    entries.push(connected(NINE + 62 * SECOND));
    entries.extend(pushes(NINE + 63 * SECOND, 71_000).into_iter().take(2));
    entries.push(event(NINE + 70 * SECOND, Event::Stop));
    entries.push(event(
        NINE + 80 * SECOND,
        Event::Start {
            version: "1".to_owned(),
        },
    ));
    entries
}

fn journaled(dir: &Path, entries: &[Entry<Vec<u8>>]) -> DataDir {
    let data = DataDir::new(dir);
    let writer = krx_store::open_writer(&data, &issues(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    for entry in entries {
        writer.append(std::slice::from_ref(entry)).unwrap();
    }
    writer.close().unwrap();
    data
}

#[test]
fn i11_each_change_of_a_registration_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let data = journaled(dir.path(), &eventful());
    Exporter::new(&data, &issues(), config(300, 100), None, Arc::default())
        .run()
        .unwrap();
    assert_eq!(
        of_pair(dir.path(), "quote10:005930"),
        [
            "quote10:005930 0-3 active 1",
            "quote10:005930 3-4 silent 1",
            "quote10:005930 4-5 requested 1",
            "quote10:005930 5-10 refused 1 error 10040",
            "quote10:005930 10-20 requested - reset",
            "quote10:005930 20-21 requested 2",
            "quote10:005930 21-30 active 2",
            "quote10:005930 30-60 requested - crash",
            "quote10:005930 60-62 requested - start",
            "quote10:005930 62-70 requested 3",
            "quote10:005930 70-80 requested - shutdown",
        ]
    );
    assert_eq!(
        of_pair(dir.path(), "tick:000660"),
        [
            "tick:000660 15-20 requested - reset",
            "tick:000660 20-30 requested 2",
            "tick:000660 30-60 requested - crash",
            "tick:000660 60-61 requested - start",
        ]
    );
    let gone = of_pair(dir.path(), "index:001");
    assert_eq!(
        gone,
        ["index:001 0-10 active 1", "index:001 10-15 requested - reset"]
    );
    assert_eq!(findings(&data), Vec::<String>::new());
}

/// Fails at one operation, and at all after it.
#[derive(Debug)]
struct FailingFrom(AtomicUsize);

impl Gate for FailingFrom {
    fn pass(&self, op: Op, path: &Path) -> io::Result<()> {
        let before = self
            .0
            .fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(1)))
            .unwrap();
        if before == 0 {
            return Err(io::Error::other(format!(
                "{op:?} of {} fails on purpose",
                path.display()
            )));
        }
        Ok(())
    }
}

fn bytes_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let datasets = ["registrations", "coverage", "ticks", "books"];
    let paths = datasets
        .iter()
        .flat_map(|dataset| files(&dir.join(dataset), "parquet"));
    let name = |path: &Path| path.strip_prefix(dir).unwrap().display().to_string();
    paths
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect()
}

/// I3 for what is replaced as a whole: an export that stops anywhere and goes on leaves what one that never stops does.
#[test]
fn i3_i11_registrations_are_the_same_wherever_the_exporter_was_stopped() {
    let journal = tempfile::tempdir().unwrap();
    let made = journaled(journal.path(), &eventful());
    let names = segments(journal.path());
    let copy = |to: &Path| {
        let dir = DataDir::new(to).journal(&issues());
        fs::create_dir_all(&dir).unwrap();
        for path in &names {
            fs::copy(path, dir.join(path.file_name().unwrap())).unwrap();
        }
    };
    let export =
        |data: &DataDir| Exporter::new(data, &issues(), config(300, 100), None, Arc::default()).run();
    let whole = fast_dir();
    copy(whole.path());
    export(&DataDir::new(whole.path())).unwrap();
    let expected = bytes_of(whole.path());
    assert!(expected.len() >= 8, "{:?}", expected.keys());
    drop(made);
    for stop in 0.. {
        let dir = fast_dir();
        copy(dir.path());
        let failing = DataDir::on(Disk::behind(Arc::new(FailingFrom(stop.into()))), dir.path());
        if export(&failing).is_ok() {
            assert!(stop > 50, "{stop}");
            break;
        }
        export(&DataDir::new(dir.path())).unwrap();
        let found = bytes_of(dir.path());
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>()
        );
        for (name, bytes) in &found {
            assert!(
                *bytes == expected[name],
                "{name} differs after a stop at operation {stop}"
            );
        }
    }
}

/// Takes the file's line out of the list of checksums.
fn without_line(data: &DataDir) {
    let list = data
        .path()
        .join(".krx/checksums")
        .join(format!("{}.sha256", date()));
    let text = fs::read_to_string(&list).unwrap();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.contains(" registrations/"))
        .collect();
    assert_eq!(lines.len() + 1, text.lines().count());
    fs::write(&list, lines.join("\n") + "\n").unwrap();
}

#[test]
fn i11_registrations_that_were_lost_are_found_missing_and_begin_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let entries = eventful();
    let room = JournalConfig {
        segment_bytes: 65_536,
        ..SMALL_SEGMENTS
    };
    let half = entries
        .iter()
        .position(|entry| entry.at.0 > NINE + 11 * SECOND)
        .unwrap();
    let writer = krx_store::open_writer(&data, &issues(), room, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    let export = || {
        Exporter::new(&data, &issues(), config(300, 100), None, Arc::default())
            .run()
            .unwrap();
    };
    writer.append(&entries[..half]).unwrap();
    export();
    let path = files(&dir.path().join("registrations"), "parquet").pop().unwrap();
    fs::remove_file(&path).unwrap();
    without_line(&data);
    let found = findings(&data);
    assert!(
        found
            .iter()
            .any(|words| words.contains("registrations/") && words.contains("although there are files")),
        "{found:?}"
    );

    writer.append(&entries[half..]).unwrap();
    writer.close().unwrap();
    export();
    assert_eq!(
        of_pair(dir.path(), "quote10:005930")[..2],
        [
            "quote10:005930 15-20 requested - earlier states are unknown: the registrations file was lost",
            "quote10:005930 20-21 requested 2",
        ]
    );
    assert_eq!(findings(&data), Vec::<String>::new());

    // A file that is not what was written is no better than none.
    let mut bytes = fs::read(&path).unwrap();
    let (known, other) = (br#""state":"requested""#, br#""state":"refused"  "#);
    let place = bytes.windows(known.len()).position(|window| window == known);
    let place = place.unwrap();
    bytes[place..place + known.len()].copy_from_slice(other);
    fs::write(&path, bytes).unwrap();
    without_line(&data);
    let found = findings(&data);
    let words = "does not match the checksum in its footer";
    assert!(
        found
            .iter()
            .any(|finding| finding.contains("registrations/") && finding.contains(words)),
        "{found:?}"
    );
}

/// What the exporter had to begin again is sound, and still less than the journal has.
#[test]
fn i11_registrations_that_begin_late_are_restored_from_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let keep = ExportConfig {
        keep_days: 36_500,
        ..config(300, 100)
    };
    let entries = eventful();
    let half = entries
        .iter()
        .position(|entry| entry.at.0 > NINE + 11 * SECOND)
        .unwrap();
    let writer = krx_store::open_writer(&data, &issues(), SMALL_SEGMENTS, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    let export = || {
        Exporter::new(&data, &issues(), keep, None, Arc::default())
            .run()
            .unwrap();
    };
    writer.append(&entries[..half]).unwrap();
    export();
    fs::remove_file(files(&dir.path().join("registrations"), "parquet").pop().unwrap()).unwrap();
    writer.append(&entries[half..]).unwrap();
    writer.close().unwrap();
    export();
    let first = of_pair(dir.path(), "quote10:005930").remove(0);
    assert!(first.contains("earlier states are unknown"), "{first}");

    let access = Access::take(&data, date()).unwrap();
    let again = |dry_run| rebuild(&data, &issues(), date(), keep, &access, dry_run).unwrap();
    for dry_run in [true, false] {
        let rebuilt = again(dry_run);
        assert!(
            matches!(&rebuilt.restored[..], [path] if path.starts_with("registrations/")),
            "{rebuilt:?}"
        );
    }
    assert_eq!(
        of_pair(dir.path(), "quote10:005930")[0],
        "quote10:005930 0-3 active 1"
    );
    let rebuilt = again(false);
    assert!(
        rebuilt.restored.is_empty() && rebuilt.differing.is_empty(),
        "{rebuilt:?}"
    );
    assert_eq!(findings(&data), Vec::<String>::new());
}
