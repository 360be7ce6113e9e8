//! Standard output and standard error that accept nothing: a pipe whose reader has gone, a full disk. Every command of
//! every program ends as it would otherwise, or reports that it could not print; none ends by a panic or a signal.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use krx_harness::process::{command_of, free_port, text_of, wait_until};
use krx_harness::recorder::status;
use krx_harness::{Process, Program, RecorderConfig, Simulator};
use krx_store::Moment;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(120);

/// The exit code of a command whose standard output accepts nothing.
const NOT_PRINTED: i32 = 74;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A program and its arguments, and the folder in which it runs.
struct Case {
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    key: bool,
}

impl Case {
    fn command(&self) -> Command {
        let mut command = command_of(&self.program);
        command.args(&self.arguments).current_dir(&self.folder);
        if self.key {
            command.env("KRX_API_KEY", krx_harness::recorder::KEY);
        }
        command
    }

    /// Runs it to its end; returns the exit code, and what went to the streams that are files.
    fn run(&self, stdout: Option<Stdio>, stderr: Option<Stdio>) -> (i32, String, String) {
        let [out, err] = ["stdout", "stderr"].map(|name| self.folder.join(name));
        let file = |path: &Path| Stdio::from(File::create(path).unwrap());
        let mut command = self.command();
        command.stdout(stdout.unwrap_or_else(|| file(&out)));
        command.stderr(stderr.unwrap_or_else(|| file(&err)));
        let what = self.arguments.join(" ");
        let status = Process::start(&what, &mut command).unwrap().wait(LIMIT).unwrap();
        let text = |path: &Path| text_of(path).unwrap_or_default();
        let code = status
            .code()
            .unwrap_or_else(|| panic!("{what} ended with {status}: {}", text(&err)));
        let told = (code, text(&out), text(&err));
        assert!(!told.2.contains("panicked"), "{what}: {}", told.2);
        let _ = fs::remove_file(out);
        let _ = fs::remove_file(err);
        told
    }

    fn check(&self) {
        let what = format!("{} {}", self.program.display(), self.arguments.join(" "));
        let (code, printed, _) = self.run(None, None);
        assert!(![70, 101, 134].contains(&code), "{what}: {code}");
        assert_eq!(
            self.run(Some(closed()), None).0,
            code,
            "{what} into a closed pipe"
        );
        assert_eq!(self.run(None, Some(full())).0, code, "{what} 2>/dev/full");
        assert_eq!(self.run(None, Some(closed())).0, code, "{what} 2>&-");
        let (full_code, _, told) = self.run(Some(full()), None);
        let both = self.run(Some(full()), Some(full())).0;
        if printed.is_empty() {
            assert_eq!(
                (full_code, both),
                (code, code),
                "{what} >/dev/full, and prints nothing"
            );
        } else {
            assert_eq!(
                (full_code, both),
                (NOT_PRINTED, NOT_PRINTED),
                "{what} >/dev/full: {told}"
            );
            assert!(
                told.contains("writing to standard output: No space left on device"),
                "{what}: {told}"
            );
        }
    }
}

