//! Verify finds everything that is wrong, and nothing else.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::support::{
    self, HEADER, NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, copy_tree, date, event, export,
    feed, files, frame, journal, segments,
};
use krx_store::checksums::digest;
use krx_store::rebuild::{Access, rebuild};
use krx_store::verify::{Finding, Kind, Report, bytes_of, foreign, verify};
use krx_store::{Checksums, DataDir, DataDirLock, Event, ExportConfig};

const COVERAGE: &str =
    "coverage/date=2026-11-20/feed=KOSPI/coverage-20261120T000000-000000000001-999999999999.parquet";
const FIRST: &str =
    "trades/date=2026-11-20/market=KOSPI/trades-20261120T090000-000000000001-000000000002.parquet";
const SECOND_FILE: &str =
    "trades/date=2026-11-20/market=KOSPI/trades-20261120T090100-000000000003-000000000004.parquet";
const THIRD: &str =
    "trades/date=2026-11-20/market=KOSPI/trades-20261120T090200-000000000005-000000000005.parquet";
const QUARANTINE: &str =
    "quarantine/date=2026-11-20/feed=KOSPI/quarantine-20261120T090100-000000000003-000000000004.parquet";
const LIST: &str = ".krx/checksums/2026-11-20.sha256";

/// Three trades files, a quarantine file beside the second, a coverage file, and a journal of several segments.
fn record(dir: &Path) {
    let entries = [
        connected(NINE),
        frame(NINE, &batch(30, 1)),
        frame(NINE + SECOND, &batch(7, 1)),
        frame(NINE + 60 * SECOND, &format!("[{{}},{}", &batch(3, 2)[1..])),
        frame(NINE + 61 * SECOND, "garbage"),
        frame(NINE + 120 * SECOND, &batch(20, 3)),
        event(NINE + 121 * SECOND, Event::Stop),
    ];
    journal(dir, SMALL_SEGMENTS, &entries);
    let config = ExportConfig {
        keep_days: 36_500,
        ..config(60, 1000)
    };
    export(dir, config);
}

/// Gives a file its line, as it is now.
fn relist(dir: &Path, path: &str) {
    let entry = (
        DataDir::new("/").parse(path).unwrap(),
        digest(&dir.join(path)).unwrap(),
    );
    Checksums::of(&DataDir::new(dir), date())
        .record(&[entry], &[])
        .unwrap();
}

fn unlist(dir: &Path, path: &str) {
    Checksums::of(&DataDir::new(dir), date())
        .record(&[], &[DataDir::new("/").parse(path).unwrap()])
        .unwrap();
}

fn look(dir: &Path) -> Report {
    let data = DataDir::new(dir);
    verify(&data, &krx_store::catalog::all_dates(&data).unwrap(), &|_| {}).unwrap()
}

fn kinds(dir: &Path) -> Vec<(String, Kind)> {
    let findings = look(dir).findings;
    findings
        .iter()
        .map(|Finding { path, kind, .. }| (path.clone(), *kind))
        .collect()
}

fn found(path: &str, kind: Kind) -> Vec<(String, Kind)> {
    vec![(path.to_owned(), kind)]
}

/// Changes a copy of a recorded directory; returns what is found in it.
fn changed(recorded: &Path, change: impl FnOnce(&Path)) -> Vec<(String, Kind)> {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(recorded, copy.path());
    change(copy.path());
    kinds(copy.path())
}

#[test]
fn what_is_recorded_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let data = DataDir::new(dir.path());
    let report = look(dir.path());
    assert_eq!(report.findings, []);
    assert_eq!(
        (report.ok, report.dates, report.files, report.rows),
        (true, vec![date()], 5, 62 + 2)
    );
    let day = &report.days[0];
    assert_eq!(
        (report.days.len(), day.rows, day.quarantined, day.frames),
        (1, 60, 2, 5)
    );
    assert!(day.segments > 1);
    assert_eq!(foreign(&data).unwrap(), []);
    let told = std::cell::Cell::new(0);
    verify(&data, &BTreeSet::from([date()]), &|bytes| {
        told.set(told.get() + bytes);
    })
    .unwrap();
    assert_eq!(told.get(), bytes_of(&data, &BTreeSet::from([date()])).unwrap());
    assert_eq!(told.get() - day.bytes, segment_bytes(dir.path()));
    assert!(
        krx_store::catalog::all_dates(&DataDir::new(dir.path().join("none"))).is_err(),
        "a missing data directory is not sound"
    );
}

