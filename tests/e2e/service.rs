//! The recorder as a service: what it reports to the service manager, and what it reloads when asked to.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use krx_harness::process::{command_of, text_of, wait_until};
use krx_harness::{Finished, Process, Program, RecorderConfig, Simulator};
use rustix::process::{Pid, Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(20);

/// What arrives on `$NOTIFY_SOCKET`, line by line.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self {
            socket,
            heard: Vec::new(),
        }
    }

    /// Waits for a line that was not heard before, and forgets those before it.
    fn wait_for(&mut self, what: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(index) = self.heard.iter().position(|line| line.starts_with(what)) {
                return self.heard.drain(..=index).next_back().unwrap();
            }
            assert!(begun.elapsed() < LIMIT, "{what} is not heard");
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.heard.extend(text.lines().map(str::to_owned));
        }
    }
}

#[test]
fn the_service_manager_hears_of_start_life_reload_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(folder.path(), &["--rate", "2000"]).unwrap();
    let socket = folder.path().join("notify");
    let mut manager = Manager::listen(&socket);
    let config = RecorderConfig {
        variables: vec![("NOTIFY_SOCKET".to_owned(), socket)],
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    manager.wait_for("READY=1");
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    let line = loop {
        let line = manager.wait_for("STATUS=");
        if line.contains("KOSPI live") {
            break line;
        }
    };
    assert!(line.contains("messages/s") && line.contains("GB free"), "{line}");
    recorder.process.signal(Signal::HUP).unwrap();
    manager.wait_for("RELOADING=1");
    manager.wait_for("MONOTONIC_USEC=");
    manager.wait_for("READY=1");
    recorder.process.signal(Signal::TERM).unwrap();
    manager.wait_for("STOPPING=1");
    manager.wait_for("EXTEND_TIMEOUT_USEC=");
    assert!(recorder.process.wait(LIMIT).unwrap().success());
}

/// Today and tomorrow, for a test that runs at midnight.
fn calendar_file(path: &Path, trading: bool) {
    let today = krx_store::Moment::now().date();
    let days = [today, today.succ_opt().unwrap()]
        .map(|date| format!("[[day]]\ndate = \"{date}\"\ntrading = {trading}\nnote = \"A test\"\n"));
    fs::write(path, days.concat()).unwrap();
}

/// To systemd, a service of Type=notify that ends before it is ready has failed, whatever its exit code.
#[test]
fn on_a_closed_day_the_service_manager_hears_that_it_is_ready_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let calendar = folder.path().join("calendar.toml");
    calendar_file(&calendar, false);
    let socket = folder.path().join("notify");
    let mut manager = Manager::listen(&socket);
    let config = RecorderConfig {
        schedule: format!("calendar_file = \"{}\"", calendar.display()),
        variables: vec![("NOTIFY_SOCKET".to_owned(), socket)],
        ..RecorderConfig::new(folder.path(), "ws://127.0.0.1:9")
    };
    let done = config.run_to_end("run", &["--until-close"], LIMIT).unwrap();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("the next session opens"), "{}", done.stdout);
    manager.wait_for("READY=1");
}

#[test]
fn sighup_reads_schedule_calendar_and_filter_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "2000"]).unwrap();
    let calendar = folder.path().join("calendar.toml");
    calendar_file(&calendar, true);
    let schedule = format!(
        "mode = \"calendar\"\nopen = \"00:00\"\nclose = \"23:59\"\ncalendar_file = \"{}\"",
        calendar.display()
    );
    let mut config = RecorderConfig {
        schedule,
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, LIMIT).unwrap();

    // An invalid configuration changes nothing.
    fs::write(&calendar, "[[day]]\ndate = \"never\"\n").unwrap();
    recorder.process.signal(Signal::HUP).unwrap();
    recorder.wait_for_log("stays in force", 1, LIMIT).unwrap();
    assert_eq!(recorder.log().unwrap().matches(" disconnected").count(), 0);

    calendar_file(&calendar, false);
    recorder.process.signal(Signal::HUP).unwrap();
    recorder.wait_for_log("INFO disconnected", 2, LIMIT).unwrap();
    let log = recorder.log().unwrap();
    let warning = log.lines().find(|line| line.contains("close the day at once"));
    let warning = warning.unwrap_or_else(|| panic!("{log}"));
    assert!(
        warning.contains(" WARN ")
            && warning.contains("KRX is closed on ")
            && warning.contains("the next session opens 20"),
        "{warning}"
    );
    wait_until(LIMIT, "nothing is missed on a closed date", || {
        Ok(states(&config).last().unwrap() == "idle")
    })
    .unwrap();

    calendar_file(&calendar, true);
    config.more = "[log]\nfilter = \"warn\"\n[connection]\nbackoff_max = \"14s\"\n".to_owned();
    config.write().unwrap();
    recorder.process.signal(Signal::HUP).unwrap();
    recorder
        .wait_for_log("other keys have changed too", 1, LIMIT)
        .unwrap();
    for _ in 0..4 {
        simulator.wait_for("session_started", LIMIT).unwrap();
    }
    let log = recorder.log().unwrap();
    assert_eq!(
        log.matches("INFO connected").count(),
        2,
        "the filter is not read again: {log}"
    );
    recorder.stop().unwrap();
    // The last word on the date is that it has a session, so the time without one was missed.
    let states = states(&config);
    assert_eq!(
        states[states.len() - 4..],
        ["live", "gap", "live", "gap"],
        "{states:?}"
    );
}

