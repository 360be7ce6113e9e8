//! The derived datasets, compared with what another program would compute from the rows: of days with gaps, special hours,
//! auctions and both services.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use arrow_array::RecordBatch;
use krx_store::coverage::State;
use krx_store::dataset::{BARS_1M, DAILY, DAILY_DERIVATIVES};
use krx_store::date_file;
use krx_store::day::{Sealing, Watch};
use krx_store::derived::{Derived, Outcome, Sessions, derive};
use krx_store::disk::{Disk, Gate, Op};
use krx_store::rebuild::{Access, rebuild_derived};
use krx_store::service::TRADES;
use krx_store::verify::{Kind, verify};
use krx_store::{DataDir, Event};

use crate::daily_computed::{compare_bars, compare_daily, rows};
use crate::daily_days::{MINUTE, market_day, record, recorded, sessions, start};
use crate::per_issue::seal_all;
use crate::support::{NINE, connected, coverage, date, event, files};

fn made(data: &DataDir, derived: Derived, sessions: &Sessions) -> Outcome {
    let sealing = Sealing::take(data, 0).unwrap();
    let watch = Watch::nobody();
    derive(&sealing, derived, date(), sessions, false, watch).unwrap()
}

fn make_all(data: &DataDir, sessions: &Sessions) {
    for derived in Derived::ALL {
        let outcome = made(data, derived, sessions);
        assert!(matches!(outcome, Outcome::Made(_)), "{derived:?}: {outcome:?}");
    }
}

const STOCKS: [(&str, &str); 3] = [("ISSUES", "ticks"), ("KOSDAQ", "trades"), ("KOSPI", "trades")];

/// An ordinary day, and one that begins and ends an hour later.
#[test]
fn rows_and_bars_are_what_the_trades_give_with_gaps_auctions_and_special_hours() {
    for hours in [(0, 390), (60, 450)] {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        recorded(&data, hours);
        assert!(coverage(dir.path()).iter().any(|row| row.state != State::Live));
        make_all(&data, &sessions(hours.0, hours.1));
        let (opens, closes) = (NINE + hours.0 * MINUTE, NINE + hours.1 * MINUTE);
        assert!(compare_daily(dir.path(), "daily", &STOCKS, (opens, closes)) >= 12);
        let derivatives = (opens - 15 * MINUTE, closes + 15 * MINUTE);
        let futures = [("ISSUES", "derivative_ticks")];
        assert_eq!(
            compare_daily(dir.path(), "daily_derivatives", &futures, derivatives),
            1
        );
        let [incomplete, empty, partial] = compare_bars(dir.path(), &STOCKS, (opens, closes));
        assert!(
            incomplete > 100 && empty > 100 && partial > 2,
            "{incomplete} {empty} {partial}"
        );
        let report = verify(&data, &[date()].into(), &|_| ()).unwrap();
        assert!(report.ok, "{:?}", report.findings);
    }
}

/// The bytes of all derived files.
fn bytes(data: &DataDir) -> BTreeMap<&'static str, Vec<u8>> {
    let datasets = [&DAILY, &DAILY_DERIVATIVES, &BARS_1M];
    let read = |dataset| fs::read(date_file::path(data, dataset, date())).unwrap();
    datasets
        .into_iter()
        .map(|dataset| (dataset.name, read(dataset)))
        .collect()
}

#[test]
fn a_second_time_nothing_is_done_and_made_again_the_bytes_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let hours = sessions(0, 390);
    recorded(&data, (0, 390));
    make_all(&data, &hours);
    let first = bytes(&data);
    for derived in Derived::ALL {
        assert_eq!(made(&data, derived, &hours), Outcome::UpToDate);
        fs::remove_file(date_file::path(&data, derived.dataset(), date())).unwrap();
    }
    make_all(&data, &hours);
    assert_eq!(bytes(&data), first);
    // Other hours: made again.
    make_all(&data, &sessions(0, 330));
    assert_ne!(bytes(&data), first);
    make_all(&data, &Sessions::default());
    let closed = rows(&files(&dir.path().join("daily"), "parquet"));
    assert!(
        !closed.is_empty()
            && closed
                .iter()
                .all(|row| row["recorded_share"].is_empty() && row["volume"].is_empty())
    );
    make_all(&data, &hours);
    assert_eq!(bytes(&data), first);
}