fn segment_bytes(dir: &Path) -> u64 {
    let segments = segments(dir)
        .into_iter()
        .chain(files(&dir.join(".krx/archive"), "zst"));
    segments.map(|path| fs::metadata(path).unwrap().len()).sum()
}

/// The only finding is of this kind and of this file.
fn assert_flip_found(dir: &Path, path: &str, byte: usize, bit: u32, wanted: &[Kind]) {
    // In place: some filesystems flush a file that is truncated and rewritten.
    let file = File::options()
        .read(true)
        .write(true)
        .open(dir.join(path))
        .unwrap();
    let mut value = [0];
    file.read_exact_at(&mut value, byte as u64).unwrap();
    file.write_all_at(&[value[0] ^ (1 << bit)], byte as u64).unwrap();
    let found = kinds(dir);
    file.write_all_at(&value, byte as u64).unwrap();
    assert!(
        found.iter().any(|(at, kind)| at == path && wanted.contains(kind)),
        "bit {bit} of byte {byte} of {path}: {found:?}"
    );
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let archived = files(&dir.path().join(".krx/archive"), "zst").remove(0);
    let len = fs::read(&archived).unwrap().len();
    let archived = archived
        .strip_prefix(dir.path())
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    // Some bits of zstd's frame header change nothing that is read (archive.rs).
    for byte in 6..len {
        let bit = u32::try_from(byte % 8).unwrap();
        assert_flip_found(dir.path(), &archived, byte, bit, &[Kind::Archive]);
    }
    // Thousands of checks are faster on a small file.
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        frame(NINE + SECOND, &format!("[{{}},{}", &batch(3, 2)[1..])),
        frame(NINE + 2 * SECOND, "garbage"),
        event(NINE + 3 * SECOND, Event::Stop),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(60, 1000));
    fs::remove_dir_all(dir.path().join(".krx/journal")).unwrap();
    let mut random = 7_u64;
    let mut choose = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(random >> 33).unwrap() % below
    };
    let quarantine = QUARANTINE
        .replace("0901", "0900")
        .replace("3-000000000004", "1-000000000002");
    for path in [FIRST, &quarantine, COVERAGE] {
        let bytes = fs::read(dir.path().join(path)).unwrap();
        let len = bytes.len();
        let footer = u32::from_le_bytes(bytes[len - 8..len - 4].try_into().unwrap()) as usize;
        for _ in 0..200 {
            let bit = u32::try_from(choose(8)).unwrap();
            assert_flip_found(dir.path(), path, choose(len), bit, &[Kind::Digest]);
        }
        for byte in (0..4).chain(len - 8 - footer..len) {
            assert_flip_found(
                dir.path(),
                path,
                byte,
                u32::try_from(byte % 8).unwrap(),
                &[Kind::Digest],
            );
        }
    }
    assert_eq!(kinds(dir.path()), []);
}

/// Even if the list has the digest of the damaged file, whatever cannot be decoded or counted is found, and no damage
/// causes a panic.
#[test]
fn a_file_speaks_for_itself_where_its_list_does_not() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let whole = fs::read(dir.path().join(FIRST)).unwrap();
    for len in [0, 3, 12, whole.len() / 2, whole.len() - 1] {
        fs::write(dir.path().join(FIRST), &whole[..len]).unwrap();
        relist(dir.path(), FIRST);
        assert_eq!(kinds(dir.path()), found(FIRST, Kind::Footer), "{len} bytes");
    }
    let mut zeros = whole.clone();
    zeros[4..200].fill(0);
    fs::write(dir.path().join(FIRST), &zeros).unwrap();
    relist(dir.path(), FIRST);
    assert_eq!(kinds(dir.path()), found(FIRST, Kind::Decode));
    let mut random = 11_u64;
    for _ in 0..300 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut bytes = whole.clone();
        let byte = usize::try_from(random >> 33).unwrap() % bytes.len();
        bytes[byte] ^= 1 << (byte % 8);
        fs::write(dir.path().join(FIRST), &bytes).unwrap();
        relist(dir.path(), FIRST);
        // Some bits change a value and nothing else: only the original digest could show that.
        let _ = look(dir.path());
    }
}

