//! The per-issue service, over real sockets: what is sent is recorded, each record once, in its dataset, with equal values;
//! and what is wanted is registered, whatever happens to the connection, the server and the list.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use krx_harness::issues::IssueReport;
use krx_harness::process::wait_until;
use krx_harness::{Group, IssueList, Mode, Recorder, RecorderConfig, Simulator, compare, compare_issues};
use krx_store::DataDir;
use krx_store::journal::{Followed, Follower, RecordKind};
use krx_tests::issues::{
    ITEMS, PRESETS, UNKNOWN, accepted, everything, listed, recorder_of, registrations, tables,
    wait_for_refusal_again, wait_for_registrations,
};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// A small exchange, with further options for it.
fn exchange(folder: &Path, options: &[&str]) -> Simulator {
    let listed = listed(folder).unwrap();
    let common = ["--market", "KOSPI", "--trades-per-day", "8000"];
    let options: Vec<_> = [listed.as_str()]
        .into_iter()
        .chain(common)
        .chain(options.iter().copied())
        .collect();
    Simulator::start(folder, &options).unwrap()
}

/// What was recorded is exactly what was sent, of both services.
fn exactly(simulator: &Simulator, config: &RecorderConfig, list: &IssueList) -> IssueReport {
    compare(&simulator.ledger, &config.data_dir, Mode::Exact).unwrap();
    let report = compare_issues(&simulator.ledger, &config.data_dir, list, Mode::Exact).unwrap();
    println!("{report}");
    report
}

/// So fast that a day takes seconds, and so slowly that all is registered early in it.
const RATES: [&str; 4] = ["--rate", "3000", "--per-issue-rate", "12000"];

/// Records the exchange's day; both end after that.
fn record_a_day(options: &[&str], list: &IssueList) -> (IssueReport, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = exchange(folder.path(), &[&RATES, options].concat());
    let config = recorder_of(folder.path(), &simulator.url, list);
    let mut recorder = config.start().unwrap();
    let finished = simulator.finish_day(&mut recorder, 2, LIMIT);
    finished.unwrap_or_else(|error| panic!("{error:#}\n{}", recorder.log_end()));
    recorder.stop().unwrap();
    (exactly(&simulator, &config, list), recorder.log().unwrap())
}

fn subscribes(list: &IssueList) -> BTreeSet<String> {
    let pairs = list.groups.iter().flat_map(|group| {
        let of = |code| {
            group
                .presets
                .iter()
                .map(move |preset| format!("subscribe {preset}:{code}"))
        };
        group.codes.iter().flat_map(of)
    });
    pairs.collect()
}

fn assert_all_is_there(report: &IssueReport) {
    for dataset in [
        "ticks",
        "quotes",
        "books",
        "derivative_ticks",
        "derivative_quotes",
        "derivative_books",
        "indices",
        "changes",
    ] {
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
        let (report, log) = record_a_day(&["--per-issue-answers", answers], &list);
        assert_all_is_there(&report);
        assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
        assert_eq!(report.kinds.contains_key("snapshot"), snapshots);
        assert_eq!(report.sessions.len(), 1);
        let asked: BTreeSet<_> = report.sessions[&1].requests.iter().cloned().collect();
        assert_eq!(asked, subscribes(&list));
        assert_eq!(report.sessions[&1].requests.len(), asked.len(), "each once");
        let refusal = "the server refuses a registration";
        assert_eq!(log.matches(refusal).count(), 1, "{log}");
        assert!(log.contains("10040"), "with the server's words");
    }
}

#[test]
fn numbers_with_leading_zeros_are_recorded_exactly() {
    let (report, _) = record_a_day(&["--leading-zeros"], &everything());
    assert_all_is_there(&report);
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
}

#[test]
fn all_is_registered_again_after_each_reconnect() {
    let folder = tempfile::tempdir().unwrap();
    let faults = ["disconnect@2500", "close@2600:1001", "half@2700"];
    let faults = faults.map(|fault| format!("--fault={fault},service=per_issue"));
    let mut options = vec!["--rate", "1000", "--per-issue-rate", "2000", "--repeat"];
    options.extend(faults.iter().map(String::as_str));
    let mut simulator = exchange(folder.path(), &options);
    let list = everything();
    let config = recorder_of(folder.path(), &simulator.url, &list);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 4, accepted(&list), LIMIT).unwrap();
    wait_for_refusal_again(&mut recorder, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&simulator, &config, &list);
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    assert_eq!(report.sessions.len(), 4);
    for session in report.sessions.values() {
        let asked: BTreeSet<_> = session.requests.iter().cloned().collect();
        assert_eq!(asked, subscribes(&list));
    }
    let warnings = recorder.log().unwrap();
    let warnings = warnings.matches("the server refuses a registration").count();
    assert_eq!(warnings, 1, "what was told once is not told again");
}

