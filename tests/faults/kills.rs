//! Part 1: recorders killed in each of the system calls with which they change the disk.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use krx_harness::process::wait_until;
use krx_harness::tree::{copy_tree, tree};
use krx_harness::{Mode, RecorderConfig, compare};
use krx_tests::durability;
use krx_tests::strace::{Call, Log, Strace};
use krx_tests::tally::{Extent, Tally};
use rustix::process::Signal;

use crate::common::{
    Bench, CONNECT_MAX, KOSPI_ALONE, NOWHERE, assert_recorded_to, assert_written_is_there, check_coverage,
    last_data_frame, look_at_logs, recover, turn,
};

/// How long a recorder records if the call in which it should be killed never comes.
const RUN: Duration = Duration::from_millis(1300);

/// In the sample, each call is known to come sooner or later.
const SAMPLE_RUN: Duration = Duration::from_secs(5);

/// Kills between two comparisons.
const BATCH: usize = 24;

/// No call occurs this often in a run.
const CALLS_MAX: usize = 1000;

/// A kill before the call does anything.
const IN: &str = "signal=KILL";

/// A kill once it is done, before the thread continues.
const AFTER: &str = "delay_exit=700000";

/// The thread to hold back, by the beginning of its name; each thread counts its own calls.
fn thread_of(inject: &str) -> &str {
    inject.split_once(" thread ").map_or("", |(_, thread)| thread)
}

/// What a recorder mostly does: the Nth call of the busiest thread is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Journal and datasets in turn.
    Both,
    /// Segments of the journal, but no committed files.
    Journal,
    /// Committed files from one segment.
    Datasets,
}

impl Work {
    fn of(self, config: &RecorderConfig) -> RecorderConfig {
        let mut config = config.clone();
        match self {
            Self::Both => {}
            Self::Journal => (config.rotate_interval, config.rows_max) = ("1h".to_owned(), 10_000_000),
            Self::Datasets => (config.segment_bytes, config.rows_max) = (64 << 20, 5_000),
        }
        config
    }
}

/// One run under strace: where it was killed, or nothing if the call never came and it was killed at some instant.
fn killed_run(
    config: &RecorderConfig,
    inject: &str,
    log: &Path,
    limit: Duration,
) -> Result<(Option<Call>, Log)> {
    let call = inject.split(':').next().unwrap_or("");
    let config = RecorderConfig {
        wrapper: Strace::to(log)
            .inject(inject.split(" thread ").next().unwrap_or(""))
            .wrapper(),
        ..config.clone()
    };
    let mut recorder = config.start()?;
    let deadline = Instant::now() + limit;
    let mut delayed = false;
    let ended = loop {
        match recorder.process.ended()? {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => sleep(Duration::from_millis(2)),
        }
        // The thread is held back after its call: it is killed before it does anything else.
        if inject.contains(AFTER) {
            let text = std::fs::read(log).unwrap_or_default();
            let of_thread = format!("<{}", thread_of(inject));
            delayed = String::from_utf8_lossy(&text)
                .lines()
                .any(|line| line.contains(&of_thread) && line.ends_with("(DELAYED)"));
            if delayed {
                break None;
            }
        }
    };
    if let Some(status) = ended {
        ensure!(
            status.signal() == Some(Signal::KILL.as_raw()),
            "it ended by itself, with {status}:\n{}",
            recorder.log_end()
        );
    }
    recorder.kill()?;
    // strace is not our child: what it still has to write appears soon after.
    let mut parsed = Log::default();
    wait_until(Duration::from_secs(5), "strace has written its log", || {
        let text = std::fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        parsed = Log::parse(&text);
        Ok(text.contains(&format!("{}<", recorder.process.id())) && text.contains("+++ killed by SIGKILL"))
    })?;
    let place = if delayed {
        let mut held = parsed.calls.iter().rev();
        held.find(|made| made.injected && made.name.starts_with(thread_of(inject)))
            .cloned()
    } else {
        ended.and_then(|_| parsed.killed_in(call).cloned())
    };
    Ok((place, parsed))
}

