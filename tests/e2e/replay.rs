//! A recorded day is served again, and recording that gives the same day.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::{Duration, Instant};

use krx_harness::oracle::MARKETS;
use krx_harness::recorded::{Frame, Frames};
use krx_harness::{RecorderConfig, Simulator};
use krx_store::DataDir;
use krx_store::day::{Layout, Outcome, Sealing, Watch, seal};
use krx_store::read::{Quarantine, QuarantineRow};
use krx_tests::hostile::{BINARY, HostileServer, Peer, TEXT, frame};

const LIMIT: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 86_400_000;

/// A recorder in its own folder, which commits many files.
fn recorder_in(folder: &Path, name: &str, base_url: &str) -> RecorderConfig {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    RecorderConfig {
        rows_max: 10_000,
        ..RecorderConfig::new(&folder, base_url)
    }
}

/// Records everything that a server sends of both markets' day.
fn record(folder: &Path, name: &str, server: &mut Simulator) -> RecorderConfig {
    let config = recorder_in(folder, name, &server.url);
    let mut recorder = config.start().unwrap();
    server.finish_day(&mut recorder, 2, LIMIT).unwrap();
    recorder.stop().unwrap();
    config
}

fn frames(data_dir: &Path, market: &str) -> Vec<Frame> {
    let mut frames = Frames::open(data_dir, market).unwrap();
    let mut found = Vec::new();
    while let Some(frame) = frames.next().unwrap() {
        found.push(frame);
    }
    found
}

/// The date of a recording, which must have one.
fn date_of(frames: &[Frame]) -> String {
    let date = frames.first().unwrap().date;
    assert!(
        frames.iter().all(|frame| frame.date == date),
        "recorded over midnight in Korea: run the test again"
    );
    date.to_string()
}

/// Compares everything that came over the wire: frames by their order, rows by all columns except those that say when
/// and in which session.
fn assert_same(original: &[Frame], again: &[Frame]) {
    assert!(!original.is_empty(), "there is something to compare");
    for (frame, copy) in original.iter().zip(again) {
        let clock = |frame: &Frame| {
            let mut rows = frame.trades.clone();
            for row in &mut rows {
                row.trade_ts = row.trade_ts.map(|ms| ms.rem_euclid(DAY_MS));
            }
            rows
        };
        assert_eq!(
            clock(frame),
            clock(copy),
            "frames {} and {}",
            frame.number,
            copy.number
        );
        assert_eq!(
            frame.quarantine, copy.quarantine,
            "frames {} and {}",
            frame.number, copy.number
        );
    }
    assert_eq!(original.len(), again.len());
}

fn rows(frames: &[Frame]) -> usize {
    frames
        .iter()
        .map(|frame| frame.trades.len() + frame.quarantine.len())
        .sum()
}

fn details(data_dir: &Path, market: &str, date: &str) -> Vec<(String, Option<String>)> {
    let data = DataDir::new(data_dir);
    let mut quarantine = Quarantine::open(&data, &market.parse().unwrap(), date.parse().unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(rows) = quarantine.next_batch().unwrap() {
        found.extend(
            rows.into_iter()
                .map(|QuarantineRow { reason, detail, .. }| (reason, detail)),
        );
    }
    found
}

/// What a replay has printed to standard error.
fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("replay.err")).unwrap()
}

#[test]
fn a_replay_is_recorded_as_the_day_that_it_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "300000",
        "--fault",
        "garbage@every:40:badrecord",
        "--fault",
        "garbage@every:51:truncated-json",
        "--fault",
        "garbage@every:63:text",
        "--fault",
        "garbage@every:77:object",
        "--fault",
        "disconnect@900",
    ];
    let mut simulator = Simulator::start(folder.path(), &arguments).unwrap();
    let first = record(folder.path(), "first", &mut simulator);
    let originals = MARKETS.map(|market| frames(&first.data_dir, market));
    let date = date_of(&originals[0]);

    let mut replay = Simulator::replay(folder.path(), &first, &date, &["--speed", "max"]).unwrap();
    let second = record(folder.path(), "second", &mut replay);
    for (market, original) in MARKETS.into_iter().zip(&originals) {
        let again = frames(&second.data_dir, market);
        println!("{market}: {} frames, {} rows", original.len(), rows(original));
        assert!(rows(original) > 100_000);
        assert_same(original, &again);
        let quarantined = details(&first.data_dir, market, &date);
        assert!(quarantined.len() > 1000, "{}", quarantined.len());
        assert_eq!(quarantined, details(&second.data_dir, market, &date_of(&again)));
    }
    assert_eq!(said(folder.path()), "", "nothing was left out");
}

