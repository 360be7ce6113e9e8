//! Part 8: the checks prove themselves. Each passes with the sound recorder, and fails with a recorder that has the
//! defect which it should find (`make build-sabotaged`).

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use krx_harness::oracle::{MARKETS, POISON};
use krx_harness::recorded::Frames;
use krx_harness::{Mode, RecorderConfig, compare};
use krx_tests::durability;
use krx_tests::strace::{Log, Strace};
use krx_tests::tally::Tally;

use crate::common::{Bench, CONNECT_MAX, KOSPI_ALONE, turn};
use crate::damage::flipped_bytes_are_no_rows;

/// Where `make build-sabotaged` puts the broken recorder.
fn sabotaged() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    here.ancestors()
        .map(|dir| dir.join("sabotaged/krx-recorder"))
        .find(|path| path.is_file())
}

fn with_defect(config: &mut RecorderConfig, program: PathBuf, defect: &str) {
    config.program = Some(program);
    config.variables.push(("KRX_SABOTAGE".to_owned(), defect.into()));
}

/// Runs a check with the sound recorder, which must pass, and with the broken one, which must fail for one of the
/// reasons that belong to its defect.
fn caught(
    defect: &str,
    needs_strace: bool,
    reasons: &[&str],
    check: impl Fn(&mut Tally, &dyn Fn(&mut RecorderConfig)) -> Result<()>,
) {
    let _turn = turn();
    let mut tally = Tally::begin(&format!("part 8: {defect}"));
    if needs_strace && let Some(why) = Strace::missing() {
        return tally.skip(defect, why);
    }
    let Some(program) = sabotaged() else {
        return tally.skip(
            defect,
            "there is no target/sabotaged/krx-recorder (`make build-sabotaged`)",
        );
    };
    let sound = check(&mut tally, &|_| {});
    tally.check("the sound recorder", sound);
    let broken = check(&mut tally, &|config| with_defect(config, program.clone(), defect));
    tally.tried += 1;
    match broken {
        Err(error) if !reasons.iter().any(|reason| format!("{error:#}").contains(reason)) => {
            tally.failed(format!("{defect} fails, but not by its defect"), &error);
        }
        Err(error) => tally.note(format!("caught: {error:#}").chars().take(300).collect::<String>()),
        Ok(()) => tally.failed(defect, &anyhow::anyhow!("the defect was not caught")),
    }
    tally.finish();
}

fn bench(change: &dyn Fn(&mut RecorderConfig)) -> Result<Bench> {
    let mut bench = Bench::new(&["--rate", "100000", "--repeat", "--market", "KOSPI"])?;
    bench.config.more = KOSPI_ALONE.to_owned();
    change(&mut bench.config);
    Ok(bench)
}

fn keeps_the_rules(change: &dyn Fn(&mut RecorderConfig), inject: &[&str], rules: &[&str]) -> Result<()> {
    let mut bench = bench(change)?;
    let log = bench.log(1);
    let mut strace = Strace::to(&log);
    for inject in inject {
        strace = strace.inject(*inject);
    }
    bench.config.wrapper = strace.wrapper();
    let mut recorder = bench.config.start()?;
    recorder.wait_for_log("INFO connected ", 1, CONNECT_MAX)?;
    sleep(Duration::from_millis(2500));
    recorder.kill()?;
    sleep(Duration::from_millis(100));
    let log = Log::read(&log)?;
    let calls = |name: &str| log.calls.iter().filter(|call| call.call == name).count();
    ensure!(
        calls("rename") > 1 && calls("fdatasync") > 1,
        "{} calls are too few to tell",
        log.calls.len()
    );
    ensure!(
        inject.is_empty() || log.calls.iter().any(|call| call.injected),
        "no call failed"
    );
    let broken = durability::check(&[log]);
    let first = broken.iter().find(|broken| rules.contains(&broken.rule));
    match first {
        Some(broken) => anyhow::bail!("{}: {}", broken.rule, broken.what),
        None => Ok(()),
    }
}

