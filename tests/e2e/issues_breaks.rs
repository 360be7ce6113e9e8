//! Per-issue feeds whose connections break, and whose recorders are killed: all is registered again, and what was received
//! is recorded once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use krx_harness::issues::registrations::Stretch;
use krx_harness::tree::{copy_tree, tree};
use krx_harness::{Mode, RecorderConfig, compare, compare_issues};
use krx_store::journal::{Followed, Follower, RecordKind};
use krx_store::{DataDir, ExportConfig, Exporter, FeedName, archive, catalog};
use krx_tests::issues::{
    accepted, all_on_record, everything, exactly, exchange, recorder_of, subscribes, wait_for_refusal_again,
    wait_for_registrations,
};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn all_is_registered_again_after_each_reconnect() {
    let folder = tempfile::tempdir().unwrap();
    let faults = ["disconnect@2500", "close@2600:1001", "half@2700"];
    let faults = faults.map(|fault| format!("--fault={fault},service=per_issue"));
    let mut options = vec!["--rate", "1000", "--per-issue-rate", "2000", "--repeat"];
    options.extend(faults.iter().map(String::as_str));
    let mut simulator = exchange(folder.path(), &options).unwrap();
    let list = everything();
    let config = recorder_of(folder.path(), &simulator.url, &list);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 4, accepted(&list), LIMIT).unwrap();
    wait_for_refusal_again(&mut recorder, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&simulator, &config, &list).unwrap();
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    assert_eq!(report.sessions.len(), 4);
    for session in report.sessions.values() {
        let asked: BTreeSet<_> = session.requests.iter().cloned().collect();
        assert_eq!(asked, subscribes(&list));
    }
    all_on_record(&report, &list).unwrap();
    let warnings = recorder.log().unwrap();
    let warnings = warnings.matches("the server refuses a registration").count();
    assert_eq!(warnings, 1, "what was told once is not told again");
}

#[test]
fn what_a_reset_connection_lost_is_only_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = vec!["--rate", "1000", "--per-issue-rate", "5000", "--repeat"];
    options.extend(["--fault", "reset@every:6000,service=per_issue"]);
    let mut simulator = exchange(folder.path(), &options).unwrap();
    let list = everything();
    let config = recorder_of(folder.path(), &simulator.url, &list);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 4, accepted(&list), LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = compare_issues(&simulator.ledger, &config.data_dir, &list, Mode::Prefix).unwrap();
    println!("{report}");
    assert!(report.sessions.len() >= 4);
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    assert!(report.sessions.values().all(|session| session.texts_recorded > 0));
}

/// The last frame in the feed's journal that has rows.
fn last_with_rows(data_dir: &Path) -> Option<(NaiveDate, i64)> {
    let mut follower = Follower::new(DataDir::new(data_dir).journal(&"ISSUES".parse().unwrap()), None);
    let mut last = None;
    loop {
        match follower.advance().unwrap() {
            Followed::Record(name, head) => {
                let text = || String::from_utf8_lossy(follower.payload()).into_owned();
                let has_rows = |text: String| {
                    text.contains(r#""method":"push""#) || text.contains(r#""result":{"isuSrtCd""#)
                };
                if head.kind == RecordKind::Frame && has_rows(text()) {
                    last = Some((name.date, head.frame.cast_signed()));
                }
            }
            Followed::SegmentEnd(_) | Followed::Damage(..) => {}
            Followed::CaughtUp => return last,
        }
    }
}

const KILLED: ExportConfig = ExportConfig {
    rotate_interval: Duration::from_secs(1),
    rows_max: 3_000,
    keep_days: 30,
    reserve_bytes: 0,
};

/// The journal alone, without the configuration, gives the same files, byte for byte.
fn assert_the_journal_gives_the_same(data_dir: &Path) {
    let elsewhere = tempfile::tempdir().unwrap();
    let (data, again) = (DataDir::new(data_dir), DataDir::new(elsewhere.path()));
    let feed: FeedName = "ISSUES".parse().unwrap();
    copy_tree(&data.journal(&feed), &again.journal(&feed)).unwrap();
    fs::create_dir_all(again.journal(&feed)).unwrap();
    for name in catalog::archived(&data, &feed).unwrap() {
        let journal = again.journal(&feed).join(name.to_string());
        archive::restore(&data, &feed, name, &journal).unwrap();
    }
    Exporter::new(&again, &feed, KILLED, None, Arc::default())
        .run()
        .unwrap();
    let of_feed = |data: &Path| {
        let mut files = tree(data).unwrap();
        let is_row = |path: &Path| {
            let path = path.to_string_lossy();
            path.contains("/feed=ISSUES/") && !path.starts_with("coverage")
        };
        files.retain(|path, _| is_row(path));
        files
    };
    let before = of_feed(data_dir);
    assert!(before.len() > 20, "{} files are too few to tell", before.len());
    assert_eq!(of_feed(elsewhere.path()), before);
}

#[test]
fn killed_recorders_lose_nothing_that_was_journaled_and_register_all_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = exchange(
        folder.path(),
        &["--rate", "2000", "--per-issue-rate", "8000", "--repeat"],
    )
    .unwrap();
    let list = everything();
    let config = RecorderConfig {
        rows_max: KILLED.rows_max,
        keep_days: KILLED.keep_days,
        segment_bytes: 4 << 20,
        ..recorder_of(folder.path(), &simulator.url, &list)
    };
    let mut journaled = Vec::new();
    // Amid the registrations, and later amid the work of committing.
    for active in [1, 5, accepted(&list) / 2, accepted(&list)] {
        let mut recorder = config.start().unwrap();
        wait_for_registrations(&mut recorder, 1, active, LIMIT).unwrap();
        if active == accepted(&list) {
            recorder.wait_for_log(" committed ", 5, LIMIT).unwrap();
        }
        recorder.kill().unwrap();
        journaled.extend(last_with_rows(&config.data_dir));
    }
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, accepted(&list), LIMIT).unwrap();
    recorder
        .wait_for_log("the server refuses a registration", 1, LIMIT)
        .unwrap();
    recorder.wait_for_log(" committed ", 5, LIMIT).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();

    compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
    let report = compare_issues(&simulator.ledger, &config.data_dir, &list, Mode::Prefix).unwrap();
    println!("{report}");
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    let recorded: Vec<_> = report
        .sessions
        .values()
        .filter_map(|session| session.last_frame)
        .collect();
    assert!(journaled.len() >= 3, "{journaled:?}");
    for last in journaled {
        assert!(recorded.contains(&last), "{last:?} was journaled: {recorded:?}");
    }
    all_on_record(&report, &list).unwrap();
    let crashed = |stretch: &&Stretch| stretch.detail.as_deref() == Some("crash");
    assert!(report.registrations.iter().filter(crashed).count() >= 3 * list.len());
    assert_the_journal_gives_the_same(&config.data_dir);
}
