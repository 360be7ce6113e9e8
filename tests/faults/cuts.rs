//! Part 3: power cuts. A loop-mounted filesystem is cut off from its log at a random instant, the recorder killed, and
//! the filesystem mounted again.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use krx_harness::oracle::Report;
use krx_harness::{Mode, RecorderConfig, compare};
use krx_tests::tally::{Extent, Tally};
use krx_tests::volume::{Kind, PowerSwitch, Volume, has_tool};

use crate::common::{Bench, check_coverage, look_at_logs, number, recover, turn};

/// Cuts of each filesystem in a full run, unless `$KRX_POWER_CUTS` says otherwise.
const CUTS: usize = 500;

/// Cuts between two comparisons.
const BATCH: usize = 25;

/// `journal.sync_interval`: what a power cut may cost, apart from two `fdatasync` calls.
const SYNC_INTERVAL: Duration = Duration::from_millis(50);

/// What two `fdatasync` calls, the sockets and a busy machine may add.
const SLACK: Duration = Duration::from_millis(400);

const MEGABYTES: u64 = 512;

/// The age at the cut of the oldest text that was lost, µs.
fn oldest_lost(report: &Report, cuts: &BTreeMap<(String, u32), i64>) -> (i64, usize) {
    let (mut oldest, mut lossless) = (0, 0);
    for ((market, session), cut_us) in cuts {
        let session = report
            .markets
            .get(market.as_str())
            .and_then(|market| market.sessions.get(session));
        match session.and_then(|session| session.first_lost_us) {
            Some(lost_us) => oldest = oldest.max(cut_us - lost_us),
            None => lossless += 1,
        }
    }
    (oldest, lossless)
}

fn batch(tally: &mut Tally, kind: Kind, cuts: usize, seed: u64, oldest: &mut i64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let rate = if seed.is_multiple_of(2) { "100000" } else { "20000" };
    let mut bench = Bench::new(&["--rate", rate, "--repeat"])?;
    let mut volume = Volume::image(kind, bench.path(), MEGABYTES)?;
    let mut switch = PowerSwitch::ready()?;
    bench.config = RecorderConfig {
        data_dir: volume.at.join("data"),
        rows_max: 5_000,
        ..bench.config.clone()
    };
    let mut cut_at = BTreeMap::new();
    for _ in 0..cuts {
        let mut recorder = bench.config.start()?;
        sleep(Duration::from_millis(random.u64(20..=800)));
        let (before_us, _) = switch.cut(&volume.at)?;
        recorder.kill()?;
        volume.unmount()?;
        while let Some(started) = bench.simulator.poll_for("session_started") {
            cut_at.insert((started.market, started.session), before_us);
        }
        volume.mount()?;
        tally.tried += 1;
    }
    let finished = bench.finish();
    look_at_logs(tally, kind, bench.path());
    check_coverage(tally, format!("{kind:?}, seed {seed}"), &bench.config);
    let result = finished
        .and_then(|()| compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix))
        .and_then(|report| {
            let (age_us, lossless) = oldest_lost(&report, &cut_at);
            *oldest = (*oldest).max(age_us);
            tally.note(format!(
                "{kind:?}, seed {seed}: {cuts} cuts, {} sessions, {lossless} without a loss, {} records; the oldest \
                 text lost was sent {:.1} ms before its cut",
                cut_at.len(),
                report.trades(),
                age_us as f64 / 1000.0
            ));
            let window = SYNC_INTERVAL + SLACK;
            ensure!(
                Duration::from_micros(age_us.unsigned_abs()) <= window,
                "I1: a text that was sent {age_us} µs before its power cut is lost, the window is {window:?}"
            );
            Ok(())
        });
    if result.is_err() {
        bench.keep();
    }
    result
}

/// Cuts a filesystem's power this often, in batches, each with a seed of its own. Returns what it found; `None` if power
/// cannot be cut here.
pub(crate) fn in_batches(
    title: &str,
    kind: Kind,
    cuts: usize,
    mut batch: impl FnMut(&mut Tally, usize, u64) -> Result<()>,
) -> Option<Tally> {
    let mut tally = Tally::begin(&format!("part 3: {title}, {kind:?}"));
    let missing = if Extent::asked() == Extent::Sample {
        Some("they are run by `make test-faults`".to_owned())
    } else if !has_tool("python3") {
        Some("python3 is not installed".to_owned())
    } else {
        kind.missing()
    };
    if let Some(why) = missing {
        tally.skip("power cuts", why);
        return None;
    }
    let (started, mut left) = (Instant::now(), cuts);
    for seed in number("KRX_SEED", 1) as u64.. {
        if left == 0 {
            break;
        }
        let some = left.min(BATCH);
        left -= some;
        let result = batch(&mut tally, some, seed);
        tally.check(format!("{kind:?}, seed {seed}"), result);
    }
    let each = started.elapsed().as_secs_f64() / cuts.max(1) as f64;
    tally.note(format!("{kind:?}: {cuts} cuts, {each:.2} s each"));
    Some(tally)
}