#[test]
fn lists_and_files_are_held_against_each_other() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let remove = |path: &'static str| move |dir: &Path| fs::remove_file(dir.join(path)).unwrap();
    // Its footer would refer to the quarantine too, and to the frames after it in the last file.
    let missing = changed(dir.path(), remove(THIRD));
    assert_eq!(missing, found(THIRD, Kind::Missing));
    assert_eq!(
        changed(dir.path(), remove(QUARANTINE)),
        found(QUARANTINE, Kind::Missing)
    );
    assert_eq!(
        changed(dir.path(), |dir| unlist(dir, SECOND_FILE)),
        found(SECOND_FILE, Kind::Unlisted)
    );
    let middle = changed(dir.path(), remove(SECOND_FILE));
    let partner = (QUARANTINE.to_owned(), Kind::Partner);
    let (gone, hole) = (
        (SECOND_FILE.to_owned(), Kind::Missing),
        (THIRD.to_owned(), Kind::Hole),
    );
    assert_eq!(middle, [gone, hole.clone(), partner.clone()]);
    let forgotten = changed(dir.path(), |dir| {
        fs::remove_file(dir.join(SECOND_FILE)).unwrap();
        unlist(dir, SECOND_FILE);
    });
    let unknown = (COVERAGE.to_owned(), Kind::Coverage);
    assert_eq!(forgotten, [hole, partner, unknown]);
    let no_quarantine = changed(dir.path(), |dir| {
        fs::remove_file(dir.join(QUARANTINE)).unwrap();
        unlist(dir, QUARANTINE);
    });
    assert_eq!(
        no_quarantine,
        found(QUARANTINE, Kind::Missing),
        "the footer names it"
    );
    let no_list = changed(dir.path(), remove(LIST));
    // Coverage has its own checksum, and needs no line while its date has journal.
    assert_eq!(no_list.len(), 4);
    assert!(
        no_list
            .iter()
            .all(|(path, kind)| *kind == Kind::Unlisted && path != COVERAGE)
    );
    let odd = changed(dir.path(), |dir| {
        let text = fs::read_to_string(dir.join(LIST)).unwrap();
        fs::write(dir.join(LIST), format!("{text}what is this\n")).unwrap();
    });
    assert_eq!(odd, found(LIST, Kind::List));
}

#[test]
fn a_file_under_another_name_or_in_another_place_is_found() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let moved = |from: &'static str, to: String| {
        changed(dir.path(), move |dir| {
            fs::create_dir_all(dir.join(&to).parent().unwrap()).unwrap();
            fs::copy(dir.join(from), dir.join(&to)).unwrap();
            relist(dir, &to);
        })
    };
    let other = FIRST.replace("000000000002.parquet", "000000000001.parquet");
    let wanted = [(other.clone(), Kind::Footer), (FIRST.to_owned(), Kind::Overlap)];
    assert_eq!(moved(FIRST, other), wanted);
    let feed = FIRST.replace("KOSPI", "KOSDAQ");
    assert_eq!(moved(FIRST, feed.clone()), found(&feed, Kind::Footer));
    let foreign = |path: &'static str| {
        changed(dir.path(), move |dir| {
            fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            fs::write(dir.join(path), "").unwrap();
        })
    };
    for path in [
        "trades/date=2026-11-20/market=KOSPI/notes.txt",
        "trades/date=2026-11-20/market=KOSPI/quarantine-20261120T090000-000000000001-000000000002.parquet",
        "trades/date=2026-11-20/market=KOSPI/trades-20261121T090000-000000000001-000000000002.parquet",
        "quarantine/date=2026-11-20/README",
    ] {
        assert_eq!(foreign(path), found(path, Kind::Foreign));
    }
    fs::write(dir.path().join("trades/notes.txt"), "").unwrap();
    let found = foreign_paths(dir.path());
    assert_eq!(found, ["trades/notes.txt"]);
}

