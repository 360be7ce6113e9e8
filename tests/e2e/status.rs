//! The status of a running recorder: every form of it agrees with what was sent, and with the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use krx_harness::ledger::Ledger;
use krx_harness::oracle::MARKETS;
use krx_harness::process::{free_port, wait_until};
use krx_harness::recorder::{get, status};
use krx_harness::{Finished, Recorder, RecorderConfig, Simulator};
use krx_tests::volume::has_tool;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn start(folder: &Path, arguments: &[&str]) -> (Simulator, RecorderConfig, u16, Recorder) {
    let simulator = Simulator::start(folder, arguments).unwrap();
    let port = free_port().unwrap();
    let config = RecorderConfig {
        status_port: Some(port),
        ..RecorderConfig::new(folder, &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, LIMIT).unwrap();
    (simulator, config, port, recorder)
}

/// The body of an answer.
fn body(port: u16, path: &str) -> String {
    get(port, path)
        .unwrap()
        .split_once("\r\n\r\n")
        .unwrap()
        .1
        .to_owned()
}

/// A sample of each series, by its name and labels.
fn samples(metrics: &str) -> BTreeMap<String, f64> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Texts sent to a market, and records in those that are data.
fn sent(ledger: &Path, market: &str) -> (u64, u64) {
    let mut ledger = Ledger::open(ledger, market).unwrap();
    let (mut texts, mut records) = (0, 0);
    while let Some(sent) = ledger.pop().unwrap() {
        texts += 1;
        records += if sent.is_data { u64::from(sent.records) } else { 0 };
    }
    (texts, records)
}

fn coverage(config: &RecorderConfig) -> Vec<Value> {
    let told = config.run_to_end("coverage", &["--json"], LIMIT).unwrap();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    serde_json::from_str(&told.stdout).unwrap()
}

fn market_of<'a>(status: &'a Value, market: &str) -> &'a Value {
    let markets = status["feeds"].as_array().unwrap();
    markets.iter().find(|one| one["feed"] == market).unwrap()
}

fn sum(rows: &[Value], key: &str) -> u64 {
    rows.iter().map(|row| row[key].as_u64().unwrap()).sum()
}

/// Waits until everything that the exchange sent is exported; returns the status.
fn settled(port: u16) -> Value {
    let (mut settled, mut still) = (Value::Null, 0);
    wait_until(LIMIT, "all is exported", || {
        let before = std::mem::replace(&mut settled, status(port)?);
        let done = settled["feeds"].as_array().unwrap().iter().all(|market| {
            let nothing_left = market["frames_behind"] == 0 && market["queue_bytes"] == 0;
            nothing_left && market["state"] == "connecting"
        });
        let counts = |status: &Value| {
            let markets = status["feeds"].as_array().cloned().unwrap_or_default();
            markets
                .iter()
                .map(|market| market["records"].clone())
                .collect::<Vec<_>>()
        };
        // The latest counts are shown a moment later.
        still = if done && counts(&before) == counts(&settled) {
            still + 1
        } else {
            0
        };
        Ok(still >= 100)
    })
    .unwrap();
    settled
}

/// The same, with the coverage: an attempt to connect that ends between the two looks may begin a row, and silence may
/// end a file.
fn settled_with_coverage(port: u16, config: &RecorderConfig) -> (Value, Vec<Value>) {
    let (mut status, mut rows) = (Value::Null, Vec::new());
    wait_until(LIMIT, "the status and the coverage are of one instant", || {
        (status, rows) = (settled(port), coverage(config));
        let shown = |market| {
            market_of(&status, market)["intervals"]
                .as_array()
                .map_or(0, Vec::len)
        };
        let told = |market| rows.iter().filter(|row| row["feed"] == market).count();
        let filed = |market| {
            let files = market_of(&status, market)["files"].as_array().map_or(0, Vec::len);
            files == 8.min(committed(config, market))
        };
        Ok(MARKETS
            .iter()
            .all(|market| shown(*market) == told(*market) && filed(*market)))
    })
    .unwrap();
    (status, rows)
}

