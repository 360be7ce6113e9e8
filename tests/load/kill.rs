//! Recorders killed at any instant: no frame that was journaled is lost, none is recorded twice, and coverage never
//! claims more than the files hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use krx_harness::oracle::MARKETS;
use krx_harness::tree::{files_under, partition};
use krx_harness::{Mode, RecorderConfig, Simulator, compare, compare_issues, coverage};
use krx_store::DataDir;
use krx_store::dataset::Dataset;
use krx_store::journal::{Followed, Follower, RecordKind};
use krx_store::service::{TICKS, TRADES};
use krx_tests::issues::{accepted, all_on_record, everything, listed, recorder_of, wait_for_registrations};

/// How many recorders are killed, unless `$KRX_KILLS` says otherwise.
const KILLS: usize = 200;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// What is journaled but in no file of a feed's primary dataset was received after everything that coverage calls live (I8).
fn assert_i8(data_dir: &Path, primary: Dataset, market: &str) {
    let mut follower = Follower::new(DataDir::new(data_dir).journal(&market.parse().unwrap()), None);
    let mut claims = BTreeMap::new();
    loop {
        let (name, head) = match follower.advance().unwrap() {
            Followed::Record(name, head) => (name, head),
            Followed::CaughtUp => return,
            _ => continue,
        };
        let (claim, covered) = *claims.entry(name.date).or_insert_with(|| {
            let claim = coverage::claim(data_dir, market, name.date).unwrap();
            let date = format!("{}/date={}", primary.name, name.date);
            let dir = data_dir.join(date).join(partition(primary.name, market));
            let files = files_under(&dir).unwrap_or_default();
            let last = |path: &PathBuf| {
                krx_store::layout::CommittedName::parse(primary, path.file_name()?.to_str()?)
                    .map(|name| name.last_frame)
            };
            (claim, files.iter().filter_map(last).max().unwrap_or(0))
        });
        assert!(
            claim.frames <= covered,
            "{claim:?}, and the files have {covered} frames"
        );
        if head.kind == RecordKind::Frame && head.frame > covered {
            let received = head.at.0;
            assert!(
                received > claim.live_to_us,
                "frame {} of {market}, received at {received}, is in no file: {claim:?}",
                head.frame
            );
        }
    }
}

#[test]
fn i1_i8_killed_recorders_lose_nothing_that_was_journaled_and_double_nothing() {
    let (kills, seed) = (number("KRX_KILLS", KILLS), number("KRX_SEED", 1));
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let _machine = crate::whole_machine();
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "100000", "--repeat"]).unwrap();
    // Small limits make rotation, commits and removal happen all the time.
    let config = RecorderConfig {
        rows_max: 20_000,
        segment_bytes: 4 << 20,
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };

    let started = Instant::now();
    for kill in 0..kills {
        while simulator.poll_for("session_started").is_some() {}
        let mut recorder = config.start().unwrap();
        let begun = simulator.wait_for("session_started", Duration::from_secs(20));
        begun.unwrap_or_else(|error| panic!("kill {kill}: {error:#}\n{}", recorder.log_end()));
        sleep(Duration::from_millis(random.u64(50..=400)));
        recorder.kill().unwrap();
        MARKETS
            .iter()
            .for_each(|market| assert_i8(&config.data_dir, &TRADES, market));
    }
    println!(
        "{kills} recorders killed in {:.1?} (seed {seed})",
        started.elapsed()
    );

    let mut recorder = config.start().unwrap();
    recorder
        .wait_for_log("INFO connected ", 2, Duration::from_secs(20))
        .unwrap();
    sleep(Duration::from_secs(1));
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    let compared = Instant::now();
    let report = compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
    println!("{report}\ncompared in {:.1?}", compared.elapsed());

    // The last session ended with a clean stop, which is not what is measured.
    let sessions = report.markets.values().flat_map(|market| {
        let killed = market.sessions.len() - 1;
        market.sessions.values().take(killed)
    });
    let mut lost: Vec<u64> = sessions
        .clone()
        .map(|session| session.texts_sent - session.texts_recorded)
        .collect();
    let recorded = sessions
        .clone()
        .filter(|session| session.records_recorded > 0)
        .count();
    lost.sort_unstable();
    let at = |percent: usize| lost[(lost.len() - 1) * percent / 100];
    println!(
        "{} sessions killed, {recorded} with records; frames sent and not journaled at a kill: \
         min {}, median {}, p99 {}, max {}",
        lost.len(),
        lost[0],
        at(50),
        at(99),
        at(100)
    );
    println!(
        "frames sent in them: {}",
        sessions.map(|session| session.texts_sent).sum::<u64>()
    );
    assert_eq!(report.quarantined(), 0);
    assert!(
        recorded * 10 >= kills * 2 * 8,
        "{recorded} of {} sessions are too few to tell",
        kills * 2
    );
    assert!(
        report.trades() > kills as u64 * 2000,
        "{} records are too few to tell",
        report.trades()
    );
}

