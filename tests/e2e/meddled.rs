//! Somebody removes or moves what a recorder is using: it is reported at once, and nothing received is lost, even if
//! the recorder is then killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use krx_harness::oracle::MARKETS;
use krx_harness::process::{free_port, wait_until};
use krx_harness::recorder::status;
use krx_harness::tree::files_under;
use krx_harness::{Mode, Recorder, RecorderConfig, Simulator, compare, coverage};
use krx_store::DataDir;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// A segment that was removed, as the log has it.
const REMOVED: &str = "the journal segment was removed while it was being written";

struct Scene {
    folder: tempfile::TempDir,
    simulator: Simulator,
    config: RecorderConfig,
    port: u16,
    recorder: Recorder,
}

impl Scene {
    fn begin(rotate_interval: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(folder.path(), &["--rate", "4000"]).unwrap();
        let port = free_port().unwrap();
        let config = RecorderConfig {
            rotate_interval: rotate_interval.to_owned(),
            status_port: Some(port),
            ..RecorderConfig::new(folder.path(), &simulator.url)
        };
        let mut recorder = config.start().unwrap();
        recorder.wait_for_log("INFO connected ", 2, LIMIT).unwrap();
        let mut scene = Self {
            folder,
            simulator,
            config,
            port,
            recorder,
        };
        scene.receive_more();
        scene
    }

    /// For each market: frames received, and journaled.
    fn frames(&self) -> Vec<(u64, u64)> {
        let status = status(self.port).unwrap();
        let frames = |market: &serde_json::Value| {
            ["frames_received", "frames_journaled"].map(|key| market[key].as_u64().unwrap())
        };
        let markets = status["feeds"].as_array().unwrap();
        markets.iter().map(|market| frames(market).into()).collect()
    }

    /// Waits until each market has had some more frames.
    fn receive_more(&mut self) {
        let before = self.frames();
        wait_until(LIMIT, "more is journaled", || {
            let more = |(now, before): (&(u64, u64), &(u64, u64))| now.1 >= before.1 + 200;
            Ok(self.frames().iter().zip(&before).all(more))
        })
        .unwrap();
    }

    fn data(&self) -> DataDir {
        DataDir::new(&self.config.data_dir)
    }

    fn segments(&self, market: &str) -> Vec<PathBuf> {
        let files = files_under(&self.data().journal(&market.parse().unwrap())).unwrap();
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "journal");
        files.into_iter().filter(is_segment).collect()
    }

    /// Has all but the newest segments exported: older ones that are removed are lost.
    fn seal(&mut self) {
        self.recorder.process.signal(Signal::USR1).unwrap();
        wait_until(LIMIT, "each market has one segment", || {
            Ok(MARKETS.iter().all(|market| self.segments(market).len() == 1))
        })
        .unwrap();
    }

    /// Removes something, and waits until each segment that was in it is restored and another one begun.
    fn remove(&mut self, markets: &[&str], remove: impl FnOnce(&Self)) {
        let told = self.recorder.log().unwrap().matches(REMOVED).count();
        let before: Vec<_> = markets.iter().map(|market| self.segments(market)).collect();
        remove(self);
        self.recorder
            .wait_for_log(REMOVED, told + markets.len(), LIMIT)
            .unwrap();
        // The restored one may be gone again: it is removed as soon as all of it is exported.
        wait_until(LIMIT, "a new segment is begun", || {
            let is_begun = |(market, before): (&&str, &Vec<PathBuf>)| {
                self.segments(market).iter().any(|path| !before.contains(path))
            };
            Ok(markets.iter().zip(&before).all(is_begun))
        })
        .unwrap();
    }

    fn refuses_a_second_recorder(&self) {
        let folder = self.folder.path().join("second");
        fs::create_dir_all(&folder).unwrap();
        let second = RecorderConfig {
            folder,
            status_port: None,
            ..self.config.clone()
        };
        for command in ["run", "check"] {
            let refused = second.run_to_end(command, &[], LIMIT).unwrap();
            assert_eq!(refused.code, Some(75), "{command}: {}", refused.stderr);
            assert!(
                refused
                    .stderr
                    .contains("another recorder writes to this data directory"),
                "{command}: {}",
                refused.stderr
            );
        }
    }

    /// Ends the exchange, and waits until everything that it sent is journaled.
    fn end_of_the_exchange(&mut self) {
        self.simulator.finish(&mut self.recorder, 2).unwrap();
        wait_until(LIMIT, "all is journaled", || {
            Ok(self
                .frames()
                .iter()
                .all(|(received, journaled)| received == journaled))
        })
        .unwrap();
    }

    /// Kills the recorder, and compares what the next one exports with what was sent.
    fn kill_and_compare(mut self) {
        self.recorder.kill().unwrap();
        let mut recorder = self.config.start().unwrap();
        recorder.wait_for_log("not connected", 1, LIMIT).unwrap();
        recorder.stop().unwrap();
        let report = compare(&self.simulator.ledger, &self.config.data_dir, Mode::Exact).unwrap();
        println!("{report}");
        for market in MARKETS {
            assert!(report.markets[market].frames > 400, "{report}");
        }
        assert_eq!(coverage::check(&self.config).unwrap().gaps("damage"), 0);
    }
}