/// The states of a market's intervals.
fn states(config: &RecorderConfig) -> Vec<String> {
    let data_dir = config.data_dir.display().to_string();
    let told = config
        .run_bare(&["coverage", "--data-dir", &data_dir, "--json"], LIMIT)
        .unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&told.stdout).unwrap();
    let of_market = rows.iter().filter(|row| row["feed"] == "KOSPI");
    of_market
        .map(|row| row["state"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn until_close_on_a_closed_date_ends_at_once_and_says_when_the_next_session_is() {
    let folder = tempfile::tempdir().unwrap();
    let calendar = folder.path().join("calendar.toml");
    calendar_file(&calendar, false);
    let config = RecorderConfig {
        schedule: format!(
            "mode = \"calendar\"\nopen = \"00:00\"\nclose = \"23:59\"\ncalendar_file = \"{}\"",
            calendar.display()
        ),
        ..RecorderConfig::new(folder.path(), "ws://127.0.0.1:9")
    };
    let ended = config.run_to_end("run", &["--until-close"], LIMIT).unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("KRX is closed on "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("(A test); the next session opens 20"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stdout.lines().count(), 1);
    assert!(
        !config.data_dir.exists(),
        "nothing is to be recorded, so nothing is made"
    );
}

/// A recorder that is nobody's child here; dropped, it is killed.
struct Orphan(Pid);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

/// The command of the cron file that we ship, with only its paths moved: what it is started with must not be in the way
/// of the data directory of the configuration that we ship.
fn as_cron_would(config: &RecorderConfig, log: &Path) -> Command {
    let file = |path| fs::read_to_string(format!("{}/../deploy/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert!(file("krx-recorder.example.toml").contains("\ndata_dir = \"/var/lib/krx-recorder\"\n"));
    let cron = file("cron/krx-recorder");
    let line = cron.lines().find(|line| line.starts_with("*/5 ")).unwrap();
    let (_, script) = line.split_once("  krx  ").unwrap();
    let configured = config.write().unwrap();
    let program = Program::Recorder.path().unwrap();
    let logged = format!("cat >> '{}'", log.display());
    let mut script = script.replace("logger --tag krx-recorder", &logged);
    for (shipped, here) in [
        ("/usr/bin/krx-recorder", program.as_path()),
        ("/etc/krx-recorder", &config.folder),
        ("/var/lib/krx-recorder", &config.data_dir),
    ] {
        script = script.replace(shipped, here.to_str().unwrap());
    }
    let mut command = command_of("bash");
    command.arg("-c").arg(script).env("CONFIG", configured);
    command.envs(config.key.iter().map(|key| ("KRX_API_KEY", key)));
    command
}

#[test]
fn the_cron_file_starts_one_recorder_with_the_data_directory_of_the_example() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "2000"]).unwrap();
    let calendar = folder.path().join("calendar.toml");
    calendar_file(&calendar, true);
    let hours = "open = \"00:00\"\nclose = \"23:59\"";
    let config = RecorderConfig {
        schedule: format!("{hours}\ncalendar_file = \"{}\"", calendar.display()),
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let log = folder.path().join("syslog");
    // A package makes it.
    fs::create_dir(&config.data_dir).unwrap();
    let mut first = Process::start("cron", &mut as_cron_would(&config, &log)).unwrap();
    let logged = |needle| {
        wait_until(LIMIT, needle, || {
            Ok(log.exists() && text_of(&log)?.contains(needle))
        })
    };
    logged("INFO committed ").unwrap_or_else(|error| panic!("{error}: {}", text_of(&log).unwrap()));
    let pid = text_of(&config.data_dir.join(".krx/lock")).unwrap();
    let recorder = Orphan(Pid::from_raw(pid.trim().parse().unwrap()).unwrap());

    let second = Finished::run("again", &mut as_cron_would(&config, &log), folder.path(), LIMIT).unwrap();
    assert_eq!(
        (second.code, second.stdout.as_str()),
        (Some(0), ""),
        "{}",
        second.stderr
    );
    assert!(
        !text_of(&log).unwrap().contains("locked"),
        "{}",
        text_of(&log).unwrap()
    );

    kill_process(recorder.0, Signal::TERM).unwrap();
    assert!(first.wait(LIMIT).unwrap().success());
    simulator.stop().unwrap();
}
