//! A recording can be proved intact, and damage can be repaired.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use chrono::NaiveDate;
use krx_calendar::Calendar;
use krx_harness::process::{Finished, Program};
use krx_harness::tree::{files_under, tree};
use krx_harness::{Recorder, RecorderConfig, Simulator};
use krx_store::dataset::{COVERAGE, DatasetSpec, QUARANTINE};
use krx_store::journal::What;
use krx_store::service::TRADES;
use krx_store::{DataDir, Entry, Event, ExportConfig, Exporter, JournalConfig, Moment, Retention, retention};
use serde_json::Value;

const CONNECT_MAX: Duration = Duration::from_secs(20);
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// A recorder of both markets, at work.
fn recorder(folder: &Path) -> (Simulator, RecorderConfig, Recorder) {
    let arguments = ["--rate", "80000", "--fault", "garbage@every:25:badrecord"];
    let simulator = Simulator::start(folder, &arguments).unwrap();
    let config = RecorderConfig {
        keep_days: 1,
        segment_bytes: 4 << 20,
        ..RecorderConfig::new(folder, &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX).unwrap();
    (simulator, config, recorder)
}

/// Runs a command that needs only the data directory: no key, no server.
fn run(config: &RecorderConfig, arguments: &[&str]) -> Finished {
    let mut command = Program::Recorder.command().unwrap();
    command.args(arguments).arg("--data-dir").arg(&config.data_dir);
    Finished::run("krx-recorder", &mut command, &config.folder, COMMAND_MAX).unwrap()
}

/// The output of `verify --json`, and its exit code.
fn verify(config: &RecorderConfig) -> (Option<i32>, Value) {
    let done = run(config, &["verify", "--json"]);
    let report = serde_json::from_str(&done.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", done.stdout, done.stderr));
    (done.code, report)
}

fn findings(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| {
            (
                finding["path"].as_str().unwrap(),
                finding["kind"].as_str().unwrap(),
            )
        })
        .collect()
}

fn datasets(config: &RecorderConfig) -> std::collections::BTreeMap<PathBuf, String> {
    ["trades", "quarantine", "coverage"]
        .iter()
        .flat_map(|dataset| {
            let files = tree(&config.data_dir.join(dataset)).unwrap();
            files
                .into_iter()
                .map(move |(path, digest)| (Path::new(dataset).join(path), digest))
        })
        .collect()
}

fn flip(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 4], middle).unwrap();
}

/// `sha256sum -c` of all lists, from the data directory.
fn sha256sum(config: &RecorderConfig) -> bool {
    let lists = files_under(&config.data_dir.join(".krx/checksums")).unwrap();
    assert!(!lists.is_empty());
    let list = |path: &PathBuf| path.strip_prefix(&config.data_dir).unwrap().to_owned();
    let done = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet"])
        .args(lists.iter().map(list))
        .current_dir(&config.data_dir)
        .output()
        .unwrap();
    done.status.success()
}