#[test]
fn all_forms_say_what_was_sent_and_what_the_ledger_says() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "300000",
        "--fault",
        "disconnect@900",
        "--fault",
        "close@1500:1001,market=KOSPI",
        "--fault",
        "garbage@100:text",
    ];
    let (mut simulator, config, port, mut recorder) = start(folder.path(), &arguments);
    // Clients that hang do not hinder any of this.
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let hanging: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    simulator.finish_day(&mut recorder, 2, LIMIT).unwrap();
    drop(hanging);

    let (status, rows) = settled_with_coverage(port, &config);
    let metrics = body(port, "/metrics");
    let samples = samples(&metrics);
    for market in MARKETS {
        let (texts, records) = sent(&simulator.ledger, market);
        let of = |name: &str| samples[&format!("{name}{{feed=\"{market}\"}}")];
        let told = market_of(&status, market);
        // One text was no trade: a row of quarantine.
        let expected = (texts as f64, (records + 1) as f64);
        assert_eq!(
            (of("krx_feed_frames_total"), of("krx_records_total")),
            expected,
            "{market}"
        );
        assert_eq!(of("krx_journal_frames_total"), expected.0);
        assert_eq!(of("krx_feed_received_bytes_total"), of("krx_journal_bytes_total"));
        let malformed = format!("krx_quarantined_total{{feed=\"{market}\",reason=\"malformed_json\"}}");
        assert_eq!(samples[&malformed], 1.0);
        assert_eq!(told["quarantined_by_reason"]["malformed_json"], 1);
        assert_eq!(
            (told["frames_journaled"].as_u64(), told["records"].as_u64()),
            (Some(texts), Some(records + 1))
        );

        let rows: Vec<Value> = rows.iter().filter(|row| row["feed"] == market).cloned().collect();
        assert_eq!(
            (sum(&rows, "frames"), sum(&rows, "rows")),
            (texts, records + 1),
            "{market}: the coverage"
        );
        assert_eq!(told["date_records"], records + 1);
        let minutes: u64 = told["minutes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_u64)
            .sum();
        assert_eq!(minutes, records + 1, "{market}: the chart");
        let intervals = told["intervals"].as_array().unwrap();
        assert_eq!(intervals.len(), rows.len());
        // The last one is not over: it continues between the two looks.
        for (shown, row) in intervals.iter().zip(&rows).take(rows.len() - 1) {
            for (key, value) in shown.as_object().unwrap() {
                assert_eq!(value, &row[key], "{market}: {key}");
            }
        }
        let gaps = rows.iter().filter(|row| row["state"] == "gap");
        let mut by_reason: BTreeMap<&str, f64> = BTreeMap::new();
        gaps.for_each(|gap| *by_reason.entry(gap["reason"].as_str().unwrap()).or_default() += 1.0);
        assert!(by_reason.len() >= 3, "{by_reason:?}");
        for (reason, count) in &by_reason {
            let series = format!("krx_gaps_total{{feed=\"{market}\",reason=\"{reason}\"}}");
            assert_eq!(samples[&series], *count, "{series}");
        }
        assert_eq!(of("krx_date_gaps"), by_reason.values().sum::<f64>());
        assert!(of("krx_journal_sync_duration_seconds_count") > 0.0);
        assert!(of("krx_feed_sessions_total") >= 2.0);
    }
    the_command_says_the_same(&config, &status);
    the_deployed_names_exist(&metrics);
    promtool_takes(&metrics);
    recorder.stop().unwrap();
    let asked = TcpStream::connect(address);
    assert!(asked.is_err(), "the port is served by nobody any more");
}

