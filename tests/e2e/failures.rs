//! How each failure ends: its exit code, and words that say what to do about it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use krx_tests::process::free_port;
use krx_tests::recorder::KEY;
use krx_tests::tree::files_under;
use krx_tests::{Finished, Program, RecorderConfig, Simulator};

const LIMIT: Duration = Duration::from_secs(20);

/// Nothing listens on the discard port of a loopback address.
const NOWHERE: &str = "ws://127.0.0.1:9";

/// Every failure has its exit code, says `words`, and never looks like a crash or shows the key.
fn assert_fails(finished: &Finished, code: i32, words: &[&str]) {
    let Finished { stdout, stderr, .. } = finished;
    assert_eq!(finished.code, Some(code), "{stdout}\n{stderr}");
    assert_is_calm(finished);
    for words in words {
        assert!(
            stdout.contains(words) || stderr.contains(words),
            "{words:?} is missing:\n{stdout}\n{stderr}"
        );
    }
}

fn assert_is_calm(finished: &Finished) {
    for text in [&finished.stdout, &finished.stderr] {
        for word in ["panicked", "backtrace", "RUST_BACKTRACE", KEY] {
            assert!(!text.contains(word), "{word:?} has no place in:\n{text}");
        }
    }
}

fn assert_key_is_nowhere(folder: &Path) {
    for path in files_under(folder).unwrap() {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "the key is in {}", path.display());
    }
}

#[test]
fn a_bad_configuration_is_78_and_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let good = RecorderConfig::new(folder.path(), NOWHERE);
    let cases = [
        (
            "[connection]\nstall_timout = \"30s\"\n",
            [
                "connection.stall_timout",
                "did you mean `connection.stall_timeout`?",
            ],
        ),
        (
            "[connection]\nstall_timeout = \"soon\"\n",
            ["connection.stall_timeout", "\"soon\" is no duration"],
        ),
        (
            "[[feed]]\nmarket = \"../KOSPI\"\npath = \"/ws_ksp\"\n",
            ["feed.market", "is no market name"],
        ),
        (
            "[status]\nlisten = \"0.0.0.0:9464\"\n",
            ["status.listen", "not a loopback address"],
        ),
        ("this is no TOML\n", ["krx-recorder.toml", "expected"]),
    ];
    for (more, words) in cases {
        let config = RecorderConfig {
            more: more.to_owned(),
            ..good.clone()
        };
        for command in ["run", "check"] {
            assert_fails(&config.run_to_end(command, &[], LIMIT).unwrap(), 78, &words);
        }
    }
    let plaintext = RecorderConfig {
        base_url: "ws://koscom.example".to_owned(),
        ..good
    };
    assert_fails(
        &plaintext.run_to_end("run", &[], LIMIT).unwrap(),
        78,
        &["koscom.base_url", "use wss://"],
    );
    assert!(
        !plaintext.data_dir.exists(),
        "nothing is made before the configuration is known to be good"
    );
}

#[test]
fn a_missing_key_is_78_and_says_where_to_put_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig {
        key: None,
        ..RecorderConfig::new(folder.path(), NOWHERE)
    };
    for command in ["run", "check"] {
        assert_fails(
            &config.run_to_end(command, &[], LIMIT).unwrap(),
            78,
            &["KRX_API_KEY"],
        );
    }
}

#[test]
fn an_unreachable_endpoint_is_69_for_check() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), NOWHERE);
    let words = ["BAD", "cannot be reached", "check koscom.base_url"];
    assert_fails(&config.run_to_end("check", &[], LIMIT).unwrap(), 69, &words);
}

#[test]
fn i7_a_refused_key_is_77_and_is_shown_nowhere() {
    for (refuse, words) in [("json", "10070"), ("http", "Invalid authentication credentials")] {
        let folder = tempfile::tempdir().unwrap();
        let mut simulator = Simulator::start(folder.path(), &["--refuse", refuse]).unwrap();
        let config = RecorderConfig::new(folder.path(), &simulator.url);
        for command in ["check", "run"] {
            let finished = config.run_to_end(command, &[], LIMIT).unwrap();
            assert_fails(
                &finished,
                77,
                &[words, "the server refuses the API key", "Koscom"],
            );
            assert!(
                finished.elapsed < Duration::from_secs(12),
                "{command} took {:?}",
                finished.elapsed
            );
        }
        simulator.stop().unwrap();
        assert_key_is_nowhere(folder.path());
    }
}