#[test]
fn a_flipped_bit_is_named_and_what_is_lost_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, mut recorder) = recorder(folder.path());

    recorder.wait_for_log(" committed ", 4, CONNECT_MAX).unwrap();
    // While it records there is nothing to find, and the lists are valid at any time.
    for _ in 0..4 {
        sleep(Duration::from_millis(700));
        let (code, report) = verify(&config);
        assert_eq!((code, findings(&report)), (Some(0), vec![]), "while recording");
        assert!(sha256sum(&config), "while recording");
    }
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    let (code, report) = verify(&config);
    assert_eq!((code, &report["ok"]), (Some(0), &Value::Bool(true)), "{report}");
    assert!(report["rows"].as_u64().unwrap() > 100_000, "{report}");
    assert!(sha256sum(&config));
    let whole = datasets(&config);
    assert_eq!(report["files"].as_u64().unwrap(), whole.len() as u64);
    let archived = files_under(&config.data_dir.join(".krx/archive")).unwrap();
    assert!(
        archived.len() > 2,
        "too little was archived to tell: {archived:?}"
    );

    let trades: Vec<_> = whole.keys().filter(|path| path.starts_with("trades")).collect();
    let quarantine = whole.keys().find(|path| path.starts_with("quarantine")).unwrap();
    let (flipped, deleted) = (trades[1], trades[trades.len() - 1]);
    flip(&config.data_dir.join(flipped));
    let (code, report) = verify(&config);
    let path = flipped.to_str().unwrap();
    assert_eq!((code, findings(&report)), (Some(65), vec![(path, "digest")]));
    assert!(!sha256sum(&config));
    // In words, for people: what, where, and what to do.
    let told = run(&config, &["verify"]);
    assert_eq!(told.code, Some(65));
    let date = report["dates"][0].as_str().unwrap();
    let (what, advice) = (
        format!("\n{path}: digest: "),
        format!("krx-recorder rebuild {date}"),
    );
    assert!(
        told.stdout.contains(&what) && told.stdout.contains(&advice),
        "{}",
        told.stdout
    );
    assert!(
        !told.stderr.contains('\u{1b}'),
        "no bar where nobody looks: {}",
        told.stderr
    );

    fs::remove_file(config.data_dir.join(deleted)).unwrap();
    fs::remove_file(config.data_dir.join(quarantine)).unwrap();
    let arguments = ["rebuild", date, "--config"];
    let file = config.write().unwrap();
    let rebuild = |more: &[&str]| {
        let arguments = [&arguments[..], &[file.to_str().unwrap()], more].concat();
        let done = run(&config, &arguments);
        assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
        done.stdout
    };
    let before = datasets(&config);
    let told = rebuild(&["--dry-run"]);
    assert!(told.contains("to be restored"), "{told}");
    assert_eq!(datasets(&config), before);
    let told = rebuild(&[]);
    for path in [flipped, deleted, quarantine] {
        assert!(
            told.contains(&format!("restored: {}\n", path.display())),
            "{told}"
        );
    }
    assert_eq!(datasets(&config), whole);
    assert_eq!(verify(&config).0, Some(0));
    assert!(sha256sum(&config));
    let report: Value = serde_json::from_str(&rebuild(&["--json"])).unwrap();
    let counts = |key: &str| -> u64 {
        let feeds = report["feeds"].as_array().unwrap();
        feeds.iter().map(|feed| feed[key].as_u64().unwrap()).sum()
    };
    assert_eq!(counts("identical"), whole.len() as u64, "{report}");

    // Without the archive only a backup helps, and the message says so.
    fs::remove_dir_all(config.data_dir.join(".krx/archive")).unwrap();
    fs::remove_file(config.data_dir.join(trades[0])).unwrap();
    let lost = run(&config, &["rebuild", date]);
    assert_eq!(lost.code, Some(65), "{}", lost.stdout);
    assert!(
        lost.stderr.contains("restore them from a backup"),
        "{}",
        lost.stderr
    );
    assert!(
        lost.stdout.contains("the archive begins at frame "),
        "{}",
        lost.stdout
    );
}

#[test]
fn exit_codes_tell_what_is_wrong_with_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "ws://127.0.0.1:9");
    let call = |arguments: &[&str]| {
        let mut command = Program::Recorder.command().unwrap();
        command.args(arguments);
        Finished::run("krx-recorder", &mut command, folder.path(), COMMAND_MAX).unwrap()
    };
    assert_eq!(call(&["verify"]).code, Some(64), "neither a file nor a directory");
    assert_eq!(run(&config, &["verify", "yesterday"]).code, Some(64));
    assert_eq!(run(&config, &["rebuild"]).code, Some(64), "no date");
    assert_eq!(
        run(&config, &["rebuild", "2026-11-20", "--feed", "../x"]).code,
        Some(64)
    );
    for arguments in [&["verify"][..], &["rebuild", "2026-11-20"]] {
        let done = run(&config, arguments);
        assert_eq!(done.code, Some(74), "{}", done.stderr);
        assert!(!config.data_dir.exists(), "a mistyped directory is not made");
    }
    fs::create_dir(&config.data_dir).unwrap();
    let done = run(&config, &["verify", "2026-11-20"]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), "2026-11-20: nothing is recorded\n")
    );
    let data = krx_store::DataDir::new(&config.data_dir);
    let held = krx_store::DataDirLock::take(&data).unwrap();
    fs::create_dir_all(data.journal(&"KOSPI".parse().unwrap())).unwrap();
    let name = krx_store::layout::SegmentName {
        number: 1,
        date: "2026-11-20".parse().unwrap(),
        first_frame: 1,
    };
    fs::write(data.journal(&"KOSPI".parse().unwrap()).join(name.to_string()), "").unwrap();
    assert_eq!(
        run(&config, &["rebuild", "2026-11-20"]).code,
        Some(75),
        "a recorder is at work on it"
    );
    drop(held);
}

