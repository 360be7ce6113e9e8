//! Recorders killed at any instant: no frame that was journaled is lost, and none is recorded twice.
#![allow(clippy::unwrap_used)]

use std::thread::sleep;
use std::time::{Duration, Instant};

use krx_tests::{Mode, RecorderConfig, Simulator, compare};

/// How many recorders are killed, unless `$KRX_KILLS` says otherwise.
const KILLS: usize = 200;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn i1_killed_recorders_lose_nothing_that_was_journaled_and_double_nothing() {
    let (kills, seed) = (number("KRX_KILLS", KILLS), number("KRX_SEED", 1));
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "100000", "--repeat"]).unwrap();
    // Small limits make rotation, sealing and removal happen all the time.
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