fn the_command_says_the_same(config: &RecorderConfig, status: &Value) {
    let told = config.run_to_end("status", &[], LIMIT).unwrap();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(!told.stdout.contains('\x1b'), "no colours without a terminal");
    for market in MARKETS {
        let records = market_of(status, market)["date_records"].as_u64().unwrap();
        let records = format!("{},{:03} today; ", records / 1000, records % 1000);
        assert!(told.stdout.contains(&records), "{records}: {}", told.stdout);
        assert!(told.stdout.contains(&format!("\n{market}")), "{}", told.stdout);
    }
    println!("{}", told.stdout);
    let json = config.run_to_end("status", &["--json"], LIMIT).unwrap();
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    for key in ["version", "pid", "started_at", "date"] {
        assert_eq!(json[key], status[key], "{key}");
    }
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Each metric named by the alerts and the dashboard is served.
fn the_deployed_names_exist(metrics: &str) {
    let served: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for file in ["prometheus/krx-recorder.rules.yml", "grafana/krx-recorder.json"] {
        let text = fs::read_to_string(deploy().join(file)).unwrap();
        let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
        let named: BTreeSet<&str> = words
            .filter(|word| word.starts_with("krx_") || word.starts_with("process_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect();
        assert!(named.len() > 10, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&served).collect();
        assert!(unknown.is_empty(), "{file} names what is not served: {unknown:?}");
    }
}

/// Where promtool is missing, it says so and passes.
fn promtool(arguments: &[&str], input: &str) {
    if !has_tool("promtool") {
        println!("skipped: promtool {arguments:?}: it is not installed (tests/tools/page-tools.sh)");
        return;
    }
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(deploy().join("prometheus"));
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    println!("promtool {arguments:?}: {}", said.trim());
}

fn promtool_takes(metrics: &str) {
    promtool(&["check", "metrics"], metrics);
}

#[test]
fn promtool_takes_the_alerts_and_each_fires_when_it_should() {
    promtool(&["check", "rules", "krx-recorder.rules.yml"], "");
    promtool(&["test", "rules", "krx-recorder.rules.test.yml"], "");
}

#[test]
fn each_alert_says_what_to_do() {
    let rules = fs::read_to_string(deploy().join("prometheus/krx-recorder.rules.yml")).unwrap();
    let runbook = fs::read_to_string(deploy().join("../docs/runbook.md")).unwrap();
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let link = format!("runbook: docs/runbook.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert} has no link");
        assert!(
            runbook.contains(&format!("\n### {alert}\n")),
            "{alert} is not in docs/runbook.md"
        );
    }
}

#[test]
fn a_restart_in_the_middle_of_a_day_keeps_the_chart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut simulator, config, port, mut recorder) = start(folder.path(), &["--rate", "20000"]);
    recorder.wait_for_log("committed", 6, LIMIT).unwrap();
    recorder.stop().unwrap();
    let before = coverage(&config);

    let mut recorder = config.start().unwrap();
    recorder.wait_for_log("INFO connected ", 2, LIMIT).unwrap();
    recorder.wait_for_log("committed", 2, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    let (status, rows) = settled_with_coverage(port, &config);
    for market in MARKETS {
        let of = |rows: &[Value]| -> Vec<Value> {
            rows.iter().filter(|row| row["feed"] == market).cloned().collect()
        };
        let (before, all) = (sum(&of(&before), "rows"), sum(&of(&rows), "rows"));
        let told = market_of(&status, market);
        assert!(before > 1000 && all > before, "{market}: {before} and {all}");
        let minutes: u64 = told["minutes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_u64)
            .sum();
        assert_eq!(minutes, all, "{market}: the chart has the records of both runs");
        assert_eq!(told["date_records"], all);
        assert_eq!(
            told["records"],
            all - before,
            "{market}: and the counter those of this one"
        );
        assert_eq!(told["intervals"].as_array().unwrap().len(), of(&rows).len());
        assert_eq!(
            told["files"].as_array().unwrap().len(),
            8.min(committed(&config, market))
        );
    }
    recorder.stop().unwrap();
}

fn committed(config: &RecorderConfig, market: &str) -> usize {
    let files = krx_harness::tree::files_under(&config.data_dir.join("trades")).unwrap();
    let of_market = files
        .iter()
        .filter(|path| path.to_string_lossy().contains(&format!("market={market}/")));
    of_market.count()
}

#[test]
fn who_asks_in_vain_is_told_where_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let config = RecorderConfig {
        status_port: Some(port),
        // Neither is needed to ask.
        key: None,
        ..RecorderConfig::new(folder.path(), "ws://127.0.0.1:1")
    };
    let told = config.run_to_end("status", &[], LIMIT).unwrap();
    assert_eq!(told.code, Some(69), "{}", told.stderr);
    for words in [
        &format!("127.0.0.1:{port}"),
        "systemctl status krx-recorder",
        "status.listen",
    ] {
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
    }

    let none = RecorderConfig {
        status_port: None,
        ..config.clone()
    };
    let told = none.run_to_end("status", &[], LIMIT).unwrap();
    assert_eq!(told.code, Some(78), "{}", told.stderr);
    assert!(
        told.stderr.contains("listen = \"127.0.0.1:9464\""),
        "{}",
        told.stderr
    );

    let bare = |arguments: &[&str]| -> Finished { config.run_bare(arguments, LIMIT).unwrap() };
    assert_eq!(bare(&["status"]).code, Some(64));
    assert_eq!(bare(&["status", "--listen", "10.0.0.1:9464"]).code, Some(78));
    // Something else answers there, which does not speak HTTP at all.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"SSH-2.0\r\n").unwrap());
    let told = bare(&["status", "--listen", &address]);
    assert_eq!(told.code, Some(69), "{}", told.stderr);
    assert!(told.stderr.contains(&address), "{}", told.stderr);
    other.join().unwrap();
}
