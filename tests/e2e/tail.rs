//! `krx-recorder tail`: with the files that were listed before it, each record once, beside a recorder and after a kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use krx_harness::process::{Finished, Process, Program, free_port};
use krx_harness::recorded::Frames;
use krx_harness::{RecorderConfig, Simulator};
use serde_json::Value;

const MARKETS: [&str; 2] = ["KOSPI", "KOSDAQ"];
const LIMIT: Duration = Duration::from_secs(60);

fn tail(config: &RecorderConfig, arguments: &[&str]) -> Finished {
    let mut command = Program::Recorder.command().unwrap();
    command.arg("tail").args(arguments);
    Finished::run("krx-recorder", &mut command, &config.folder, LIMIT).unwrap()
}

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The frames of each feed among rows, in order.
fn frames(rows: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in rows {
        let frames = found
            .entry(row["market"].as_str().unwrap().to_owned())
            .or_default();
        let frame = row["frame"].as_u64().unwrap();
        if frames.last() != Some(&frame) {
            frames.push(frame);
        }
    }
    found
}

/// A record's place: its market, frame and position.
type Place = (String, u64, i64);

fn places(rows: &[Value]) -> Vec<Place> {
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap();
    let place = |row: &Value| {
        let frame = number(row, "frame").cast_unsigned();
        (
            row["market"].as_str().unwrap().to_owned(),
            frame,
            number(row, "item"),
        )
    };
    rows.iter().map(place).collect()
}

/// Those of all records in files, of frames within a range for each market.
fn in_files(data_dir: &Path, range: impl Fn(&str, u64) -> bool) -> Vec<Place> {
    let mut found = Vec::new();
    for market in MARKETS {
        let mut frames = Frames::open(data_dir, market).unwrap();
        while let Some(frame) = frames.next().unwrap() {
            let number = frame.number.cast_unsigned();
            if range(market, number) {
                let items = frame.trades.iter().map(|row| i64::from(row.item));
                found.extend(items.map(|item| (market.to_owned(), number, item)));
            }
        }
    }
    found
}

fn sorted(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_unstable();
    places
}

/// The last frame that committed files of a market have.
fn committed(data_dir: &Path, market: &str) -> u64 {
    let dates = fs::read_dir(data_dir.join("trades")).into_iter().flatten();
    let files = dates.flat_map(|date| {
        let of_market = fs::read_dir(date.unwrap().path().join(format!("market={market}")));
        of_market
            .into_iter()
            .flatten()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
    });
    let last = files.filter_map(|name| name.strip_suffix(".parquet")?.rsplit('-').next()?.parse().ok());
    last.max().unwrap_or(0)
}

#[test]
fn beside_a_recorder_it_goes_on_where_the_files_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "4000", "--repeat"]).unwrap();
    let port = free_port().unwrap();
    let config = RecorderConfig {
        status_port: Some(port),
        ..RecorderConfig::new(folder.path(), &simulator.url)
    };
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 4, LIMIT).unwrap();
    let data_dir = config.data_dir.to_str().unwrap().to_owned();
    let listen = format!("127.0.0.1:{port}");
    let from = ["--data-dir", &data_dir, "--listen", &listen];

    // Files are listed first; the tail may begin later, if more was committed meanwhile.
    let mut last = BTreeMap::new();
    for _ in 0..20 {
        let listed = MARKETS.map(|market| (market, committed(&config.data_dir, market)));
        let done = tail(&config, &[&["--format", "ndjson"], &from[..]].concat());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let found = frames(&rows(&done.stdout));
        let now = MARKETS.map(|market| (market, committed(&config.data_dir, market)));
        for ((market, before), (_, after)) in listed.into_iter().zip(now) {
            let Some(frames) = found.get(market) else { continue };
            // Heartbeats have no rows, but most frames have.
            assert!(
                frames[0] > before && frames.is_sorted(),
                "{market}: {} after {before}",
                frames[0]
            );
            let end = *frames.last().unwrap();
            assert!(
                end >= after.min(end) && end >= *last.get(market).unwrap_or(&0),
                "{market}"
            );
            last.insert(market.to_owned(), end);
            assert!(
                done.stderr.contains(&format!("{market}: frames ")),
                "{}",
                done.stderr
            );
        }
    }
    assert_eq!(last.len(), 2, "there was something in the tail of each");

    // Of one issue, as a table and as CSV.
    let done = tail(
        &config,
        &[
            &["KOSPI", "--format", "csv", "--after", "2026-11-20:7"],
            &from[..],
        ]
        .concat(),
    );
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.starts_with(
        "code,trade_ts,price,volume,kind,trade_time,recv_ts,frame,item,session,extra,date,market\n"
    ));
    let code = done
        .stdout
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    let one = tail(
        &config,
        &[&["--code", &code, "--format", "table"], &from[..]].concat(),
    );
    assert!(
        one.stdout.lines().skip(1).all(|line| line.starts_with(&code)),
        "{}",
        one.stdout
    );

    // One follows until the recorder stops.
    let out = folder.path().join("followed.ndjson");
    let mut follow = Program::Recorder.command().unwrap();
    follow
        .args(["tail", "--follow", "--format", "ndjson"])
        .args(from)
        .stdout(fs::File::create(&out).unwrap());
    follow.stderr(Stdio::null());
    let mut follow = Process::start("krx-recorder", &mut follow).unwrap();
    recorder.wait_for_log(" committed ", 10, LIMIT).unwrap();
    // Without knowing how far the journal is on disk, it shows nothing.
    let unknown = tail(&config, &["--data-dir", &data_dir]);
    assert_eq!(
        (unknown.code, unknown.stdout.as_str()),
        (Some(69), ""),
        "{}",
        unknown.stderr
    );
    assert!(
        unknown
            .stderr
            .contains("only it knows how far its journal is on disk"),
        "{}",
        unknown.stderr
    );
    // Nor does it of a feed that another recorder has left.
    let other = config.data_dir.join(".krx/journal/KONEX");
    fs::create_dir(&other).unwrap();
    let unrecorded = tail(&config, &[&["KONEX"], &from[..]].concat());
    assert_eq!(
        (unrecorded.code, unrecorded.stdout.as_str()),
        (Some(69), ""),
        "{}",
        unrecorded.stderr
    );
    let words = format!("the recorder at {listen} does not record KONEX; leave that feed out");
    assert!(unrecorded.stderr.contains(&words), "{}", unrecorded.stderr);
    fs::remove_dir(&other).unwrap();
    recorder.stop().unwrap();
    assert_eq!(follow.wait(LIMIT).unwrap().code(), Some(0));
    simulator.stop().unwrap();
    let followed = rows(&fs::read_to_string(&out).unwrap());
    let spans: BTreeMap<String, (u64, u64)> = frames(&followed)
        .into_iter()
        .map(|(market, frames)| {
            assert!(frames.len() > 20, "{market}");
            (market, (frames[0], *frames.last().unwrap()))
        })
        .collect();
    assert_eq!(spans.len(), 2);
    let within = |market: &str, frame: u64| frame >= spans[market].0;
    let found = places(&followed);
    assert_eq!(
        sorted(found),
        sorted(in_files(&config.data_dir, within)),
        "each record once, to the end, as in the files"
    );
    let done = tail(&config, &["--data-dir", &data_dir, "--follow"]);
    assert_eq!(done.code, Some(69), "{}", done.stderr);
}