fn power_cuts(kind: Kind) {
    let _turn = turn();
    let (cuts, mut oldest) = (number("KRX_POWER_CUTS", CUTS), 0);
    let tally = in_batches("power cuts", kind, cuts, |tally, some, seed| {
        batch(tally, kind, some, seed, &mut oldest)
    });
    let Some(tally) = tally else { return };
    tally.note(format!(
        "{kind:?}: the oldest text lost was sent {:.1} ms before its cut (allowed: {} ms and two fdatasync calls, with {} ms of \
         slack)",
        oldest as f64 / 1000.0,
        SYNC_INTERVAL.as_millis(),
        SLACK.as_millis()
    ));
    tally.finish();
}

#[test]
fn i1_power_cuts_on_ext4_cost_the_sync_interval_at_most() {
    power_cuts(Kind::Ext4);
}

#[test]
fn i1_power_cuts_on_xfs_cost_the_sync_interval_at_most() {
    power_cuts(Kind::Xfs);
}

/// What a process had written when it was killed is only in the page cache. The next run must not leave it there: the
/// power may fail before the kernel writes it back.
#[test]
fn i1_a_power_cut_after_a_kill_and_a_restart_loses_nothing_of_the_killed_run() {
    let _turn = turn();
    let mut tally = Tally::begin("part 3: power cuts after a kill and a restart");
    if Extent::asked() == Extent::Sample {
        return tally.skip("power cuts", "they are run by `make test-faults`");
    }
    for kind in [Kind::Ext4, Kind::Xfs] {
        if let Some(why) = kind.missing() {
            tally.skip(format!("{kind:?}"), why);
            continue;
        }
        let result = killed_then_cut(&mut tally, kind, number("KRX_POWER_CUTS", CUTS).div_ceil(25));
        tally.check(format!("{kind:?}"), result);
    }
    tally.finish();
}

fn killed_then_cut(tally: &mut Tally, kind: Kind, rounds: usize) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bench = Bench::new(&["--rate", "400000", "--repeat"])?;
    let mut volume = Volume::image(kind, bench.path(), MEGABYTES)?;
    let mut switch = PowerSwitch::ready()?;
    // Nothing is committed before the end, so that the journal alone has it all; and segments are short, so that a kill
    // often leaves two that are not synced.
    bench.config = RecorderConfig {
        data_dir: volume.at.join("data"),
        rotate_interval: "1h".to_owned(),
        rows_max: 10_000_000,
        ..bench.config.clone()
    };
    let mut killed_at = BTreeMap::new();
    for _ in 0..rounds {
        let mut recorder = bench.config.start()?;
        sleep(Duration::from_millis(random.u64(400..=700)));
        let killed_us = crate::common::now_us();
        recorder.kill()?;
        while let Some(started) = bench.simulator.poll_for("session_started") {
            killed_at.insert((started.market, started.session), killed_us);
        }
        let nowhere = RecorderConfig {
            base_url: crate::common::NOWHERE.to_owned(),
            ..bench.config.clone()
        };
        let mut recorder = nowhere.start()?;
        recorder.wait_for_log("not connected", 2, crate::common::CONNECT_MAX)?;
        sleep(SYNC_INTERVAL * 3);
        switch.cut(&volume.at)?;
        recorder.kill()?;
        volume.unmount()?;
        volume.mount()?;
        tally.tried += 1;
    }
    recover(&RecorderConfig {
        base_url: crate::common::NOWHERE.to_owned(),
        ..bench.config.clone()
    })?;
    bench.simulator.stop()?;
    look_at_logs(tally, kind, bench.path());
    let report = compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix)?;
    let (age_us, _) = oldest_lost(&report, &killed_at);
    tally.note(format!(
        "{kind:?}: {rounds} kills, each followed by a restart and a power cut; the oldest text lost was sent {:.1} ms \
         before its kill",
        age_us as f64 / 1000.0
    ));
    ensure!(
        Duration::from_micros(age_us.unsigned_abs()) <= SLACK,
        "I1: a text that was sent {age_us} µs before a kill is lost to the power cut after the restart"
    );
    Ok(())
}
