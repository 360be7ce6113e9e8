//! An average day of twelve million trades over the real list of issues, as fast as possible.
//!
//! Runs only if `$KRX_FULL_DAY` is 1 and the list lies beside the project.

use std::path::Path;
use std::time::{Duration, Instant};

use krx_harness::{Mode, RecorderConfig, Simulator, compare};

const ISSUES: &str = "../shared/data/krx_issues_kis_mst_20260722.csv";
const DAY_MAX: Duration = Duration::from_secs(1200);

#[test]
fn i1_a_full_day_is_recorded_exactly() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let issues = root.join(ISSUES);
    if std::env::var("KRX_FULL_DAY").as_deref() != Ok("1") {
        println!(
            "skipped: set KRX_FULL_DAY=1 to run it; it takes a minute or two, and 4 GB in the temporary directory"
        );
        return;
    }
    if !issues.is_file() {
        println!("skipped: the list of issues is not there ({ISSUES}, from the project)");
        return;
    }
    let _machine = crate::whole_machine();
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "12000000",
        "--issues",
        issues.to_str().unwrap(),
    ];
    let mut simulator = Simulator::start(folder.path(), &arguments).unwrap();
    let config = RecorderConfig {
        rotate_interval: "5m".to_owned(),
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let started = Instant::now();
    let mut recorder = config.start().unwrap();
    simulator.finish_day(&mut recorder, 2, DAY_MAX).unwrap();
    let (received, cpu, peak) = (
        started.elapsed(),
        recorder.process.cpu_time().unwrap(),
        recorder.process.memory_peak_bytes().unwrap(),
    );
    let stopping = Instant::now();
    recorder.stop().unwrap();
    let stopped = stopping.elapsed();

    let comparing = Instant::now();
    let report = compare(&simulator.ledger, &config.data_dir, Mode::Exact).unwrap();
    println!("{report}");
    println!(
        "received in {received:.1?} ({:.0} records/s), stopped in {stopped:.1?}, compared in {:.1?}",
        report.trades() as f64 / received.as_secs_f64(),
        comparing.elapsed()
    );
    println!(
        "the recorder took {:.1} s of processor time until then, and at most {:.0} MB; {} files, {} bytes",
        cpu.as_secs_f64(),
        peak as f64 / 1e6,
        report.files(),
        report.bytes()
    );
    assert!(
        report.trades() > 11_000_000,
        "{} records are no full day",
        report.trades()
    );
    assert_eq!(report.quarantined(), 0);
}