const GOOD: &str = r#"{"isuSrtCd":"005930","trdPrc":"71500","trdVol":"10","trdTm":"09450155"}"#;

/// Messages unlike any in a simulated day, and whether they can be sent again unchanged.
fn odd_messages() -> Vec<(u8, Vec<u8>, bool)> {
    let with = |from: &str, to: &str| GOOD.replace(from, to);
    let array = |records: &[&str]| format!("[{}]", records.join(","));
    let texts = [
        r#"[{"trdTm":9450155,"isuSrtCd":"0004V0","trdvol":3,"trdPrc":9007199254740993,"venue":"N","a":{"b":[1,"}"]}}]"#
            .to_owned(),
        array(&[&with("\"09450155\"", "09450155"), &with("09450155", "0")]),
        array(&[
            GOOD,
            "5",
            &with("71500", "-7"),
            "",
            &with("trdVol", "trdPrc"),
            &with("005930", "삼성"),
            GOOD,
        ]),
        array(&[GOOD, &with("\"71500\"", "71500\""), GOOD]),
        array(&[GOOD, &GOOD.replace('}', ""), GOOD]),
        format!("[{GOOD},{GOOD}] and more"),
        format!("[{GOOD},{}", &GOOD[..30]),
        format!("[{}]", vec![GOOD; 60].join(",\n ")),
        format!("[{}]", vec!["1"; 32_770].join(",")),
        String::new(),
        "hello".to_owned(),
        r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick"}}"#.to_owned(),
        r#"{"notice":"점검"}"#.to_owned(),
    ];
    let mut messages: Vec<_> = texts
        .into_iter()
        .map(|text| (TEXT, text.into_bytes(), true))
        .collect();
    messages.push((BINARY, GOOD.as_bytes().to_vec(), true));
    messages.push((
        TEXT,
        r#"{"jsonrpc":"2.0","error":{"message":"no","code":47}}"#.into(),
        false,
    ));
    messages.push((BINARY, b"\xff\xfe".to_vec(), false));
    messages.push((TEXT, array(&[GOOD]).into_bytes(), true));
    messages
}

#[test]
fn messages_of_every_kind_come_again_and_what_cannot_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = HostileServer::start(move |_, tcp| {
        let serve = || -> std::io::Result<()> {
            let mut peer = Peer::plain(tcp)?;
            let path = peer.begin_at()?;
            if path == "/ws_ksp" {
                for (kind, message, _) in odd_messages() {
                    peer.send(&frame(kind, &message))?;
                }
            }
            peer.delivered()?;
            let _ = tell.lock().unwrap().send(path);
            peer.live()
        };
        // It ends with the recorder.
        let _ = serve();
    })
    .unwrap();
    let first = recorder_in(folder.path(), "first", &format!("ws://127.0.0.1:{}", server.port));
    let mut recorder = first.start().unwrap();
    for _ in 0..2 {
        told.recv_timeout(LIMIT).unwrap();
    }
    recorder.stop().unwrap();
    drop(server);
    let original = frames(&first.data_dir, "KOSPI");
    assert_eq!(original.len(), odd_messages().len());

    let mut replay = Simulator::replay(
        folder.path(),
        &first,
        &date_of(&original),
        &["--speed", "max", "--feed", "KOSPI"],
    )
    .unwrap();
    let second = recorder_in(folder.path(), "second", &replay.url);
    let mut recorder = second.start().unwrap();
    replay.wait_for("day_complete", LIMIT).unwrap();
    replay.finish(&mut recorder, 1).unwrap();
    recorder.stop().unwrap();
    let expected: Vec<_> = original
        .into_iter()
        .zip(odd_messages())
        .filter(|(_, (_, _, again))| *again)
        .map(|(frame, _)| frame)
        .collect();
    assert_same(&expected, &frames(&second.data_dir, "KOSPI"));
    assert_eq!(
        said(folder.path()),
        "KOSPI: server errors, not sent: 1\nKOSPI: messages that are not UTF-8, not sent: 1\n"
    );
}

/// A recording with a silence of two seconds in it; its frames.
fn with_a_pause(folder: &Path) -> (RecorderConfig, [Vec<Frame>; 2]) {
    let arguments = [
        "--speed",
        "max",
        "--trades-per-day",
        "120000",
        "--fault",
        "stall@1000:2",
    ];
    let mut simulator = Simulator::start(folder, &arguments).unwrap();
    let config = record(folder, "first", &mut simulator);
    let frames = MARKETS.map(|market| frames(&config.data_dir, market));
    (config, frames)
}

