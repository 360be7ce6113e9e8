//! The calendar against a table of every weekday that was reconciled from several sources, where there is one.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use krx_calendar::{Calendar, Day, SessionKind};

const FILE: &str = "krx_calendar_reconciled_2015_2027.csv";

/// Dates on which the calendar differs on purpose; docs/adr/0019 says why. None does.
const EXPLAINED: [&str; 0] = [];

/// In `$KRX_SHARED_DATA`, or beside the project.
fn file() -> PathBuf {
    std::env::var_os("KRX_SHARED_DATA")
        .map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
            PathBuf::from,
        )
        .join(FILE)
}

#[test]
fn every_weekday_agrees() {
    let path = file();
    let Ok(mut reader) = csv::Reader::from_path(&path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let calendar = Calendar::default();
    let mut compared = 0;
    let mut differences = Vec::new();
    for row in reader.records() {
        let row = row.unwrap();
        let field = |index: usize| row.get(index).unwrap();
        let day = calendar.day(field(0).parse().unwrap());
        let found = [
            if day.is_trading() { "1" } else { "0" }.to_owned(),
            time(day.hours.map(|hours| hours.open)),
            time(day.hours.map(|hours| hours.close)),
            after_market(&day),
        ];
        // A mark says which after-market hours the table's maker could not verify either.
        let expected = [
            field(1).to_owned(),
            field(2).to_owned(),
            field(3).to_owned(),
            field(4).replace("?", "").replace(" UNVERIFIED", ""),
        ];
        compared += 1;
        if found != expected && !EXPLAINED.contains(&field(0)) {
            differences.push(format!("{}: {found:?}, and there {expected:?}", field(0)));
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    // The weekdays of thirteen years.
    assert_eq!(compared, 3392);
    println!("{compared} weekdays agree");
}

fn time(time: Option<chrono::NaiveTime>) -> String {
    time.map_or(String::new(), |time| time.format("%H:%M").to_string())
}

fn after_market(day: &Day) -> String {
    day.sessions()
        .iter()
        .find(|session| session.kind == SessionKind::AfterMarket)
        .map_or(String::new(), |session| {
            format!("{}-{}", time(Some(session.from)), time(Some(session.to)))
        })
}
