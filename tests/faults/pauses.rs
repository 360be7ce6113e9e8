//! Part 6: recorders that are stopped and continued, as on a machine that was suspended.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use krx_harness::{Mode, compare};
use krx_tests::tally::{Extent, Tally};
use rustix::process::Signal;

use crate::common::{Bench, CONNECT_MAX, check_coverage, look_at_logs, number, turn};

/// How many stops a full run has, unless `$KRX_STOPS` says otherwise.
const STOPS: usize = 50;

/// Recorders that are stopped in parallel.
const SIDE_BY_SIDE: usize = 10;

/// What one recorder goes through.
fn pauses(pauses: &[Duration], seed: usize) -> Result<(Bench, Option<String>)> {
    let seed = seed.to_string();
    let mut bench = Bench::new(&["--rate", "2000", "--repeat", "--seed", &seed])?;
    let mut recorder = bench.config.start()?;
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX)?;
    for pause in pauses {
        sleep(Duration::from_millis(700));
        recorder.process.signal(Signal::STOP)?;
        sleep(*pause);
        recorder.process.signal(Signal::CONT)?;
    }
    sleep(Duration::from_secs(2));
    let log = recorder.log()?;
    let dropped = log
        .lines()
        .find(|line| line.contains(" disconnected "))
        .map(str::to_owned);
    bench.simulator.finish(&mut recorder, 2)?;
    recorder.stop()?;
    Ok((bench, dropped))
}

fn compare_all(tally: &mut Tally, bench: &Bench, dropped: Option<&str>, what: &str) -> Result<()> {
    look_at_logs(tally, what, bench.path());
    check_coverage(tally, what, &bench.config);
    let by_us = |line: &&str| line.contains("stalled") || line.contains("shutdown");
    if let Some(line) = dropped.filter(by_us) {
        // The server was there all the time, and had sent what was waiting in the socket.
        anyhow::bail!(
            "I1: the recorder dropped the connection after a stop, and what lay in the socket is lost: {line}"
        );
    }
    let mode = if dropped.is_some() {
        Mode::Prefix
    } else {
        Mode::Exact
    };
    let report = compare(&bench.simulator.ledger, &bench.config.data_dir, mode)?;
    ensure!(report.trades() > 0, "nothing was recorded");
    tally.note(format!("{what}: {mode:?}, {} records", report.trades()));
    Ok(())
}

#[test]
fn i1_a_recorder_that_was_stopped_goes_on_where_it_was() {
    let _turn = turn();
    let mut tally = Tally::begin("part 6: stops");
    if Extent::asked() == Extent::Sample {
        let result = pauses(&[Duration::from_millis(1500)], 1)
            .and_then(|(bench, dropped)| compare_all(&mut tally, &bench, dropped.as_deref(), "1.5 s"));
        tally.tried += 1;
        tally.check("1.5 s", result);
        return tally.finish();
    }
    let mut random = fastrand::Rng::with_seed(number("KRX_SEED", 1) as u64);
    let stops = number("KRX_STOPS", STOPS);
    let plans: Vec<Vec<Duration>> = (0..SIDE_BY_SIDE)
        .map(|_| {
            (0..stops.div_ceil(SIDE_BY_SIDE))
                .map(|_| Duration::from_millis(random.u64(1_000..=60_000)))
                .collect()
        })
        .collect();
    let runs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = plans
            .iter()
            .enumerate()
            .map(|(seed, plan)| scope.spawn(move || pauses(plan, seed + 1)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (plan, run) in plans.iter().zip(runs) {
        let what = format!("{plan:.0?}");
        tally.tried += plan.len() as u64;
        let result =
            run.and_then(|(bench, dropped)| compare_all(&mut tally, &bench, dropped.as_deref(), &what));
        tally.check(&what, result);
    }
    tally.finish();
}