/// A year later: the date's quarantine is removed, then its trades, and neither counts as a loss.
#[test]
fn what_retention_removes_is_missing_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, mut recorder) = recorder(folder.path());
    recorder.wait_for_log(" committed ", 4, CONNECT_MAX).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    let data = DataDir::new(&config.data_dir);
    let today = Moment::now().date() + chrono::Days::new(365);
    // Recording continued: without some recent dates the clock would not be trusted.
    let partition = |days| {
        data.partition(
            &TRADES,
            today - chrono::Days::new(days),
            &"KOSPI".parse().unwrap(),
        )
    };
    (1..6).for_each(|days| fs::create_dir_all(partition(days)).unwrap());
    let expire = |trades_days, quarantine_days| {
        let mut retention = Retention::default();
        for (dataset, days) in [(&TRADES, trades_days), (&QUARANTINE, quarantine_days)] {
            if let Some(days) = days {
                retention = retention.keeping(dataset, days);
            }
        }
        let expired = retention::expire(&data, &retention, today).unwrap();
        expired.iter().map(|expired| expired.dataset).collect::<Vec<_>>()
    };
    assert_eq!(
        expire(Some(100), Some(100)),
        [] as [&DatasetSpec; 0],
        "the newest date still has its journal"
    );
    // Days later the recorder has removed it.
    fs::remove_dir_all(data.journals()).unwrap();
    for removed in [&QUARANTINE, &TRADES] {
        let days = |dataset| (dataset == removed).then_some(100);
        let datasets = expire(days(&TRADES), days(&QUARANTINE));
        assert!(!datasets.is_empty() && datasets.iter().all(|dataset| *dataset == removed));
        let (code, report) = verify(&config);
        assert_eq!(
            (code, findings(&report)),
            (Some(0), vec![]),
            "without {removed:?}"
        );
        assert!(sha256sum(&config), "without {removed:?}");
    }
    assert_eq!(files_under(&config.data_dir.join("trades")).unwrap().len(), 0);
    assert!(!files_under(&config.data_dir.join("coverage")).unwrap().is_empty());
}

/// Writes a date of one market as a recorder leaves it: a session of two messages, exported.
fn record_date(data: &DataDir, date: NaiveDate) {
    let market = "KOSPI".parse().unwrap();
    let at = |seconds: i64| Moment(Moment::midnight(date).0 + (9 * 3600 + seconds) * 1_000_000);
    let text = r#"[{"isuSrtCd":"005930","trdPrc":"71000","trdVol":"5","trdTm":"9000001"}]"#;
    let entry = |seconds, what| Entry {
        at: at(seconds),
        what,
    };
    let version = "test".to_owned();
    let entries = [
        entry(0, What::Event(Event::Start { version })),
        entry(1, What::Event(Event::Connected { url: String::new() })),
        entry(2, What::Frame(text)),
        entry(3, What::Frame(text)),
        entry(4, What::Event(Event::Stop)),
    ];
    let config = JournalConfig {
        sync_interval: Duration::from_millis(1),
        segment_bytes: 1 << 20,
    };
    let mut writer = krx_store::open_writer(data, &market, config, Arc::default()).unwrap();
    writer.append(&entries).unwrap();
    writer.close().unwrap();
    let config = ExportConfig {
        rotate_interval: Duration::from_secs(300),
        rows_max: 1000,
        keep_days: 0,
        reserve_bytes: 0,
    };
    Exporter::new(data, &market, config, None, Arc::default())
        .run()
        .unwrap();
}