/// A batch of kills of one data directory, then a comparison.
struct Batch {
    bench: Bench,
    what: Vec<String>,
    logs: Vec<Log>,
    last: BTreeMap<usize, (NaiveDate, i64)>,
    limit: Duration,
}

impl Batch {
    fn new() -> Result<Self> {
        let mut bench = Bench::new(&["--rate", "100000", "--repeat", "--market", "KOSPI"])?;
        bench.config.more = KOSPI_ALONE.to_owned();
        Ok(Self {
            bench,
            what: Vec::new(),
            logs: Vec::new(),
            last: BTreeMap::new(),
            limit: RUN,
        })
    }

    /// Whether the call was reached.
    fn kill(&mut self, tally: &mut Tally, inject: &str, work: Work) -> Result<bool> {
        let run = self.what.len();
        let config = work.of(&self.bench.config);
        let (call, log) = killed_run(&config, inject, &self.bench.log(run), self.limit)?;
        assert_written_is_there(&log)?;
        if let Some(last) = last_data_frame(&config.data_dir, "KOSPI")? {
            self.last.insert(run, last);
        }
        let place = call.as_ref().map_or("at some instant".to_owned(), Call::place);
        let after = if inject.contains(AFTER) {
            "after    "
        } else {
            "in       "
        };
        let place = format!("{after}{place}");
        self.what.push(format!("{inject} {work:?}: {place}"));
        self.logs.push(log);
        tally.tried += 1;
        tally.place(place);
        Ok(call.is_some())
    }

    /// What an undisturbed recorder does with what the killed ones left behind.
    fn recover(&mut self) -> Result<()> {
        let log = self.bench.path().join("recovery.log");
        recover(&RecorderConfig {
            base_url: NOWHERE.to_owned(),
            wrapper: Strace::to(&log).wrapper(),
            ..self.bench.config.clone()
        })?;
        wait_until(Duration::from_secs(5), "strace has written its log", || {
            Ok(std::fs::read_to_string(&log)?.contains("+++ exited with"))
        })?;
        self.logs.push(Log::read(&log)?);
        Ok(())
    }

    fn compare(mut self, tally: &mut Tally) {
        let recovered = self.recover();
        let result = recovered.and_then(|()| self.bench.finish()).and_then(|()| {
            let report = compare(
                &self.bench.simulator.ledger,
                &self.bench.config.data_dir,
                Mode::Prefix,
            )?;
            assert_recorded_to(&report, "KOSPI", &self.last)?;
            ensure!(report.quarantined() == 0, "I1: nothing bad was sent");
            Ok(report)
        });
        let what = format!("kills {:#?}", self.what);
        match result {
            Ok(report) => tally.note(format!(
                "{} kills from {}: {} records, the same",
                self.what.len(),
                self.what.first().map_or("", String::as_str),
                report.trades()
            )),
            Err(error) => {
                tally.failed(&what, &error);
                self.bench.keep();
            }
        }
        let broken = durability::check(&self.logs);
        if let Some(first) = broken.first() {
            let error = anyhow::anyhow!("{}: {} ({} in all)", first.rule, first.what, broken.len());
            tally.failed(&what, &error);
        }
        look_at_logs(tally, &what, self.bench.path());
        check_coverage(tally, &what, &self.bench.config);
    }
}

fn kills_of(tally: &mut Tally, call: &str, how: &str, thread: &str, work: Work, batch: usize) {
    let mut open: Option<Batch> = None;
    for n in 1..CALLS_MAX {
        let current = match open.take() {
            Some(batch) => Ok(batch),
            None => Batch::new(),
        };
        let mut current = match current {
            Ok(current) => current,
            Err(error) => return tally.failed(format!("{call} {n}"), &error),
        };
        let killed = current.kill(tally, &format!("{call}:{how}:when={n} thread {thread}"), work);
        let reached = match killed {
            Ok(reached) => reached,
            Err(error) => {
                tally.failed(format!("{call} {n} {work:?}, after {:#?}", current.what), &error);
                current.bench.keep();
                continue;
            }
        };
        if !reached || current.what.len() >= batch {
            current.compare(tally);
        } else {
            open = Some(current);
        }
        if !reached {
            break;
        }
    }
    if let Some(batch) = open {
        batch.compare(tally);
    }
}

