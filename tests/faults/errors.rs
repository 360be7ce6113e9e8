//! Part 2: a disk that refuses. Once running, the recorder survives it and loses nothing; at the start it may exit,
//! with exit code 74 and a message that says why.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use krx_harness::{Mode, Recorder, RecorderConfig, compare};
use krx_tests::durability;
use krx_tests::strace::{Call, Log, Strace};
use krx_tests::tally::{Extent, Tally};
use krx_tests::volume::{Kind, Volume};
use rustix::process::Signal;

use crate::common::{
    Bench, CONNECT_MAX, KOSPI_ALONE, Sessions, assert_nothing_older_is_lost, check_coverage, look_at_logs,
    now_us, turn,
};

const RUN: Duration = Duration::from_millis(1300);

const BATCH: usize = 24;

const CALLS_MAX: usize = 1000;

const ERRNOS: [&str; 4] = ["ENOSPC", "EIO", "EROFS", "EDQUOT"];

/// Each error is tried up to this call; from then on they take turns.
const EACH_ERRNO_UNTIL: usize = 12;

/// The most time between sending a text and reading it, under strace on a busy machine.
const READ_SLACK: Duration = Duration::from_secs(1);

/// How long a disk refuses when it does so more than once.
const REFUSAL: Duration = Duration::from_secs(3);

/// The exporter retries within this, including some time to catch up.
const COME_BACK: Duration = Duration::from_secs(8);

/// How a run under an injected error went.
enum Ran {
    /// The call was never made.
    NotReached,
    /// The recorder ended before it had connected, as it may.
    EndedAtStart,
    /// It survived, and stopped when asked to.
    Survived,
}

struct Batch {
    bench: Bench,
    stops: Sessions,
    what: Vec<String>,
    logs: Vec<Log>,
}

impl Batch {
    fn new() -> Result<Self> {
        let mut bench = Bench::new(&["--rate", "100000", "--repeat", "--market", "KOSPI"])?;
        bench.config.more = KOSPI_ALONE.to_owned();
        Ok(Self {
            bench,
            stops: Sessions::default(),
            what: Vec::new(),
            logs: Vec::new(),
        })
    }

    fn run(&mut self, tally: &mut Tally, inject: &str) -> Result<Ran> {
        let path = self.bench.log(self.what.len());
        self.what.push(inject.to_owned());
        let mut strace = Strace::to(&path).inject(inject);
        if inject.starts_with("write:") {
            // The runtime also wakes its threads with `write`, which is not the disk.
            let staging = self.bench.config.data_dir.join(".krx/staging");
            strace.paths = ["trades", "quarantine", "coverage"]
                .map(|dataset| staging.join(format!("{dataset}-KOSPI.partial")))
                .into();
        }
        let config = RecorderConfig {
            wrapper: strace.wrapper(),
            ..self.bench.config.clone()
        };
        let mut recorder = config.start()?;
        let end = live(&mut recorder);
        let stopped_us = now_us();
        let stopped = match &end {
            Ok(true) => recorder.stop(),
            _ => Ok(()),
        };
        sleep(Duration::from_millis(20));
        let log = Log::read(&path)?;
        let reached = log.calls.iter().find(|call| call.injected).map(Call::place);
        self.logs.push(log);
        while let Some(started) = self.bench.simulator.poll_for("session_started") {
            if matches!(end, Ok(true)) {
                self.stops.insert((started.market, started.session), stopped_us);
            }
        }
        let Some(place) = reached else {
            stopped?;
            return end.map(|_| Ran::NotReached);
        };
        tally.tried += 1;
        let live = end?;
        tally.place(format!("{} {place}", if live { "running" } else { "starting" }));
        stopped?;
        ensure!(
            recorder.log()?.matches("INFO connected ").count() <= 1,
            "I6: the connection was dropped"
        );
        Ok(if live { Ran::Survived } else { Ran::EndedAtStart })
    }

    fn compare(mut self, tally: &mut Tally) {
        let result = self.bench.finish().and_then(|()| {
            let report = compare(
                &self.bench.simulator.ledger,
                &self.bench.config.data_dir,
                Mode::Prefix,
            )?;
            assert_nothing_older_is_lost(&report, &self.stops, READ_SLACK)?;
            ensure!(report.quarantined() == 0, "I1: nothing bad was sent");
            Ok(())
        });
        let what = format!("after {} to {}", self.what[0], self.what[self.what.len() - 1]);
        look_at_logs(tally, &what, self.bench.path());
        check_coverage(tally, &what, &self.bench.config);
        if !tally.check(&what, result) {
            self.bench.keep();
        }
        let broken = durability::check(&self.logs);
        if let Some(first) = broken.first() {
            let error = anyhow::anyhow!("{}: {} ({} in all)", first.rule, first.what, broken.len());
            tally.failed(&what, &error);
        }
    }
}