#[test]
fn i7_a_key_that_is_good_is_shown_nowhere_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "5000"]).unwrap();
    let mut config = RecorderConfig::new(folder.path(), &simulator.url);
    config.variables.push(("KRX_LOG".to_owned(), "trace".into()));
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("sealed", 2, LIMIT).unwrap();
    let arguments = fs::read(format!("/proc/{}/cmdline", recorder.process.id())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(KEY));
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    assert_key_is_nowhere(folder.path());
}

#[test]
fn a_data_directory_that_cannot_be_made_is_74() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = RecorderConfig {
        data_dir: file.join("data"),
        ..RecorderConfig::new(folder.path(), NOWHERE)
    };
    for command in ["run", "check"] {
        let path = file.display().to_string();
        assert_fails(
            &config.run_to_end(command, &[], LIMIT).unwrap(),
            74,
            &["creating", &path, "Not a directory"],
        );
    }
}

#[test]
fn a_port_in_use_is_74() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = RecorderConfig {
        status_port: Some(port),
        ..RecorderConfig::new(folder.path(), NOWHERE)
    };
    let words = ["status.listen", "choose another port"];
    assert_fails(&config.run_to_end("run", &[], LIMIT).unwrap(), 74, &words);

    let mut simulator = Program::Simulator.command().unwrap();
    let address = format!("127.0.0.1:{port}");
    simulator.args(["--listen", &address]);
    let finished = Finished::run("krx-simulator", &mut simulator, folder.path(), LIMIT).unwrap();
    assert_fails(&finished, 74, &[&address]);
}

#[test]
fn a_wrong_command_line_is_64() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["record"][..], &["run", "--confg", "x"], &[]] {
        let mut command = Program::Recorder.command().unwrap();
        let finished = Finished::run("krx-recorder", command.args(arguments), folder.path(), LIMIT).unwrap();
        assert_fails(&finished, 64, &["Usage"]);
    }
    let config = RecorderConfig::new(folder.path(), NOWHERE);
    assert_fails(
        &config.run_to_end("run", &["--until-close"], LIMIT).unwrap(),
        64,
        &["--until-close", "hours"],
    );
    let mut command = Program::Simulator.command().unwrap();
    let finished = Finished::run(
        "krx-simulator",
        command.args(["--speed", "fast"]),
        folder.path(),
        LIMIT,
    )
    .unwrap();
    assert_fails(&finished, 64, &["--speed"]);
}

#[test]
fn a_closed_day_prints_the_next_session_and_is_0() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let minute_in_korea = (now + 9 * 3600) % 86_400 / 60;
    // Hours that are over, or, in the first minutes of the day, hours that are far.
    let hours = if minute_in_korea >= 2 {
        ("00:00", "00:01")
    } else {
        ("22:00", "23:00")
    };
    let schedule = format!("open = \"{}\"\nclose = \"{}\"", hours.0, hours.1);
    let config = RecorderConfig {
        schedule,
        ..RecorderConfig::new(folder.path(), NOWHERE)
    };
    let finished = config.run_to_end("run", &["--until-close"], LIMIT).unwrap();
    assert_fails(
        &finished,
        0,
        &[
            "closed now: ",
            "; the next session opens 20",
            &format!("{} KST", hours.0),
        ],
    );
    assert!(!config.data_dir.exists(), "nothing is made on a closed day");
}

#[test]
fn a_running_recorder_that_finds_no_server_keeps_trying() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig {
        base_url: format!("ws://127.0.0.1:{}", free_port().unwrap()),
        ..RecorderConfig::new(folder.path(), "")
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("not connected", 6, LIMIT).unwrap();
    recorder.stop().unwrap();
}
