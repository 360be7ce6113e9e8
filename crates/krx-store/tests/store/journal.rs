//! The journal against a model, and against the damage that crashes and disks do to it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::support::{
    self, DAY, HEADER, NINE, SECOND, SMALL_SEGMENTS, connected, event, export, feed, files, follow, frame,
    journal, names, segments, trades,
};
use krx_store::{DataDir, Event};
use proptest::prelude::*;

#[test]
fn numbers_run_on_across_segments_and_restarts_and_begin_anew_with_the_date() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(900);
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE),
            frame(NINE, &long),
            frame(NINE, &long),
            frame(NINE, &long),
        ],
    );
    assert_eq!(
        segments(dir.path()).len(),
        2,
        "two frames of 900 bytes fit into a segment of 2048"
    );
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE),
            frame(NINE, "a"),
            frame(NINE + DAY, "b"),
            frame(NINE + DAY, "c"),
        ],
    );
    let seen = follow(dir.path());
    let short: Vec<_> = seen.iter().map(|line| line.replace(&long, "long")).collect();
    assert_eq!(
        short,
        [
            "2026-11-20 s1 after f0 connected",
            "2026-11-20 s1 f1 long",
            "2026-11-20 s1 f2 long",
            "2026-11-20 s1 f3 long",
            "2026-11-20 s2 after f3 connected",
            "2026-11-20 s2 f4 a",
            "2026-11-21 s1 after f0 continued",
            "2026-11-21 s1 f1 b",
            "2026-11-21 s1 f2 c",
        ]
    );
}

#[test]
fn a_clock_that_is_put_right_goes_back_to_its_date_and_small_steps_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let midnight = NINE + 15 * 3600 * SECOND;
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE),
            frame(NINE, "a"),
            frame(midnight + 1, "b"),
            frame(midnight - 60 * SECOND, "c"),
            frame(NINE + SECOND, "d"),
            frame(midnight + 2 * SECOND, "e"),
        ],
    );
    assert_eq!(
        follow(dir.path()),
        [
            "2026-11-20 s1 after f0 connected",
            "2026-11-20 s1 f1 a",
            "2026-11-21 s1 after f0 continued",
            "2026-11-21 s1 f1 b",
            "2026-11-21 s1 f2 c",
            "2026-11-20 s2 after f1 continued",
            "2026-11-20 s2 f2 d",
            "2026-11-21 s2 after f2 continued",
            "2026-11-21 s2 f3 e",
        ]
    );
    // A restart uses the clock as it is then, and continues the numbers of that date.
    journal(dir.path(), SMALL_SEGMENTS, &[frame(NINE, "f")]);
    assert_eq!(follow(dir.path())[9..], ["2026-11-20 s2 f3 f"]);
}

#[test]
fn either_copy_of_a_header_will_do_and_without_both_no_number_is_used_again() {
    let whole = tempfile::tempdir().unwrap();
    let texts: Vec<_> = (0..5).map(|_| frame(NINE, "[]")).collect();
    journal(whole.path(), SMALL_SEGMENTS, &texts);
    let frames = follow(whole.path());
    for byte in (0..64).chain(4096..4160) {
        let dir = tempfile::tempdir().unwrap();
        support::copy_tree(whole.path(), dir.path());
        flip(&segments(dir.path())[0], byte);
        assert_eq!(follow(dir.path()), frames, "byte {byte}");
        journal(
            dir.path(),
            SMALL_SEGMENTS,
            &[frame(NINE, "more"), event(NINE, Event::Stop)],
        );
        assert_eq!(follow(dir.path())[5], "2026-11-20 s0 f6 more");
        export(dir.path(), support::config(60, 1000));
        assert_eq!(
            names(dir.path()),
            ["trades-20261120T090000-000000000001-000000000006.parquet"]
        );
    }
    let path = segments(whole.path())[0].clone();
    flip(&path, 20);
    flip(&path, 4096 + 20);
    journal(
        whole.path(),
        SMALL_SEGMENTS,
        &[frame(NINE + 1, "[]"), event(NINE + 2, Event::Stop)],
    );
    let seen = follow(whole.path());
    assert_eq!(seen[0], "damage");
    let number: u64 = seen[1].split(' ').nth(2).unwrap()[1..].parse().unwrap();
    assert!(number > 5, "the lost frames have numbers up to 5: {seen:?}");
    export(whole.path(), support::config(60, 1000));
    assert_eq!(trades(whole.path()), []);
    let coverage = support::coverage(whole.path());
    let gap = coverage
        .iter()
        .find(|row| row.reason.as_str() == "damage")
        .unwrap();
    let detail = gap.detail.as_deref().unwrap();
    assert!(
        detail.contains("both copies") && detail.contains("frames 1 to"),
        "what is lost is on record: {detail}"
    );
}