fn span(frames: &[Vec<Frame>]) -> Duration {
    let times = || frames.iter().flatten().map(|frame| frame.recv_us);
    let us = times().max().unwrap() - times().min().unwrap();
    Duration::from_micros(us.try_into().unwrap())
}

#[test]
fn the_pace_is_the_recorded_one_and_a_day_sealed_meanwhile_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (first, originals) = with_a_pause(folder.path());
    let (date, span) = (date_of(&originals[0]), span(&originals));
    assert!(span >= Duration::from_secs(2));
    for (speed, name, least) in [("1", "second", span), ("2", "third", span / 2)] {
        let mut replay = Simulator::replay(folder.path(), &first, &date, &["--speed", speed]).unwrap();
        let config = recorder_in(folder.path(), name, &replay.url);
        let mut recorder = config.start().unwrap();
        let market = replay.wait_for("session_started", LIMIT).unwrap().market;
        let started = Instant::now();
        if speed == "1" {
            // The reader is held up by the silence, some files before the last.
            sleep(Duration::from_millis(300));
            let data = DataDir::new(&first.data_dir);
            let sealing = Sealing::take(&data, 0).unwrap();
            for market in MARKETS {
                let watch = Watch {
                    rows: &|_| {},
                    stop: &AtomicBool::new(false),
                };
                let outcome = seal(
                    &sealing,
                    &krx_store::service::TRADES,
                    &market.parse().unwrap(),
                    date.parse().unwrap(),
                    &Layout::default(),
                    watch,
                );
                assert!(matches!(outcome, Ok(Outcome::Sealed(_))), "{outcome:?}");
            }
        }
        for _ in MARKETS {
            let complete = replay.wait_for("day_complete", LIMIT).unwrap();
            assert_eq!(complete.missed, 0, "{market} began");
        }
        let took = started.elapsed();
        println!("speed {speed}: {span:?} took {took:?}");
        assert!(took + Duration::from_millis(100) >= least, "{took:?}");
        assert!(took < least + Duration::from_secs(10), "{took:?}");
        replay.finish(&mut recorder, 2).unwrap();
        recorder.stop().unwrap();
        for (market, original) in MARKETS.into_iter().zip(&originals) {
            assert_same(original, &frames(&config.data_dir, market));
        }
    }
}

#[test]
fn who_comes_late_misses_what_was_due() {
    let folder = tempfile::tempdir().unwrap();
    let (first, originals) = with_a_pause(folder.path());
    let arguments = ["--speed", "1", "--feed", "KOSPI"];
    let mut replay = Simulator::replay(folder.path(), &first, &date_of(&originals[0]), &arguments).unwrap();
    let second = recorder_in(folder.path(), "second", &replay.url);
    let mut recorder = second.start().unwrap();
    replay.wait_for("session_started", LIMIT).unwrap();
    // Within the silence.
    sleep(Duration::from_millis(500));
    recorder.stop().unwrap();
    let ended = replay.wait_for("session_ended", LIMIT).unwrap();
    let complete = replay.wait_for("day_complete", LIMIT).unwrap();
    replay.stop().unwrap();
    let original = rows(&originals[0]);
    println!("{} sent, {} missed of {original}", ended.records, complete.missed);
    assert!(ended.records > 0 && complete.missed > 0);
    assert_eq!(complete.records, ended.records);
    assert_eq!(
        usize::try_from(complete.records + complete.missed).unwrap(),
        original
    );
}

