//! The process limits (`ulimit`) of every kind: each of them ends a command with a message that names it, or not at
//! all; never by a signal or with a panic.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use krx_harness::process::wait_until;
use krx_harness::{Finished, Mode, Process, Program, Recorder, RecorderConfig, Simulator, compare};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

fn limited(config: &RecorderConfig, wrapper: &[&str]) -> RecorderConfig {
    RecorderConfig {
        wrapper: wrapper.iter().map(|&word| word.to_owned()).collect(),
        ..config.clone()
    }
}

fn assert_says(finished: &Finished, what: &str, words: &[&str]) {
    assert_eq!(
        finished.code,
        Some(74),
        "{what}: {}{}",
        finished.stdout,
        finished.stderr
    );
    for words in words {
        let said = finished.stderr.contains(words) || finished.stdout.contains(words);
        assert!(
            said,
            "{what}: {words:?} is missing: {}{}",
            finished.stdout, finished.stderr
        );
    }
    assert!(
        !finished.stderr.contains("panicked"),
        "{what}: {}",
        finished.stderr
    );
}

#[test]
fn what_is_too_little_to_record_with_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "ws://127.0.0.1:9");
    for (limit, words) in [
        (
            "--nofile=16",
            ["open files (ulimit -n, LimitNOFILE=) is 16", "128 are needed"],
        ),
        (
            "--fsize=1048576",
            ["file size (ulimit -f, LimitFSIZE=) is 1 MiB", "64 MiB are needed"],
        ),
        (
            "--as=300000000",
            ["memory (ulimit -v, LimitAS=) is 286 MiB", "are needed"],
        ),
        (
            "--cpu=2",
            ["processor time (ulimit -t, LimitCPU=) is 2 s", "4 s are needed"],
        ),
        (
            "--data=100000000",
            ["data memory (ulimit -d, LimitDATA=) is 95 MiB", "are needed"],
        ),
    ] {
        let config = limited(&config, &["prlimit", limit]);
        for command in ["run", "check"] {
            let finished = config.run_to_end(command, &[], LIMIT).unwrap();
            assert_says(&finished, &format!("{command} {limit}"), &words);
        }
    }
    assert!(!config.data_dir.join("trades").exists());
}

#[test]
fn what_a_recorder_does_not_need_it_does_without() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "20000"]).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    // The memory that the refusal's message asks for.
    let limits = [
        "--stack=131072",
        "--as=1476395008",
        "--data=671088640",
        "--nofile=128",
        "--memlock=0",
        "--core=unlimited",
        "--locks=0",
        "--msgqueue=0",
        "--rss=0",
        "--nice=0",
        "--rtprio=0",
        "--sigpending=0",
    ];
    for limit in limits {
        let mut recorder = limited(&config, &["prlimit", limit]).start().unwrap();
        recorder
            .wait_for_log("INFO connected ", 2, LIMIT)
            .unwrap_or_else(|error| panic!("{limit}: {error:#}"));
        recorder
            .wait_for_log(" committed ", 4, LIMIT)
            .unwrap_or_else(|error| panic!("{limit}: {error:#}"));
        recorder
            .stop()
            .unwrap_or_else(|error| panic!("{limit}: {error:#}"));
    }
    simulator.stop().unwrap();
    compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
}

fn prlimit(recorder: &Recorder, limit: &str) {
    let pid = recorder.process.id().to_string();
    let done = Command::new("prlimit")
        .args(["--pid", &pid, limit])
        .status()
        .unwrap();
    assert!(done.success(), "{limit}");
}

#[test]
fn i1_files_that_may_not_grow_are_a_disk_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "50000"]).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 2, LIMIT).unwrap();
    // The log is a file too, and stays below this; the journal grows beyond it.
    prlimit(&recorder, "--fsize=1048576:unlimited");
    recorder
        .wait_for_log("the journal cannot be written", 1, LIMIT)
        .unwrap();
    assert_eq!(recorder.process.ended().unwrap(), None, "no signal ends it");
    prlimit(&recorder, "--fsize=unlimited:unlimited");
    recorder
        .wait_for_log("the disk accepts the journal again", 1, LIMIT)
        .unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
}

#[test]
fn i1_processor_time_that_is_used_up_is_an_orderly_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "100000"]).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let mut recorder = limited(&config, &["prlimit", "--cpu=4"]).start().unwrap();
    let ended = recorder.process.wait(Duration::from_secs(300)).unwrap();
    let log = recorder.log().unwrap();
    assert_eq!(ended.code(), Some(74), "{ended}: {log}");
    assert!(
        log.contains("the limit on processor time (ulimit -t, LimitCPU=) is used up; raise it"),
        "{log}"
    );
    assert!(log.contains("nearly used up: stopping"), "{log}");
    simulator.stop().unwrap();
    compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
}