#[test]
fn what_a_reset_connection_lost_is_only_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = vec!["--rate", "1000", "--per-issue-rate", "5000", "--repeat"];
    options.extend(["--fault", "reset@every:6000,service=per_issue"]);
    let mut simulator = exchange(folder.path(), &options);
    let list = everything();
    let config = recorder_of(folder.path(), &simulator.url, &list);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 4, accepted(&list), LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = compare_issues(&simulator.ledger, &config.data_dir, &list, Mode::Prefix).unwrap();
    println!("{report}");
    assert!(report.sessions.len() >= 4);
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    assert!(report.sessions.values().all(|session| session.texts_recorded > 0));
}

fn reload(recorder: &mut Recorder) {
    recorder.process.signal(Signal::HUP).unwrap();
}

/// What the first session was asked for after the list was changed.
fn asked_after(report: &IssueReport, before: &IssueList) -> Vec<String> {
    assert_eq!(report.sessions.len(), 1, "there was no reconnect");
    report.sessions[&1].requests[before.len()..].to_vec()
}

#[test]
fn a_changed_list_is_followed_without_a_reconnect() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = exchange(
        folder.path(),
        &["--rate", "1000", "--per-issue-rate", "2000", "--repeat"],
    );
    let before = IssueList::of(vec![
        Group::of(&PRESETS, &["005930", "000660"]),
        Group::of(&["change"], &["005930"]).with_items(&ITEMS[..2]),
        Group::of_derivatives(&["tick10"], &["101N6000"]),
        Group::of(&["index"], &["001"]),
    ]);
    let mut config = recorder_of(folder.path(), &simulator.url, &before);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, before.len(), LIMIT).unwrap();

    // A list that is not good changes nothing, and says why.
    for (bad, words) in [
        (
            Group::of(&["tick11"], &["005930"]),
            "\\\"tick11\\\" must be one of",
        ),
        (
            Group::of(&PRESETS, &["005930"]).with_items(&ITEMS),
            "only preset \\\"change\\\" has items",
        ),
        (
            Group::of_derivatives(&["tick"], &["005930"]),
            "005930 is listed with",
        ),
    ] {
        let mut list = before.clone();
        list.groups.push(bad);
        config.more = tables(&list);
        config.write().unwrap();
        reload(&mut recorder);
        let told = |log: &str| {
            let plain = words.replace('\\', "");
            log.lines().any(|line| {
                line.contains("cannot be reloaded") && (line.contains(words) || line.contains(&plain))
            })
        };
        wait_until(LIMIT, words, || Ok(told(&recorder.log()?)))
            .unwrap_or_else(|error| panic!("{error:#}\n{}", recorder.log_end()));
    }

    let after = IssueList::of(vec![
        Group::of(&PRESETS, &["005930"]),
        Group::of(&["quote10"], &["00088K", UNKNOWN]),
        Group::of(&["change"], &["005930"]).with_items(&ITEMS[..3]),
        Group::of_derivatives(&["tick10"], &["101N6000", "401N6N9S"]),
        Group::of(&["index"], &["001"]),
    ]);
    config.more = tables(&after);
    config.write().unwrap();
    reload(&mut recorder);
    // quote10:00088K, change:005930 and tick10:401N6N9S.
    wait_for_registrations(&mut recorder, 1, before.len() + 3, LIMIT).unwrap();
    recorder
        .wait_for_log("the server refuses a registration", 1, LIMIT)
        .unwrap();
    recorder.wait_for_log(" committed ", 6, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let mut all = after.clone();
    all.groups.extend(before.groups.clone());
    let report = exactly(&simulator, &config, &all);
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    let gone = PRESETS.map(|preset| format!("unsubscribe {preset}:000660"));
    let expected: Vec<_> = gone
        .into_iter()
        .chain(
            [
                "unsubscribe change:005930",
                "subscribe quote10:00088K",
                &format!("subscribe quote10:{UNKNOWN}"),
                "subscribe change:005930",
                "subscribe tick10:401N6N9S",
            ]
            .map(str::to_owned),
        )
        .collect();
    assert_eq!(asked_after(&report, &before), expected);
}