#[test]
fn a_date_that_is_not_sealed_has_to_wait_and_late_files_make_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let hours = sessions(0, 390);
    assert_eq!(made(&data, Derived::Daily, &hours), Outcome::Nothing);
    // One file alone is not a sealed date either.
    let other = tempfile::tempdir().unwrap();
    let short = DataDir::new(other.path());
    let begin = &market_day(0, 390)[..3];
    record(
        &short,
        "KOSPI",
        &[begin, &[event(NINE, Event::Stop)]].concat(),
        false,
    );
    assert_eq!(files(&other.path().join("trades"), "parquet").len(), 1);
    assert_eq!(made(&short, Derived::Daily, &hours), Outcome::NotSealed);
    let day = market_day(0, 390);
    let stop = |at: i64| event(at, Event::Stop);
    let half = day.len() / 2;
    record(
        &data,
        "KOSPI",
        &[&day[..half], &[stop(day[half].at.0)]].concat(),
        false,
    );
    assert_eq!(made(&data, Derived::Daily, &hours), Outcome::NotSealed);
    seal_all(&data);
    assert!(matches!(made(&data, Derived::Daily, &hours), Outcome::Made(_)));
    let first = rows(&files(&dir.path().join("daily"), "parquet"));

    record(
        &data,
        "KOSPI",
        &[&[start(day[half].at.0), connected(day[half].at.0)], &day[half..]].concat(),
        false,
    );
    assert_eq!(made(&data, Derived::Daily, &hours), Outcome::NotSealed);
    let report = verify(&data, &[date()].into(), &|_| ()).unwrap();
    assert!(report.ok, "it will be made again: {:?}", report.findings);
    seal_all(&data);
    let report = verify(&data, &[date()].into(), &|_| ()).unwrap();
    let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::Derived], "{:?}", report.findings);
    assert!(matches!(made(&data, Derived::Daily, &hours), Outcome::Made(_)));
    assert_ne!(rows(&files(&dir.path().join("daily"), "parquet")), first);
    assert!(verify(&data, &[date()].into(), &|_| ()).unwrap().ok);
}

/// The details of what `verify` finds wrong with derived rows.
fn faults(data: &DataDir) -> Vec<String> {
    let report = verify(data, &[date()].into(), &|_| ()).unwrap();
    let derived = report
        .findings
        .into_iter()
        .filter(|finding| finding.kind == Kind::Derived);
    derived.map(|finding| finding.detail).collect()
}

#[test]
fn what_says_when_trades_were_recorded_decides_the_rows_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let hours = sessions(0, 390);
    recorded(&data, (0, 390));
    let of_issues = |dataset: &str| {
        let paths = files(&dir.path().join(dataset), "parquet");
        let mut paths = paths
            .into_iter()
            .filter(|path| path.to_str().unwrap().contains("feed=ISSUES"));
        paths.next().unwrap()
    };
    let shares = || {
        let rows = rows(&files(&dir.path().join("daily"), "parquet"));
        let (issues, markets): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["feed"] == "ISSUES");
        let known =
            |rows: &[&BTreeMap<String, String>]| rows.iter().all(|row| !row["recorded_share"].is_empty());
        (known(&issues), known(&markets))
    };
    make_all(&data, &hours);
    assert_eq!(shares(), (true, true));
    for dataset in ["registrations", "coverage"] {
        let path = of_issues(dataset);
        let sound = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let faults = faults(&data);
        assert!(
            faults.len() == 3 && faults.iter().all(|fault| fault.contains(", which is gone")),
            "{faults:?}"
        );
        make_all(&data, &hours);
        assert_eq!(shares(), (false, true), "{dataset} is missing");
        fs::write(&path, "damaged").unwrap();
        make_all(&data, &hours);
        assert_eq!(shares(), (false, true), "{dataset} is damaged");
        fs::write(&path, sound).unwrap();
        make_all(&data, &hours);
        assert_eq!(shares(), (true, true));
    }
}

