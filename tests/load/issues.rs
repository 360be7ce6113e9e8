//! Millions of messages of the per-issue service: every preset and all kinds of answers, with reconnects, odd messages,
//! refusals, and a list that changes all the time. Each record is found exactly once, with all its values.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use krx_harness::{Group, IssueList, Mode, Simulator, compare, compare_issues};
use krx_tests::issues::{
    ITEMS, PRESETS, UNKNOWN, recorder_of, tables, wait_for_frames, wait_for_registrations,
};

/// The messages, at the least, unless `$KRX_ISSUES` is `full`.
const MESSAGES: u64 = 120_000;

/// The messages with `KRX_ISSUES=full`.
const MESSAGES_FULL: u64 = 3_000_000;

/// Stocks that are listed; all but the last few are registered.
const STOCKS: usize = 40;

/// How often the list is changed.
const CHANGES: usize = 6;

const LIMIT: Duration = Duration::from_secs(900);

fn codes(stocks: std::ops::Range<usize>) -> Vec<String> {
    stocks.map(|nth| format!("{:05}0", 1_000 + 25 * nth)).collect()
}

fn listed(folder: &Path) -> String {
    let mut csv = "code,market,base_price\n".to_owned();
    for (nth, code) in codes(0..STOCKS).iter().enumerate() {
        let market = if nth % 4 == 0 { "KOSPI" } else { "KOSDAQ" };
        csv.push_str(&format!("{code},{market},{}\n", 900 + 9_700 * nth));
    }
    let path = folder.join("issues.csv");
    fs::write(&path, csv).unwrap();
    format!("--issues={}", path.display())
}

/// 200 registrations, as many as there may be; which of the stocks are among them differs from turn to turn.
fn list(turn: usize) -> IssueList {
    let stocks = codes(turn % 4..36 + turn % 4);
    let first = &stocks[..24];
    let all = |presets: &[&'static str], codes: &[String]| Group {
        codes: codes.to_vec(),
        ..Group::of(presets, &[])
    };
    IssueList::of(vec![
        all(&PRESETS, &stocks),
        all(&["change"], first).with_items(&ITEMS[..3 + turn % 4]),
        Group::of_derivatives(
            &PRESETS,
            &[
                "101N6000",
                "105N3000",
                "106N6000",
                "401N6N9S",
                "201N6310",
                "201N6220*006",
            ],
        ),
        Group::of_derivatives(&["change"], &["101N6000", "201N6310"]).with_items(&ITEMS[..3]),
        Group::of(&["index"], &["001", "002", "301", "302"]),
        Group::of(&["tick10", "quote10"], &[UNKNOWN]),
    ])
}

/// Faults that lose nothing: connections that end after what was sent, and odd messages.
fn faults(messages: u64) -> Vec<String> {
    let session = messages / 8;
    let mut faults = vec![
        format!("disconnect@{session}"),
        format!("close@{}:1001", session + 100),
        format!("half@{}", session + 200),
        format!("disconnect@{}", session + 300),
        "array@every:1009".to_owned(),
        "joined@every:1201:7".to_owned(),
        "garbage@every:3001:text".to_owned(),
        "garbage@every:3011:badrecord".to_owned(),
        "garbage@every:3019:object".to_owned(),
        "garbage@every:3023:truncated-json".to_owned(),
        "unregistered@every:2003".to_owned(),
        "error@every:4001".to_owned(),
        "answer@every:37:twice".to_owned(),
        "answer@every:41:overtaken".to_owned(),
        "answer@every:43:snapshot-after-push".to_owned(),
    ];
    for fault in &mut faults {
        *fault = format!("--fault={fault},service=per_issue");
    }
    faults
}

#[test]
fn i1_millions_of_messages_of_registered_issues_arrive_exactly() {
    let _machine = crate::whole_machine();
    let is_full = std::env::var("KRX_ISSUES").is_ok_and(|value| value == "full");
    let messages = if is_full { MESSAGES_FULL } else { MESSAGES };
    let folder = tempfile::tempdir().unwrap();
    let rates = if is_full {
        ["--rate=20000", "--per-issue-rate=50000"]
    } else {
        ["--rate=2000", "--per-issue-rate=8000"]
    };
    let (listed, faults) = (listed(folder.path()), faults(messages));
    let mut options = vec![
        listed.as_str(),
        "--trades-per-day=1000000",
        "--repeat",
        "--market=KOSPI",
    ];
    options.extend(rates);
    options.extend(faults.iter().map(String::as_str));
    let mut simulator = Simulator::start(folder.path(), &options).unwrap();

    let mut config = recorder_of(folder.path(), &simulator.url, &list(0));
    let started = Instant::now();
    let mut recorder = config.start().unwrap();
    for turn in 1..=CHANGES {
        // Some of them fall into the time in which all is being registered.
        recorder
            .wait_for_log("committed feed=ISSUES", 2 * turn, LIMIT)
            .unwrap();
        config.more = tables(&list(turn));
        config.write().unwrap();
        recorder.process.signal(rustix::process::Signal::HUP).unwrap();
        recorder
            .wait_for_log("the list of registrations has changed", turn, LIMIT)
            .unwrap();
    }
    wait_for_frames(&mut recorder, messages, LIMIT).unwrap();
    // All but the unknown pairs.
    wait_for_registrations(&mut recorder, 5, list(0).len() - 2, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    let peak = recorder.process.memory_peak_bytes().unwrap_or_default();
    let cpu = recorder.process.cpu_time().unwrap_or_default();
    recorder.stop().unwrap();
    let recorded = started.elapsed();

    compare(&simulator.ledger, &config.data_dir, Mode::Exact).unwrap();
    let compared = Instant::now();
    let report = compare_issues(&simulator.ledger, &config.data_dir, &list(0), Mode::Exact).unwrap();
    println!(
        "{report}\nrecorded in {recorded:.1?} with {cpu:.1?} of processor time and at most {} MB, compared in {:.1?}",
        peak >> 20,
        compared.elapsed()
    );
    assert!(
        report.frames >= messages,
        "{} frames are too few to tell",
        report.frames
    );
    assert_eq!(report.sessions.len(), 5, "each break began a new session");
    assert_eq!(report.rows.len(), 9, "every dataset has rows: {:?}", report.rows);
    assert!(report.kinds["snapshot"] > 200);
    let cancelled = report.sessions.values().flat_map(|session| &session.requests);
    let cancelled = cancelled
        .filter(|words| words.starts_with("unsubscribe "))
        .count();
    assert!(
        cancelled >= CHANGES,
        "{cancelled} requests to cancel are too few to tell"
    );
}