#[test]
fn a_segment_of_another_version_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), SMALL_SEGMENTS, &[frame(NINE, "[]")]);
    let path = segments(dir.path())[0].clone();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    for copy in [0, 4096] {
        let mut header = [0; 64];
        file.read_exact_at(&mut header, copy).unwrap();
        header[8] = 3;
        let crc = crc32c::crc32c(&header[..60]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
        file.write_all_at(&header, copy).unwrap();
    }
    let before = fs::read(&path).unwrap();
    let refused = krx_store::open_writer(&DataDir::new(dir.path()), &feed(), SMALL_SEGMENTS, Arc::default());
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("version 3"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(
        files(dir.path(), "journal"),
        [path],
        "no segment is made beside it"
    );
}

fn flip(path: &std::path::Path, byte: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut old = [0];
    file.read_exact_at(&mut old, byte).unwrap();
    file.write_all_at(&[old[0] ^ 0x10], byte).unwrap();
}

#[test]
fn a_torn_tail_is_set_aside_wherever_it_was_torn() {
    let whole = tempfile::tempdir().unwrap();
    journal(
        whole.path(),
        SMALL_SEGMENTS,
        &[
            connected(NINE),
            frame(NINE, "first"),
            frame(NINE, "second"),
            frame(NINE, "third"),
        ],
    );
    let path = segments(whole.path())[0].clone();
    let bytes = fs::read(&path).unwrap();
    let last_record = bytes.len() - 40;
    assert_eq!(&bytes[last_record + 32..last_record + 37], b"third");
    for cut in last_record..=bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let journal_dir = DataDir::new(dir.path()).journal(&feed());
        fs::create_dir_all(&journal_dir).unwrap();
        let target = journal_dir.join(path.file_name().unwrap());
        // A crash leaves the rest of a preallocated segment as zeros.
        let mut torn = bytes[..cut].to_vec();
        torn.resize(6144, 0);
        fs::write(&target, &torn).unwrap();
        journal(dir.path(), SMALL_SEGMENTS, &[frame(NINE, "next")]);
        let survives = bytes[cut..].iter().all(|byte| *byte == 0);
        let mut expected = vec![
            "2026-11-20 s1 after f0 connected",
            "2026-11-20 s1 f1 first",
            "2026-11-20 s1 f2 second",
        ];
        expected.extend(if survives {
            ["2026-11-20 s1 f3 third", "2026-11-20 s1 f4 next"].as_slice()
        } else {
            &["2026-11-20 s1 f3 next"]
        });
        assert_eq!(follow(dir.path()), expected, "cut at {cut}");
        let aside = target.with_extension("journal.torn");
        let left: Vec<u8> = torn[last_record..cut].to_vec();
        let left_end = left
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        assert_eq!(aside.exists(), !survives && left_end > 0, "cut at {cut}");
        if aside.exists() {
            assert_eq!(fs::read(aside).unwrap(), left[..left_end]);
        }
    }
}

#[test]
fn damage_in_the_middle_is_reported_and_passed_over() {
    let whole = tempfile::tempdir().unwrap();
    journal(
        whole.path(),
        SMALL_SEGMENTS,
        &[frame(NINE, "first"), frame(NINE, "second"), frame(NINE, "third")],
    );
    let path = segments(whole.path())[0].clone();
    // The second record begins after the header and the first record of 40 bytes.
    let second = HEADER + 40;
    for byte in second..second + 38 {
        let dir = tempfile::tempdir().unwrap();
        support::copy_tree(whole.path(), dir.path());
        let target = segments(dir.path())[0].clone();
        let file = OpenOptions::new().read(true).write(true).open(&target).unwrap();
        let mut old = [0];
        file.read_exact_at(&mut old, byte).unwrap();
        file.write_all_at(&[old[0] ^ 0x40], byte).unwrap();
        assert_eq!(
            follow(dir.path()),
            ["2026-11-20 s0 f1 first", "damage", "2026-11-20 s0 f3 third"],
            "byte {byte}"
        );
    }
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 40], second).unwrap();
    assert_eq!(
        follow(whole.path()),
        ["2026-11-20 s0 f1 first", "damage", "2026-11-20 s0 f3 third"],
        "zeroed"
    );
}

