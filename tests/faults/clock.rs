//! Part 5: a clock that is set while the recorder runs, hours forward and back, also across midnight in Korea.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use krx_harness::oracle::{MARKETS, compare_over_dates};
use krx_harness::recorded::{Frames, korean_date};
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

fn jumps(tally: &mut Tally, jumps: usize, seed: u64, library: PathBuf) -> Result<()> {
    const HOUR: i64 = 3600;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bench = Bench::new(&["--rate", "5000", "--repeat"])?;
    let file = bench.path().join("clock");
    set(&file, 0)?;
    let on = || PathBuf::from("1");
    bench.config.variables = vec![
        ("LD_PRELOAD".to_owned(), library),
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), file.clone()),
        ("FAKETIME_NO_CACHE".to_owned(), on()),
        // Nobody can set that clock.
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), on()),
        ("DONT_FAKE_MONOTONIC".to_owned(), on()),
    ];
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