/// A data directory with a day in it, and a file about which `verify` complains.
fn recorded(folder: &Path) -> (RecorderConfig, String) {
    let mut simulator = Simulator::start(folder, &["--rate", "5000"]).unwrap();
    let config = RecorderConfig {
        keep_days: 30,
        ..RecorderConfig::new(folder, &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 4, LIMIT).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    fs::write(config.data_dir.join("trades/stray.txt"), "not ours").unwrap();
    let mut dates: Vec<_> = fs::read_dir(config.data_dir.join("coverage"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    dates.sort();
    let date = dates.pop().unwrap().strip_prefix("date=").unwrap().to_owned();
    (config, date)
}

#[test]
fn no_command_of_the_recorder_minds_a_stream_that_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (config, date) = recorded(folder.path());
    let data = config.data_dir.display().to_string();
    let file = config.write().unwrap().display().to_string();
    let nowhere = folder.path().join("nowhere").display().to_string();
    let bad = folder.path().join("bad.toml");
    fs::write(&bad, "data_dir = 5\nx = 1\n").unwrap();
    let bad = bad.display().to_string();
    let page = folder.path().join("page.html").display().to_string();
    let (date, port) = (date.as_str(), free_port().unwrap());
    let listen = format!("127.0.0.1:{port}");
    let cases: &[(&[&str], i32)] = &[
        (&["--help"], 0),
        (&["--version"], 0),
        (&["run", "--help"], 0),
        (&["nonsense"], 64),
        (&["run", "--config", &bad], 78),
        (&["calendar"], 0),
        (&["schema"], 0),
        (&["schema", "trades", "--json"], 0),
        (&["calendar", "2026", "--json"], 0),
        (&["coverage", "--data-dir", &data], 0),
        (&["coverage", "--data-dir", &data, "--json"], 0),
        (&["coverage", "--data-dir", &nowhere], 64),
        (&["coverage", "--data-dir", &data, "--complete"], 0),
        (&["verify", "--data-dir", &data], 65),
        (&["verify", date, "--data-dir", &data, "--json"], 0),
        (&["sql", "--data-dir", &data], 0),
        (&["report", date, "--data-dir", &data, "--output", &page], 0),
        (&["report", date, "--data-dir", &data, "--output", "-"], 0),
        (&["report", date, "--data-dir", &data, "--json"], 0),
        (&["rebuild", date, "--data-dir", &data], 0),
        (&["rebuild", date, "--data-dir", &data, "--dry-run", "--json"], 0),
        (&["seal", date, "--data-dir", &data], 0),
        (&["seal", date, "--data-dir", &data, "--json"], 0),
        (&["status", "--listen", &listen], 69),
        (&["check", "--config", &file], 69),
        (&["check", "--config", &file, "--json"], 69),
        (&["replay", "2020-01-02", "--data-dir", &data], 64),
    ];
    let run_in = folder.path().join("run-in");
    fs::create_dir(&run_in).unwrap();
    for (arguments, code) in cases {
        let case = Case {
            program: Program::Recorder.path().unwrap(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            folder: run_in.clone(),
            key: true,
        };
        let (found, _, told) = case.run(None, None);
        assert_eq!(found, *code, "{arguments:?}: {told}");
        case.check();
    }
}

#[test]
fn a_recorder_and_a_replay_at_work_do_not_mind_either() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &["--rate", "5000"]).unwrap();
    for (index, (out, err)) in [(full(), full()), (closed(), closed())].into_iter().enumerate() {
        let port = free_port().unwrap();
        let config = RecorderConfig {
            data_dir: folder.path().join(format!("data-{index}")),
            status_port: Some(port),
            ..RecorderConfig::new(folder.path(), &simulator.url)
        };
        let mut command = config.command("run", &[]).unwrap();
        command.stdout(out).stderr(err);
        let mut recorder = Process::start("krx-recorder run", &mut command).unwrap();
        wait_until(LIMIT, "both feeds are live and have committed files", || {
            assert_eq!(recorder.ended()?, None);
            Ok(status(port).is_ok_and(|status| {
                let feeds = status["feeds"].as_array().unwrap();
                feeds
                    .iter()
                    .all(|feed| feed["state"] == "live" && feed["files_committed"].as_u64() > Some(0))
            }))
        })
        .unwrap();

        // The status of a running one, and a configuration reload while nothing is accepted.
        recorder.signal(Signal::HUP).unwrap();
        let case = Case {
            program: Program::Recorder.path().unwrap(),
            arguments: vec!["status".into(), "--listen".into(), format!("127.0.0.1:{port}")],
            folder: folder.path().to_owned(),
            key: false,
        };
        assert_eq!(case.run(None, None).0, 0);
        case.check();
        recorder.signal(Signal::TERM).unwrap();
        assert_eq!(recorder.wait(LIMIT).unwrap().code(), Some(0));

        let date = Moment::now().date().to_string();
        let replay = free_port().unwrap();
        let mut command = Program::Recorder.command().unwrap();
        command
            .args([
                "replay",
                &date,
                "--listen",
                &format!("127.0.0.1:{replay}"),
                "--data-dir",
            ])
            .arg(&config.data_dir)
            .stdout(full())
            .stderr(closed());
        let mut replaying = Process::start("krx-recorder replay", &mut command).unwrap();
        wait_until(LIMIT, "the replay listens", || {
            assert_eq!(replaying.ended()?, None);
            Ok(std::net::TcpStream::connect(("127.0.0.1", replay)).is_ok())
        })
        .unwrap();
        replaying.signal(Signal::TERM).unwrap();
        assert_eq!(replaying.wait(LIMIT).unwrap().code(), Some(0));
    }
}

#[test]
fn neither_do_the_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames.jsonl").display().to_string();
    let recorder = Program::Recorder.path().unwrap();
    let cases: &[(PathBuf, &[&str], i32)] = &[
        (Program::Simulator.path().unwrap(), &["--help"], 0),
        (Program::Simulator.path().unwrap(), &["--version"], 0),
        (Program::Simulator.path().unwrap(), &["--nonsense"], 64),
        (Program::Simulator.path().unwrap(), &["--listen", "1.2.3.4:1"], 64),
        (recorder.with_file_name("krx-demo"), &["--help"], 0),
        (recorder.with_file_name("krx-demo"), &["-h"], 0),
        (recorder.with_file_name("krx-demo"), &["nonsense"], 64),
        (recorder.with_file_name("krx-compare"), &["--help"], 0),
        (recorder.with_file_name("krx-compare"), &[], 64),
        (
            recorder.with_file_name("krx-compare"),
            &["no-ledger", "no-data"],
            1,
        ),
    ];
    let run_in = folder.path().join("run-in");
    fs::create_dir(&run_in).unwrap();
    let case = |program: &Path, arguments: &[&str]| Case {
        program: program.to_owned(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        folder: run_in.clone(),
        key: false,
    };
    for (program, arguments, code) in cases {
        let case = case(program, arguments);
        let (found, printed, told) = case.run(None, None);
        assert_eq!(found, *code, "{} {arguments:?}: {told}", program.display());
        assert_eq!(*code == 0, !printed.is_empty(), "{printed}");
        case.check();
    }
    assert_eq!(fs::read_dir(&run_in).unwrap().count(), 0, "nothing is begun");

    // The frames are the point; the line on standard output is not.
    let write = case(
        &Program::Simulator.path().unwrap(),
        &["--write-frames", &frames, "--records", "1000"],
    );
    for out in [full(), closed()] {
        assert_eq!(write.run(Some(out), None).0, 0);
        assert!(fs::metadata(&frames).unwrap().len() > 1000);
    }
    // Reading only the first lines of the demonstration ends it.
    let demo = case(&recorder.with_file_name("krx-demo"), &[]);
    assert_eq!(demo.run(Some(closed()), None).0, 0);
    // Its folder is named after the second.
    fs::remove_dir_all(run_in.join("data")).unwrap();
    let (code, _, told) = demo.run(Some(full()), None);
    assert_eq!(code, NOT_PRINTED, "{told}");
    assert!(told.contains("writing to standard output"), "{told}");
    // A simulator without a listener continues.
    let port = free_port().unwrap();
    let mut command = Program::Simulator.command().unwrap();
    let listen = format!("127.0.0.1:{port}");
    command
        .args(["--listen", &listen])
        .stdout(closed())
        .stderr(full());
    let mut simulator = Process::start("krx-simulator", &mut command).unwrap();
    wait_until(LIMIT, "the simulator listens", || {
        assert_eq!(simulator.ended()?, None);
        Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
    })
    .unwrap();
    simulator.signal(Signal::TERM).unwrap();
    assert_eq!(simulator.wait(LIMIT).unwrap().code(), Some(0));
}
