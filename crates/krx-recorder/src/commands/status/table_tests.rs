//! What a person sees.

use super::*;

/// The status.json of a recorder in the middle of a day.
const EXAMPLE: &str = r#"{
  "version": "0.1.0", "pid": 811, "started_at": "2026-11-20T08:19:00.000000+09:00",
  "now": "2026-11-20T10:00:30.000000+09:00", "now_us": 0, "date": "2026-11-20",
  "schedule": {"session_expected": true, "data_expected": true, "opens_at": null, "closes_at": "2026-11-20T20:10:00.000000+09:00"},
  "disk_free_bytes": 412000000000, "disk_low": false, "disk_warn_free_bytes": 10000000000,
  "feeds": [{
    "feed": "KOSPI", "service": "full_market", "registrations": null, "host": "koscom.example", "state": "live",
    "state_since": "2026-11-20T09:41:08.000000+09:00", "schedule": {"session_expected": true, "data_expected": true, "opens_at": null, "closes_at": "2026-11-20T20:10:00.000000+09:00"},
    "sessions": 2, "last_frame_us": 1,
    "last_frame_at": "2026-11-20T10:00:29.600000+09:00", "seconds_since_last_frame": 0.4,
    "last_problem": {"at_us": 1, "at": "2026-11-19T09:41:07.000000+09:00", "reason": "reset",
      "detail": "broken\u001b[2J\n"},
    "frames_received": 5, "bytes_received": 5, "queue_bytes": 0, "frames_journaled": 5, "bytes_journaled": 5,
    "frames_behind": 1234, "lag_seconds": 41.5, "records": 5, "quarantined_by_reason": {"sign": 2, "fraction": 1},
    "rates": {"seconds": 60.0, "frames_per_s": 1.0, "bytes_per_s": 98432.0, "records_per_s": 258.4,
      "sync_seconds": null},
    "rows_committed": 1, "quarantined_committed": 0, "files_committed": 1, "bytes_committed": 1, "oversized_batches": 0,
    "journal_damage": 0, "journal_renewals": 3, "poison_frames": 0, "date_frames": 531984, "date_records": 5851816,
    "gaps": {"count": 9, "seconds": 61.2},
    "intervals": [], "minutes": [],
    "files": [{"date": "2026-11-20", "name": "trades-20261120T095500-000000000001-000000000009.parquet",
      "rows": 23012, "quarantined": 0, "bytes": 98213, "committed_at": "2026-11-20T10:00:00.200000+09:00"}]
  }]
}"#;

fn snapshot() -> Snapshot {
    let mut snapshot: Snapshot = serde_json::from_str(EXAMPLE).unwrap();
    let feed = &mut snapshot.feeds[0];
    feed.minutes = vec![0; 1440];
    for (minute, records) in [(500, 10), (540, 800), (541, 400), (600, 100)] {
        feed.minutes[minute] = records;
    }
    let rows = [
        ("00:00:00", "08:20:00", "idle", "not_running", None),
        ("08:20:00", "08:20:01", "gap", "start", None),
        ("08:20:01", "09:41:07", "live", "connected", None),
        (
            "09:41:07",
            "09:41:08",
            "gap",
            "reset",
            Some("the \u{1b}connection broke"),
        ),
        ("09:41:08", "10:00:30", "live", "connected", None),
    ];
    let time = |time: &str| format!("2026-11-20T{time}.000000+09:00");
    feed.intervals = rows
        .into_iter()
        .map(|(from, to, state, reason, detail)| IntervalRow {
            from_ts: time(from),
            to_ts: time(to),
            state: state.into(),
            reason: reason.into(),
            session: None,
            frames: 1,
            rows: 2,
            detail: detail.map(str::to_owned),
        })
        .collect();
    snapshot
}

