//! Registrations that bring nothing: forgotten, answered late, or of a server that stalls.

use std::path::Path;
use std::time::Duration;

use krx_harness::issues::registrations::{stretches, without_holes};
use krx_harness::{Group, IssueList, RecorderConfig};
use krx_tests::hostile::gaps;
use krx_tests::issues::{
    PRESETS, accepted, everything, exactly, exchange, frames_committed, recorder_of, subscribes,
    wait_for_frames, wait_for_registrations,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A recorder of this list with further keys of `[connection]`.
fn recorder_with(folder: &Path, url: &str, list: &IssueList, keys: &str) -> RecorderConfig {
    let mut config = recorder_of(folder, url, list);
    config.more = config
        .more
        .replacen("[connection]\n", &format!("[connection]\n{keys}\n"), 1);
    assert!(config.more.contains(keys));
    config
}

#[test]
fn what_the_exchange_forgets_while_its_issues_trade_is_registered_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = exchange(
        folder.path(),
        &[
            "--rate=1000",
            "--per-issue-rate=2000",
            "--repeat",
            "--fault=forget@4000:50",
        ],
    )
    .unwrap();
    // Both are of KOSPI, which is recorded too.
    let list = IssueList::of(vec![Group::of(&PRESETS, &["005930", "00088K"])]);
    let config = recorder_with(folder.path(), &simulator.url, &list, "silent_after = \"2s\"");
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, list.len(), LIMIT).unwrap();
    let silent = "brings nothing any more";
    recorder.wait_for_log(silent, list.len() / 2, LIMIT).unwrap();
    wait_for_registrations(&mut recorder, 1, list.len() + list.len() / 2, LIMIT).unwrap();
    let frames = frames_committed(&recorder.log().unwrap()) + 4_000;
    wait_for_frames(&mut recorder, frames, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&simulator, &config, &list).unwrap();
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    assert_eq!(report.sessions.len(), 1, "nothing else is missed");
    let log = recorder.log().unwrap();
    let again: Vec<_> = log
        .lines()
        .filter(|line| line.contains(silent))
        .filter_map(|line| line.split(" pair=").nth(1)?.split(' ').next())
        .flat_map(|pair| [format!("unsubscribe {pair}"), format!("subscribe {pair}")])
        .collect();
    assert_eq!(report.sessions[&1].requests[list.len()..], again, "{log}");
    let stretches = stretches(&config.data_dir, "ISSUES").unwrap();
    without_holes(&stretches).unwrap();
    let silent = stretches.iter().filter(|stretch| stretch.state == "silent");
    assert_eq!(
        2 * silent.count(),
        again.len(),
        "each is on record: {stretches:?}"
    );
    assert!(log.contains("while the full-market feed shows"), "{log}");
}

#[test]
fn an_answer_later_than_its_time_makes_an_unanswered_registration_active() {
    let folder = tempfile::tempdir().unwrap();
    // No trade is pushed before the open, which is fifteen seconds away: only the answer can say that all is well.
    let options = ["--start=08:59", "--speed=4", "--fault=answer@1:late:3"];
    let mut simulator = exchange(folder.path(), &options).unwrap();
    let list = IssueList::of(vec![Group::of(&["tick10"], &["005930", "000660"])]);
    let config = recorder_of(folder.path(), &simulator.url, &list);
    let mut recorder = config.start().unwrap();
    recorder
        .wait_for_log("the server does not answer a registration", 1, LIMIT)
        .unwrap();
    wait_for_registrations(&mut recorder, 1, list.len(), LIMIT).unwrap();
    // Both bring something in the end.
    wait_for_frames(&mut recorder, 20, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&simulator, &config, &list).unwrap();
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    let asked = &report.sessions[&1].requests;
    assert_eq!(asked.len(), list.len(), "it is not asked for again: {asked:?}");
    assert!(report.rows_of("ticks") > 2);
    let log = recorder.log().unwrap();
    let before = log
        .split("the server does not answer a registration")
        .next()
        .unwrap();
    assert_eq!(before.matches(" state=active").count(), 1, "the other one: {log}");
    assert!(!log.contains("a push came"));
    let stretches = stretches(&config.data_dir, "ISSUES").unwrap();
    without_holes(&stretches).unwrap();
    let unanswered: Vec<_> = stretches
        .iter()
        .filter(|stretch| stretch.state == "unanswered")
        .collect();
    let [unanswered] = unanswered[..] else {
        panic!("{stretches:?}")
    };
    assert_eq!(unanswered.pair, "tick10:005930");
}

#[test]
fn a_server_that_stalls_is_left_and_all_is_registered_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "--rate=1000",
        "--per-issue-rate=2000",
        "--repeat",
        "--fault=stall@3000:40,service=per_issue",
    ];
    let mut simulator = exchange(folder.path(), &options).unwrap();
    let list = everything();
    let keys = "heartbeat_interval = \"500ms\"\nstall_timeout = \"3s\"";
    let config = recorder_with(folder.path(), &simulator.url, &list, keys);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 2, accepted(&list), LIMIT).unwrap();
    let frames = frames_committed(&recorder.log().unwrap()) + 4_000;
    wait_for_frames(&mut recorder, frames, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let report = exactly(&simulator, &config, &list).unwrap();
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    assert_eq!(report.sessions.len(), 2);
    for session in report.sessions.values() {
        let asked = session.requests.iter().cloned().collect();
        assert_eq!(subscribes(&list), asked);
    }
    let gaps = gaps(&config.data_dir).unwrap();
    without_holes(&stretches(&config.data_dir, "ISSUES").unwrap()).unwrap();
    assert!(gaps.iter().any(|gap| gap.reason == "stalled"), "{gaps:?}");
}