#[test]
fn rows_are_not_put_in_place_when_a_file_changes_while_they_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    record(&data, "KOSPI", &market_day(0, 390), false);
    seal_all(&data);
    let coverage = files(&dir.path().join("coverage"), "parquet").remove(0);
    let sealing = Sealing::take(&data, 0).unwrap();
    let watch = Watch {
        rows: &|_| fs::write(&coverage, "another").unwrap(),
        ..Watch::nobody()
    };
    let outcome = derive(&sealing, Derived::Daily, date(), &sessions(0, 390), false, watch);
    assert_eq!(outcome.unwrap(), Outcome::NotSealed);
    assert!(!date_file::path(&data, &DAILY, date()).exists());
}

/// The rows of a dataset without the first one, with the footer of what there is.
fn without_first_row(data: &DataDir, derived: Derived) {
    let dataset = derived.dataset();
    let mut file = date_file::read(data, dataset, date()).unwrap().unwrap();
    let own = ["schema_version", "date", "rows", "recorder_version"];
    file.says
        .retain(|key, _| !own.contains(&key.as_str()) && key != "ARROW:schema");
    let first: RecordBatch = file.batches[0].slice(1, file.batches[0].num_rows() - 1);
    file.batches[0] = first;
    date_file::replace(data, dataset, date(), &file.batches, &file.says).unwrap();
}

#[test]
fn what_is_wrong_missing_or_damaged_is_found_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let hours = sessions(0, 390);
    recorded(&data, (0, 390));
    make_all(&data, &hours);
    let first = bytes(&data);
    without_first_row(&data, Derived::Daily);
    fs::write(
        date_file::path(&data, &BARS_1M, date()),
        &first["bars_1m"][..1000],
    )
    .unwrap();
    fs::remove_file(date_file::path(&data, &DAILY_DERIVATIVES, date())).unwrap();
    let report = verify(&data, &[date()].into(), &|_| ()).unwrap();
    let found: BTreeSet<_> = report
        .findings
        .iter()
        .map(|finding| (finding.path.as_str(), finding.kind))
        .collect();
    let path = |dataset| {
        date_file::path(&data, dataset, date())
            .strip_prefix(dir.path())
            .unwrap()
            .display()
            .to_string()
    };
    let (daily, bars) = (path(&DAILY), path(&BARS_1M));
    assert_eq!(
        found,
        [(daily.as_str(), Kind::Derived), (bars.as_str(), Kind::Derived)].into(),
        "{:?}",
        report.findings
    );
    assert_eq!(
        made(&data, Derived::Daily, &hours),
        Outcome::UpToDate,
        "by its footer"
    );

    let access = Access::take(&data, date()).unwrap();
    for dry_run in [true, false] {
        let remade = rebuild_derived(&data, date(), &access, &hours, true, dry_run).unwrap();
        assert_eq!(
            remade.restored,
            [daily.clone(), path(&DAILY_DERIVATIVES), bars.clone()],
            "{dry_run}"
        );
        assert!(remade.lost.is_empty() && remade.unchecked == 0);
        assert_eq!(
            date_file::path(&data, &DAILY_DERIVATIVES, date()).exists(),
            !dry_run
        );
    }
    assert_eq!(bytes(&data), first);
    let remade = rebuild_derived(&data, date(), &access, &hours, false, false).unwrap();
    assert_eq!((remade.identical, remade.restored.len()), (3, 0));
    assert!(verify(&data, &[date()].into(), &|_| ()).unwrap().ok);
}

#[test]
fn rows_that_were_made_of_other_files_are_outdated_even_if_they_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let hours = sessions(0, 390);
    record(&data, "KOSPI", &market_day(0, 390), false);
    seal_all(&data);
    assert!(matches!(made(&data, Derived::Daily, &hours), Outcome::Made(_)));
    let path = date_file::path(&data, &DAILY, date());
    let first = fs::read(&path).unwrap();
    let mut file = date_file::read(&data, &DAILY, date()).unwrap().unwrap();
    let made_of = file.says.get_mut("derived_from").unwrap();
    *made_of = made_of.replace("\"sha256\":\"", "\"sha256\":\"0");
    let says = ["derived_from", "regular_session"].map(|key| (key.to_owned(), file.says[key].clone()));
    date_file::replace(&data, &DAILY, date(), &file.batches, &says.into()).unwrap();
    let report = verify(&data, &[date()].into(), &|_| ()).unwrap();
    let details: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.detail.as_str())
        .collect();
    assert!(
        details.len() == 1 && details[0].contains("has changed since it was made"),
        "{details:?}"
    );
    assert!(matches!(made(&data, Derived::Daily, &hours), Outcome::Made(_)));
    assert_eq!(fs::read(&path).unwrap(), first);
}