/// Lets a recorder run; returns whether it still does. It may end before it has connected, if it does so cleanly.
fn live(recorder: &mut Recorder) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed() < RUN {
        if let Some(status) = recorder.process.ended()? {
            let log = recorder.log()?;
            if log.contains("INFO connected ") {
                bail!(
                    "I1: the recorder ended while it was recording, with {status}: {}",
                    last_line(&log)
                );
            }
            // The configuration is read before there is a disk to record to.
            let expected = if log.contains("reading the configuration") {
                78
            } else {
                74
            };
            ensure!(
                status.code() == Some(expected) && !log.contains("panicked"),
                "a disk that refuses at the start is exit code {expected}, and it was {status}: {}",
                last_line(&log)
            );
            ensure!(
                log.contains("os error"),
                "it does not say why: {}",
                last_line(&log)
            );
            return Ok(false);
        }
        sleep(Duration::from_millis(5));
    }
    Ok(true)
}

fn last_line(log: &str) -> &str {
    log.lines().last().unwrap_or("it said nothing")
}

#[test]
fn i1_a_single_error_of_any_call_costs_nothing() {
    let _turn = turn();
    let mut tally = Tally::begin("part 2a: single errors of the disk");
    if Extent::asked() == Extent::Sample {
        return tally.skip("errors of the disk", "they are tried by `make test-faults`");
    }
    if let Some(why) = Strace::missing() {
        return tally.skip("errors of the disk", why);
    }
    for call in [
        "pwrite64",
        "fdatasync",
        "fsync",
        "rename",
        "unlink",
        "fallocate",
        "ftruncate",
        "openat",
        "mkdir",
        "write",
    ] {
        let batch_size = if call == "mkdir" { 1 } else { BATCH };
        let mut batch: Option<Batch> = None;
        let mut complaints: BTreeMap<String, usize> = BTreeMap::new();
        'numbers: for n in 1..CALLS_MAX {
            let errnos = if n <= EACH_ERRNO_UNTIL {
                &ERRNOS[..]
            } else {
                &ERRNOS[n % ERRNOS.len()..][..1]
            };
            for errno in errnos {
                let mut current = batch.take().map_or_else(Batch::new, Ok).unwrap();
                let inject = format!("{call}:error={errno}:when={n}");
                let ran = current.run(&mut tally, &inject);
                let reached = !matches!(ran, Ok(Ran::NotReached));
                if let Err(error) = ran {
                    // A thousand calls that fail alike are reported once, and counted.
                    let words = format!("{error:#}");
                    let count = complaints.entry(words.chars().take(90).collect()).or_default();
                    *count += 1;
                    if *count == 1 {
                        tally.failed(&inject, &error);
                    }
                }
                if current.what.len() >= batch_size || !reached {
                    current.compare(&mut tally);
                } else {
                    batch = Some(current);
                }
                if !reached {
                    break 'numbers;
                }
            }
        }
        if let Some(batch) = batch {
            batch.compare(&mut tally);
        }
        for (words, count) in complaints {
            tally.note(format!("{call}: {count} times: {words}"));
        }
    }
    tally.finish();
}

/// Records, makes the disk refuse for a while through `refuse`, and examines the result.
fn refusal(
    tally: &mut Tally,
    what: &str,
    bench: &mut Bench,
    refuse: impl FnOnce(&Recorder) -> Result<()>,
) -> Result<()> {
    tally.tried += 1;
    let mut recorder = bench.config.start()?;
    recorder.wait_for_log("INFO connected ", 1, CONNECT_MAX)?;
    sleep(Duration::from_secs(1));
    refuse(&recorder)?;
    sleep(COME_BACK);
    if let Some(status) = recorder.process.ended()? {
        bail!(
            "I1: the recorder ended while it was recording, with {status}: {}",
            last_line(&recorder.log()?)
        );
    }
    let stopped_us = now_us();
    recorder.stop()?;
    ensure!(
        recorder.log()?.matches("INFO connected ").count() == 1,
        "I6: the connection was dropped"
    );
    let mut stops = Sessions::default();
    while let Some(started) = bench.simulator.poll_for("session_started") {
        stops.insert((started.market, started.session), stopped_us);
    }
    bench.finish()?;
    look_at_logs(tally, what, bench.path());
    let report = compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix)?;
    check_coverage(tally, what, &bench.config);
    assert_nothing_older_is_lost(&report, &stops, READ_SLACK)?;
    tally.note(format!("{what}: {} records, none lost", report.trades()));
    Ok(())
}

fn bench() -> Result<Bench> {
    let mut bench = Bench::new(&["--rate", "20000", "--repeat", "--market", "KOSPI"])?;
    bench.config.more = KOSPI_ALONE.to_owned();
    Ok(bench)
}

