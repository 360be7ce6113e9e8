//! The report of a recorded day: its figures are those of the ledger, of coverage and of the files on disk, and the
//! page is self-contained.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use krx_harness::ledger::Ledger;
use krx_harness::oracle::MARKETS;
use krx_harness::process::{Finished, Program};
use krx_harness::recorded::Frames;
use krx_harness::{Mode, RecorderConfig, Simulator, compare};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// A command that needs only the data directory, run in the test's folder.
fn run(config: &RecorderConfig, arguments: &[&str]) -> Finished {
    let mut command = Program::Recorder.command().unwrap();
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(&config.data_dir)
        .current_dir(&config.folder);
    Finished::run("krx-recorder", &mut command, &config.folder, LIMIT).unwrap()
}

/// A day sent as fast as it was read, with connections that broke and messages that are not valid.
fn record(folder: &Path) -> (RecorderConfig, Simulator) {
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
        "garbage@every:40:badrecord",
        "--fault",
        "garbage@every:90:text",
    ];
    let mut simulator = Simulator::start(folder, &arguments).unwrap();
    let config = RecorderConfig::new(folder, &simulator.url);
    let mut recorder = config.start().unwrap();
    simulator.finish_day(&mut recorder, 2, LIMIT).unwrap();
    recorder.stop().unwrap();
    (config, simulator)
}

fn json(config: &RecorderConfig, arguments: &[&str]) -> Value {
    let done = run(config, arguments);
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

/// What is on disk for a market, read by other code than the recorder's.
#[derive(Debug, Default, PartialEq, Eq)]
struct OnDisk {
    records: u64,
    quarantined: BTreeMap<String, u64>,
    messages: u64,
    by_code: BTreeMap<String, u64>,
    trades_back: u64,
    beyond_limit: u64,
    lag_below_zero: u64,
    lag_max_us: i64,
    falls: u64,
}

fn on_disk(data_dir: &Path, market: &str) -> OnDisk {
    let mut found = OnDisk {
        lag_max_us: i64::MIN,
        ..OnDisk::default()
    };
    let mut last: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
    let mut frames = Frames::open(data_dir, market).unwrap();
    while let Some(frame) = frames.next().unwrap() {
        found.messages += u64::from(!frame.trades.is_empty() || !frame.quarantine.is_empty());
        for row in frame.quarantine {
            *found.quarantined.entry(row.reason).or_default() += 1;
        }
        for row in frame.trades {
            found.records += 1;
            *found.by_code.entry(row.code.clone()).or_default() += 1;
            let Some(ms) = row.trade_ts.filter(|_| row.kind == "trade") else {
                continue;
            };
            let lag = frame.recv_us - ms * 1000;
            found.lag_below_zero += u64::from(lag < 0);
            found.lag_max_us = found.lag_max_us.max(lag);
            let (before, first, volume) = last
                .get(&row.code)
                .copied()
                .unwrap_or((ms, row.price, row.volume));
            found.trades_back += u64::from(ms < before);
            found.falls += u64::from(row.volume < volume);
            found.beyond_limit += u64::from(row.price * 10 > first * 13 || row.price * 10 < first * 7);
            last.insert(row.code, (ms, first, row.volume));
        }
    }
    found
}

fn sum(rows: &[&Value], key: &str) -> u64 {
    rows.iter().map(|row| row[key].as_u64().unwrap()).sum()
}

fn seconds(row: &Value) -> f64 {
    let at = |key: &str| chrono::DateTime::parse_from_rfc3339(row[key].as_str().unwrap()).unwrap();
    (at("to_ts") - at("from_ts")).num_microseconds().unwrap() as f64 / 1e6
}

fn odd<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let all = report["oddities"].as_array().unwrap();
    all.iter().find(|odd| odd["kind"] == kind).unwrap()
}