#[test]
fn coverage_needs_no_line_as_long_as_its_date_has_journal_but_to_fit_its_own_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [
        connected(NINE),
        frame(NINE, &batch(3, 1)),
        event(NINE + SECOND, Event::Stop),
    ];
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    export(dir.path(), config(60, 1000));
    assert_eq!(kinds(dir.path()), []);
    unlist(dir.path(), COVERAGE);
    assert_eq!(kinds(dir.path()), []);
    let bytes = fs::read(dir.path().join(COVERAGE)).unwrap();
    for byte in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << (byte % 8);
        fs::write(dir.path().join(COVERAGE), flipped).unwrap();
        // Some bits are in nothing that is read, such as statistics or the writer's name.
        for (path, kind) in kinds(dir.path()) {
            let told = [
                Kind::Digest,
                Kind::Footer,
                Kind::Decode,
                Kind::Rows,
                Kind::Coverage,
            ];
            assert!(
                path == COVERAGE && told.contains(&kind),
                "byte {byte}: {path} {kind:?}"
            );
        }
    }
    let from = bytes.windows(9).position(|bytes| bytes == b"connected").unwrap();
    let mut other = bytes.clone();
    other[from] = b'C';
    fs::write(dir.path().join(COVERAGE), other).unwrap();
    assert_eq!(kinds(dir.path()), found(COVERAGE, Kind::Digest));
    fs::write(dir.path().join(COVERAGE), bytes).unwrap();
    fs::remove_dir_all(dir.path().join(".krx/journal")).unwrap();
    assert_eq!(kinds(dir.path()), found(COVERAGE, Kind::Unlisted));
}

fn foreign_paths(dir: &Path) -> Vec<String> {
    let findings = foreign(&DataDir::new(dir)).unwrap();
    findings.into_iter().map(|finding| finding.path).collect()
}

#[test]
fn a_hole_that_coverage_tells_of_is_known() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    for path in [SECOND_FILE, QUARANTINE] {
        fs::remove_file(dir.path().join(path)).unwrap();
        unlist(dir.path(), path);
    }
    assert_eq!(
        kinds(dir.path()),
        [
            (THIRD.to_owned(), Kind::Hole),
            (COVERAGE.to_owned(), Kind::Coverage)
        ],
        "coverage does not know of it"
    );
    // Coverage records what the journal has lost.
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..5)
        .map(|number| frame(NINE + number * SECOND, &batch(1, 7)))
        .chain([event(NINE + 9 * SECOND, Event::Stop)])
        .collect();
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    let segment = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let record = (32 + batch(1, 7).len()).next_multiple_of(8);
    bytes[usize::try_from(HEADER).unwrap() + 2 * record + 40] ^= 1;
    fs::write(&segment, bytes).unwrap();
    export(dir.path(), config(60, 1000));
    fs::remove_dir_all(dir.path().join(".krx/journal")).unwrap();
    let report = look(dir.path());
    assert_eq!((report.known.len(), report.findings.len()), (1, 0), "{report:?}");
}

