//! What the calendar command prints, for people and programs, and how it fails.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use krx_harness::process::{Finished, Process, Program};
use serde_json::Value;

const COMMAND_MAX: Duration = Duration::from_secs(60);

fn calendar(folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = Program::Recorder.command().unwrap();
    command.arg("calendar").args(arguments);
    Finished::run("krx-recorder", &mut command, folder, COMMAND_MAX).unwrap()
}

fn json_of(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let done = calendar(folder, &[arguments, &["--json"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

/// The row of a date.
fn on<'a>(rows: &'a [Value], date: &str) -> &'a Value {
    rows.iter().find(|row| row["date"] == date).unwrap()
}

/// A configuration containing only a calendar file, with `days` as its text.
fn config(folder: &Path, days: &str) -> String {
    let (config, calendar) = (folder.join("recorder.toml"), folder.join("days.toml"));
    let table = format!("[schedule]\ncalendar_file = {calendar:?}\n");
    std::fs::write(&config, table).unwrap();
    std::fs::write(&calendar, days).unwrap();
    config.to_str().unwrap().to_owned()
}

#[test]
fn a_year_has_all_its_dates() {
    let folder = tempfile::tempdir().unwrap();
    let rows = json_of(folder.path(), &["2026"]);
    assert_eq!(rows.len(), 365);
    assert_eq!(rows.iter().filter(|row| row["trading"] == true).count(), 244);
    for row in &rows {
        let open = row["trading"] == true;
        for key in ["open", "close"] {
            assert_eq!(row[key].is_string(), open, "{row}");
        }
        assert_eq!(row["sessions"].as_array().unwrap().is_empty(), !open, "{row}");
    }
    let first = on(&rows, "2026-01-02");
    assert_eq!(
        (&first["open"], &first["close"]),
        (&"10:00".into(), &"15:30".into())
    );
    assert_eq!(on(&rows, "2026-07-17")["note"], "Constitution Day");
    assert_eq!(on(&rows, "2026-11-20")["sessions"][4]["name"], "after_market");
    assert_eq!(
        on(&json_of(folder.path(), &["2028-01"]), "2028-01-04")["basis"],
        "rule"
    );
}

#[test]
fn without_a_period_it_prints_two_months_and_the_next_session() {
    let folder = tempfile::tempdir().unwrap();
    let done = calendar(folder.path(), &[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let months = done
        .stdout
        .lines()
        .filter(|line| line.contains(" trading days, "));
    assert_eq!(months.count(), 2, "{}", done.stdout);
    assert!(
        done.stdout.contains("\nNext session: ") || done.stdout.contains("\nIn session now, "),
        "{}",
        done.stdout
    );
}

#[test]
fn the_calendar_file_stands_above_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let days = "[[day]]\ndate = \"2026-12-01\"\ntrading = false\nnote = \"Temporary holiday\"\n\
        [[day]]\ndate = 2026-12-02\ntrading = true\nopen = \"10:00\"\nclose = \"16:30\"\n";
    let config = config(folder.path(), days);
    let rows = json_of(folder.path(), &["2026-12", "--config", &config]);
    let (closed, late) = (on(&rows, "2026-12-01"), on(&rows, "2026-12-02"));
    assert_eq!(
        (&closed["trading"], &closed["note"], &closed["basis"]),
        (&false.into(), &"Temporary holiday".into(), &"override".into())
    );
    assert_eq!(
        (&late["open"], &late["close"]),
        (&"10:00".into(), &"16:30".into())
    );
    let done = calendar(folder.path(), &["2026-12", "--config", &config]);
    let line = "  2026-12-01 Tue   closed           Temporary holiday (override)\n";
    assert!(done.stdout.contains(line), "{}", done.stdout);
}

#[test]
fn mistakes_are_named_with_what_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in ["1989", "2026-13", "2026-11-20", "december"] {
        let done = calendar(folder.path(), &[wrong]);
        assert_eq!(done.code, Some(64), "{wrong}");
        let accepted = "write a year such as 2026 or a month such as 2026-11, from 1990 to 2100";
        assert!(done.stderr.contains(accepted), "{}", done.stderr);
    }
    let twice = "[[day]]\ndate = \"2026-12-01\"\ntrading = false\n".repeat(2);
    for (days, words) in [
        (twice.as_str(), "days.toml, line 5: 2026-12-01 is listed twice"),
        ("[[day]]\ntradin = 1", "did you mean `day.trading`?"),
    ] {
        let config = config(folder.path(), days);
        let done = calendar(folder.path(), &["--config", &config]);
        assert_eq!(done.code, Some(78), "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}

#[test]
fn a_dry_run_has_the_hours_of_each_feed() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += "[[feed]]\nmarket = \"KOSPI\"\npath = \"/ws_ksp\"\n[[feed]]\nmarket = \"KOSDAQ\"\npath = \"/ws_kdq\"\n";
    text += "[feed.schedule]\nopen = \"08:50\"\nclose = \"15:40\"\n";
    std::fs::write(&config, &text).unwrap();
    let rows = json_of(folder.path(), &["--sessions", "3", "--config", &config]);
    let dates: std::collections::BTreeSet<_> = rows.iter().map(|row| row["date"].as_str().unwrap()).collect();
    assert_eq!(dates.len(), 3);
    for row in &rows {
        let usual = ["08:20:00", "20:10:00"];
        let hours = if row["feed"] == "KOSPI" {
            usual
        } else {
            ["08:50:00", "15:40:00"]
        };
        for (key, clock) in ["connect", "close"].into_iter().zip(hours) {
            let time = row[key].as_str().unwrap();
            // Later or earlier on special days.
            assert!(
                !row["note"].is_null()
                    || time == format!("{}T{clock}.000000+09:00", row["date"].as_str().unwrap()),
                "{row}"
            );
        }
        assert!(
            row["data_from"].is_string() && row["data_to"].is_string(),
            "{row}"
        );
    }
    let told = calendar(folder.path(), &["--sessions", "--config", &config]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stdout.contains("KOSDAQ   connect "), "{}", told.stdout);
    assert!(told.stdout.contains(", expect data "), "{}", told.stdout);
    for wrong in [
        &["--sessions", "0"][..],
        &["--sessions", "367"],
        &["2026", "--sessions"],
    ] {
        assert_eq!(calendar(folder.path(), wrong).code, Some(64), "{wrong:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut command = Program::Recorder.command().unwrap();
    command
        .args(["calendar", "2026", "--json"])
        .stdout(Stdio::piped());
    let mut process = Process::start("krx-recorder", &mut command).unwrap();
    // A year is more than a pipe holds: it is being written when the reader leaves.
    drop(process.stdout());
    assert_eq!(process.wait(COMMAND_MAX).unwrap().code(), Some(0));
}

#[test]
fn check_tells_of_the_calendar_and_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "");
    let mut command = Program::Recorder.command().unwrap();
    command
        .args(["check", "--json", "--config", &config, "--member-name", "tests"])
        // Nothing listens there, but this test does not look for that.
        .args(["--base-url", "ws://127.0.0.1:9", "--data-dir"])
        .arg(folder.path().join("data"))
        .env("KRX_API_KEY", "key");
    let done = Finished::run("krx-recorder", &mut command, folder.path(), COMMAND_MAX).unwrap();
    let findings: Vec<Value> = serde_json::from_str(&done.stdout).unwrap();
    let finding = findings
        .iter()
        .find(|finding| finding["name"] == "calendar")
        .unwrap();
    assert_eq!(finding["good"], true);
    let detail = finding["detail"].as_str().unwrap();
    assert!(
        detail.contains("2027-12-31") && detail.contains("days.toml"),
        "{detail}"
    );
}