#[test]
fn i1_directories_that_are_not_synced_are_caught() {
    caught("no_dir_sync", true, &["D1:", "D4:", "D5:"], |_, change| {
        keeps_the_rules(change, &[], &["D1", "D4", "D5"])
    });
}

#[test]
fn i1_a_sync_that_is_tried_again_is_caught() {
    caught("retry_fsync", true, &["D3:"], |_, change| {
        keeps_the_rules(
            change,
            // Each thread counts its own: while starting, the main one syncs some twenty directories.
            &["fdatasync:error=EIO:when=4", "fsync:error=EIO:when=30"],
            &["D3"],
        )
    });
}

#[test]
fn i1_journal_that_is_removed_too_early_is_caught() {
    caught("delete_early", false, &["missing", "lost"], |_, change| {
        let mut bench = bench(change)?;
        (bench.config.rotate_interval, bench.config.rows_max) = ("1h".to_owned(), 10_000_000);
        for _ in 0..2 {
            let mut recorder = bench.config.start()?;
            recorder.wait_for_log("INFO connected ", 1, CONNECT_MAX)?;
            sleep(Duration::from_millis(1800));
            recorder.kill()?;
        }
        bench.finish()?;
        compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix).map(drop)
    });
}

#[test]
fn i1_records_without_a_look_at_their_checksum_are_caught() {
    caught(
        "no_crc",
        false,
        &["is damaged in the journal, and"],
        |tally, change| flipped_bytes_are_no_rows(tally, |config| change(config), 1, 1),
    );
}

/// After failing twice, the exporter quarantines the whole frame and continues.
#[test]
fn i1_a_frame_that_the_exporter_cannot_digest_is_quarantined_and_costs_no_other() {
    /// The exporter is started again some seconds after each failure.
    const PATIENCE: Duration = Duration::from_secs(40);
    let _turn = turn();
    let mut tally = Tally::begin("part 8: poison");
    let Some(program) = sabotaged() else {
        return tally.skip(
            "poison",
            "there is no target/sabotaged/krx-recorder (`make build-sabotaged`)",
        );
    };
    let run = || -> Result<String> {
        let mut bench = Bench::new(&[
            "--rate",
            "20000",
            "--repeat",
            "--fault",
            "garbage@200:poison,market=KOSPI",
        ])?;
        with_defect(&mut bench.config, program, "poison");
        let mut recorder = bench.config.start()?;
        recorder.wait_for_log("feed=KOSPI", 1, CONNECT_MAX)?;
        let kospi = bench.config.data_dir.join("quarantine");
        krx_harness::process::wait_until(PATIENCE, "the poison is in quarantine", || {
            Ok(recorder.process.ended()?.is_some() || !krx_harness::tree::files_under(&kospi)?.is_empty())
        })
        .with_context(|| recorder.log_end())?;
        sleep(Duration::from_secs(1));
        recorder.stop()?;
        let said = recorder.log()?;
        bench.finish()?;
        ensure!(
            said.matches("INFO connected ").count() == 2,
            "I6: recording was interrupted"
        );
        let panics = said.matches("panicked at").count();
        ensure!(
            panics == 2,
            "the exporter has panicked {panics} times, and twice is enough"
        );
        let report = compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix)?;
        let mut reasons = Vec::new();
        for market in MARKETS {
            let mut frames = Frames::open(&bench.config.data_dir, market)?;
            while let Some(frame) = frames.next()? {
                let poison = frame.quarantine.iter().filter(|row| row.raw == POISON.as_bytes());
                reasons.extend(poison.map(|row| row.reason.clone()));
            }
        }
        ensure!(
            reasons == ["poison"],
            "I1: the poison is quarantined as {reasons:?}"
        );
        Ok(format!("{} records around it", report.trades()))
    };
    tally.tried += 1;
    match run() {
        Ok(words) => tally.note(words),
        Err(error) => tally.failed("poison", &error),
    }
    tally.finish();
}