#[test]
fn foreign_files_and_segments_without_a_header_do_not_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), SMALL_SEGMENTS, &[frame(NINE, "a")]);
    let journal_dir = DataDir::new(dir.path()).journal(&feed());
    fs::write(journal_dir.join("notes.txt"), "foreign").unwrap();
    fs::write(journal_dir.join("spare-7"), [0; 100]).unwrap();
    fs::write(
        journal_dir.join("00000002-20261120-000000000002.journal"),
        [0; 100],
    )
    .unwrap();
    journal(dir.path(), SMALL_SEGMENTS, &[frame(NINE, "b")]);
    assert!(!journal_dir.join("spare-7").exists());
    assert_eq!(
        follow(dir.path()),
        ["2026-11-20 s0 f1 a", "2026-11-20 s0 f2 b"],
        "a blank segment is removed"
    );
    fs::write(&segments(dir.path())[0], "not a segment").unwrap();
    assert_eq!(follow(dir.path()), ["damage", "2026-11-20 s0 f2 b"]);
    journal(dir.path(), SMALL_SEGMENTS, &[frame(NINE, "c")]);
    assert_eq!(
        follow(dir.path())[1..],
        ["2026-11-20 s0 f2 b", "2026-11-20 s0 f3 c"]
    );
}

#[test]
fn a_message_larger_than_a_segment_gets_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let large = "y".repeat(10_000);
    journal(
        dir.path(),
        SMALL_SEGMENTS,
        &[frame(NINE, "a"), frame(NINE, &large), frame(NINE, "b")],
    );
    let expected = vec![
        "2026-11-20 s0 f1 a".to_owned(),
        format!("2026-11-20 s0 f2 {large}"),
        "2026-11-20 s0 f3 b".to_owned(),
    ];
    assert_eq!(follow(dir.path()), expected);
}

#[test]
fn a_follower_sees_only_what_is_synced_and_in_the_end_all() {
    let dir = tempfile::tempdir().unwrap();
    let config = krx_store::JournalConfig {
        sync_interval: std::time::Duration::from_millis(5),
        segment_bytes: 4096,
    };
    let mut writer =
        krx_store::open_writer(&DataDir::new(dir.path()), &feed(), config, Arc::default()).unwrap();
    let tail = writer.tail();
    let mut follower =
        krx_store::journal::Follower::new(DataDir::new(dir.path()).journal(&feed()), Some(writer.tail()));
    let reader = std::thread::spawn(move || {
        let (mut frames, mut seen) = (Vec::new(), None);
        loop {
            match follower.advance().unwrap() {
                krx_store::journal::Followed::Record(name, head) => {
                    let synced = tail.synced().unwrap();
                    assert!(
                        name <= synced.segment,
                        "a frame was read that is not known to be on disk"
                    );
                    frames.push(head.frame);
                }
                krx_store::journal::Followed::CaughtUp => {
                    match tail.wait(seen, std::time::Duration::from_secs(5)) {
                        Some(synced) => seen = synced,
                        None => return frames,
                    }
                }
                _ => {}
            }
        }
    });
    for index in 0..500 {
        writer.append(&[frame(NINE + index, &"z".repeat(100))]).unwrap();
    }
    writer.close().unwrap();
    assert_eq!(reader.join().unwrap(), (1..=500).collect::<Vec<_>>());
}

/// What a run does, for the model.
#[derive(Clone, Debug)]
enum Step {
    Frame(Vec<u8>, i64),
    Connect,
    Mark,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::collection::vec(any::<u8>(), 0..700), 0..20_000_i64).prop_map(|(bytes, seconds)| Step::Frame(bytes, seconds)),
        1 => Just(Step::Connect),
        1 => Just(Step::Mark),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_appended_comes_back_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let open = || krx_store::open_writer(&data, &feed(), SMALL_SEGMENTS, Arc::default()).unwrap();
        let (mut writer, mut now) = (open(), NINE);
        let mut sent = Vec::new();
        for step in steps {
            match step {
                Step::Frame(bytes, seconds) => {
                    now += seconds * SECOND;
                    writer.append(&[krx_store::Entry { at: krx_store::Moment(now), what: krx_store::journal::What::Frame(&bytes) }]).unwrap();
                    sent.push((krx_store::Moment(now), bytes));
                }
                Step::Connect => writer.append(&[connected(now)]).unwrap(),
                Step::Mark => writer.append(&[event(now, Event::TimeMark)]).unwrap(),
                Step::Restart => {
                    writer.close().unwrap();
                    writer = open();
                }
            }
        }
        writer.close().unwrap();
        let mut follower = krx_store::journal::Follower::new(data.journal(&feed()), None);
        let (mut read, mut last) = (Vec::new(), (None, 0));
        loop {
            match follower.advance().unwrap() {
                krx_store::journal::Followed::Record(name, head) if head.kind == krx_store::journal::RecordKind::Frame => {
                    let expected = if last.0 == Some(name.date) { last.1 + 1 } else { 1 };
                    prop_assert_eq!(head.frame, expected);
                    last = (Some(name.date), head.frame);
                    read.push((head.at, follower.payload().to_vec()));
                }
                krx_store::journal::Followed::Damage(..) => prop_assert!(false, "damage"),
                krx_store::journal::Followed::CaughtUp => break,
                _ => {}
            }
        }
        prop_assert_eq!(read, sent);
    }
}