#[test]
fn i1_recorders_killed_in_any_call_lose_nothing_written_and_double_nothing() {
    let _turn = turn();
    let mut tally = Tally::begin("part 1a: recorders killed in their system calls");
    if let Some(why) = Strace::missing() {
        tally.skip("kills in system calls", why);
        return;
    }
    if Extent::asked() == Extent::Sample {
        let mut batch = Batch::new().unwrap();
        batch.limit = SAMPLE_RUN;
        // The date's directory of the dataset `clock`: it is there only once, so it comes first.
        let inject = format!("mkdir:{AFTER}:when=2 thread clock");
        if let Err(error) = batch.kill(&mut tally, &inject, Work::Both) {
            tally.failed(&inject, &error);
        }
        for (call, how, n, work) in [
            ("pwrite64", IN, 3, Work::Both),
            ("pwrite64", IN, 4, Work::Both),
            ("rename", IN, 2, Work::Journal),
            ("rename", AFTER, 2, Work::Journal),
            ("fsync", IN, 7, Work::Datasets),
            ("rename", IN, 2, Work::Datasets),
            ("rename", AFTER, 3, Work::Datasets),
            ("fsync", IN, 9, Work::Datasets),
            ("fdatasync", IN, 4, Work::Both),
            ("write", IN, 20, Work::Datasets),
            ("unlink", AFTER, 1, Work::Both),
        ] {
            let thread = if work == Work::Journal {
                "journal"
            } else {
                "export"
            };
            let inject = format!("{call}:{how}:when={n} thread {thread}");
            if let Err(error) = batch.kill(&mut tally, &inject, work) {
                tally.failed(format!("{inject}, after {:#?}", batch.what), &error);
            }
        }
        batch.compare(&mut tally);
        return tally.finish();
    }
    for (call, works) in [
        ("pwrite64", &[Work::Both, Work::Journal][..]),
        ("rename", &[Work::Both, Work::Journal, Work::Datasets]),
        ("fsync", &[Work::Both, Work::Journal, Work::Datasets]),
        ("fdatasync", &[Work::Both]),
        ("unlink", &[Work::Both, Work::Journal]),
        ("fallocate", &[Work::Both]),
        ("ftruncate", &[Work::Both]),
        ("openat", &[Work::Journal, Work::Datasets]),
        ("write", &[Work::Both, Work::Datasets]),
    ] {
        for work in works {
            kills_of(&mut tally, call, IN, "", *work, BATCH);
        }
    }
    for (call, thread) in [
        ("rename", "journal"),
        ("rename", "export"),
        ("unlink", "export"),
        ("fsync", "sync"),
        ("fsync", "export"),
        ("fdatasync", "sync"),
        ("fallocate", "sync"),
    ] {
        for work in [Work::Both, Work::Journal] {
            kills_of(&mut tally, call, AFTER, thread, work, BATCH);
        }
    }
    // Directories are created only in an empty data directory.
    kills_of(&mut tally, "mkdir", IN, "", Work::Both, 1);
    for thread in ["export", "clock"] {
        kills_of(&mut tally, "mkdir", AFTER, thread, Work::Both, 1);
    }
    tally.finish();
}

/// A data directory with much to recover, of both markets, and what comes of it undisturbed.
struct Killed {
    bench: Bench,
    reference: BTreeMap<std::path::PathBuf, String>,
}

