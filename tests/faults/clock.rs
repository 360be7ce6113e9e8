//! Part 5: a clock that is set while the recorder runs, hours forward and back, also across midnight in Korea; and one that
//! is wrong, which must be noticed within a minute of data.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use krx_harness::oracle::{MARKETS, compare_over_dates};
use krx_harness::process::{free_port, wait_until};
use krx_harness::recorded::{Frames, korean_date};
use krx_harness::recorder::{get, status};
use krx_harness::{Recorder, RecorderConfig};
use krx_store::{DataDir, Moment, clock};
use krx_tests::tally::{Extent, Tally};

use crate::common::{Bench, CONNECT_MAX, look_at_logs, now_us, number, turn};

const JUMPS: usize = 50;

fn library() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    places
        .map(|dir| dir.join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.is_file())
}

/// Written whole: the recorder reads the file whenever it looks at the clock.
fn set(file: &Path, offset_s: i64) -> Result<()> {
    let next = file.with_extension("next");
    fs::write(&next, format!("{offset_s:+}\n"))?;
    fs::rename(&next, file).context("setting the clock")
}

/// What has a program take its time from the file.
fn by_the_clock_of(file: &Path, library: PathBuf) -> Vec<(String, PathBuf)> {
    let on = || PathBuf::from("1");
    vec![
        ("LD_PRELOAD".to_owned(), library),
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), file.to_owned()),
        ("FAKETIME_NO_CACHE".to_owned(), on()),
        // Nobody can set that clock.
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), on()),
        ("DONT_FAKE_MONOTONIC".to_owned(), on()),
    ]
}

fn jumps(tally: &mut Tally, jumps: usize, seed: u64, library: PathBuf) -> Result<()> {
    const HOUR: i64 = 3600;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bench = Bench::new(&["--rate", "5000", "--repeat"])?;
    let file = bench.path().join("clock");
    set(&file, 0)?;
    bench.config.variables = by_the_clock_of(&file, library);
    let mut recorder = bench.config.start()?;
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX)?;
    let date_at = |offset_s: i64| korean_date(now_us() + offset_s * 1_000_000).context("a date");
    let mut dates = BTreeSet::from([date_at(0)?]);
    for jump in 0..jumps {
        sleep(Duration::from_millis(random.u64(100..=500)));
        // Overall it moves forward, so that midnight comes again and again.
        let offset_s = i64::try_from(jump)? * HOUR + random.i64(-30 * HOUR..=30 * HOUR);
        dates.insert(date_at(offset_s)?);
        set(&file, offset_s)?;
        dates.insert(date_at(offset_s)?);
        tally.tried += 1;
    }
    sleep(Duration::from_millis(500));
    let dropped = recorder.log()?.matches(" disconnected ").count();
    bench.simulator.finish(&mut recorder, 2)?;
    recorder.stop()?;
    look_at_logs(tally, seed, bench.path());
    ensure!(dropped == 0, "a connection was dropped because the clock was set");
    let report = compare_over_dates(&bench.simulator.ledger, &bench.config.data_dir)?;
    let mut recorded = BTreeSet::new();
    for market in MARKETS {
        let mut frames = Frames::open(&bench.config.data_dir, market)?;
        while let Some(frame) = frames.next()? {
            recorded.insert(frame.date);
        }
    }
    ensure!(
        recorded.is_subset(&dates),
        "there are files of {recorded:?}, and the clock has shown {dates:?}"
    );
    ensure!(recorded.len() > 1, "midnight never came");
    tally.note(format!(
        "seed {seed}: {jumps} jumps over {} dates, {} records, all of them",
        recorded.len(),
        report.trades()
    ));
    Ok(())
}

#[test]
fn i1_a_clock_that_is_set_costs_nothing_and_doubles_nothing() {
    let _turn = turn();
    let mut tally = Tally::begin("part 5: a clock that is set");
    if Extent::asked() == Extent::Sample {
        return tally.skip("jumps of the clock", "they are made by `make test-faults`");
    }
    let Some(library) = library() else {
        return tally.skip(
            "jumps of the clock",
            "libfaketime is not installed (tests/tools/fault-tools.sh)",
        );
    };
    let (all, seed) = (number("KRX_JUMPS", JUMPS), number("KRX_SEED", 1) as u64);
    for (seed, count) in [(seed, all.div_ceil(2)), (seed + 1, all / 2)] {
        let result = jumps(&mut tally, count, seed, library.clone());
        tally.check(format!("seed {seed}"), result);
    }
    tally.finish();
}

const HOUR_S: i64 = 3600;

/// Within this time of data a wrong clock is noticed.
const NOTICED_MAX: Duration = Duration::from_secs(60);

/// A recorder beside an exchange at ten in the morning, with a clock that can be set.
struct Morning {
    bench: Bench,
    recorder: Recorder,
    port: u16,
    file: PathBuf,
    /// What brings the recorder's clock to the exchange's time, s.
    right_s: i64,
}