/// How many recorders with a per-issue feed are killed, unless `$KRX_KILLS` says otherwise.
const KILLS_WITH_ISSUES: usize = 40;

#[test]
fn i1_i8_i11_killed_recorders_of_both_services_lose_nothing_and_register_all_again() {
    let (kills, seed) = (number("KRX_KILLS", KILLS_WITH_ISSUES), number("KRX_SEED", 1));
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let _machine = crate::whole_machine();
    let folder = tempfile::tempdir().unwrap();
    let listed = listed(folder.path()).unwrap();
    let mut options = vec![listed.as_str(), "--trades-per-day=400000", "--repeat"];
    options.extend(["--rate=20000", "--per-issue-rate=20000"]);
    let mut simulator = Simulator::start(folder.path(), &options).unwrap();
    let list = everything();
    let mut config = RecorderConfig {
        rows_max: 5_000,
        segment_bytes: 4 << 20,
        ..recorder_of(folder.path(), &simulator.url, &list)
    };
    config
        .more
        .push_str("[[feed]]\nmarket = \"KOSDAQ\"\npath = \"/ws_kdq\"\n");

    let started = Instant::now();
    let mut registered = 0;
    for kill in 0..kills {
        while simulator.poll_for("session_started").is_some() {}
        let mut recorder = config.start().unwrap();
        let begun = simulator.wait_for("session_started", Duration::from_secs(20));
        begun.unwrap_or_else(|error| panic!("kill {kill}: {error:#}\n{}", recorder.log_end()));
        if kill % 4 == 0 {
            wait_for_registrations(&mut recorder, 1, accepted(&list), Duration::from_secs(20)).unwrap();
        }
        // From the first registration to well after the last.
        sleep(Duration::from_millis(random.u64(20..=1500)));
        recorder.kill().unwrap();
        registered += recorder.log().unwrap().matches(" state=active").count();
        for market in MARKETS {
            assert_i8(&config.data_dir, &TRADES, market);
        }
        assert_i8(&config.data_dir, &TICKS, list.feed);
    }
    let mut recorder = config.start().unwrap();
    let limit = Duration::from_secs(20);
    wait_for_registrations(&mut recorder, 1, accepted(&list), limit).unwrap();
    recorder
        .wait_for_log("the server refuses a registration", 1, limit)
        .unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    println!(
        "{kills} recorders killed in {:.1?} (seed {seed}) after {registered} registrations",
        started.elapsed()
    );

    let trades = compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
    let report = compare_issues(&simulator.ledger, &config.data_dir, &list, Mode::Prefix).unwrap();
    println!("{trades}\n{report}");
    assert_eq!((trades.quarantined(), report.quarantined()), (0, 0));
    all_on_record(&report, &list).unwrap();
    let recorded = report
        .sessions
        .values()
        .filter(|session| session.texts_recorded > 0)
        .count();
    assert!(
        recorded * 10 >= kills * 8,
        "{recorded} of {kills} sessions are too few to tell"
    );
    assert!(
        report.total() > kills as u64 * 2000,
        "{} rows are too few to tell",
        report.total()
    );
}