impl Killed {
    fn new(record: Duration) -> Result<Self> {
        let faults = ["--fault", "garbage@every:50:badrecord"];
        let mut bench = Bench::new(&[&["--rate", "100000", "--repeat"], &faults[..]].concat())?;
        let config = Work::Journal.of(&bench.config);
        let mut recorder = config.start()?;
        recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX)?;
        sleep(record);
        recorder.kill()?;
        let saved = bench.path().join("saved");
        std::fs::rename(&bench.config.data_dir, &saved)?;
        copy_tree(&saved, &bench.config.data_dir)?;
        bench.finish()?;
        let report = compare(&bench.simulator.ledger, &bench.config.data_dir, Mode::Prefix)?;
        println!("{report}");
        let reference = datasets(&bench.config.data_dir)?;
        Ok(Self { bench, reference })
    }

    /// Kills a recovery, and lets another one finish; returns whether the call was reached.
    fn kill(&self, tally: &mut Tally, run: usize, inject: &str) -> Result<bool> {
        let config = RecorderConfig {
            base_url: NOWHERE.to_owned(),
            data_dir: self.bench.path().join("again"),
            ..self.bench.config.clone()
        };
        if config.data_dir.exists() {
            std::fs::remove_dir_all(&config.data_dir)?;
        }
        copy_tree(&self.bench.path().join("saved"), &config.data_dir)?;
        let (call, log) = killed_run(&config, inject, &self.bench.log(run), RUN)?;
        recover(&RecorderConfig {
            wrapper: Strace::to(&self.bench.path().join("recovery.log")).wrapper(),
            ..config.clone()
        })?;
        tally.tried += 1;
        tally.place(call.as_ref().map_or("at some instant".to_owned(), Call::place));
        let found = datasets(&config.data_dir)?;
        if found != self.reference {
            let differing = |a: &BTreeMap<std::path::PathBuf, String>,
                             b: &BTreeMap<std::path::PathBuf, String>| {
                a.iter()
                    .find(|(path, digest)| b.get(*path) != Some(digest))
                    .map(|(path, _)| path.display().to_string())
            };
            anyhow::bail!(
                "I3: the datasets differ from those of an undisturbed recovery: {:?}, {:?}",
                differing(&found, &self.reference),
                differing(&self.reference, &found)
            );
        }
        let recovery = Log::read(&self.bench.path().join("recovery.log"))?;
        let broken = durability::check(&[log, recovery]);
        if let Some(first) = broken.first() {
            anyhow::bail!("{}: {} ({} in all)", first.rule, first.what, broken.len());
        }
        Ok(call.is_some())
    }
}

fn datasets(data_dir: &Path) -> Result<BTreeMap<std::path::PathBuf, String>> {
    let mut files = tree(&data_dir.join("trades")).context("the trades")?;
    files.extend(tree(&data_dir.join("quarantine"))?);
    Ok(files)
}

#[test]
fn i3_recoveries_killed_in_any_call_end_with_the_same_bytes() {
    let _turn = turn();
    let mut tally = Tally::begin("part 1b: recoveries killed in their system calls");
    if let Some(why) = Strace::missing() {
        tally.skip("kills in system calls", why);
        return;
    }
    let full = Extent::asked() == Extent::Full;
    let killed = Killed::new(Duration::from_millis(if full { 1500 } else { 1000 })).unwrap();
    let mut run = 0;
    for call in [
        "rename",
        "fsync",
        "unlink",
        "write",
        "openat",
        "pwrite64",
        "fdatasync",
        "mkdir",
        "ftruncate",
        "fallocate",
    ] {
        let numbers: Vec<usize> = match (full, call) {
            (true, _) => (1..CALLS_MAX).collect(),
            (false, "rename" | "unlink") => vec![2],
            (false, "fsync") => vec![6],
            (false, _) => Vec::new(),
        };
        for n in numbers {
            run += 1;
            let inject = format!("{call}:signal=KILL:when={n}");
            match killed.kill(&mut tally, run, &inject) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => tally.failed(&inject, &error),
            }
        }
    }
    tally.finish();
}