/// As a separate user, since root may start as many threads as it likes.
#[test]
fn too_few_threads_are_told_or_enough() {
    const USER: u32 = 54_321;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root to become a user that has no other processes");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "2000"]).unwrap();
    let user = USER.to_string();
    let mut started = 0;
    for threads in 1..=16 {
        let home = folder.path().join(format!("user-{threads}"));
        fs::create_dir(&home).unwrap();
        let limit = format!("--nproc={threads}");
        let config = RecorderConfig::new(&home, &simulator.url);
        let config = limited(
            &config,
            &[
                "setpriv",
                "--reuid",
                &user,
                "--regid",
                &user,
                "--clear-groups",
                "prlimit",
                &limit,
            ],
        );
        chown(&home, Some(USER), Some(USER)).unwrap();
        let mut recorder = config.start().unwrap();
        let mut code = None;
        wait_until(LIMIT, &format!("{limit}: it records, or ends"), || {
            code = recorder.process.ended()?;
            Ok(code.is_some() || recorder.log()?.matches("INFO connected ").count() == 2)
        })
        .unwrap();
        let log = recorder.log().unwrap();
        assert!(!log.contains("panicked"), "{limit}: {log}");
        match code {
            Some(status) => {
                assert_eq!(status.code(), Some(74), "{limit}: {status}: {log}");
                assert!(log.contains("ulimit -u"), "{limit}: {log}");
                assert_eq!(started, 0, "{limit}: with fewer it records: {log}");
            }
            None => {
                started += 1;
                recorder
                    .stop()
                    .unwrap_or_else(|error| panic!("{limit}: {error:#}"));
            }
        }
    }
    assert!(started > 0, "sixteen are enough");
    simulator.stop().unwrap();
}

#[test]
fn the_other_commands_say_which_limit_it_is_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "5000"]).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 4, LIMIT).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    let date = date_in(&config.data_dir);
    let page = folder.path().join("page.html").display().to_string();
    for (limit, command, arguments, words) in [
        ("--as=150000000", "verify", &[][..], "memory (ulimit -v"),
        ("--nofile=8", "verify", &[], "open files (ulimit -n"),
        (
            "--fsize=100",
            "report",
            &[date.as_str(), "--output", &page],
            "file size (ulimit -f",
        ),
        ("--stack=131072", "verify", &[], ""),
    ] {
        // Its output goes to files, which may not grow either.
        let config = limited(&config, &["prlimit", limit]);
        let mut run = config.command(command, arguments).unwrap();
        let finished = if limit.starts_with("--fsize") {
            let (mut told, writer) = std::io::pipe().unwrap();
            run.stdout(File::create("/dev/null").unwrap()).stderr(writer);
            let status = Process::start(command, &mut run).unwrap().wait(LIMIT).unwrap();
            drop(run);
            let mut stderr = String::new();
            std::io::Read::read_to_string(&mut told, &mut stderr).unwrap();
            Finished {
                code: status.code(),
                stdout: String::new(),
                stderr,
                elapsed: Duration::ZERO,
            }
        } else {
            Finished::run(command, &mut run, folder.path(), LIMIT).unwrap()
        };
        if words.is_empty() {
            assert_eq!(finished.code, Some(0), "{limit} {command}: {}", finished.stderr);
        } else {
            assert_says(&finished, &format!("{limit} {command}"), &[words]);
        }
    }
    // A file that may not grow as standard output.
    let (out, data) = (
        folder.path().join("views.sql"),
        config.data_dir.display().to_string(),
    );
    let mut command = krx_harness::process::command_of("prlimit");
    command.arg("--fsize=0").arg(Program::Recorder.path().unwrap());
    command.args(["sql", "--data-dir", &data]);
    command.stdout(File::create(&out).unwrap());
    let (mut told, writer) = std::io::pipe().unwrap();
    command.stderr(writer);
    let mut process = Process::start("krx-recorder sql", &mut command).unwrap();
    drop(command);
    let status = process.wait(LIMIT).unwrap();
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut told, &mut stderr).unwrap();
    assert_eq!(status.code(), Some(74), "{status}: {stderr}");
    assert!(stderr.contains("ulimit -f"), "{stderr}");
    process.signal(Signal::TERM).unwrap();
}

fn date_in(data_dir: &Path) -> String {
    let entry = fs::read_dir(data_dir.join("coverage")).unwrap().next().unwrap();
    let name = entry.unwrap().file_name().into_string().unwrap();
    name.strip_prefix("date=").unwrap().to_owned()
}
