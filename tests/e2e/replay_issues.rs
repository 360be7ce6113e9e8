//! A recorded day of the per-issue service is served again, and recording that gives the same day.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use krx_harness::issues::{TextRow, dataset_names, span, text_rows};
use krx_harness::{IssueList, RecorderConfig, Simulator};
use krx_tests::issues::{
    UNKNOWN, accepted, everything, exchange, frames_committed, recorder_of, registrations, tables,
    wait_for_frames, wait_for_registrations,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Frames that are recorded once all is registered: most of a day.
const FRAMES: u64 = 20_000;

/// A recorder of this list, and of KOSPI, in its own folder.
fn recorder_in(folder: &Path, name: &str, base_url: &str, list: &IssueList) -> RecorderConfig {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    recorder_of(&folder, base_url, list)
}

/// Records a simulated exchange for a while.
fn record(folder: &Path, list: &IssueList, faults: &[&str]) -> RecorderConfig {
    let rates = [
        "--rate=3000",
        "--per-issue-rate=12000",
        "--per-issue-answers=mixed",
    ];
    let faults: Vec<_> = faults
        .iter()
        .map(|fault| format!("--fault={fault},service=per_issue"))
        .collect();
    let options: Vec<_> = rates
        .into_iter()
        .chain(faults.iter().map(String::as_str))
        .collect();
    let mut simulator = exchange(folder, &options).unwrap();
    let config = recorder_in(folder, "first", &simulator.url, list);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, accepted(list), LIMIT).unwrap();
    let frames = frames_committed(&recorder.log().unwrap()) + FRAMES;
    wait_for_frames(&mut recorder, frames, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();
    config
}

/// The date of a recording, which must have one.
fn date_of(config: &RecorderConfig) -> String {
    let mut dates = std::fs::read_dir(config.data_dir.join("ticks")).unwrap();
    let name = dates.next().unwrap().unwrap().file_name();
    assert!(
        dates.next().is_none(),
        "recorded over midnight in Korea: run the test again"
    );
    name.to_str().unwrap().trim_start_matches("date=").to_owned()
}

/// The rows of each dataset in order of arrival, and apart from them the states that answered registrations, in any order:
/// they come when their pair is asked for.
fn rows(config: &RecorderConfig) -> BTreeMap<&'static str, (Vec<TextRow>, Vec<TextRow>)> {
    let of = |dataset: &'static str| {
        let rows = text_rows(&config.data_dir, "ISSUES", dataset).unwrap();
        let (mut states, pushes): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kind == "snapshot");
        states.sort();
        (dataset, (pushes, states))
    };
    dataset_names().chain(["quarantine"]).map(of).collect()
}

/// What a replay has printed to standard error.
fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("replay.err")).unwrap()
}

/// Waits until the day of the per-issue feed has been sent.
fn finish_issues(replay: &mut Simulator) -> u64 {
    loop {
        let complete = replay.wait_for("day_complete", LIMIT).unwrap();
        if complete.market.is_empty() {
            return complete.missed;
        }
    }
}

#[test]
fn a_replay_of_issues_is_recorded_as_the_day_that_it_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let list = everything();
    let faults = [
        "array@every:50",
        "joined@every:70:5",
        "garbage@every:211:text",
        "garbage@every:223:badrecord",
        "garbage@every:227:object",
        "garbage@every:229:truncated-json",
        "unregistered@every:97",
    ];
    let first = record(folder.path(), &list, &faults);
    let original = rows(&first);

    let date = date_of(&first);
    let mut replay = Simulator::replay(folder.path(), &first, &date, &["--speed", "max"]).unwrap();
    let second = recorder_in(folder.path(), "second", &replay.url, &list);
    let mut recorder = second.start().unwrap();
    assert_eq!(finish_issues(&mut replay), 0);
    replay.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();
    for (dataset, (pushes, states)) in rows(&second) {
        let (wanted, answers) = &original[dataset];
        println!("{dataset}: {} rows, {} states", wanted.len(), answers.len());
        assert!(wanted.len() > 100, "{dataset} has too few rows to tell");
        for (row, (found, wanted)) in pushes.iter().zip(wanted).enumerate() {
            assert_eq!(found, wanted, "{dataset}, row {row}");
        }
        assert_eq!(pushes.len(), wanted.len(), "{dataset}");
        assert_eq!(states, *answers, "{dataset}");
    }
    let has_answers = |dataset: &str| !original[dataset].1.is_empty();
    assert!(
        ["ticks", "books", "indices", "derivative_ticks"]
            .into_iter()
            .all(has_answers)
    );
    assert_eq!(registrations(&recorder, "active").unwrap(), accepted(&list));
    let log = recorder.log().unwrap();
    let refusal = format!("the server refuses a registration feed=ISSUES pair=tick10:{UNKNOWN}");
    assert_eq!(log.matches(&refusal).count(), 1, "{log}");
    assert_eq!(log.matches("error 10040").count(), 1, "{log}");
    assert_eq!(said(folder.path()), "", "nothing was left out");
}

#[test]
fn a_replay_has_what_is_registered_at_its_time_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let list = everything();
    let first = record(folder.path(), &list, &[]);
    let original = rows(&first);
    let some = IssueList::of(
        list.groups
            .iter()
            .filter(|group| group.codes.iter().all(|code| code != UNKNOWN))
            .map(|group| krx_harness::Group {
                codes: group.codes[..1].to_vec(),
                ..group.clone()
            })
            .collect(),
    );
    let date = date_of(&first);
    let arguments = ["--speed", "2", "--feed", "ISSUES", "--exit-at-end"];
    let mut replay = Simulator::replay(folder.path(), &first, &date, &arguments).unwrap();
    let mut second = recorder_in(folder.path(), "second", &replay.url, &some);
    second.more = tables(&some).replace("[[feed]]\nmarket = \"KOSPI\"\npath = \"/ws_ksp\"\n", "");
    let started = Instant::now();
    let mut recorder = second.start().unwrap();
    replay.wait_for("session_started", LIMIT).unwrap();
    wait_for_registrations(&mut recorder, 1, some.len(), LIMIT).unwrap();
    finish_issues(&mut replay);
    let took = started.elapsed();
    recorder.stop().unwrap();
    replay.wait_for("session_ended", LIMIT).unwrap();
    replay.stop().unwrap();

    let codes: Vec<_> = some.groups.iter().flat_map(|group| &group.codes).collect();
    for (dataset, (pushes, states)) in rows(&second) {
        let (wanted, answers) = &original[dataset];
        assert!(pushes.iter().all(|row| codes.contains(&&row.code)), "{dataset}");
        assert!(states.iter().all(|state| answers.contains(state)), "{dataset}");
        // What was due before it was registered is missed.
        let of_codes: Vec<_> = wanted.iter().filter(|row| codes.contains(&&row.code)).collect();
        let missed = of_codes.len() - pushes.len();
        println!("{dataset}: {} rows, {missed} missed", pushes.len());
        assert!(missed < of_codes.len() || of_codes.is_empty(), "{dataset}");
        let mut rest = of_codes.into_iter();
        let is_next = |row: &TextRow| rest.any(|wanted| wanted == row);
        assert!(pushes.iter().all(is_next), "{dataset}: the rest is in its order");
    }
    let span = span(&first.data_dir, "ISSUES").unwrap();
    println!("{span:?} took {took:?}");
    // How much longer it takes is up to the machine.
    assert!(took >= span / 2, "{took:?} of {span:?}");
}
