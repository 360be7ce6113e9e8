//! The per-issue service, over real sockets: what is sent is recorded, each record once, in its dataset, with equal values;
//! and what is wanted is registered, whatever happens to the connection, the server and the list.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use krx_harness::issues::{IssueReport, dataset_names};
use krx_harness::{Group, IssueList, Mode, RecorderConfig, compare_issues};
use krx_tests::issues::{
    ITEMS, PRESETS, accepted, all_on_record, everything, exactly, exchange, frames_committed, recorder_of,
    registrations, subscribes, wait_for_frames, wait_for_registrations,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// Frames that are recorded once all is registered: most of a day.
const FRAMES: u64 = 40_000;

/// Records an exchange for a while; both end after that.
fn record(options: &[&str], list: &IssueList) -> (IssueReport, String) {
    let folder = tempfile::tempdir().unwrap();
    let rates = ["--rate=3000", "--per-issue-rate=12000", "--repeat"];
    let mut simulator = exchange(folder.path(), &[&rates, options].concat()).unwrap();
    let config = recorder_of(folder.path(), &simulator.url, list);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, accepted(list), LIMIT).unwrap();
    recorder
        .wait_for_log("the server refuses a registration", 1, LIMIT)
        .unwrap();
    let frames = frames_committed(&recorder.log().unwrap()) + FRAMES;
    wait_for_frames(&mut recorder, frames, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();
    let data_dir = config.data_dir.display().to_string();
    let verified = config
        .run_bare(&["verify", "--data-dir", &data_dir], LIMIT)
        .unwrap();
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    let found = exactly(&simulator, &config, list).unwrap();
    the_report_tells_of_it(&config, &found);
    (found, recorder.log().unwrap())
}

/// The last date on which there are trades.
fn date_of(config: &RecorderConfig) -> String {
    let dates = fs::read_dir(config.data_dir.join("trades")).unwrap();
    let dates = dates.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    dates.max().unwrap().replace("date=", "")
}

/// Of the feed as of the markets: all rows, what was rejected, and what became of each registration.
fn the_report_tells_of_it(config: &RecorderConfig, found: &IssueReport) {
    let date = date_of(config);
    let told = config.run_to_end("report", &[&date, "--json"], LIMIT).unwrap();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    let [feed] = report["feeds"].as_array().unwrap().as_slice() else {
        panic!("one feed: {}", report["feeds"]);
    };
    assert_eq!(
        (&feed["feed"], report["markets"].as_array().unwrap().len()),
        (&json!("ISSUES"), 1)
    );
    let rows: u64 = dataset_names().map(|dataset| found.rows_of(dataset)).sum();
    assert_eq!(feed["records"], rows);
    assert_eq!(feed["quarantined"], found.quarantined());
    assert_eq!(feed["rows_not_committed"], 0);
    let snapshots = feed["presets"].as_array().unwrap().iter();
    let snapshots: u64 = snapshots.map(|of| of["snapshots"].as_u64().unwrap()).sum();
    assert_eq!(
        snapshots,
        found.kinds.get("snapshot").copied().unwrap_or_default()
    );
    let asked: BTreeSet<_> = found.sessions.values().flat_map(|of| &of.requests).collect();
    let pairs = feed["registrations"]["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), asked.len());
    let refused: Vec<_> = pairs.iter().filter(|pair| pair["state"] == "refused").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0]["detail"].as_str().unwrap().contains("error 10040"));
}

fn assert_all_is_there(report: &IssueReport) {
    for dataset in dataset_names() {
        assert!(
            report.rows_of(dataset) > 100,
            "{dataset} has too few rows to tell"
        );
    }
}

#[test]
fn every_preset_is_recorded_exactly_with_answers_of_every_kind() {
    let list = everything();
    for (answers, snapshots) in [("ok", false), ("snapshot", true), ("mixed", true)] {
        let (report, log) = record(&["--per-issue-answers", answers], &list);
        assert_all_is_there(&report);
        assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
        assert_eq!(report.kinds.contains_key("snapshot"), snapshots);
        assert_eq!(report.sessions.len(), 1);
        let asked: BTreeSet<_> = report.sessions[&1].requests.iter().cloned().collect();
        assert_eq!(asked, subscribes(&list));
        all_on_record(&report, &list).unwrap();
        assert_eq!(report.sessions[&1].requests.len(), asked.len(), "each once");
        let refusal = "the server refuses a registration";
        assert_eq!(log.matches(refusal).count(), 1, "{log}");
        assert!(log.contains("error 10040"), "with the server's words");
    }
}

#[test]
fn numbers_with_leading_zeros_are_recorded_exactly() {
    let (report, _) = record(&["--leading-zeros", "--init-reply", "silent"], &everything());
    assert_all_is_there(&report);
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
}

