//! Per-issue feeds in tests: a small exchange, a recorder of it, and the facts to wait for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use krx_harness::issues::IssueReport;
use krx_harness::issues::registrations::{last_states, without_holes};
use krx_harness::process::wait_until;
use krx_harness::{Group, IssueList, Mode, Recorder, RecorderConfig, Simulator, compare, compare_issues};

/// A small exchange's issues. So few of them trade all the time.
pub const STOCKS: [&str; 6] = ["005930", "000660", "00088K", "0004V0", "Q500061", "035420"];

/// Presets of all that has a price.
pub const PRESETS: [&str; 4] = ["tick", "quote", "tick10", "quote10"];

/// Items of preset `change`: prices, numbers, and a time.
pub const ITEMS: [&str; 6] = [
    "trdPrc",
    "trdvol",
    "trdTm",
    "accTrdvol",
    "cmpprevddPrc",
    "askStep1BstordPrc",
];

/// What a recorder logs when the feed begins a session.
const CONNECTED: &str = "INFO connected feed=ISSUES";

/// A code that the exchange does not know.
pub const UNKNOWN: &str = "999999";

/// Writes the list of a small exchange's issues; returns the option that names it to the simulator.
///
/// # Errors
/// When it cannot be written.
pub fn listed(folder: &Path) -> Result<String> {
    let mut csv = "code,market,base_price\n".to_owned();
    for (nth, code) in STOCKS.iter().enumerate() {
        let market = if nth % 2 == 0 { "KOSPI" } else { "KOSDAQ" };
        csv.push_str(&format!("{code},{market},{}\n", 1_000 + 17_000 * nth));
    }
    let path = folder.join("issues.csv");
    fs::write(&path, csv).with_context(|| format!("writing {}", path.display()))?;
    Ok(format!("--issues={}", path.display()))
}

/// Every preset of stocks, a future, a spread, options and indices, and a pair that is refused.
#[must_use]
pub fn everything() -> IssueList {
    let derivatives = ["101N6000", "401N6N9S", "201N6310", "201N6220*006"];
    IssueList::of(vec![
        Group::of(&PRESETS, &["005930", "000660", "00088K"]),
        Group::of(&["change"], &["005930", "00088K"]).with_items(&ITEMS),
        Group::of_derivatives(&PRESETS, &derivatives),
        Group::of_derivatives(&["change"], &["101N6000"]).with_items(&ITEMS[..3]),
        Group::of(&["index"], &["001", "302"]),
        Group::of(&["tick10"], &[UNKNOWN]),
    ])
}

/// How many of [`everything`] are accepted.
#[must_use]
pub fn accepted(list: &IssueList) -> usize {
    let unknown = |group: &&Group| group.codes.iter().any(|code| code == UNKNOWN);
    let refused: usize = list
        .groups
        .iter()
        .filter(unknown)
        .map(|group| group.presets.len())
        .sum();
    list.len() - refused
}

/// The requests that ask for all of a list.
#[must_use]
pub fn subscribes(list: &IssueList) -> BTreeSet<String> {
    let pairs = list.groups.iter().flat_map(|group| {
        let of = |code| {
            group
                .presets
                .iter()
                .map(move |preset| format!("subscribe {preset}:{code}"))
        };
        group.codes.iter().flat_map(of)
    });
    pairs.collect()
}

/// A recorder of this list and of KOSPI, which logs each registration.
#[must_use]
pub fn recorder_of(folder: &Path, base_url: &str, list: &IssueList) -> RecorderConfig {
    RecorderConfig {
        more: tables(list),
        ..RecorderConfig::new(folder, base_url)
    }
}

/// The tables of [`recorder_of`].
#[must_use]
pub fn tables(list: &IssueList) -> String {
    format!(
        "[log]\nfilter = \"krx_recorder=debug,info\"\n\n[connection]\nanswer_timeout = \"1s\"\nbackoff_initial = \"100ms\"\n\n\
         [[feed]]\nmarket = \"KOSPI\"\npath = \"/ws_ksp\"\n\n{}",
        list.to_toml()
    )
}

/// A small exchange of KOSPI and of the per-issue service, with further options for it.
///
/// # Errors
/// When it does not start.
pub fn exchange(folder: &Path, options: &[&str]) -> Result<Simulator> {
    let listed = listed(folder)?;
    let common = ["--market", "KOSPI", "--trades-per-day", "8000"];
    let options: Vec<_> = [listed.as_str()]
        .into_iter()
        .chain(common)
        .chain(options.iter().copied())
        .collect();
    Simulator::start(folder, &options)
}

