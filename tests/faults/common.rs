//! What the parts share: recorders of one market or both, and what their journals held when they were killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use chrono::NaiveDate;
use krx_harness::coverage::{self, Coverage};
use krx_harness::oracle::Report;
use krx_harness::process::text_of;
use krx_harness::{RecorderConfig, Simulator};
use krx_store::DataDir;
use krx_store::journal::{Followed, Follower, RecordKind, SegmentReader};
use krx_tests::strace::{Call, Log, Outcome};
use krx_tests::tally::Tally;

pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(20);

/// Nothing listens on the discard port of a loopback address.
pub(crate) const NOWHERE: &str = "ws://127.0.0.1:9";

/// A feed of KOSPI only: then each of the recorder's threads exists once, and what it does can be counted.
pub(crate) const KOSPI_ALONE: &str = "[[feed]]\nmarket = \"KOSPI\"\npath = \"/ws_ksp\"\n";

static TURN: Mutex<()> = Mutex::new(());

/// Parts run one after another, since each measures times.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// A folder for one simulator, its ledger and its recorders. If something failed, it is kept for inspection in the
/// directory named by `$KRX_FAULTS_KEEP`, if any.
pub(crate) struct Bench {
    folder: Option<tempfile::TempDir>,
    pub(crate) simulator: Simulator,
    pub(crate) config: RecorderConfig,
}

impl Bench {
    pub(crate) fn new(arguments: &[&str]) -> Result<Self> {
        Self::within(&[], arguments)
    }

    /// With the simulator started by another command, such as `ip netns exec NAME`.
    pub(crate) fn within(wrapper: &[&str], arguments: &[&str]) -> Result<Self> {
        let folder = match std::env::var_os("KRX_FAULTS_KEEP") {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => tempfile::tempdir()?,
        };
        let simulator = Simulator::start_within(wrapper, folder.path(), arguments)?;
        let config = RecorderConfig {
            rows_max: 20_000,
            segment_bytes: 4 << 20,
            ..RecorderConfig::new(folder.path(), &simulator.url)
        };
        Ok(Self {
            folder: Some(folder),
            simulator,
            config,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.as_ref().expect("it is there until the drop").path()
    }

    /// Where strace may write.
    pub(crate) fn log(&self, run: usize) -> PathBuf {
        self.path().join(format!("strace-{run:04}.log"))
    }

    /// Keeps the folder, when asked to.
    pub(crate) fn keep(&mut self) {
        if std::env::var_os("KRX_FAULTS_KEEP").is_some()
            && let Some(folder) = &mut self.folder
        {
            folder.disable_cleanup(true);
            println!("   kept: {}", folder.path().display());
        }
    }

    /// An undisturbed recorder brings what is left into the datasets; then the exchange ends.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let config = RecorderConfig {
            wrapper: Vec::new(),
            variables: Vec::new(),
            base_url: NOWHERE.to_owned(),
            ..self.config.clone()
        };
        recover(&config)?;
        self.simulator.stop()
    }
}

/// Starts a recorder that finds no server, and stops it: it exports what the journal has.
pub(crate) fn recover(config: &RecorderConfig) -> Result<()> {
    let mut recorder = config.start()?;
    recorder.wait_for_log("not connected", 1, CONNECT_MAX)?;
    recorder.stop()
}

/// A market's last data frame in a journal that nobody is writing to; `None` if there is none.
pub(crate) fn last_data_frame(data_dir: &Path, market: &str) -> Result<Option<(NaiveDate, i64)>> {
    let dir = DataDir::new(data_dir).journal(&market.parse()?);
    let mut follower = Follower::new(dir, None);
    let mut last = None;
    loop {
        match follower.advance()? {
            Followed::Record(name, head) => {
                if head.kind == RecordKind::Frame && follower.payload().first() == Some(&b'[') {
                    last = Some((name.date, head.frame.cast_signed()));
                }
            }
            Followed::SegmentEnd(_) | Followed::Damage(..) => {}
            Followed::CaughtUp => return Ok(last),
        }
    }
}

/// I1: whatever `write` had returned for is complete in the journal of a recorder that was killed.
pub(crate) fn assert_written_is_there(log: &Log) -> Result<()> {
    let written = |call: &&Call| {
        call.call == "pwrite64" && matches!(call.outcome, Outcome::Done(_)) && {
            call.file().is_some_and(|file| file.ends_with(".journal"))
        }
    };
    let Some(last) = log.calls.iter().rev().find(written) else {
        return Ok(());
    };
    let Outcome::Done(bytes) = last.outcome else {
        return Ok(());
    };
    let offset = last.arguments.rsplit(", ").next().unwrap_or("");
    let end = offset.parse::<i64>()? + bytes;
    let path = Path::new(last.file().unwrap_or(""));
    let mut reader = SegmentReader::open(path)?;
    let limit = reader.file_bytes()?;
    while reader.advance(limit)? != krx_store::journal::Scanned::End {}
    ensure!(
        reader.position() >= end.cast_unsigned(),
        "I1: {} ends at {} and was written up to {end}: frames are lost",
        path.display(),
        reader.position()
    );
    Ok(())
}

/// I1: the last frames in the journals of killed recorders are the last that were recorded of some session: nothing
/// after them was dropped.
pub(crate) fn assert_recorded_to(
    report: &Report,
    market: &str,
    last: &BTreeMap<usize, (NaiveDate, i64)>,
) -> Result<()> {
    let recorded: Vec<_> = report.markets[market]
        .sessions
        .values()
        .filter_map(|session| session.last_frame)
        .collect();
    for (kill, last) in last {
        ensure!(
            recorded.contains(last),
            "I1: frame {} of {} was the last in the journal after kill {kill}, and is the last of no recorded \
             session: frames are lost",
            last.1,
            last.0
        );
    }
    Ok(())
}

/// Looks for panics in the logs of all recorders of a folder.
pub(crate) fn look_at_logs(tally: &mut Tally, what: impl std::fmt::Debug, folder: &Path) {
    for path in std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("recorder-") {
            tally.look_at_log(format!("{what:?}, {name}"), &text_of(&path).unwrap_or_default());
        }
    }
}

/// An instant for each of the ledger's sessions, by market and number, µs since the Unix epoch.
pub(crate) type Sessions = BTreeMap<(String, u32), i64>;

/// I1: whatever was sent in a session more than `slack` before its instant is recorded.
pub(crate) fn assert_nothing_older_is_lost(report: &Report, ends: &Sessions, slack: Duration) -> Result<()> {
    for ((market, number), end_us) in ends {
        let session = report
            .markets
            .get(market.as_str())
            .and_then(|market| market.sessions.get(number));
        if let Some(lost_us) = session.and_then(|session| session.first_lost_us) {
            let age = Duration::from_micros(u64::try_from(end_us - lost_us).unwrap_or(0));
            ensure!(
                age <= slack,
                "I1: {market}, session {number}: a text that was sent {age:?} before the end is lost"
            );
        }
    }
    Ok(())
}

/// Compares the coverage ledger with what is recorded, if the recorder can report it.
pub(crate) fn check_coverage(
    tally: &mut Tally,
    what: impl std::fmt::Display,
    config: &RecorderConfig,
) -> Option<Coverage> {
    match coverage::is_told(config) {
        Ok(true) => {}
        Ok(false) => {
            tally.skip("coverage", "this recorder has no `coverage`");
            return None;
        }
        Err(error) => {
            tally.failed(&what, &error);
            return None;
        }
    }
    match coverage::check(config) {
        Ok(coverage) => Some(coverage),
        Err(error) => {
            tally.failed(&what, &error);
            None
        }
    }
}
