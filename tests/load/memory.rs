//! Memory stays within its limits (I5), at the rate of a burst and at that of a quiet day.

use std::thread::sleep;
use std::time::Duration;

use krx_harness::{RecorderConfig, Simulator};

const MEGABYTE: u64 = 1_000_000;

/// The most memory that a recorder may use while both markets together send this many records a second.
fn limit_bytes(rate: u64) -> u64 {
    if rate <= 2_000 {
        60 * MEGABYTE
    } else {
        120 * MEGABYTE
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

fn measure(rate: u64, seconds: usize) {
    let _machine = crate::whole_machine();
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", &rate.to_string(), "--repeat"]).unwrap();
    // The limits of the example configuration, which decide how much is held before it is committed.
    let config = RecorderConfig {
        rotate_interval: "5m".to_owned(),
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder
        .wait_for_log("INFO connected ", 2, Duration::from_secs(20))
        .unwrap();
    let samples: Vec<u64> = (0..seconds)
        .map(|_| {
            sleep(Duration::from_secs(1));
            recorder.process.memory_bytes().unwrap()
        })
        .collect();
    let peak = recorder.process.memory_peak_bytes().unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();

    let quarter = (seconds / 4).max(1);
    let megabytes = |bytes: u64| bytes as f64 / MEGABYTE as f64;
    println!(
        "{rate} records/s for {seconds} s: RSS min {:.1}, median {:.1}, max {:.1} MB; \
         median of the first quarter {:.1}, of the last {:.1} MB; peak {:.1} MB",
        megabytes(*samples.iter().min().unwrap()),
        megabytes(median(&samples)),
        megabytes(*samples.iter().max().unwrap()),
        megabytes(median(&samples[..quarter])),
        megabytes(median(&samples[seconds - quarter..])),
        megabytes(peak)
    );
    assert!(
        peak <= limit_bytes(rate),
        "{:.1} MB are more than the limit",
        megabytes(peak)
    );
}

#[test]
fn i5_memory_stays_within_its_limit_in_a_burst() {
    measure(50_000, 15);
}

/// Runs for `$KRX_MEMORY_SECONDS` (600) at `$KRX_MEMORY_RATE` (50000).
#[test]
#[ignore = "takes as long as it is told to"]
fn i5_memory_stays_within_its_limit_for_long() {
    let number = |variable: &str, default| {
        std::env::var(variable).map_or(default, |text| text.parse::<u64>().unwrap())
    };
    let seconds = usize::try_from(number("KRX_MEMORY_SECONDS", 600)).unwrap();
    measure(number("KRX_MEMORY_RATE", 50_000), seconds);
}