/// What was recorded is exactly what was sent, of both services.
///
/// # Errors
/// The first difference.
pub fn exactly(simulator: &Simulator, config: &RecorderConfig, list: &IssueList) -> Result<IssueReport> {
    compare(&simulator.ledger, &config.data_dir, Mode::Exact)?;
    let report = compare_issues(&simulator.ledger, &config.data_dir, list, Mode::Exact)?;
    println!("{report}");
    Ok(report)
}

/// All of a list that never changed is on record without a hole (I11), and was active at the end of the last session, but
/// for what the exchange does not know.
///
/// # Errors
/// What is not.
pub fn all_on_record(report: &IssueReport, list: &IssueList) -> Result<()> {
    without_holes(&report.registrations)?;
    let found = last_states(&report.registrations);
    let wanted = subscribes(list);
    let wanted: Vec<_> = wanted
        .iter()
        .filter_map(|words| words.strip_prefix("subscribe "))
        .collect();
    ensure!(
        found.len() == wanted.len(),
        "{} of {} are on record",
        found.len(),
        wanted.len()
    );
    for pair in wanted {
        let expected = if pair.ends_with(UNKNOWN) {
            "refused"
        } else {
            "active"
        };
        let state = found.get(pair).copied();
        ensure!(
            state == Some(expected),
            "{pair} is {state:?} and should be {expected}"
        );
    }
    Ok(())
}

/// How many registrations of its latest session a recorder has logged as being in a state.
///
/// # Errors
/// When its log cannot be read.
pub fn registrations(recorder: &Recorder, state: &str) -> Result<usize> {
    let log = recorder.log()?;
    let latest = log.rsplit(CONNECTED).next().unwrap_or_default();
    if latest.len() == log.len() {
        return Ok(0);
    }
    let of_state = format!(" state={state}");
    let is_one = |line: &&str| line.contains(" feed=ISSUES pair=") && line.contains(&of_state);
    Ok(latest.lines().filter(is_one).count())
}

/// Waits until the feed has begun so many sessions, and so many registrations of the latest one are active.
///
/// # Errors
/// When it ends before that, or it takes longer than `limit`; with the end of the log.
pub fn wait_for_registrations(
    recorder: &mut Recorder,
    sessions: usize,
    active: usize,
    limit: Duration,
) -> Result<()> {
    let what = format!("{active} registrations are active in session {sessions}");
    wait_for_log(recorder, &what, limit, |recorder| {
        let begun = recorder.log()?.matches(CONNECTED).count();
        Ok(begun >= sessions && registrations(recorder, "active")? >= active)
    })
}

/// Waits until one registration of the feed's latest session is refused that was refused before.
///
/// # Errors
/// As [`wait_for_registrations`].
pub fn wait_for_refusal_again(recorder: &mut Recorder, limit: Duration) -> Result<()> {
    wait_for_log(recorder, "one is refused again", limit, |recorder| {
        Ok(registrations(recorder, "refused")? > 0)
    })
}

/// The frames of the feed that are in committed files, by a recorder's log.
#[must_use]
pub fn frames_committed(log: &str) -> u64 {
    let files = log.rsplit_once("committed feed=ISSUES file=");
    let name = files.and_then(|(_, rest)| rest.split(".parquet").next());
    let last = name.and_then(|name| name.rsplit('-').next()?.parse().ok());
    last.unwrap_or(0)
}

/// Waits until so many frames of the feed are in committed files of one date.
///
/// # Errors
/// As [`wait_for_registrations`].
pub fn wait_for_frames(recorder: &mut Recorder, frames: u64, limit: Duration) -> Result<()> {
    let what = format!("{frames} frames are in committed files");
    wait_for_log(recorder, &what, limit, |recorder| {
        Ok(frames_committed(&recorder.log()?) >= frames)
    })
}

fn wait_for_log(
    recorder: &mut Recorder,
    what: &str,
    limit: Duration,
    mut is_so: impl FnMut(&Recorder) -> Result<bool>,
) -> Result<()> {
    let waited = wait_until(limit, what, || {
        let is_running = recorder.process.ended()?.is_none();
        let is_so = is_so(recorder)?;
        ensure!(is_so || is_running, "the recorder ended before {what}");
        Ok(is_so)
    });
    waited.with_context(|| recorder.log_end())
}