#[test]
fn after_a_kill_it_has_what_the_next_start_exports() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "4000", "--repeat"]).unwrap();
    let config = RecorderConfig::new(folder.path(), &simulator.url);
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 4, LIMIT).unwrap();
    recorder.kill().unwrap();
    simulator.stop().unwrap();
    let data_dir = config.data_dir.to_str().unwrap().to_owned();
    let listed = MARKETS.map(|market| (market, committed(&config.data_dir, market)));
    let out = folder.path().join("tail.parquet");
    let done = tail(&config, &["--data-dir", &data_dir, "--format", "ndjson"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("no recorder is running"), "{}", done.stderr);
    let found = rows(&done.stdout);
    let file = tail(
        &config,
        &["--data-dir", &data_dir, "--output", out.to_str().unwrap()],
    );
    assert_eq!((file.code, out.is_file()), (Some(0), true), "{}", file.stderr);
    // The next start exports the journal: then the files have just that more.
    let mut recorder = config.start().unwrap();
    recorder.wait_for_log(" committed ", 2, LIMIT).unwrap();
    recorder.stop().unwrap();
    let after = |market: &str, frame: u64| listed.iter().any(|(of, last)| *of == market && frame > *last);
    let last = frames(&found);
    let was_there = |market: &str, frame: u64| after(market, frame) && frame <= *last[market].last().unwrap();
    let expected = in_files(&config.data_dir, was_there);
    assert!(!expected.is_empty());
    assert_eq!(sorted(places(&found)), sorted(expected));
    let nothing = tail(&config, &["--data-dir", &data_dir]);
    assert_eq!(
        (nothing.code, nothing.stdout.as_str()),
        (Some(0), ""),
        "{}",
        nothing.stderr
    );
    for (wrong, words) in [
        (&["KONEX"][..], "KONEX has no journal in"),
        (
            &["--dataset", "books"],
            "no feed here has the dataset books; there are quarantine, trades",
        ),
        (
            &["--after", "yesterday"],
            "write a date and a frame such as 2026-11-20:4711",
        ),
    ] {
        let done = tail(&config, &[wrong, &["--data-dir", &data_dir]].concat());
        assert_eq!(done.code, Some(64), "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}

#[test]
fn it_asks_no_recorder_of_another_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Simulator::start(folder.path(), &["--rate", "100", "--repeat"]).unwrap();
    let of = |name: &str| {
        let below = folder.path().join(name);
        fs::create_dir(&below).unwrap();
        RecorderConfig {
            status_port: Some(free_port().unwrap()),
            ..RecorderConfig::new(&below, &simulator.url)
        }
    };
    let (one, other) = (of("one"), of("other"));
    let mut recorders = [one.start().unwrap(), other.start().unwrap()];
    for recorder in &mut recorders {
        recorder.wait_for_log(" connected ", 2, LIMIT).unwrap();
    }
    let data_dir = one.data_dir.to_str().unwrap();
    let listen = |config: &RecorderConfig| format!("127.0.0.1:{}", config.status_port.unwrap());
    let right = tail(&one, &["--data-dir", data_dir, "--listen", &listen(&one)]);
    assert_eq!(right.code, Some(0), "{}", right.stderr);
    let wrong = tail(&one, &["--data-dir", data_dir, "--listen", &listen(&other)]);
    assert_eq!(
        (wrong.code, wrong.stdout.as_str()),
        (Some(69), ""),
        "{}",
        wrong.stderr
    );
    assert!(
        wrong.stderr.contains("writes to ") && wrong.stderr.contains("and not to "),
        "{}",
        wrong.stderr
    );
    for recorder in &mut recorders {
        recorder.stop().unwrap();
    }
    simulator.stop().unwrap();
}
