//! The same journal gives the same files, byte for byte, however often its export was cut off.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use krx_harness::oracle::MARKETS;
use krx_harness::tree::{copy_tree, files_under, tree};
use krx_harness::{Mode, RecorderConfig, Simulator, compare};
use krx_store::{DataDir, ExportConfig, Exporter, FeedName, Progress, archive};

const ROWS_MAX: u64 = 20_000;
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// The limits of [`config`]; the journal is kept, since it is exported again and again.
const EXPORT: ExportConfig = ExportConfig {
    rotate_interval: Duration::from_secs(2),
    rows_max: ROWS_MAX,
    keep_days: 30,
    reserve_bytes: 0,
};

fn config(folder: &Path, url: &str) -> RecorderConfig {
    RecorderConfig {
        rotate_interval: "2s".to_owned(),
        rows_max: ROWS_MAX,
        keep_days: 30,
        segment_bytes: 4 << 20,
        ..RecorderConfig::new(folder, url)
    }
}

/// A data directory with a journal that several recorders have written, all but the last of them killed, and with what
/// they committed while it was written.
fn record(folder: &Path) -> PathBuf {
    let mut simulator = Simulator::start(
        folder,
        &["--rate", "100000", "--fault", "garbage@every:25:badrecord"],
    )
    .unwrap();
    let config = config(folder, &simulator.url);
    for run_ms in [2300, 900, 1700] {
        let mut recorder = config.start().unwrap();
        recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX).unwrap();
        sleep(Duration::from_millis(run_ms));
        recorder.kill().unwrap();
    }
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX).unwrap();
    sleep(Duration::from_millis(1200));
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    let report = compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
    println!("{report}");
    assert!(
        report.files() > 20 && report.quarantined() > 100,
        "too little to tell"
    );
    restore_journal(&config.data_dir);
    config.data_dir
}

/// Moves what was exported and archived back into the journal.
fn restore_journal(data: &Path) {
    let data = DataDir::new(data);
    for market in MARKETS {
        let market: FeedName = market.parse().unwrap();
        for name in krx_store::catalog::archived(&data, &market).unwrap() {
            archive::restore(
                &data,
                &market,
                name,
                &data.journal(&market).join(name.to_string()),
            )
            .unwrap();
        }
    }
}

fn journal_of(data: &Path) -> PathBuf {
    data.join(".krx/journal")
}

fn export(data: &Path) {
    let data = DataDir::new(data);
    for market in MARKETS {
        let market: FeedName = market.parse().unwrap();
        Exporter::new(&data, &market, EXPORT, None, Arc::new(Progress::default()))
            .run()
            .unwrap();
    }
}

type Trees = [BTreeMap<PathBuf, String>; 2];

fn trees(data: &Path) -> Trees {
    ["trades", "quarantine"].map(|dataset| tree(&data.join(dataset)).unwrap())
}

fn assert_same(what: &str, found: &Trees, expected: &Trees) {
    for (found, expected) in found.iter().zip(expected) {
        let names = |tree: &BTreeMap<PathBuf, String>| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(found), names(expected), "{what}: names");
        let other = found.iter().find(|(name, digest)| expected[*name] != **digest);
        assert_eq!(
            other.map(|(name, _)| name),
            None,
            "{what}: contents differ (a program older than this test? run `make build`)"
        );
    }
}

/// Copies a beginning of a journal: whole segments, and `permille` of the next one.
fn copy_beginning(from: &Path, to: &Path, market: &str, segments: usize, permille: u64) {
    let (from, to) = (journal_of(from).join(market), journal_of(to).join(market));
    fs::create_dir_all(&to).unwrap();
    let names = krx_store::catalog::segments(&from).unwrap();
    for (index, name) in names.iter().take(segments + 1).enumerate() {
        let target = to.join(name.to_string());
        fs::copy(from.join(name.to_string()), &target).unwrap();
        if index == segments {
            let file = File::options().write(true).open(&target).unwrap();
            let bytes = file.metadata().unwrap().len();
            // Less than a header is not a segment yet.
            file.set_len((bytes * permille / 1000).max(64)).unwrap();
        }
    }
}

#[test]
fn i3_the_same_journal_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = record(folder.path());
    let live = trees(&recorded);

    // At rest, in one go.
    let whole = folder.path().join("whole");
    copy_tree(&journal_of(&recorded), &journal_of(&whole)).unwrap();
    export(&whole);
    let expected = trees(&whole);
    assert_same("exported live by recorders that were killed", &live, &expected);
    println!(
        "{} files each time",
        expected.iter().map(BTreeMap::len).sum::<usize>()
    );

    // Again: nothing is left to do, and nothing is done.
    let modified = |data: &Path| {
        let files = files_under(&data.join("trades")).unwrap();
        files
            .iter()
            .map(|path| fs::metadata(path).unwrap().modified().unwrap())
            .collect::<Vec<_>>()
    };
    let before = modified(&whole);
    export(&whole);
    assert_same("exported twice", &trees(&whole), &expected);
    assert_eq!(modified(&whole), before, "no file was written again");

    grown_step_by_step(folder.path(), &recorded, &expected);
    killed_again_and_again(folder.path(), &recorded, &expected);
}

/// The exporter finds more of the journal each time, cut off anywhere.
fn grown_step_by_step(folder: &Path, recorded: &Path, expected: &Trees) {
    let grown = folder.join("grown");
    let mut random = fastrand::Rng::with_seed(7);
    for market in MARKETS {
        let segments = krx_store::catalog::segments(&journal_of(recorded).join(market))
            .unwrap()
            .len();
        for whole in 0..segments {
            let mut shares: Vec<u64> = (0..3).map(|_| random.u64(0..1000)).chain([1000]).collect();
            shares.sort_unstable();
            for permille in shares {
                copy_beginning(recorded, &grown, market, whole, permille);
                export(&grown);
            }
        }
    }
    assert_same("exported in steps", &trees(&grown), expected);
}

/// Recorders that find no server, and are killed in the middle of exporting what the journal has.
fn killed_again_and_again(folder: &Path, recorded: &Path, expected: &Trees) {
    let folder = folder.join("killed");
    fs::create_dir(&folder).unwrap();
    // Nothing listens on the discard port of a loopback address.
    let config = config(&folder, "ws://127.0.0.1:9");
    copy_tree(&journal_of(recorded), &journal_of(&config.data_dir)).unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let mut cut_off = 0;
    for _ in 0..12 {
        let mut recorder = config.start().unwrap();
        sleep(Duration::from_millis(random.u64(5..60)));
        recorder.kill().unwrap();
        cut_off += usize::from(trees(&config.data_dir)[0].len() < expected[0].len());
    }
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("not connected", 2, CONNECT_MAX).unwrap();
    recorder.stop().unwrap();
    assert!(
        cut_off > 0,
        "no recorder was killed before it had exported all: the test tells nothing"
    );
    println!("{cut_off} of 12 recorders were killed before they had exported all");
    assert_same(
        "exported by recorders that were killed",
        &trees(&config.data_dir),
        expected,
    );
}