/// A day on which cron was broken: nothing ran, and so nothing was written.
#[test]
fn i9_a_trading_day_on_which_nothing_ran_is_said_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "1000"]).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let data = DataDir::new(&config.data_dir);
    fs::create_dir_all(&config.data_dir).unwrap();
    let calendar = Calendar::with_overrides(Vec::new());
    let today = Moment::now().date();
    let mut days: Vec<NaiveDate> = (1..31)
        .map(|days| today - chrono::Days::new(days))
        .filter(|date| calendar.day(*date).is_trading())
        .take(8)
        .collect();
    days.reverse();
    let (missing, next) = (days[5], days[6]);
    for date in days.iter().filter(|date| **date != missing) {
        record_date(&data, *date);
    }
    let partition = format!("coverage/date={missing}/feed=KOSPI");
    let file = format!(
        "{partition}/{}",
        krx_store::layout::CommittedName::of_the_date(&COVERAGE, missing)
    );
    let (code, report) = verify(&config);
    assert_eq!(
        (code, findings(&report)),
        (Some(65), vec![(partition.as_str(), "unaccounted")])
    );
    // `verify` reports them even before anything is on record.
    let told = run(&config, &["coverage", &missing.to_string()]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(
        told.stdout.contains("gap") && told.stdout.contains("not_running"),
        "{}",
        told.stdout
    );
    let report = run(&config, &["report", &next.to_string(), "--json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let worries = report["verdict"]["worries"].to_string();
    assert!(
        worries.contains(&format!("The previous trading day, {missing}, was not recorded.")),
        "{worries}"
    );
    // The next recorder puts it on record.
    let mut recorder = config.start().unwrap();
    recorder
        .wait_for_log("no recorder ran on this trading day", 1, CONNECT_MAX)
        .unwrap();
    recorder.wait_for_log("INFO connected ", 2, CONNECT_MAX).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    assert_eq!(files_under(&config.data_dir.join(&partition)).unwrap().len(), 1);
    let (code, report) = verify(&config);
    assert_eq!((code, findings(&report)), (Some(0), vec![]));
    assert!(sha256sum(&config));
    // Without a recorder, a command does.
    fs::remove_dir_all(config.data_dir.join(&partition)).unwrap();
    fs::remove_file(data.checksum_list(missing)).unwrap();
    let done = run(&config, &["coverage", "--complete"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(done.stdout, format!("KOSPI {missing}: no recorder ran\n"));
    assert_eq!(verify(&config).0, Some(0));
    // A day that was recorded is not one on which nothing ran, whatever is left of it.
    for dataset in ["trades/date={}/market=KOSPI", "coverage/date={}/feed=KOSPI"] {
        fs::remove_dir_all(config.data_dir.join(dataset.replace("{}", &next.to_string()))).unwrap();
    }
    let done = run(&config, &["coverage", "--complete", "--json"]);
    assert_eq!(done.stdout.trim(), "[]");
    let (_, report) = verify(&config);
    let kinds: BTreeSet<_> = findings(&report).iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, BTreeSet::from(["missing"]));
    fs::remove_file(data.checksum_list(next)).unwrap();
    let done = run(&config, &["coverage", "--complete"]);
    assert_eq!(done.stdout, format!("KOSPI {next}: no recorder ran\n"));
    // One that was killed before it could write the list.
    fs::remove_file(data.checksum_list(missing)).unwrap();
    assert_eq!(findings(&verify(&config).1), [(file.as_str(), "unlisted")]);
    let done = run(&config, &["coverage", "--complete", "--json"]);
    assert_eq!(done.stdout.trim(), "[]");
    assert_eq!(verify(&config).0, Some(0));
    assert!(sha256sum(&config));
}

/// A directory with another layout is refused by every command, and left untouched.
#[test]
fn another_layout_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig::new(folder.path(), "ws://127.0.0.1:9");
    let old = config.data_dir.join("coverage/date=2026-11-20/market=KOSPI");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("coverage.parquet"), "old").unwrap();
    let before = tree(&config.data_dir).unwrap();
    let commands: [&[&str]; 8] = [
        &["verify"],
        &["coverage"],
        &["coverage", "--complete"],
        &["seal"],
        &["rebuild", "2026-11-20"],
        &["report", "2026-11-20"],
        &["replay", "2026-11-20"],
        &["sql"],
    ];
    for command in commands {
        let done = run(&config, command);
        assert_eq!(done.code, Some(65), "{command:?}: {}", done.stderr);
        assert!(
            done.stderr.contains("has layout version \"1\""),
            "{}",
            done.stderr
        );
    }
    let done = config.run_to_end("run", &[], COMMAND_MAX).unwrap();
    assert_eq!(done.code, Some(65), "{}", done.stderr);
    assert_eq!(tree(&config.data_dir).unwrap(), before);
    // One of a later version, too.
    fs::remove_dir_all(config.data_dir.join("coverage")).unwrap();
    fs::create_dir_all(config.data_dir.join(".krx")).unwrap();
    fs::write(config.data_dir.join(".krx/format"), "3\n").unwrap();
    assert_eq!(run(&config, &["verify"]).code, Some(65));
}
