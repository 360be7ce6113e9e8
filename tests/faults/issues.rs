//! Part 3 again, with a per-issue feed beside the two markets: power cuts, after which all that was wanted is registered
//! again, and on record without a hole (I11).

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use krx_harness::issues::IssueReport;
use krx_harness::{IssueList, Mode, RecorderConfig, compare, compare_issues};
use krx_tests::issues::{accepted, all_on_record, everything, listed, tables, wait_for_registrations};
use krx_tests::tally::Tally;
use krx_tests::volume::{Kind, PowerSwitch, Volume};

use crate::common::{
    Bench, CONNECT_MAX, assert_nothing_older_is_lost, check_coverage, look_at_logs, number, turn,
};
use crate::cuts::in_batches;

/// Cuts of each filesystem in a full run, unless `$KRX_ISSUE_POWER_CUTS` says otherwise.
const CUTS: usize = 50;

/// `journal.sync_interval`, two `fdatasync` calls, the sockets and a busy machine.
const WINDOW: Duration = Duration::from_millis(450);

const MEGABYTES: u64 = 512;

/// The age at the cut of the oldest text with rows that was lost.
fn oldest_lost(report: &IssueReport, cut_at: &BTreeMap<u32, i64>) -> Duration {
    let ages = report.sessions.iter().filter_map(|(session, found)| {
        let age = cut_at.get(session)? - found.first_lost_us?;
        Some(Duration::from_micros(u64::try_from(age).unwrap_or(0)))
    });
    ages.max().unwrap_or_default()
}

fn batch(tally: &mut Tally, kind: Kind, cuts: usize, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let lists = tempfile::tempdir()?;
    let listed = listed(lists.path())?;
    let rates = ["--rate", "10000", "--per-issue-rate", "10000", "--repeat"];
    let mut bench = Bench::new(&[&[listed.as_str(), "--trades-per-day=400000"], &rates[..]].concat())?;
    let mut volume = Volume::image(kind, bench.path(), MEGABYTES)?;
    let mut switch = PowerSwitch::ready()?;
    let list = everything();
    let kosdaq = "[[feed]]\nmarket = \"KOSDAQ\"\npath = \"/ws_kdq\"\n";
    bench.config = RecorderConfig {
        data_dir: volume.at.join("data"),
        rows_max: 5_000,
        more: format!("{}{kosdaq}", tables(&list)),
        ..bench.config.clone()
    };
    let (mut markets, mut issues) = (BTreeMap::new(), BTreeMap::new());
    for cut in 0..cuts {
        let mut recorder = bench.config.start()?;
        // Amid the registrations, or after them.
        if cut % 3 == 0 {
            wait_for_registrations(&mut recorder, 1, accepted(&list), CONNECT_MAX)?;
        }
        sleep(Duration::from_millis(random.u64(20..=800)));
        let (before_us, _) = switch.cut(&volume.at)?;
        recorder.kill()?;
        volume.unmount()?;
        while let Some(started) = bench.simulator.poll_for("session_started") {
            // The per-issue service is of no market.
            if started.market.is_empty() {
                issues.insert(started.session, before_us);
            } else {
                markets.insert((started.market, started.session), before_us);
            }
        }
        volume.mount()?;
        tally.tried += 1;
    }
    let mut recorder = bench.config.start()?;
    wait_for_registrations(&mut recorder, 1, accepted(&list), CONNECT_MAX)?;
    recorder.wait_for_log("the server refuses a registration", 1, CONNECT_MAX)?;
    recorder.stop()?;
    bench.simulator.stop()?;
    look_at_logs(tally, kind, bench.path());
    check_coverage(tally, format!("{kind:?}, seed {seed}"), &bench.config);
    let compared = compared(&bench, &list)
        .and_then(|report| {
            let age = oldest_lost(&report, &issues);
            tally.note(format!(
                "{kind:?}, seed {seed}: {cuts} cuts, {} sessions of the per-issue feed, {} rows of it, {} rows of registrations; \
                 the oldest text lost was sent {:.1} ms before its cut",
                issues.len(),
                report.total(),
                report.registrations.len(),
                age.as_secs_f64() * 1000.0
            ));
            ensure!(age <= WINDOW, "I1: a text that was sent {age:?} before its power cut is lost");
            Ok(())
        })
        .and_then(|()| {
            let report = compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix)?;
            assert_nothing_older_is_lost(&report, &markets, WINDOW)
        });
    if compared.is_err() {
        bench.keep();
    }
    compared
}

fn compared(bench: &Bench, list: &IssueList) -> Result<IssueReport> {
    let report = compare_issues(
        &bench.simulator.ledger,
        &bench.config.data_dir,
        list,
        Mode::Prefix,
    )?;
    ensure!(report.quarantined() == 0, "quarantined: {:?}", report.reasons);
    all_on_record(&report, list).context("registrations")?;
    Ok(report)
}

fn power_cuts(kind: Kind) {
    let _turn = turn();
    let cuts = number("KRX_ISSUE_POWER_CUTS", CUTS);
    let title = "power cuts with a per-issue feed";
    let tally = in_batches(title, kind, cuts, |tally, some, seed| {
        batch(tally, kind, some, seed)
    });
    if let Some(tally) = tally {
        tally.finish();
    }
}

#[test]
fn i1_i11_power_cuts_with_a_per_issue_feed_on_ext4() {
    power_cuts(Kind::Ext4);
}

#[test]
fn i1_i11_power_cuts_with_a_per_issue_feed_on_xfs() {
    power_cuts(Kind::Xfs);
}