#[test]
fn its_figures_are_those_of_the_ledger_the_coverage_and_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (config, mut simulator) = record(folder.path());
    simulator.stop().unwrap();
    let coverage = json(&config, &["coverage", "--json"]);
    let coverage = coverage.as_array().unwrap();
    let date = coverage[0]["date"].as_str().unwrap();
    let report = json(&config, &["report", date, "--json"]);
    assert_eq!(report["date"], date);
    let markets = report["markets"].as_array().unwrap();
    assert_eq!(markets.len(), 2);
    let (mut back, mut beyond) = (0, 0);
    for name in MARKETS {
        let market = markets.iter().find(|market| market["market"] == name).unwrap();
        let number = |key: &str| market[key].as_u64().unwrap();
        let rows: Vec<&Value> = coverage.iter().filter(|row| row["feed"] == name).collect();

        let mut sent = (0, 0);
        let mut ledger = Ledger::open(&simulator.ledger, name).unwrap();
        while let Some(text) = ledger.pop().unwrap() {
            sent.0 += 1;
            sent.1 += if text.is_data { u64::from(text.records) } else { 0 };
        }
        assert_eq!(number("messages"), sent.0, "{name}: messages, and sent");
        let disk = on_disk(&config.data_dir, name);
        let quarantined: u64 = disk.quarantined.values().sum();
        assert!(
            sent.1 > 100_000 && number("records") > sent.1,
            "{name}: bad messages have good records too"
        );
        assert_eq!(number("records"), disk.records, "{name}: records, and on disk");
        assert_eq!(number("messages_with_rows"), disk.messages, "{name}");
        assert_eq!(number("issues"), disk.by_code.len() as u64, "{name}");
        assert_eq!(
            number("records") + number("quarantined"),
            sum(&rows, "rows"),
            "{name}: rows, and in the coverage"
        );
        assert_eq!(
            number("messages"),
            sum(&rows, "frames"),
            "{name}: messages, and in the coverage"
        );
        assert_eq!(market["rows_not_committed"], 0, "{name}");

        assert!(quarantined > 100, "{name}: {quarantined}");
        let by_reason: BTreeMap<String, u64> = market["quarantine"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(reason, of)| (reason.clone(), of["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(by_reason, disk.quarantined, "{name}");

        // Time moves on only within the last interval.
        let intervals = market["intervals"].as_array().unwrap();
        assert_eq!(intervals.len(), rows.len(), "{name}");
        for (interval, row) in intervals.iter().zip(&rows).take(rows.len() - 1) {
            for key in [
                "from_ts", "to_ts", "state", "reason", "session", "frames", "rows", "detail",
            ] {
                assert_eq!(interval[key], row[key], "{name}: {key}");
            }
        }
        let gaps: Vec<&&Value> = rows.iter().filter(|row| row["state"] == "gap").collect();
        let known: f64 = gaps.iter().map(|row| seconds(row)).sum();
        let shown = &market["recorded"]["gaps"];
        assert_eq!(shown["count"], gaps.len(), "{name}");
        assert!(
            gaps.len() >= 3,
            "{name}: two connections were lost, and it was stopped"
        );
        assert!(
            (shown["seconds"].as_f64().unwrap() - known).abs() < 60.0,
            "{name}: {shown} and {known}"
        );

        for (minutes, total) in [
            ("records_by_minute", "records"),
            ("messages_by_minute", "messages_with_rows"),
        ] {
            let minutes = market[minutes].as_array().unwrap();
            assert_eq!(minutes.len(), 1440);
            assert_eq!(
                minutes.iter().map(|minute| minute.as_u64().unwrap()).sum::<u64>(),
                number(total),
                "{name}"
            );
        }
        let top = market["top_issues"].as_array().unwrap();
        for issue in top {
            assert_eq!(
                issue["records"],
                disk.by_code[issue["code"].as_str().unwrap()],
                "{name}: {issue}"
            );
        }
        assert_eq!(
            top[0]["records"],
            *disk.by_code.values().max().unwrap(),
            "{name}: the busiest is first"
        );
        let lag = &market["lag"];
        let trades = market["records_by_kind"]["trade"].as_u64().unwrap();
        assert_eq!(lag["trades"], trades, "{name}");
        let below = lag["below_zero_share"].as_f64().unwrap() * trades as f64;
        assert!(
            (below - disk.lag_below_zero as f64).abs() < 0.5,
            "{name}: {below}"
        );
        assert_eq!(lag["max_ms"], disk.lag_max_us as f64 / 1000.0, "{name}");
        (back, beyond) = (back + disk.trades_back, beyond + disk.beyond_limit);
        // The simulator sends traded volumes.
        assert!(disk.falls > 10_000);
        assert_eq!(
            market["volume"]["verdict"], "traded",
            "{name}: {}",
            market["volume"]
        );
    }
    assert_eq!(report["volume"]["verdict"], "traded");
    assert_eq!(odd(&report, "trade_time_back")["count"], back);
    assert_eq!(odd(&report, "beyond_limit")["count"], beyond);
    assert_eq!(
        report["issues_compared_with"]["dates"], 0,
        "there is no earlier date"
    );

    // An earlier date: the same issues but for one, and one that was there only then.
    let earlier = "2024-01-02";
    for market in MARKETS {
        let of = |date: &str| {
            config
                .data_dir
                .join(format!("trades/date={date}/market={market}"))
        };
        fs::create_dir_all(of(earlier)).unwrap();
        let files = fs::read_dir(of(date)).unwrap().map(|entry| entry.unwrap().path());
        let first = files.min().unwrap();
        fs::copy(&first, of(earlier).join(first.file_name().unwrap())).unwrap();
    }
    let report = json(&config, &["report", date, "--json"]);
    assert_eq!(report["issues_compared_with"]["from"], earlier);
    let new = odd(&report, "never_seen")["count"].as_u64().unwrap();
    let all: u64 = report["markets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|market| market["issues"].as_u64().unwrap())
        .sum();
    assert!(new < all, "{new} of {all}: those of the first file are known");
    assert_eq!(odd(&report, "vanished")["count"], 0);
}

#[test]
fn what_a_server_sends_again_is_kept_and_counted() {
    const MESSAGES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "100000",
        "--fault",
        "disconnect@200",
        "--fault",
        "resend@600,market=KOSPI",
    ];
    let mut simulator = Simulator::start(folder.path(), &arguments).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let mut recorder = config.start().unwrap();
    simulator.finish_day(&mut recorder, 2, LIMIT).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();
    // Twice in the ledger, and so in the files.
    compare(&simulator.ledger, &config.data_dir, Mode::Exact).unwrap();

    let mut sent: BTreeMap<u32, Vec<(String, u64)>> = BTreeMap::new();
    let mut ledger = Ledger::open(&simulator.ledger, "KOSPI").unwrap();
    while let Some(text) = ledger.pop().unwrap() {
        if text.is_data {
            let of_session = sent.entry(text.session).or_default();
            of_session.push((text.text, u64::from(text.records)));
        }
    }
    let again = &sent[&3][..MESSAGES];
    assert_eq!(again, &sent[&2][sent[&2].len() - MESSAGES..], "the last messages");
    let records: u64 = again.iter().map(|(_, records)| records).sum();

    let coverage = json(&config, &["coverage", "--json"]);
    let report = json(
        &config,
        &["report", coverage[0]["date"].as_str().unwrap(), "--json"],
    );
    for market in report["markets"].as_array().unwrap() {
        let found = if market["market"] == "KOSPI" {
            json!([{"session": 3, "session_before": 2, "records": records}])
        } else {
            json!([])
        };
        assert_eq!(market["sent_again"], found, "{}", market["market"]);
    }
    assert_eq!(odd(&report, "sent_again")["count"], records);
    let worries = report["verdict"]["worries"].as_array().unwrap();
    let words = format!("Records sent again after a reconnect: {records} records.");
    assert!(worries.iter().any(|worry| worry["words"] == words), "{worries:?}");
}

#[test]
fn the_page_is_one_small_file_that_needs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (config, mut simulator) = record(folder.path());
    simulator.stop().unwrap();
    let coverage = json(&config, &["coverage", "--json"]);
    let date = coverage[0]["date"].as_str().unwrap();

    let told = run(&config, &["report", date]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let name = format!("krx-report-{date}.html");
    assert!(told.stdout.ends_with(&format!("\n{name}\n")), "{}", told.stdout);
    let page = fs::read_to_string(folder.path().join(&name)).unwrap();
    assert!(
        page.len() > 50_000 && page.len() < 2_000_000,
        "{} bytes",
        page.len()
    );
    println!("{} bytes", page.len());
    for forbidden in [
        "http://", "https://", "<script", "<link", "<img", " src=", " href=", "@import", "url(",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
    let answer = told.stdout.lines().next().unwrap();
    let escaped = answer
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    assert!(page.contains(&format!(">{escaped}</h1>")), "{answer}");

    // A file of that name is replaced as a whole, and nothing else is left.
    let other = folder.path().join("reports");
    fs::create_dir(&other).unwrap();
    let file = other.join("day.html");
    fs::write(&file, "of yesterday").unwrap();
    let path = file.display().to_string();
    assert_eq!(run(&config, &["report", date, "--output", &path]).code, Some(0));
    assert!(fs::read_to_string(&file).unwrap().ends_with("</html>\n"));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);

    // What cannot be done is reported, with what to do instead.
    let nothing = run(&config, &["report", "2020-01-02"]);
    assert_eq!(nothing.code, Some(64), "{}", nothing.stderr);
    assert!(
        nothing.stderr.contains("for 2020-01-02") && nothing.stderr.contains(date),
        "{}",
        nothing.stderr
    );
    let nowhere = run(&config, &["report", date, "--output", "missing/day.html"]);
    assert_eq!(nowhere.code, Some(74), "{}", nowhere.stderr);
    assert!(
        nowhere.stderr.contains("missing/day.html") && nowhere.stderr.contains("--output"),
        "{}",
        nowhere.stderr
    );
    assert_eq!(run(&config, &["report"]).code, Some(64));
    let damaged = fs::read_dir(config.data_dir.join(format!("trades/date={date}/market=KOSPI")))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    fs::write(&damaged, "no parquet").unwrap();
    let broken = run(&config, &["report", date, "--output", &path]);
    assert_ne!(broken.code, Some(0));
    assert!(
        broken
            .stderr
            .contains(damaged.file_name().unwrap().to_str().unwrap()),
        "{}",
        broken.stderr
    );
    assert!(
        fs::read_to_string(&file).unwrap().ends_with("</html>\n"),
        "the one before is still there"
    );
}