#[test]
fn a_running_recorder() {
    let expected = "\
krx-recorder 0.1.0, process 811, up for 1:41:30; 2026-11-20 10:00:30 KST
a session is expected until 20:10:00; 412.00 GB of disk free, warns below 10.00 GB

KOSPI    live since 09:41:08
  messages     531,984 today, the last 0.400 s ago
  records      5,851,816 today; 258 records/s and 98.43 kB/s in the last minute
  08:00           ▁                   █                            ▁ 10:01
   gaps           ×                                       ×
  export lag   41.500 s, 1,234 messages behind
  quarantined  fraction 1, sign 2
  journal      3 times that the disk refused the journal
  gaps         9 today, 0:01:01 in all
    09:41:07    1.000 s  reset  the connection broke
    08:20:00    1.000 s  start
    1 more: krx-recorder coverage shows them
  last files   10:00:00    23,012 rows   98.21 kB  trades-20261120T095500-000000000001-000000000009.parquet
  last problem Thu 2026-11-19 09:41:07, reset: broken[2J
";
    let text = table(&snapshot(), false);
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn a_feed_with_registrations_says_which_are_not_active() {
    let mut snapshot = snapshot();
    let text = r#"{"wanted": 20, "max": 200, "active": 10, "requested": 0, "refused": 1, "unanswered": 9, "silent": 0,
        "overdue": 0, "troubled": [
        {"preset": "tick10", "code": "999999", "state": "refused", "since_us": 1,
         "since": "2026-11-20T09:41:08.000000+09:00", "detail": "error 10040: no\u001b[2J such issue"},
        {"preset": "quote10", "code": "201N6220*006", "state": "unanswered", "since_us": null, "since": null,
         "detail": null}]}"#;
    let mut registrations: RegistrationsSnapshot = serde_json::from_str(text).unwrap();
    snapshot.feeds[0].registrations = Some(registrations.clone());
    let shown = table(&snapshot, false);
    let expected = "
  registered   10 of 20 active, 1 refused, 9 unanswered; 200 at most
    tick10:999999         refused since 09:41:08  error 10040: no[2J such issue
    quote10:201N6220*006  unanswered
    2 more: the dataset registrations has them
";
    assert!(shown.contains(expected), "{shown}");
    let coloured = |snapshot: &Snapshot| {
        let text = table(snapshot, true);
        let line = text.lines().find(|line| line.contains("10 of 20 active"));
        line.unwrap().to_owned()
    };
    assert!(coloured(&snapshot).contains("\x1b[33m10 of 20"), "refused");
    registrations.overdue = 9;
    snapshot.feeds[0].registrations = Some(registrations);
    assert!(coloured(&snapshot).contains("\x1b[31m10 of 20"), "overdue");
    // Without a session nothing is active, and that is no trouble.
    snapshot.feeds[0].state = "waiting".to_owned();
    let shown = table(&snapshot, false);
    assert!(
        shown.contains("; 200 at most\n") && !shown.contains("999999"),
        "{shown}"
    );
}

#[test]
fn only_a_terminal_gets_colours_and_a_server_cannot_add_any() {
    let (coloured, bare) = (table(&snapshot(), true), table(&snapshot(), false));
    assert!(!bare.contains('\x1b'));
    assert!(coloured.contains("\x1b[32mlive since"));
    assert!(!coloured.contains("\x1b[2J"), "what the server said");
    let strip = |text: &str| {
        let mut plain = String::new();
        for (index, part) in text.split('\x1b').enumerate() {
            plain.push_str(if index == 0 {
                part
            } else {
                part.split_once('m').unwrap().1
            });
        }
        plain
            .lines()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect::<String>()
    };
    assert_eq!(strip(&coloured), bare);
}

#[test]
fn a_day_about_which_nothing_is_known_yet() {
    let mut snapshot = snapshot();
    snapshot.schedule.session_expected = false;
    snapshot.schedule.closes_at = None;
    snapshot.schedule.opens_at = Some(Kst(Moment(snapshot.now.0.0 + 3 * 86_400_000_000)));
    let feed = &mut snapshot.feeds[0];
    feed.state = "waiting".to_owned();
    feed.schedule = snapshot.schedule;
    (feed.intervals, feed.files, feed.gaps.count) = (Vec::new(), Vec::new(), 0);
    feed.minutes = vec![0; 1440];
    feed.seconds_since_last_frame = None;
    snapshot.complaint = Some("the journal thread of KOSPI has done nothing for 61 s".to_owned());
    let text = table(&snapshot, false);
    assert!(
        text.contains("closed; the next session opens Mon 2026-11-23 10:00:30;"),
        "{text}"
    );
    assert!(
        text.contains("gaps         none today\n") && text.contains("none yet"),
        "{text}"
    );
    assert!(!text.contains("08:00 "), "{text}");
    assert!(
        text.contains(
            "\npart of the recorder does not work: the journal thread of KOSPI has done nothing for 61 s\n"
        ),
        "{text}"
    );
}

#[test]
fn a_full_disk_is_reported_first() {
    let mut snapshot = snapshot();
    snapshot.disk_low = true;
    for (free, expected) in [
        (0, "THE DISK IS FULL, make room: 0 B of disk free"),
        (5_000_000_000, "LOW: 5.00 GB of disk free"),
    ] {
        snapshot.disk_free_bytes = free;
        let text = table(&snapshot, false);
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains(expected), "{text}");
        assert_eq!(free == 0, line.starts_with("THE DISK IS FULL"), "{text}");
    }
}

#[test]
fn an_export_stands_out_once_it_is_a_second_behind() {
    let mut snapshot = snapshot();
    for (lag, shown) in [
        (0.3, "0.300 s, 1,234 messages behind"),
        (1.0, "\x1b[33m1.000 s, 1,234 messages behind"),
    ] {
        snapshot.feeds[0].lag_seconds = lag;
        let table = table(&snapshot, true);
        assert!(table.contains(&format!("\x1b[0m{shown}")), "{table}");
    }
}

#[test]
fn a_clock_that_cannot_be_trusted_stands_out() {
    let mut snapshot = snapshot();
    assert!(!table(&snapshot, false).contains("clock"), "an earlier version");
    let good = ClockSnapshot {
        synchronised: Some(true),
        max_error_us: Some(175_500),
        source: "kernel".to_owned(),
        ..ClockSnapshot::default()
    };
    let of_feed = |verdict: &str, lag_seconds| {
        Some(FeedClockSnapshot {
            verdict: verdict.to_owned(),
            lag_seconds,
            at: None,
        })
    };
    let mut has = |clock: &ClockSnapshot, feed, words: &str| {
        snapshot.clock = Some(clock.clone());
        snapshot.feeds[0].clock = feed;
        let shown = table(&snapshot, false);
        assert!(shown.contains(words), "{words}: {shown}");
    };
    has(&good, None, "clock synchronised, at most 0.175 s off\n");
    let unsynchronised = ClockSnapshot {
        synchronised: Some(false),
        max_error_us: None,
        ..good.clone()
    };
    has(&unsynchronised, None, "CLOCK NOT SYNCHRONISED");
    let unknown = ClockSnapshot {
        synchronised: None,
        source: "not known: Operation not permitted".to_owned(),
        ..unsynchronised
    };
    has(&unknown, None, "clock not known: Operation not permitted\n");
    let set = ClockSnapshot {
        steps: 2,
        last_step_at: Some(snapshot_at()),
        last_step_seconds: Some(-3600.0),
        ..good.clone()
    };
    has(&set, None, "set back by 1:00:00 at 10:00:30, 2 times in this run");
    has(&good, of_feed("unknown", None), "clock        not known yet");
    has(
        &good,
        of_feed("good", Some(0.25)),
        "clock        good: records come 0.250 s after their trades",
    );
    let slow = "clock        WRONG: records come 1:00:00 before their trades, so the clock is slow";
    has(&good, of_feed("early", Some(-3600.0)), slow);
    has(
        &good,
        of_feed("late", Some(3600.0)),
        "records come 1:00:00 after their trades",
    );
}

fn snapshot_at() -> Kst {
    snapshot().now
}
