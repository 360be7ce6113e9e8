//! Days sealed into one file by the real program, whatever happens to it: the oracle finds each record once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use krx_harness::process::{Program, wait_until};
use krx_harness::tree::{copy_tree, files_under};
use krx_harness::{Mode, RecorderConfig, Simulator, compare};
use serde_json::Value;

/// A recorded day of both markets with bad records and a disconnect.
struct Recording {
    _folder: tempfile::TempDir,
    ledger: PathBuf,
    data: PathBuf,
    date: String,
}

impl Recording {
    fn make(trades: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "--speed",
            "max",
            "--trades-per-day",
            trades,
            "--fault",
            "garbage@every:400:badrecord",
            "--fault",
            "disconnect@5000",
        ];
        let mut simulator = Simulator::start(folder.path(), &arguments).unwrap();
        let config = RecorderConfig {
            rows_max: 20_000,
            ..RecorderConfig::new(folder.path(), &simulator.url)
        };
        let mut recorder = config.start().unwrap();
        simulator
            .finish_day(&mut recorder, 2, Duration::from_secs(60))
            .unwrap();
        recorder.stop().unwrap();
        let date = fs::read_dir(config.data_dir.join("trades"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let date = date.file_name().to_str().unwrap().replace("date=", "");
        Self {
            ledger: simulator.ledger.clone(),
            data: config.data_dir,
            date,
            _folder: folder,
        }
    }

    fn seal(&self, data: &Path) -> Command {
        let mut command = Command::new(Program::Recorder.path().unwrap());
        command
            .args(["seal", &self.date, "--json", "--data-dir"])
            .arg(data);
        command
    }

    /// Trades files of both markets.
    fn files(&self, data: &Path) -> usize {
        files_under(&data.join("trades")).unwrap().len()
    }

    fn assert_equal(&self, data: &Path) {
        let report = compare(&self.ledger, data, Mode::Exact).unwrap();
        assert!(report.trades() > 50_000 && report.quarantined() > 100, "{report}");
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn verified(data: &Path) {
    let mut verify = Command::new(Program::Recorder.path().unwrap());
    let output = verify
        .args(["verify", "--json", "--data-dir"])
        .arg(data)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn i1_a_sealed_day_has_each_record_once() {
    let recording = Recording::make("300000");
    assert!(recording.files(&recording.data) > 10);
    let outcomes = |output: &Output| -> Vec<String> {
        let report = json(output);
        let days = report["days"].as_array().unwrap();
        let of_feeds = days.iter().filter(|day| !day["feed"].is_null());
        of_feeds
            .map(|day| day["outcome"].as_str().unwrap().to_owned())
            .collect()
    };
    // One market, then everything that is left.
    let output = recording
        .seal(&recording.data)
        .args(["--feed", "KOSPI"])
        .output()
        .unwrap();
    assert_eq!(
        (outcomes(&output), output.status.code()),
        (vec!["sealed".into()], Some(0))
    );
    let output = recording.seal(&recording.data).output().unwrap();
    assert_eq!(outcomes(&output), ["sealed", "already_sealed"]);
    // Once both are sealed, the date has its rows, and keeps them.
    let daily = |output: &Output| {
        let report = json(output);
        let mut days = report["days"].as_array().unwrap().clone();
        days.retain(|day| day["dataset"] == "daily");
        days
    };
    assert_eq!(daily(&output).len(), 1);
    assert_eq!(daily(&output)[0]["outcome"], "made");
    let path = recording
        .data
        .join("daily")
        .join(daily(&output)[0]["file"].as_str().unwrap());
    let bytes = fs::read(&path).unwrap();
    let again = recording.seal(&recording.data).output().unwrap();
    assert_eq!(daily(&again), Vec::<serde_json::Value>::new());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(recording.files(&recording.data), 2);
    recording.assert_equal(&recording.data);
    verified(&recording.data);
    // Replaced files stay for an hour, marked as such.
    let replaced = files_under(&recording.data.join(".krx/sealing")).unwrap();
    let markers = replaced.iter().filter(|path| path.ends_with("replaced.parquet"));
    assert_eq!(markers.count(), 2, "{replaced:?}");
    assert!(replaced.len() > 10, "{replaced:?}");

    // A date with no recording, and a directory that does not exist.
    let mut other = Command::new(Program::Recorder.path().unwrap());
    let output = other
        .args(["seal", "2020-01-02", "--data-dir"])
        .arg(&recording.data)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(64) && words.contains(&recording.date),
        "{words}"
    );
    let output = recording.seal(Path::new("/nowhere/at/all")).output().unwrap();
    assert_eq!(output.status.code(), Some(74));
}

#[test]
fn i1_a_damaged_file_is_not_sealed_and_costs_the_other_market_nothing() {
    let recording = Recording::make("300000");
    let kospi = files_under(&recording.data.join("trades")).unwrap();
    let kospi = kospi
        .iter()
        .rfind(|path| path.to_str().unwrap().contains("=KOSPI"))
        .unwrap();
    let sound = fs::read(kospi).unwrap();
    let mut bytes = sound.clone();
    bytes[200] ^= 1;
    fs::write(kospi, &bytes).unwrap();
    let output = recording.seal(&recording.data).output().unwrap();
    let report = json(&output);
    assert_eq!((output.status.code(), &report["ok"]), (Some(65), &false.into()));
    assert_eq!(
        (&report["days"][0]["outcome"], &report["days"][1]["outcome"]),
        (&"sealed".into(), &"failed".into())
    );
    assert!(
        report["days"][1]["error"].as_str().unwrap().contains("SHA-256"),
        "{report}"
    );
    fs::write(kospi, &sound).unwrap();
    recording.assert_equal(&recording.data);
}

/// This many times over all stages.
const KILLS: usize = 15;

#[test]
fn i1_a_seal_that_is_killed_loses_and_doubles_nothing() {
    let recording = Recording::make("150000");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("data");
    copy_tree(&recording.data, &copy).unwrap();
    let before = recording.files(&copy);
    // How far a seal has got when it is killed, and up to some milliseconds later.
    let is_building = |market: &str| {
        copy.join(format!(
            ".krx/sealing/{}-trades-{market}/day.partial",
            recording.date
        ))
        .exists()
    };
    let stages: [&dyn Fn() -> bool; 3] = [&|| is_building("KOSDAQ"), &|| is_building("KOSPI"), &|| {
        recording.files(&copy) == 2
    }];
    let mut random = fastrand::Rng::with_seed(7);
    let mut seen = [0; 3];
    for kill in 0..KILLS {
        fs::remove_dir_all(&copy).unwrap();
        copy_tree(&recording.data, &copy).unwrap();
        let mut seal = recording
            .seal(&copy)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let (stage, started) = (stages[kill % stages.len()], Instant::now());
        while !stage() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "kill {kill}: it does not get on"
            );
            sleep(Duration::from_micros(200));
        }
        if kill >= stages.len() {
            sleep(Duration::from_millis(random.u64(0..40)));
        }
        seal.kill().unwrap();
        seal.wait().unwrap();
        let files = recording.files(&copy);
        let state = match files {
            2 => 2,
            files if files == before => 0,
            _ => 1,
        };
        seen[state] += 1;
        if kill % 4 == 0 {
            recording.assert_equal(&copy);
        }
        // The next call continues.
        let output = recording.seal(&copy).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(recording.files(&copy), 2);
        recording.assert_equal(&copy);
        verified(&copy);
    }
    println!(
        "killed with no market sealed {}, one {}, both {}",
        seen[0], seen[1], seen[2]
    );
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn sigterm_leaves_the_day_as_it_was_and_says_so() {
    let recording = Recording::make("3000000");
    let before = files_under(&recording.data.join("trades")).unwrap();
    let mut seal = recording.seal(&recording.data);
    let seal = seal
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It is under way once a file is being built.
    let sealing = recording.data.join(".krx/sealing");
    wait_until(Duration::from_secs(20), "a day is being sealed", || {
        Ok(sealing.exists()
            && files_under(&sealing)?
                .iter()
                .any(|path| path.ends_with("day.partial")))
    })
    .unwrap();
    let id = rustix::process::Pid::from_child(&seal);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let output = seal.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(75) && words.contains("interrupted"),
        "{words}"
    );
    assert_eq!(json(&output)["interrupted"], true);
    assert_eq!(files_under(&recording.data.join("trades")).unwrap(), before);
    recording.assert_equal(&recording.data);
}