#[test]
fn a_changed_file_of_codes_is_followed_without_a_reconnect() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = exchange(
        folder.path(),
        &["--rate", "1000", "--per-issue-rate", "2000", "--repeat"],
    );
    let list = IssueList::of(vec![Group::of(&["tick10", "quote10"], &["005930", "000660"])]);
    let codes = folder.path().join("codes.txt");
    let mut config = recorder_of(folder.path(), &simulator.url, &list);
    config.more = config
        .more
        .replace("codes = [\"005930\", \"000660\"]", "codes_file = \"codes.txt\"");
    assert!(config.more.contains("codes_file"));
    fs::write(&codes, "005930\n000660 # leaves\n").unwrap();
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, 4, LIMIT).unwrap();

    fs::write(&codes, "005930\n00 0660\n").unwrap();
    reload(&mut recorder);
    recorder.wait_for_log("cannot be reloaded", 1, LIMIT).unwrap();
    assert!(
        recorder.log().unwrap().contains("codes.txt"),
        "it says which file"
    );

    fs::write(&codes, "# comes\n00088K\n005930\n").unwrap();
    reload(&mut recorder);
    wait_for_registrations(&mut recorder, 1, 6, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&simulator, &config, &list);
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    assert_eq!(
        asked_after(&report, &list),
        [
            "unsubscribe tick10:000660",
            "unsubscribe quote10:000660",
            "subscribe tick10:00088K",
            "subscribe quote10:00088K",
        ]
    );
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
    ];
    let faults = faults.map(|fault| format!("--fault={fault},service=per_issue"));
    let options: Vec<_> = faults.iter().map(String::as_str).collect();
    let (report, _) = record_a_day(&options, &everything());
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
    let mut simulator = exchange(folder.path(), &options);
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

    let report = exactly(&simulator, &config, &list);
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

/// The last frame in the feed's journal that has rows.
fn last_with_rows(data_dir: &Path) -> Option<(NaiveDate, i64)> {
    let mut follower = Follower::new(DataDir::new(data_dir).journal(&"ISSUES".parse().unwrap()), None);
    let mut last = None;
    loop {
        match follower.advance().unwrap() {
            Followed::Record(name, head) => {
                let text = || String::from_utf8_lossy(follower.payload()).into_owned();
                let has_rows = |text: String| {
                    text.contains(r#""method":"push""#) || text.contains(r#""result":{"isuSrtCd""#)
                };
                if head.kind == RecordKind::Frame && has_rows(text()) {
                    last = Some((name.date, head.frame.cast_signed()));
                }
            }
            Followed::SegmentEnd(_) | Followed::Damage(..) => {}
            Followed::CaughtUp => return last,
        }
    }
}

#[test]
fn killed_recorders_lose_nothing_that_was_journaled_and_register_all_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = exchange(
        folder.path(),
        &["--rate", "2000", "--per-issue-rate", "8000", "--repeat"],
    );
    let list = everything();
    let config = RecorderConfig {
        rows_max: 3_000,
        segment_bytes: 4 << 20,
        ..recorder_of(folder.path(), &simulator.url, &list)
    };
    let mut journaled = Vec::new();
    // Amid the registrations, and later amid the work of committing.
    for active in [1, 5, accepted(&list) / 2, accepted(&list)] {
        let mut recorder = config.start().unwrap();
        wait_for_registrations(&mut recorder, 1, active, LIMIT).unwrap();
        if active == accepted(&list) {
            recorder.wait_for_log(" committed ", 5, LIMIT).unwrap();
        }
        recorder.kill().unwrap();
        journaled.extend(last_with_rows(&config.data_dir));
    }
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, accepted(&list), LIMIT).unwrap();
    recorder.wait_for_log(" committed ", 5, LIMIT).unwrap();
    recorder.stop().unwrap();
    simulator.stop().unwrap();

    compare(&simulator.ledger, &config.data_dir, Mode::Prefix).unwrap();
    let report = compare_issues(&simulator.ledger, &config.data_dir, &list, Mode::Prefix).unwrap();
    println!("{report}");
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    let recorded: Vec<_> = report
        .sessions
        .values()
        .filter_map(|session| session.last_frame)
        .collect();
    assert!(journaled.len() >= 3, "{journaled:?}");
    for last in journaled {
        assert!(recorded.contains(&last), "{last:?} was journaled: {recorded:?}");
    }
}