#[test]
fn odd_messages_cost_their_neighbours_nothing() {
    let faults = [
        "array@every:50",
        "joined@every:70:5",
        "garbage@every:211:text",
        "garbage@every:223:badrecord",
        "garbage@every:227:object",
        "garbage@every:229:truncated-json",
        "garbage@every:233:poison",
        "unregistered@every:97",
        "error@every:301",
        "forget@20000:30",
    ];
    let faults = faults.map(|fault| format!("--fault={fault},service=per_issue"));
    let options: Vec<_> = faults.iter().map(String::as_str).collect();
    let (report, _) = record(&options, &everything());
    assert_all_is_there(&report);
    assert_eq!(report.sessions.len(), 1, "none of them ends the session");
    for reason in [
        "malformed_json",
        "unknown_message",
        "truncated",
        "not_registered",
        "server_error",
    ] {
        assert!(
            report.reasons.get(reason).is_some_and(|count| *count > 50),
            "{reason}: {:?}",
            report.reasons
        );
    }
}

#[test]
fn odd_answers_change_nothing_about_what_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    // The pairs are asked for in the order of the list: tick, quote, tick10 and quote10 of each of three stocks.
    let faults = [
        "answer@2:twice",
        "answer@3:overtaken",
        "answer@4:snapshot-after-push",
        "answer@5:unknown-id",
        "answer@6:withheld",
        "answer@7:ignored",
        // The state of 005930, for which quote10 was asked before.
        "answer@8:snapshot-of-another",
        "answer@9:refused",
        "answer@10:refused-without-id",
        "answer@11:late:0.5",
        // The state of 005930, for which this preset, index, was never asked.
        "answer@20:snapshot-of-another",
    ];
    let faults = faults.map(|fault| format!("--fault={fault}"));
    let mut options = vec!["--rate", "1000", "--per-issue-rate", "2000", "--repeat"];
    options.extend(faults.iter().map(String::as_str));
    let mut simulator = exchange(folder.path(), &options).unwrap();
    let list = IssueList::of(vec![
        Group::of(&PRESETS, &["005930", "000660", "00088K"]),
        Group::of_derivatives(&PRESETS, &["101N6000"]),
        Group::of(&["change"], &["005930"]).with_items(&ITEMS),
        Group::of(&["index"], &["001", "002", "302"]),
    ]);
    let config = recorder_of(folder.path(), &simulator.url, &list);
    let mut recorder = config.start().unwrap();
    // One is ignored, one is refused, and one is refused by an error that does not say so.
    wait_for_registrations(&mut recorder, 1, list.len() - 3, LIMIT).unwrap();
    recorder
        .wait_for_log("the server does not answer a registration", 2, LIMIT)
        .unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&simulator, &config, &list).unwrap();
    assert_eq!(report.sessions.len(), 1, "none of them ends the session");
    let reasons: Vec<_> = report
        .reasons
        .iter()
        .map(|(word, count)| (word.as_str(), *count))
        .collect();
    assert_eq!(reasons, [("not_registered", 1), ("server_error", 1)]);
    assert_eq!(registrations(&recorder, "active").unwrap(), list.len() - 3);
    let log = recorder.log().unwrap();
    assert_eq!(
        log.matches("the server refuses a registration").count(),
        1,
        "{log}"
    );
}

#[test]
fn feeds_of_this_service_work_side_by_side_each_with_its_own_key_and_list() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    for dir in [&here, &there] {
        fs::create_dir(dir).unwrap();
    }
    let rates = ["--rate", "1000", "--per-issue-rate", "3000", "--repeat"];
    let mut first = exchange(&here, &rates).unwrap();
    let mut second = exchange(
        &there,
        &[&rates[..], &["--key", "another-key", "--seed", "7"]].concat(),
    )
    .unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "another-key\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let everything = everything();
    let others = IssueList {
        feed: "OTHERS",
        more: format!(
            "base_url = \"{}\"\napi_key_file = \"{}\"\nregistrations_max = 20\n",
            second.url,
            key.display()
        ),
        groups: vec![
            Group::of(&PRESETS, &["005930", "035420"]),
            Group::of_derivatives(&["quote10"], &["101N9000"]),
        ],
    };
    let mut config = recorder_of(folder.path(), &first.url, &everything);
    config.more.push_str(&others.to_toml());
    let mut recorder = config.start().unwrap();
    let all = accepted(&everything) + others.len();
    recorder.wait_for_log(" state=active", all, LIMIT).unwrap();
    recorder.wait_for_log("committed feed=OTHERS", 3, LIMIT).unwrap();
    first.finish(&mut recorder, 2).unwrap();
    second.finish(&mut recorder, 1).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&first, &config, &everything).unwrap();
    assert_eq!((report.quarantined(), report.sessions.len()), (0, 1));
    let report = compare_issues(&second.ledger, &config.data_dir, &others, Mode::Exact).unwrap();
    println!("{report}");
    assert_eq!((report.quarantined(), report.sessions.len()), (0, 1));
    assert!(report.rows_of("ticks") > 100 && report.rows_of("derivative_books") > 10);
    let refused = config.run_to_end("replay", &[&date_of(&config)], LIMIT).unwrap();
    assert_eq!(refused.code, Some(64), "{}", refused.stderr);
    let words = "ISSUES and OTHERS are both of the per-issue service, of which a replay serves one feed";
    assert!(refused.stderr.contains(words), "{}", refused.stderr);
}
