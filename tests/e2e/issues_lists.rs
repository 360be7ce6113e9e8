//! The list of registrations is changed while a recorder runs: only the difference is asked for, without a reconnect.

use std::fs;
use std::time::Duration;

use krx_harness::issues::IssueReport;
use krx_harness::process::wait_until;
use krx_harness::{Group, IssueList, Recorder};
use krx_tests::issues::{
    ITEMS, PRESETS, UNKNOWN, exactly, exchange, recorder_of, tables, wait_for_registrations,
};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

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
    )
    .unwrap();
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

    let mut all = after;
    all.groups.extend(before.groups.clone());
    let report = exactly(&simulator, &config, &all).unwrap();
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
    )
    .unwrap();
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

    let report = exactly(&simulator, &config, &list).unwrap();
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
