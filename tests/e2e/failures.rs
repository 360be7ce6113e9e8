//! How each failure ends: its exit code, and a message that says what to do about it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use krx_harness::process::{free_port, wait_until};
use krx_harness::recorder::{KEY, get};
use krx_harness::tree::{files_under, tree};
use krx_harness::{Finished, Group, IssueList, Mode, Program, RecorderConfig, Simulator, compare};

const LIMIT: Duration = Duration::from_secs(20);

/// Nothing listens on the discard port of a loopback address.
const NOWHERE: &str = "ws://127.0.0.1:9";

/// Every failure has its exit code, prints `words`, and never looks like a crash or shows the key.
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
            ["connection.stall_timeout", "\"soon\" is not a duration"],
        ),
        (
            "[[feed]]\nmarket = \"../KOSPI\"\npath = \"/ws_ksp\"\n",
            ["feed.market", "is not a feed name"],
        ),
        (
            "[status]\nlisten = \"0.0.0.0:9464\"\n",
            ["status.listen", "not a loopback address"],
        ),
        ("this is no TOML\n", ["krx-recorder.toml, line ", "expected"]),
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
    // Everything that is wrong at once, with its place.
    let many = RecorderConfig {
        more: "[feed]\nmarket = \"KOSPI\"\npath = \"/x\"\n[seal]\nafter_close = 1\n[connection]\nbackoff_max = \"soon\"\n"
            .to_owned(),
        schedule: "mode = \"never\"".to_owned(),
        ..good.clone()
    };
    let text = many.to_toml();
    let line = |of: &str| 1 + text[..text.find(of).unwrap()].matches('\n').count();
    let words = [
        "krx-recorder.toml has 4 errors:".to_owned(),
        format!("line {}: schedule.mode: \"never\"", line("mode = \"never\"")),
        format!("line {}: [feed]: write [[feed]]", line("[feed]")),
        format!("line {}: seal.after_close: ", line("after_close")),
        format!("line {}: connection.backoff_max: \"soon\"", line("backoff_max")),
    ];
    for command in ["run", "check"] {
        let finished = many.run_to_end(command, &[], LIMIT).unwrap();
        assert_fails(&finished, 78, &words.each_ref().map(String::as_str));
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
fn a_dataset_on_another_disk_is_78_at_the_start_and_for_check() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(folder.path()) == device(other.path()) {
        eprintln!("skipped: there is no other file system here");
        return;
    }
    let config = RecorderConfig::new(folder.path(), NOWHERE);
    fs::create_dir(&config.data_dir).unwrap();
    std::os::unix::fs::symlink(other.path(), config.data_dir.join("trades")).unwrap();
    for command in ["run", "check"] {
        let words = [
            "trades does not accept files from",
            "mount the whole data directory",
        ];
        assert_fails(&config.run_to_end(command, &[], LIMIT).unwrap(), 78, &words);
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
    recorder.wait_for_log("committed", 2, LIMIT).unwrap();
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
    for data_dir in [file.join("data"), file.clone()] {
        let config = RecorderConfig {
            data_dir,
            ..RecorderConfig::new(folder.path(), NOWHERE)
        };
        for command in ["run", "check"] {
            let path = file.display().to_string();
            assert_fails(
                &config.run_to_end(command, &[], LIMIT).unwrap(),
                74,
                &["looking for the directory", &path, "Not a directory"],
            );
        }
    }
}

#[test]
fn a_wrong_configuration_is_a_finding_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig {
        more: "[connection]\nca_file = \"authority.pem\"\nheartbeat_interval = \"40s\"\n".to_owned(),
        ..RecorderConfig::new(folder.path(), NOWHERE)
    };
    let checked = config.run_to_end("check", &["--json"], LIMIT).unwrap();
    assert_eq!(checked.code, Some(78), "{}", checked.stderr);
    let findings: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        (&findings[0]["name"], &findings[0]["good"]),
        (&"config".into(), &false.into())
    );
    let detail = findings[0]["detail"].as_str().unwrap();
    for words in [
        "connection.heartbeat_interval: must be shorter",
        "authority.pem: No such file",
    ] {
        assert!(detail.contains(words), "{detail}");
    }
    assert!(checked.stderr.contains(detail), "{}", checked.stderr);
}