fn remove_all(paths: &[PathBuf]) {
    for path in paths {
        fs::remove_file(path).unwrap();
    }
}

/// `rm -r` of a directory in which files are being created.
fn remove_dir_in_use(dir: &Path) {
    while let Err(error) = fs::remove_dir_all(dir) {
        assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty, "{error}");
    }
}

#[test]
fn i1_journal_that_is_removed_while_it_is_written_is_put_back() {
    let mut scene = Scene::begin("1h");
    scene.remove(&MARKETS, |scene| {
        for market in MARKETS {
            remove_all(&scene.segments(market));
        }
    });
    scene.receive_more();
    scene.seal();
    scene.receive_more();
    scene.remove(&["KOSPI"], |scene| {
        remove_dir_in_use(&scene.data().journal(&"KOSPI".parse().unwrap()));
    });
    scene.receive_more();
    scene.seal();
    scene.receive_more();
    scene.remove(&MARKETS, |scene| {
        remove_dir_in_use(&scene.data().internal());
    });
    scene.refuses_a_second_recorder();
    scene.receive_more();
    scene.end_of_the_exchange();
    scene.seal();
    // Nothing more is received.
    scene.remove(&["KOSDAQ"], |scene| remove_all(&scene.segments("KOSDAQ")));
    scene.kill_and_compare();
}

#[test]
fn i1_a_lock_file_that_is_removed_lets_no_second_recorder_in() {
    let mut scene = Scene::begin("1s");
    fs::remove_file(scene.data().lock_file()).unwrap();
    scene.refuses_a_second_recorder();
    scene.receive_more();
    scene.end_of_the_exchange();
    scene.kill_and_compare();
}

#[test]
fn i1_a_data_directory_that_is_moved_away_and_back_has_all_of_it() {
    let mut scene = Scene::begin("1s");
    scene.recorder.wait_for_log(" committed ", 2, LIMIT).unwrap();
    let (here, away) = (scene.config.data_dir.clone(), scene.folder.path().join("away"));
    fs::rename(&here, &away).unwrap();
    scene
        .recorder
        .wait_for_log("the data directory was moved or removed", 2, LIMIT)
        .unwrap();
    // Each exporter has reached the point where it would have to create a file.
    scene
        .recorder
        .wait_for_log("export failed; recording goes on", 2, LIMIT)
        .unwrap();
    scene.receive_more();
    assert!(!Path::new(&here).exists(), "nothing is made in its place");
    fs::rename(&away, &here).unwrap();
    scene
        .recorder
        .wait_for_log("the journal's files are back where they belong", 2, LIMIT)
        .unwrap();
    let committed = scene.recorder.log().unwrap().matches(" committed ").count();
    scene
        .recorder
        .wait_for_log(" committed ", committed + 2, LIMIT)
        .unwrap();
    scene.receive_more();
    scene.end_of_the_exchange();
    assert_eq!(scene.recorder.log().unwrap().matches(REMOVED).count(), 0);
    scene.kill_and_compare();
}