/// What coverage says is compared with what the files hold: frames, rows and sessions.
#[test]
fn i8_coverage_that_says_other_than_the_files_is_found_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let whole = fs::read(dir.path().join(COVERAGE)).unwrap();
    // Coverage that is later than the files: a copy made while the day was in progress.
    let later = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), later.path());
    journal(
        later.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE + 200 * SECOND),
            frame(NINE + 201 * SECOND, &batch(1, 9)),
            event(NINE + 202 * SECOND, Event::Stop),
        ],
    );
    export(later.path(), config(60, 1000));
    let ahead = fs::read(later.path().join(COVERAGE)).unwrap();
    // And of an earlier one.
    let earlier = tempfile::tempdir().unwrap();
    journal(
        earlier.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE),
            frame(NINE, &batch(30, 1)),
            event(NINE + 1, Event::CommitNow),
        ],
    );
    export(earlier.path(), config(60, 1000));
    let behind = fs::read(earlier.path().join(COVERAGE)).unwrap();
    fs::remove_dir_all(dir.path().join(".krx/journal")).unwrap();
    for (bytes, what) in [
        (Some(&ahead), "ahead"),
        (Some(&behind), "behind"),
        (None, "missing"),
    ] {
        match bytes {
            Some(bytes) => fs::write(dir.path().join(COVERAGE), bytes).unwrap(),
            None => fs::remove_file(dir.path().join(COVERAGE)).unwrap(),
        }
        if bytes.is_some() {
            relist(dir.path(), COVERAGE);
        } else {
            unlist(dir.path(), COVERAGE);
        }
        assert_eq!(kinds(dir.path()), found(COVERAGE, Kind::Coverage), "{what}");
        let data = DataDir::new(dir.path());
        let access = Access::take(&data, date()).unwrap();
        let rebuilt = rebuild(&data, &feed(), date(), config(60, 1000), &access, false).unwrap();
        assert_eq!(rebuilt.restored, [COVERAGE], "{what}");
        assert_eq!(kinds(dir.path()), [], "{what}");
    }
    // Once the archive is gone too, what came after the last frame is no longer known.
    assert_eq!(
        fs::read(dir.path().join(COVERAGE)).unwrap(),
        whole,
        "the archive has it"
    );
    fs::remove_dir_all(dir.path().join(".krx/archive")).unwrap();
    fs::remove_file(dir.path().join(COVERAGE)).unwrap();
    let data = DataDir::new(dir.path());
    let access = Access::take(&data, date()).unwrap();
    rebuild(&data, &feed(), date(), config(60, 1000), &access, false).unwrap();
    let rows = support::coverage(dir.path());
    assert_eq!(
        rows.last().unwrap().to.0,
        NINE + 121 * SECOND,
        "the record that ended the last file"
    );
}

#[test]
fn damage_in_the_journal_is_found_and_a_torn_tail_only_when_nobody_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..60).map(|index| frame(NINE + index, &batch(1, 7))).collect();
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    assert_eq!(kinds(dir.path()), []);
    let segments = segments(dir.path());
    let name = |path: &PathBuf| {
        path.strip_prefix(dir.path())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let (first, newest) = (segments.first().unwrap(), segments.last().unwrap());
    let flip = |path: &Path, byte: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[byte] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    for byte in [0, 20, 63, 4096, 4159, 4160, 4196, 4296] {
        flip(first, byte);
        assert_eq!(
            kinds(dir.path()),
            found(&name(first), Kind::Journal),
            "byte {byte}"
        );
        flip(first, byte);
    }
    flip(first, 4160 + 40);
    let report = look(dir.path());
    assert!(
        report.findings[0].detail.starts_with("bytes 4160 to 4264 "),
        "{}",
        report.findings[0].detail
    );
    flip(first, 4160 + 40);
    let end = fs::read(newest).unwrap().len();
    flip(newest, end - 30);
    assert_eq!(kinds(dir.path()), found(&name(newest), Kind::Journal));
    let held = DataDirLock::take(&DataDir::new(dir.path())).unwrap();
    assert_eq!(kinds(dir.path()), []);
    // The process that writes the newest date writes no other.
    let end = fs::read(first).unwrap().len();
    flip(first, 4160 + 40);
    assert_eq!(kinds(dir.path()), found(&name(first), Kind::Journal), "{end}");
    drop(held);
}

#[test]
fn a_quarantine_committed_before_its_trades_is_not_lost_as_long_as_the_journal_has_both() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    for path in [SECOND_FILE, THIRD] {
        fs::remove_file(dir.path().join(path)).unwrap();
        unlist(dir.path(), path);
    }
    unlist(dir.path(), QUARANTINE);
    // Coverage comes after both.
    fs::remove_file(dir.path().join(COVERAGE)).unwrap();
    unlist(dir.path(), COVERAGE);
    assert_eq!(kinds(dir.path()), []);
    let _ = feed();
}
