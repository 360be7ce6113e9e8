//! Millions of records through real sockets, each found exactly once, with all its values.

use std::time::{Duration, Instant};

use krx_harness::{Mode, RecorderConfig, Simulator, compare};

#[test]
fn i1_two_million_records_of_both_markets_arrive_exactly() {
    let _machine = crate::whole_machine();
    let folder = tempfile::tempdir().unwrap();
    let mut simulator =
        Simulator::start(folder.path(), &["--speed", "max", "--trades-per-day", "2500000"]).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let started = Instant::now();
    let mut recorder = config.start().unwrap();
    simulator
        .finish_day(&mut recorder, 2, Duration::from_secs(180))
        .unwrap();
    recorder.stop().unwrap();
    let recorded = started.elapsed();

    let report = compare(&simulator.ledger, &config.data_dir, Mode::Exact).unwrap();
    println!(
        "{report}\nrecorded in {recorded:.1?}, compared in {:.1?}",
        started.elapsed() - recorded
    );
    assert!(
        report.trades() >= 2_000_000,
        "{} records are too few to tell",
        report.trades()
    );
    assert_eq!(report.quarantined(), 0);
    assert!(
        report.markets.values().all(|market| market.trades > 500_000),
        "both markets have their share"
    );
}

#[test]
fn i1_bad_messages_are_quarantined_once_and_cost_their_neighbours_nothing() {
    let _machine = crate::whole_machine();
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "300000",
        "--fault",
        "garbage@every:7:badrecord",
        "--fault",
        "garbage@every:11:text",
        "--fault",
        "garbage@every:13:object",
        "--fault",
        "garbage@every:17:truncated-json",
        "--fault",
        "disconnect@900",
        "--fault",
        "close@1500:1001,market=KOSPI",
    ];
    let mut simulator = Simulator::start(folder.path(), &arguments).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let mut recorder = config.start().unwrap();
    simulator
        .finish_day(&mut recorder, 2, Duration::from_secs(120))
        .unwrap();
    recorder.stop().unwrap();

    let report = compare(&simulator.ledger, &config.data_dir, Mode::Exact).unwrap();
    println!("{report}");
    assert!(
        report.quarantined() > 1000,
        "{} bad ones are too few to tell",
        report.quarantined()
    );
    let sessions: Vec<_> = report
        .markets
        .values()
        .map(|market| market.sessions.len())
        .collect();
    assert_eq!(sessions, [2, 3], "each break began a new session (KOSDAQ, KOSPI)");
}
