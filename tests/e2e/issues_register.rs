//! `krx-recorder register`: it changes what a running recorder registers, for good, or changes nothing and says why.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use krx_harness::{Finished, Group, IssueList, Mode, RecorderConfig, compare_issues};
use krx_tests::issues::{exchange, recorder_of, wait_for_registrations};

const LIMIT: Duration = Duration::from_secs(60);

/// Changes the feed's list.
fn register(config: &RecorderConfig, changes: &[&str]) -> Finished {
    let arguments = [&["--feed", "ISSUES"], changes].concat();
    config.run_to_end("register", &arguments, LIMIT).unwrap()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_list_is_changed_while_it_is_recorded_and_the_change_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = exchange(
        folder.path(),
        &["--rate=1000", "--per-issue-rate=2000", "--repeat"],
    )
    .unwrap();
    // Beside what the configuration itself lists, the feed has a list of its own.
    let listed = IssueList {
        more: "register_file = \"issues.txt\"\nregistrations_max = 5\n".to_owned(),
        ..IssueList::of(vec![Group::of(&["tick10"], &["005930"])])
    };
    let file = folder.path().join("issues.txt");
    fs::write(&file, "# our issues\nquote10:005930\n").unwrap();
    let config = recorder_of(folder.path(), &simulator.url, &listed);
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, 2, LIMIT).unwrap();

    let changed = register(
        &config,
        &["--add", "tick10:000660,quote10:000660", "--add", "quote:00088K"],
    );
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    let words = "added tick10:000660, quote10:000660, quote:00088K; 5 of 5 registrations";
    assert!(changed.stdout.contains(words), "{}", changed.stdout);
    wait_for_registrations(&mut recorder, 1, 5, LIMIT).unwrap();

    // What would be wrong changes nothing: not the file, and not what is registered.
    let before = fs::read_to_string(&file).unwrap();
    for (changes, code, words) in [
        (&["--add", "tick:000660"][..], 78, "registrations_max"),
        (&["--add", "tick11:000660"], 64, "tick11"),
        (
            &["--add", "tick10:005930", "--instruments", "derivatives"],
            78,
            "005930 is listed with",
        ),
        (&["--add", "change:005930"], 64, "items"),
        (&["--remove", "tick10:005930"], 64, "[[feed.register]]"),
        (&["--add", "tick10:00 660"], 64, "00 660"),
    ] {
        let refused = register(&config, changes);
        assert_eq!(refused.code, Some(code), "{changes:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(words), "{changes:?}: {}", refused.stderr);
        assert_eq!(fs::read_to_string(&file).unwrap(), before, "{changes:?}");
    }

    let changed = register(
        &config,
        &[
            "--remove",
            "quote10:005930,quote:00088K",
            "--add",
            "index:001",
            "--json",
        ],
    );
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    let told: serde_json::Value = serde_json::from_str(&changed.stdout).unwrap();
    assert_eq!((&told["wanted"], &told["max"]), (&4.into(), &5.into()), "{told}");
    assert_eq!(told["process"], recorder.process.id());
    wait_for_registrations(&mut recorder, 1, 6, LIMIT).unwrap();
    recorder.stop().unwrap();
    assert_eq!(lines(&file)[0], "# our issues");

    // With nobody to tell, it takes effect at the next start.
    let changed = register(&config, &["--remove", "quote10:000660"]);
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    assert!(
        changed.stdout.contains("no recorder is running"),
        "{}",
        changed.stdout
    );
    let mut recorder = config.start().unwrap();
    wait_for_registrations(&mut recorder, 1, 3, LIMIT).unwrap();
    simulator.finish(&mut recorder, 2).unwrap();
    recorder.stop().unwrap();

    let mut all = listed;
    all.groups.push(Group::of(
        &["tick10", "quote10", "quote"],
        &["005930", "000660", "00088K"],
    ));
    all.groups.push(Group::of(&["index"], &["001"]));
    // The first session was ended from our side, with messages under way.
    let report = compare_issues(&simulator.ledger, &config.data_dir, &all, Mode::Prefix).unwrap();
    assert_eq!(report.quarantined(), 0, "{:?}", report.reasons);
    let asked: Vec<_> = report
        .sessions
        .values()
        .map(|session| session.requests.as_slice())
        .collect();
    let first = [
        "subscribe tick10:005930",
        "subscribe quote10:005930",
        "subscribe tick10:000660",
        "subscribe quote10:000660",
        "subscribe quote:00088K",
        "unsubscribe quote10:005930",
        "unsubscribe quote:00088K",
        "subscribe index:001",
    ];
    let second = BTreeSet::from([
        "subscribe tick10:005930",
        "subscribe tick10:000660",
        "subscribe index:001",
    ]);
    assert_eq!(asked.len(), 2, "no change opened a session");
    assert_eq!(asked[0], first);
    assert_eq!(asked[1].len(), second.len());
    assert_eq!(
        asked[1].iter().map(String::as_str).collect::<BTreeSet<_>>(),
        second
    );
}