#[test]
fn what_retention_leaves_is_kept_and_not_called_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let hours = sessions(0, 390);
    recorded(&data, (0, 390));
    make_all(&data, &hours);
    let first = bytes(&data);
    let expire = |dataset| {
        fs::remove_dir_all(data.date_dir(dataset, date())).unwrap();
        let mark = data.expired(dataset, date());
        fs::create_dir_all(mark.parent().unwrap()).unwrap();
        fs::write(mark, "").unwrap();
    };
    expire(&TRADES);
    assert_eq!(made(&data, Derived::Daily, &hours), Outcome::Kept);
    assert_eq!(made(&data, Derived::DailyDerivatives, &hours), Outcome::UpToDate);
    let report = verify(&data, &[date()].into(), &|_| ()).unwrap();
    let derived = |finding: &&krx_store::verify::Finding| finding.kind == Kind::Derived;
    assert_eq!(
        report.findings.iter().filter(derived).count(),
        0,
        "{:?}",
        report.findings
    );
    assert_eq!(
        report.known.iter().filter(derived).count(),
        2,
        "{:?}",
        report.known
    );
    assert_eq!(bytes(&data), first);
    expire(&DAILY);
    assert_eq!(
        made(&data, Derived::Daily, &hours),
        Outcome::Expired,
        "it would be removed again"
    );
}

/// Fails the operation of this number, and all that follow: the process was killed.
#[derive(Debug, Default)]
struct Killed {
    after: AtomicUsize,
    passed: AtomicUsize,
}

impl Gate for Killed {
    fn pass(&self, _op: Op, _path: &Path) -> io::Result<()> {
        match self.passed.fetch_add(1, Relaxed) >= self.after.load(Relaxed) {
            true => Err(io::Error::other("killed")),
            false => Ok(()),
        }
    }
}

#[test]
fn whatever_is_interrupted_there_is_the_old_file_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    record(&data, "KOSPI", &market_day(0, 390), false);
    seal_all(&data);
    let (old, new) = (sessions(0, 330), sessions(0, 390));
    let path = date_file::path(&data, &DAILY, date());
    made(&data, Derived::Daily, &new);
    let of_new = fs::read(&path).unwrap();
    made(&data, Derived::Daily, &old);
    let of_old = fs::read(&path).unwrap();
    let gate = Arc::new(Killed::default());
    let watched = DataDir::on(Disk::behind(gate.clone()), dir.path());
    let mut seen = BTreeSet::new();
    for after in 0.. {
        gate.after.store(usize::MAX, Relaxed);
        made(&watched, Derived::Daily, &old);
        let sealing = Sealing::take(&watched, 0).unwrap();
        gate.passed.store(0, Relaxed);
        gate.after.store(after, Relaxed);
        let watch = Watch::nobody();
        let result = derive(&sealing, Derived::Daily, date(), &new, false, watch);
        let found = fs::read(&path).unwrap();
        assert!(found == of_old || found == of_new, "{after}");
        seen.insert(found == of_new);
        if let Ok(outcome) = result {
            assert!(matches!(outcome, Outcome::Made(_)));
            assert_eq!(found, of_new);
            assert!(after > 3, "{after}");
            break;
        }
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_request_to_stop_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    record(&data, "KOSPI", &market_day(0, 390), false);
    seal_all(&data);
    let sealing = Sealing::take(&data, 0).unwrap();
    let watch = Watch {
        rows: &|_| (),
        stop: &AtomicBool::new(true),
    };
    let outcome = derive(&sealing, Derived::Daily, date(), &sessions(0, 390), false, watch);
    assert_eq!(outcome.unwrap(), Outcome::Stopped);
    assert!(!date_file::path(&data, &DAILY, date()).exists());
}