#[test]
fn a_status_port_in_use_is_waited_for_while_it_records() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "5000"]).unwrap();
    let config = RecorderConfig {
        status_port: Some(port),
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let words = [
        "BAD",
        "status.listen",
        "Address already in use",
        "a recorder would record anyway",
    ];
    assert_fails(&config.run_to_end("check", &[], LIMIT).unwrap(), 74, &words);

    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 4, LIMIT).unwrap();
    let log = recorder.log().unwrap();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains("the status is not served, and recording goes on"))
        .collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(
        told[0].contains(" WARN ") && told[0].contains(&port.to_string()),
        "{log}"
    );
    drop(taken);
    recorder.wait_for_log("status is served", 1, LIMIT).unwrap();
    let answer = get(port, "/healthz").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
}

#[test]
fn a_port_in_use_ends_a_simulator_with_74() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut simulator = Program::Simulator.command().unwrap();
    let address = taken.local_addr().unwrap().to_string();
    simulator.args(["--listen", &address]);
    let finished = Finished::run("krx-simulator", &mut simulator, folder.path(), LIMIT).unwrap();
    assert_fails(&finished, 74, &[&address]);
}

/// A log that repeats itself every few seconds fills a disk that is already full.
#[test]
fn an_export_that_fails_is_told_once_and_when_it_works_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "5000"]).unwrap();
    let config = RecorderConfig {
        more: "[log]\nfilter = \"krx_recorder::pipeline::exporting=debug,info\"\n".to_owned(),
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 2, LIMIT).unwrap();
    let (trades, away) = (config.data_dir.join("trades"), folder.path().join("away"));
    fs::rename(&trades, &away).unwrap();
    fs::write(&trades, "in the way").unwrap();
    recorder
        .wait_for_log("export failed again", 6, Duration::from_secs(120))
        .unwrap();
    let log = recorder.log().unwrap();
    assert_eq!(
        log.matches("export failed; recording goes on").count(),
        2,
        "{log}"
    );
    assert_eq!(log.matches(" ERROR ").count(), 2, "one for each market: {log}");
    fs::remove_file(&trades).unwrap();
    fs::rename(&away, &trades).unwrap();
    recorder.wait_for_log("the export works again", 2, LIMIT).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
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
    // Hours that are over, or, in the first minutes of the day, hours that are far off.
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

/// A feed may not have the name under which another service has recorded: it is refused before anything is written.
#[test]
fn a_name_of_another_service_is_78_and_nothing_is_written() {
    let market = "[[feed]]\nmarket = \"MIXED\"\npath = \"/ws_ksp\"\n";
    let list = |feed| IssueList {
        feed,
        ..IssueList::of(vec![Group::of(&["tick10", "quote10"], &["005930"])])
    };
    let issues = list("MIXED").to_toml();
    for (first, second, place, rotate_interval) in [
        (market, issues.as_str(), "market=MIXED", "1s"),
        (&issues, market, "feed=MIXED", "1s"),
        // Nothing is committed: the journal alone has what was received.
        (market, &issues, ".krx/journal/MIXED", "1h"),
        (&issues, market, ".krx/journal/MIXED", "1h"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let listed = krx_tests::issues::listed(folder.path()).unwrap();
        let simulator = Simulator::start(folder.path(), &[&listed, "--rate", "2000", "--repeat"]).unwrap();
        let mut config = RecorderConfig {
            more: first.to_owned(),
            rotate_interval: rotate_interval.to_owned(),
            ..RecorderConfig::new(folder.path(), &simulator.url)
        };
        let mut recorder = config.start().unwrap();
        if rotate_interval == "1s" {
            recorder.wait_for_log(" committed ", 1, LIMIT).unwrap();
            recorder.stop().unwrap();
        } else {
            let journal = config.data_dir.join(".krx/journal/MIXED");
            wait_until(LIMIT, "something is journaled", || {
                Ok(files_under(&journal).is_ok_and(|files| {
                    files
                        .iter()
                        .any(|file| file.extension().is_some_and(|end| end == "journal"))
                }))
            })
            .unwrap();
            recorder.wait_for_log(" connected ", 1, LIMIT).unwrap();
            recorder.kill().unwrap();
        }
        let before = tree(&config.data_dir).unwrap();
        config.more = second.to_owned();
        for command in ["run", "check"] {
            let refused = config.run_to_end(command, &[], LIMIT).unwrap();
            let words = [
                "MIXED",
                place,
                "full_market",
                "per_issue",
                "give the feed another name",
            ];
            assert_fails(&refused, 78, &words);
            assert_eq!(tree(&config.data_dir).unwrap(), before, "{command}");
        }
        // Under its own service, the recording goes on.
        config.more = first.to_owned();
        let mut recorder = config.start().unwrap();
        recorder.wait_for_log(" connected ", 1, LIMIT).unwrap();
        recorder.stop().unwrap();
    }
}