#[test]
fn a_replay_begins_when_it_is_told_to() {
    const MINUTE_US: i64 = 60_000_000;
    let folder = tempfile::tempdir().unwrap();
    let (first, originals) = with_a_pause(folder.path());
    let date = date_of(&originals[0]);
    let clock = |us: i64| {
        let minutes = (us + 9 * 60 * MINUTE_US).rem_euclid(24 * 60 * MINUTE_US) / MINUTE_US;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    let last = originals[0].last().unwrap().recv_us;
    let minute = last - last.rem_euclid(MINUTE_US);
    for (from_us, name) in [(minute, "second"), (minute + MINUTE_US, "third")] {
        let from = clock(from_us);
        let arguments = [
            "--speed",
            "max",
            "--feed",
            "KOSPI",
            "--exit-at-end",
            "--from",
            &from,
        ];
        let mut replay = Simulator::replay(folder.path(), &first, &date, &arguments).unwrap();
        let config = recorder_in(folder.path(), name, &replay.url);
        let mut recorder = config.start().unwrap();
        let complete = replay.wait_for("day_complete", LIMIT).unwrap();
        let wanted: Vec<_> = originals[0]
            .iter()
            .filter(|frame| frame.recv_us >= from_us)
            .collect();
        assert_eq!(complete.messages, wanted.len() as u64, "from {from}");
        recorder.stop().unwrap();
        // It ends by itself once the client has left.
        replay.wait_for("session_ended", LIMIT).unwrap();
        replay.stop().unwrap();
        let nothing = format!("KOSPI: nothing was received after {from}:00\n");
        assert_eq!(said(folder.path()).contains(&nothing), wanted.is_empty());
    }
}

#[test]
fn what_is_not_committed_yet_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--rate", "4000", "--trades-per-day", "1000000"];
    let mut simulator = Simulator::start(folder.path(), &arguments).unwrap();
    let first = recorder_in(folder.path(), "first", &simulator.url);
    let mut recorder = first.start().unwrap();
    recorder.wait_for_log(" committed feed=", 4, LIMIT).unwrap();
    let date = std::fs::read_dir(first.data_dir.join("trades")).unwrap().next();
    let date: PathBuf = date.unwrap().unwrap().file_name().into();
    let date = date.to_str().unwrap().trim_start_matches("date=").to_owned();
    let mut replay = Simulator::replay(folder.path(), &first, &date, &["--speed", "max"]).unwrap();
    assert!(
        said(folder.path()).contains("have been received but not committed yet: they are not served"),
        "{}",
        said(folder.path())
    );
    // What is committed after the start is not served either.
    let last_committed = MARKETS.map(|market| {
        let names = std::fs::read_dir(first.data_dir.join(format!("trades/date={date}/market={market}")));
        let names = names
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let last_frame = |name: String| name[name.len() - 20..name.len() - 8].parse::<i64>().unwrap();
        names.map(last_frame).max().unwrap()
    });
    recorder.wait_for_log(" committed feed=", 12, LIMIT).unwrap();
    let second = record(folder.path(), "second", &mut replay);
    simulator.stop().unwrap();
    recorder.stop().unwrap();
    for (market, last_committed) in MARKETS.into_iter().zip(last_committed) {
        let (original, again) = (frames(&first.data_dir, market), frames(&second.data_dir, market));
        assert!(original[again.len() - 1].number <= last_committed);
        assert_same(&original[..again.len()], &again);
    }
}

#[test]
fn what_cannot_be_replayed_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (config, originals) = with_a_pause(folder.path());
    let date = date_of(&originals[0]);
    std::fs::create_dir_all(config.data_dir.join(format!("trades/date={date}/market=KONEX"))).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let only_kospi = ["--feed", "KOSPI", "--listen", &taken];
    let cases: [(&str, &[&str], i32, String); 7] = [
        (
            "2020-01-02",
            &[],
            64,
            format!("for 2020-01-02; the recorded dates go from {date}"),
        ),
        (&date, &[], 64, "KONEX cannot be replayed".to_owned()),
        (
            &date,
            &["--feed", "KOSPI2"],
            64,
            "KOSPI2 is not recorded on".to_owned(),
        ),
        (
            &date,
            &["--listen", "0.0.0.0:0"],
            64,
            "is not a loopback address".to_owned(),
        ),
        (
            &date,
            &only_kospi,
            74,
            "choose another --listen address".to_owned(),
        ),
        (
            &date,
            &["--speed", "0"],
            64,
            "a speed is a number above 0, or max".to_owned(),
        ),
        (&date, &["--from", "24:00"], 64, "a time is HH:MM".to_owned()),
    ];
    for (date, arguments, code, words) in cases {
        let arguments = [&[date], arguments].concat();
        let finished = config.run_to_end("replay", &arguments, LIMIT).unwrap();
        assert_eq!(finished.code, Some(code), "{arguments:?}: {}", finished.stderr);
        assert!(
            finished.stderr.contains(&words),
            "{arguments:?}: {}",
            finished.stderr
        );
    }
    let file = std::fs::read_dir(config.data_dir.join(format!("trades/date={date}/market=KOSPI"))).unwrap();
    let file = file.map(|entry| entry.unwrap().path()).max().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    let finished = config
        .run_to_end("replay", &[&date, "--feed", "KOSPI"], LIMIT)
        .unwrap();
    assert_eq!(finished.code, Some(65), "{}", finished.stderr);
    assert!(
        finished.stderr.contains(file.to_str().unwrap()),
        "{}",
        finished.stderr
    );
}
