//! Part 4: a disk that hangs for half a minute costs nothing.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use krx_harness::process::free_port;
use krx_harness::recorder::status;
use krx_harness::{Mode, RecorderConfig, compare};
use krx_tests::tally::{Extent, Tally};
use krx_tests::volume::{Kind, Volume, has_tool};
use serde_json::Value;

use crate::common::{Bench, CONNECT_MAX, check_coverage, look_at_logs, turn};

/// As long as the design promises that a hanging disk costs nothing.
const HANG: Duration = Duration::from_secs(30);

#[test]
fn i1_a_disk_that_hangs_for_half_a_minute_costs_no_record_and_no_connection() {
    let _turn = turn();
    let mut tally = Tally::begin("part 4: a disk that hangs");
    if Extent::asked() == Extent::Sample {
        return tally.skip("a hanging disk", "it is run by `make test-faults`");
    }
    for kind in [Kind::Ext4, Kind::Xfs] {
        if let Some(why) = kind.missing() {
            tally.skip(format!("{kind:?}"), why);
        } else if !has_tool("fsfreeze") {
            tally.skip(format!("{kind:?}"), "fsfreeze is not installed");
        } else {
            let result = hang(&mut tally, kind);
            tally.check(format!("{kind:?}"), result);
        }
    }
    tally.finish();
}

/// The status still answered within a second, and reported that the export was waiting.
fn told_of_the_hang(status: &Value) -> Result<()> {
    for feed in status["feeds"].as_array().context("feeds")? {
        let lag = feed["lag_seconds"].as_f64().unwrap_or(0.0);
        let waits = HANG.as_secs_f64() - 5.0;
        ensure!(
            feed["state"] == "live" && lag > waits,
            "the status does not tell that the disk hangs: {feed}"
        );
    }
    Ok(())
}

fn hang(tally: &mut Tally, kind: Kind) -> Result<()> {
    let mut bench = Bench::new(&["--rate", "2000", "--repeat"])?;
    let volume = Volume::image(kind, bench.path(), 512)?;
    bench.config = RecorderConfig {
        data_dir: volume.at.join("data"),
        status_port: Some(free_port()?),
        ..bench.config.clone()
    };
    let mut recorder = bench.config.start()?;
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX)?;
    sleep(Duration::from_secs(2));
    volume.freeze()?;
    sleep(HANG);
    let told = bench.config.status_port.map(status);
    volume.thaw()?;
    told_of_the_hang(&told.context("there is a status port")??)?;
    tally.tried += 1;
    sleep(Duration::from_secs(2));
    let dropped = recorder.log()?.matches(" disconnected ").count();
    bench.simulator.finish(&mut recorder, 2)?;
    recorder.stop()?;
    look_at_logs(tally, kind, bench.path());
    check_coverage(tally, format!("{kind:?}"), &bench.config);
    ensure!(dropped == 0, "I6: a connection was dropped while the disk hung");
    let report = compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Exact)?;
    let sessions: Vec<_> = report
        .markets
        .values()
        .map(|market| market.sessions.len())
        .collect();
    ensure!(
        sessions == [1, 1],
        "I6: {sessions:?} sessions where one each is enough"
    );
    tally.note(format!(
        "{kind:?}: frozen for {HANG:?} at 2,000 records a second; {} records, all of them",
        report.trades()
    ));
    Ok(())
}