#[test]
fn i1_a_disk_that_refuses_for_seconds_costs_nothing() {
    let _turn = turn();
    let mut tally = Tally::begin("part 2b: errors of the disk for some seconds");
    if Extent::asked() == Extent::Sample {
        return tally.skip("errors of the disk", "they are tried by `make test-faults`");
    }
    if let Some(why) = Strace::missing() {
        return tally.skip("errors of the disk", why);
    }
    // Not `write`: the runtime wakes its threads with it.
    let all = "pwrite64,openat,mkdir,rename,unlink,fallocate,ftruncate";
    let cases = [
        ("fdatasync", "EIO"),
        ("fsync", "EIO"),
        ("fsync,fdatasync", "EIO"),
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("pwrite64,fallocate", "EDQUOT"),
        (all, "ENOSPC"),
        (all, "EROFS"),
    ];
    for (calls, errno) in cases {
        let what = format!("{calls}: {errno} for {REFUSAL:?}");
        let result = bench().and_then(|mut bench| {
            let log = bench.log(0);
            refusal(&mut tally, &what, &mut bench, |recorder| {
                let strace = Strace::to(&log).inject(format!("{calls}:error={errno}"));
                let mut attached = strace.attach(recorder.process.id())?;
                sleep(REFUSAL);
                attached.signal(Signal::INT)?;
                attached.wait(CONNECT_MAX)?;
                Ok(())
            })
        });
        tally.check(&what, result);
    }
    tally.finish();
}

/// Fills a filesystem to the last byte.
fn fill(volume: &Volume) -> Result<()> {
    let mut filler = fs::File::create(volume.at.join("filler"))?;
    let mut block = 1 << 20;
    while block > 0 {
        match filler.write(&vec![1; block]) {
            Ok(written) if written > 0 => {}
            _ => block /= 16,
        }
    }
    let _ = filler.sync_all();
    Ok(())
}

#[test]
fn i1_a_full_disk_costs_nothing_once_there_is_room_again() {
    let _turn = turn();
    let mut tally = Tally::begin("part 2c: full filesystems");
    if Extent::asked() == Extent::Sample {
        return tally.skip("full filesystems", "they are tried by `make test-faults`");
    }
    if let Some(why) = Kind::Ext4.missing() {
        return tally.skip("full filesystems", why);
    }
    let cases = [
        "tmpfs enlarged",
        "tmpfs out of inodes",
        "ext4",
        "ext4 that cannot preallocate",
        "xfs",
    ];
    for what in cases {
        if what == "xfs"
            && let Some(why) = Kind::Xfs.missing()
        {
            tally.skip(what, why);
            continue;
        }
        let result = full_disk(&mut tally, what);
        tally.check(what, result);
    }
    let refused = bench().and_then(|mut bench| {
        let volume = Volume::image(Kind::Ext4, bench.path(), 64)?;
        bench.config.data_dir = volume.at.join("data");
        let mut recorder = bench.config.start()?;
        recorder.wait_for_log("INFO connected ", 1, CONNECT_MAX)?;
        let remounted = volume.remount("ro");
        recorder.stop()?;
        remounted
    });
    match refused {
        Ok(()) => tally.note("a filesystem was remounted read-only under a recorder, which went on"),
        Err(error) => tally.skip(
            "remounting read-only",
            format!("{error:#}; part 2b answers EROFS instead"),
        ),
    }
    tally.finish();
}

fn full_disk(tally: &mut Tally, what: &str) -> Result<()> {
    let mut bench = bench()?;
    let volume = match what {
        "tmpfs enlarged" => Volume::tmpfs(bench.path(), "size=32m"),
        "tmpfs out of inodes" => Volume::tmpfs(bench.path(), "size=256m,nr_inodes=100"),
        "ext4" => Volume::image(Kind::Ext4, bench.path(), 64),
        "xfs" => Volume::image(Kind::Xfs, bench.path(), 320),
        _ => Volume::image(Kind::Ext4NoExtents, bench.path(), 64),
    }?;
    bench.config.data_dir = volume.at.join("data");
    refusal(tally, what, &mut bench, |_| {
        match what {
            "tmpfs out of inodes" => {
                let filled = (0..)
                    .find(|number| fs::File::create(volume.at.join(format!("filler-{number}"))).is_err());
                filled.context("the inodes come to an end")?;
            }
            _ => fill(&volume)?,
        }
        sleep(REFUSAL);
        match what {
            "tmpfs enlarged" => volume.remount("size=512m"),
            "tmpfs out of inodes" => volume.remount("nr_inodes=100000"),
            _ => fs::remove_file(volume.at.join("filler")).context("removing the filler"),
        }
    })
}