impl Morning {
    fn begin(date: NaiveDate, library: PathBuf) -> Result<Self> {
        let mut bench = Bench::new(&["--start", "10:00", "--trades-per-day", "400000"])?;
        let ten = Moment::midnight(date).0 + 10 * HOUR_S * 1_000_000;
        // The exchange has begun within the last second.
        let right_s = (ten - now_us()).div_euclid(1_000_000) + 1;
        let (file, port) = (bench.path().join("clock"), free_port()?);
        set(&file, right_s)?;
        bench.config = RecorderConfig {
            status_port: Some(port),
            variables: by_the_clock_of(&file, library),
            ..bench.config.clone()
        };
        let mut recorder = bench.config.start()?;
        recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX)?;
        Ok(Self {
            bench,
            recorder,
            port,
            file,
            right_s,
        })
    }

    /// Sets the clock: fast by so many seconds.
    fn set_fast(&self, seconds: i64) -> Result<()> {
        set(&self.file, self.right_s + seconds)
    }

    /// Waits until the status says this of all feeds.
    fn wait_for(&self, verdict: &str) -> Result<()> {
        wait_until(NOTICED_MAX, &format!("all feeds are {verdict}"), || {
            let status = status(self.port)?;
            let feeds = status["feeds"].as_array().context("feeds")?;
            Ok(feeds.iter().all(|feed| feed["clock"]["verdict"] == verdict))
        })
    }

    /// Sets the clock wrong, and waits until the log, the status and the metrics say so; then sets it right again.
    fn wrong(&mut self, seconds: i64, verdict: &str, words: &str, times: usize) -> Result<()> {
        self.set_fast(seconds)?;
        self.recorder.wait_for_log(words, times, NOTICED_MAX)?;
        self.wait_for(verdict)?;
        let metrics = get(self.port, "/metrics")?;
        for market in MARKETS {
            let series = format!("krx_feed_clock{{feed=\"{market}\",verdict=\"{verdict}\"}} 1\n");
            ensure!(metrics.contains(&series), "{series} is not in the metrics");
        }
        let told = status(self.port)?;
        let lag = told["feeds"][0]["clock"]["lag_seconds"]
            .as_f64()
            .context("a lag")?;
        ensure!(
            (lag - seconds as f64).abs() < 5.0,
            "the lag is said to be {lag} s"
        );
        self.set_fast(0)?;
        self.wait_for("good")
    }
}

/// All of it in one run: an hour slow, an hour fast, stepping, and what the kernel says.
fn wrong_clocks(tally: &mut Tally, library: PathBuf) -> Result<()> {
    let date = NaiveDate::from_ymd_opt(2026, 11, 20).context("a date")?;
    let mut morning = Morning::begin(date, library)?;
    morning.wait_for("good")?;
    let said = morning.recorder.log()?;
    ensure!(
        !said.contains("records are received"),
        "a good clock alarms: {said}"
    );
    let late = "records are received long after they were traded";
    let early = "records are received before they were traded";
    morning.wrong(HOUR_S, "late", late, 2)?;
    morning.wrong(-HOUR_S, "early", early, 2)?;
    morning
        .recorder
        .wait_for_log("records agree with this machine's clock again", 4, NOTICED_MAX)?;
    tally.tried += 2;

    // Stepping to and fro: each step is told, and counted.
    let before = status(morning.port)?["clock"]["steps"]
        .as_u64()
        .context("steps")?;
    for step in 0..6 {
        morning.set_fast(if step % 2 == 0 { 2 * HOUR_S } else { 0 })?;
        wait_until(NOTICED_MAX, "the step is counted", || {
            Ok(status(morning.port)?["clock"]["steps"].as_u64() > Some(before + step))
        })?;
        tally.tried += 1;
    }
    ensure!(
        morning.recorder.log()?.contains("the wall clock was set forward"),
        "no step is logged"
    );

    let told = status(morning.port)?["clock"]["synchronised"].clone();
    let says = morning
        .recorder
        .log()?
        .contains("nothing keeps this machine's clock in step");
    ensure!(
        says == (told == false),
        "synchronised is {told}, and the log says otherwise"
    );
    tally.note(format!("the kernel says: synchronised {told}"));

    let Morning {
        bench, mut recorder, ..
    } = morning;
    recorder.stop()?;
    look_at_logs(tally, "a wrong clock", bench.path());
    let rows = clock::load(&DataDir::new(&bench.config.data_dir), date)?;
    ensure!(!rows.is_empty(), "the date has no row of the dataset clock");
    ensure!(
        rows.iter().all(|row| row.synchronised == told.as_bool()),
        "the dataset says otherwise than the status: {rows:?}"
    );
    Ok(())
}

#[test]
fn a_wrong_clock_is_noticed_within_a_minute_of_data() {
    let _turn = turn();
    let mut tally = Tally::begin("part 5: a clock that is wrong");
    if Extent::asked() == Extent::Sample {
        return tally.skip("wrong clocks", "they are tried by `make test-faults`");
    }
    let Some(library) = library() else {
        return tally.skip(
            "wrong clocks",
            "libfaketime is not installed (tests/tools/fault-tools.sh)",
        );
    };
    let result = wrong_clocks(&mut tally, library);
    tally.check("an hour slow, an hour fast, stepping", result);
    tally.finish();
}
