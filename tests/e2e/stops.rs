//! What signals do: stop cleanly, even when sent twice, stop at once, commit now; and one recorder per data directory.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use krx_harness::oracle::MARKETS;
use krx_harness::process::wait_until;
use krx_harness::tree::files_under;
use krx_harness::{Mode, Recorder, RecorderConfig, Simulator, compare};
use krx_store::DataDir;
use krx_store::journal::{Followed, Follower};
use rustix::process::Signal;

const CONNECT_MAX: Duration = Duration::from_secs(20);

fn recorder_under_load(
    folder: &Path,
    rate: &str,
    rotate_interval: &str,
) -> (Simulator, RecorderConfig, Recorder) {
    let simulator = Simulator::start(folder, &["--rate", rate]).unwrap();
    let config = RecorderConfig {
        rotate_interval: rotate_interval.to_owned(),
        // What is journaled is compared with what is committed, so nothing of it may go.
        keep_days: 30,
        ..RecorderConfig::new(folder, &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX).unwrap();
    (simulator, config, recorder)
}

/// The last frame in a market's journal.
fn last_journaled(data_dir: &Path, market: &str) -> u64 {
    let dir = DataDir::new(data_dir).journal(&market.parse().unwrap());
    let mut follower = Follower::new(dir, None);
    let mut last = 0;
    loop {
        match follower.advance().unwrap() {
            Followed::Record(_, head) => last = head.frame,
            Followed::SegmentEnd(_) => {}
            Followed::Damage(name, span) => panic!("{name} is damaged at {span:?}"),
            Followed::CaughtUp => return last,
        }
    }
}

fn assert_all_journaled_is_committed(simulator: &mut Simulator, config: &RecorderConfig) {
    simulator.stop().unwrap();
    let report = compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
    println!("{report}");
    for market in MARKETS {
        let (committed, journaled) = (
            report.markets[market].frames,
            last_journaled(&config.data_dir, market),
        );
        assert!(journaled > 1, "{market}: {journaled} frames are too few to tell");
        assert_eq!(
            committed, journaled,
            "{market}: frames committed, and frames journaled"
        );
    }
}

#[test]
fn i1_sigterm_under_load_seals_all_that_was_journaled() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, mut recorder) = recorder_under_load(folder.path(), "200000", "1s");
    sleep(Duration::from_secs(3));
    let asked = Instant::now();
    recorder.stop().unwrap();
    println!("stopped within {:?}", asked.elapsed());
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        asked.elapsed()
    );
    assert_all_journaled_is_committed(&mut simulator, &config);
}

#[test]
fn sigusr1_seals_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, mut recorder) = recorder_under_load(folder.path(), "20000", "1h");
    sleep(Duration::from_secs(1));
    let committed = || files_under(&config.data_dir.join("trades")).unwrap().len();
    let before = committed();
    recorder.process.signal(Signal::USR1).unwrap();
    wait_until(
        Duration::from_secs(2),
        "files of both feeds are committed",
        || Ok(committed() >= before + 2),
    )
    .unwrap();
    // It is logged a moment after the file gets its name: the checksum comes first.
    recorder
        .wait_for_log("reason=\"asked\"", 2, Duration::from_secs(5))
        .unwrap();
    recorder.stop().unwrap();
    assert_all_journaled_is_committed(&mut simulator, &config);
}

#[test]
fn i1_a_sigterm_that_is_sent_twice_is_one_request() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, mut recorder) = recorder_under_load(folder.path(), "200000", "1h");
    sleep(Duration::from_secs(1));
    recorder.process.signal(Signal::TERM).unwrap();
    // The kernel keeps one pending signal of each kind: the second one must really be a second one.
    recorder.wait_for_log("stopping", 1, CONNECT_MAX).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        recorder.process.signal(signal).unwrap();
    }
    recorder.stop().unwrap();
    assert_all_journaled_is_committed(&mut simulator, &config);
}

#[test]
fn i1_timeout_of_coreutils_stops_it_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "200000"]).unwrap();
    // It sends the signal to its child, and then to their common group. A leftover child must not remain.
    let wrapper = [
        "timeout",
        "--preserve-status",
        "1h",
        "setpriv",
        "--pdeathsig",
        "KILL",
    ];
    let config = RecorderConfig {
        rotate_interval: "1h".to_owned(),
        keep_days: 30,
        wrapper: wrapper.map(str::to_owned).to_vec(),
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX).unwrap();
    sleep(Duration::from_secs(1));
    recorder.stop().unwrap();
    let log = recorder.log().unwrap();
    assert!(
        log.contains("stopped; all that was received is committed"),
        "{log}"
    );
    assert_all_journaled_is_committed(&mut simulator, &config);
}

#[test]
fn i1_a_later_sigterm_ends_at_once_and_the_next_start_exports_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, mut recorder) = recorder_under_load(folder.path(), "200000", "1h");
    sleep(Duration::from_secs(3));
    recorder.process.signal(Signal::TERM).unwrap();
    recorder.wait_for_log("stopping", 1, CONNECT_MAX).unwrap();
    // It would otherwise be done within the two seconds in which a second request counts as the first.
    recorder.process.signal(Signal::STOP).unwrap();
    sleep(Duration::from_millis(2100));
    recorder.process.signal(Signal::TERM).unwrap();
    recorder.process.signal(Signal::CONT).unwrap();
    let asked = Instant::now();
    let status = recorder.process.wait(Duration::from_secs(5)).unwrap();
    assert_eq!(
        status.signal(),
        Some(Signal::TERM.as_raw()),
        "{status}: {}",
        recorder.log_end()
    );
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "it took {:?}",
        asked.elapsed()
    );

    simulator.stop().unwrap();
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("not connected", 1, CONNECT_MAX).unwrap();
    recorder.stop().unwrap();
    assert_all_journaled_is_committed(&mut simulator, &config);
}

#[test]
fn a_data_directory_has_one_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, mut recorder) = recorder_under_load(folder.path(), "2000", "1s");
    recorder.wait_for_log("committed", 4, CONNECT_MAX).unwrap();
    let second_folder = folder.path().join("second");
    fs::create_dir(&second_folder).unwrap();
    let second = RecorderConfig {
        folder: second_folder,
        ..config.clone()
    };
    for command in ["run", "check"] {
        let refused = second.run_to_end(command, &[], CONNECT_MAX).unwrap();
        assert_eq!(refused.code, Some(75), "{command}: {}", refused.stderr);
        let words = format!(
            "another recorder writes to this data directory (process {})",
            recorder.process.id()
        );
        assert!(refused.stderr.contains(&words), "{command}: {}", refused.stderr);
    }
    recorder.stop().unwrap();
    assert_all_journaled_is_committed(&mut simulator, &config);
}
