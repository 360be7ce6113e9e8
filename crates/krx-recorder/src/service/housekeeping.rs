//! Housekeeping beside recording, on its own thread: sealing finished days, removing dates older than retention allows
//! once an hour, and removing, every few minutes, what sealed days replaced an hour ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use krx_calendar::Calendar;
use krx_store::day::{self, Layout, Outcome, Sealing, Uptime, Watch};
use krx_store::derived::{self, Derived};
use krx_store::disk::free_bytes;
use krx_store::retention::{self, Retention};
use krx_store::{DataDir, Moment, StoreError};
use tracing::{error, warn};

use crate::hours::regular::regular_sessions;

/// How often the main work is due. A date ends once a day, but a failure should not wait for the next.
const INTERVAL: Duration = Duration::from_secs(3600);

/// How often to look for files that sealed days replaced, normally and while the disk is nearly full.
const REPLACED_INTERVAL: Duration = Duration::from_secs(120);
const REPLACED_INTERVAL_LOW: Duration = Duration::from_secs(15);

/// A start is busy enough without housekeeping.
const AFTER_START: Duration = Duration::from_secs(60);

/// How far back to look for unsealed dates; older ones are left to `krx-recorder seal`.
const SEALED_BACK_DAYS: u64 = 31;

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Duties {
    /// The data directory.
    pub data: DataDir,
    /// How long to keep recorded data.
    pub retention: Retention,
    /// Whether to seal days.
    pub seals: bool,
    /// The hours in which stocks trade on a date.
    pub calendar: Arc<Calendar>,
    /// Whether to make minute bars of sealed days.
    pub bars: bool,
    /// Bytes on the disk reserved for the journal.
    pub reserve_bytes: u64,
    /// With less free, files that sealed days replaced are removed before their hour is over.
    pub low_bytes: u64,
    /// When the recorder was started: files replaced before that are removed.
    pub started: Uptime,
}

/// Does the housekeeping of one data directory.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    duties: Duties,
    /// Nothing is done before this.
    begins: Instant,
    next: Instant,
    /// When replaced files were last looked for.
    cleared: Option<Instant>,
    /// The last date considered for sealing.
    sealed_to: Option<NaiveDate>,
    /// Whether the last attempt to remove replaced files failed.
    uncleared: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    progress: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeping {
    /// Housekeeping that does nothing until the recorder has run for a minute.
    #[must_use]
    pub(crate) fn new(duties: Duties, now: Instant) -> Self {
        Self {
            duties,
            begins: now + AFTER_START,
            next: now + AFTER_START,
            cleared: None,
            sealed_to: None,
            uncleared: Arc::default(),
            stop: Arc::default(),
            progress: Arc::default(),
            thread: None,
        }
    }

    /// Starts work when it is due: every hour, and when another date is over. `over` is the last date on which nothing
    /// more is expected; `None` while any of it may still be exported. Replaced files are looked for more often, and
    /// more often still when less than `low_bytes` are free.
    pub(crate) fn look(&mut self, now: Instant, over: Option<NaiveDate>, free_bytes: u64) {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(done) = self.thread.take()
        {
            join(done);
        }
        let at_work = self.thread.is_some();
        let is_new = self.duties.seals && over.is_some() && over != self.sealed_to;
        let is_due = now >= self.next || (is_new && now >= self.begins);
        let interval = match free_bytes < self.duties.low_bytes {
            true => REPLACED_INTERVAL_LOW,
            false => REPLACED_INTERVAL,
        };
        let clears = now >= self.begins && self.cleared.is_none_or(|at| now >= at + interval);
        if at_work || !(is_due || clears) {
            return;
        }
        self.cleared = Some(now);
        if is_due {
            self.next = now + INTERVAL;
            self.sealed_to = over.or(self.sealed_to);
        }
        self.begin(over, is_due);
    }

    /// Uses a calendar that was read again, from the next piece of work on.
    pub(crate) fn follow(&mut self, calendar: Arc<Calendar>) {
        self.duties.calendar = calendar;
    }

    fn begin(&mut self, over: Option<NaiveDate>, is_due: bool) {
        let (duties, stop, progress) = (
            self.duties.clone(),
            Arc::clone(&self.stop),
            Arc::clone(&self.progress),
        );
        let uncleared = Arc::clone(&self.uncleared);
        let thread = std::thread::Builder::new().name("housekeeping".into());
        let started = thread.spawn(move || {
            match clear_replaced(&duties, Uptime::now()) {
                Ok(()) => uncleared.store(false, Relaxed),
                // While the disk is nearly full this is tried every few seconds: one message is enough.
                Err(error) if !uncleared.swap(true, Relaxed) => {
                    warn!(%error, "files that sealed days replaced cannot be removed; trying again every two minutes");
                }
                Err(_) => {}
            }
            if !is_due {
                return;
            }
            if let Some(over) = over.filter(|_| duties.seals) {
                seal_up_to(&duties, over, &stop, &progress);
            }
            if duties.retention != Retention::default()
                && let Err(error) = retention::expire(&duties.data, &duties.retention, Moment::now().date())
            {
                error!(%error, "old dates cannot be removed; trying again in an hour");
            }
        });
        match started {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                error!(%error, "the housekeeping thread cannot be started; trying again in an hour");
            }
        }
    }

    /// Hands the work under way over to the shutdown.
    #[must_use]
    pub(crate) fn leave(self) -> Leaving {
        Leaving {
            duties: self.duties,
            stop: self.stop,
            progress: self.progress,
            thread: self.thread,
        }
    }
}

/// Housekeeping while the recorder shuts down: stops the work under way, or first seals the day that is over.
#[derive(Debug)]
pub(crate) struct Leaving {
    duties: Duties,
    stop: Arc<AtomicBool>,
    progress: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Leaving {
    /// A flag that, once set, soon ends the sealing.
    #[must_use]
    pub(crate) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// A counter that grows while a day is being sealed.
    #[must_use]
    pub(crate) fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.progress)
    }

    /// Waits for the work under way, after asking it to stop unless the date `over` is to be sealed.
    pub(crate) fn end(self, over: Option<NaiveDate>) {
        if over.is_none() {
            self.stop.store(true, Relaxed);
        }
        if let Some(thread) = self.thread {
            join(thread);
        }
        if let Some(over) = over.filter(|_| self.duties.seals) {
            seal_up_to(&self.duties, over, &self.stop, &self.progress);
        }
    }
}

/// Waits for a thread that is done, or about to be. A panic costs its work, not the recorder.
fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        error!(
            "the housekeeping thread panicked: that is a bug, please report it; trying the same work again in an hour"
        );
    }
}

/// Seals the unsealed dates up to `last`, and makes the rows derived from sealed dates. A day that cannot be sealed
/// stays as it is, which readers do not mind, and is tried again in an hour.
fn seal_up_to(duties: &Duties, last: NaiveDate, stop: &AtomicBool, progress: &AtomicU64) {
    let sealed = || -> Result<(), StoreError> {
        let unsealed = day::unsealed(&duties.data, last, SEALED_BACK_DAYS)?;
        if unsealed.is_empty() && due(duties, last)?.is_empty() {
            return Ok(());
        }
        let sealing = Sealing::take(&duties.data, duties.reserve_bytes)?.with_low_bytes(duties.low_bytes);
        let watch = Watch {
            rows: &|rows| {
                progress.fetch_add(rows, Relaxed);
            },
            stop,
        };
        for (date, dataset, feed) in unsealed {
            match day::seal(&sealing, dataset, &feed, date, &Layout::default(), watch) {
                Ok(Outcome::Stopped) => break,
                Ok(_) => {}
                Err(error) => {
                    error!(%feed, %date, %error, "the day stays in several files; trying again in an hour");
                }
            }
        }
        for (date, derived) in due(duties, last)? {
            let sessions = regular_sessions(&duties.calendar, date);
            match derived::derive(&sealing, derived, date, &sessions, false, watch) {
                Ok(derived::Outcome::Stopped) => break,
                Ok(_) => {}
                Err(error) => {
                    let dataset = derived.dataset().name;
                    error!(dataset, %date, %error, "the day's rows cannot be made; trying again in an hour");
                }
            }
        }
        sealing.finish()
    };
    if let Err(error) = sealed() {
        error!(%error, "finished days cannot be sealed; trying again in an hour");
    }
}

/// Which rows are to be made of sealed dates.
fn due(duties: &Duties, last: NaiveDate) -> Result<Vec<(NaiveDate, Derived)>, StoreError> {
    let sessions = |date| regular_sessions(&duties.calendar, date);
    derived::due(&duties.data, last, SEALED_BACK_DAYS, &sessions, duties.bars)
}

/// Removes files that sealed days replaced, once their hour is over or space is short.
fn clear_replaced(duties: &Duties, now: Uptime) -> Result<(), StoreError> {
    let data = &duties.data;
    let is_enough = || Ok(free_bytes(data.path())? >= duties.low_bytes);
    let (started, is_short) = (Some(duties.started), !is_enough()?);
    if !day::is_due(data, now, started, is_short)? {
        return Ok(());
    }
    let sealing = match Sealing::take(data, duties.reserve_bytes) {
        // That process removes them itself.
        Err(StoreError::SealingElsewhere { .. }) => return Ok(()),
        taken => taken?,
    };
    day::settle(&sealing, now, started)?;
    if is_short {
        day::make_room(&sealing, &is_enough)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use krx_calendar::Override;
    use krx_store::dataset::{BARS_1M, DAILY};
    use krx_store::date_file;
    use krx_store::day::{State, state};
    use krx_store::journal::What;
    use krx_store::service::TRADES;
    use krx_store::{Entry, Event, ExportConfig, Exporter, FeedName, JournalConfig};

    use super::*;

    fn feed() -> FeedName {
        "KOSPI".parse().unwrap()
    }

    /// Records a date as two files.
    fn record(dir: &Path, date: NaiveDate) -> DataDir {
        let data = DataDir::new(dir);
        let config = JournalConfig {
            sync_interval: Duration::from_millis(1),
            segment_bytes: 1 << 20,
        };
        let at = Moment(Moment::midnight(date).0 + 9 * 3_600_000_000);
        let record = r#"[{"isuSrtCd":"005930","trdPrc":"71000","trdVol":"1","trdTm":"9000001"}]"#;
        let entry = |what| Entry { at, what };
        let frame = || entry(What::Frame(record.as_bytes().to_vec()));
        let connected = Event::Connected {
            url: "ws://127.0.0.1/".into(),
        };
        let entries = [
            entry(What::Event(connected)),
            frame(),
            entry(What::Event(Event::CommitNow)),
            frame(),
            entry(What::Event(Event::Stop)),
        ];
        let mut writer = krx_store::open_writer(&data, &feed(), config, Arc::default()).unwrap();
        writer.append(&entries).unwrap();
        writer.close().unwrap();
        let config = ExportConfig {
            rotate_interval: Duration::from_secs(60),
            rows_max: 1000,
            keep_days: 0,
            reserve_bytes: 0,
        };
        Exporter::new(&data, &feed(), config, None, Arc::default())
            .run()
            .unwrap();
        data
    }

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// Waits for the work that was started, if any.
    fn wait(housekeeping: &mut Housekeeping) {
        if let Some(thread) = housekeeping.thread.take() {
            thread.join().unwrap();
        }
    }

    fn duties(data: &DataDir, seals: bool) -> Duties {
        Duties {
            data: data.clone(),
            retention: Retention::default(),
            seals,
            calendar: Arc::default(),
            bars: false,
            reserve_bytes: 0,
            low_bytes: 0,
            started: Uptime::now(),
        }
    }

    #[test]
    fn a_date_is_sealed_when_it_is_over_and_earlier_ones_a_minute_after_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let data = record(dir.path(), date("2026-11-19"));
        let is_sealed = |day: &str| state(&data, &TRADES, &feed(), date(day)).unwrap() == State::Sealed;
        let start = Instant::now();
        let mut housekeeping = Housekeeping::new(duties(&data, true), start);
        housekeeping.look(
            start + Duration::from_secs(59),
            Some(date("2026-11-19")),
            u64::MAX,
        );
        assert!(housekeeping.thread.is_none(), "a start is busy enough");
        housekeeping.look(
            start + Duration::from_secs(60),
            Some(date("2026-11-19")),
            u64::MAX,
        );
        wait(&mut housekeeping);
        assert!(is_sealed("2026-11-19"));

        record(dir.path(), date("2026-11-20"));
        for over in [Some(date("2026-11-19")), None] {
            housekeeping.look(start + Duration::from_secs(120), over, u64::MAX);
            assert!(housekeeping.thread.is_none(), "it is not over, or not exported");
        }
        housekeeping.look(
            start + Duration::from_secs(180),
            Some(date("2026-11-20")),
            u64::MAX,
        );
        wait(&mut housekeeping);
        assert!(is_sealed("2026-11-20"));
        housekeeping.look(
            start + Duration::from_secs(181),
            Some(date("2026-11-20")),
            u64::MAX,
        );
        assert!(housekeeping.thread.is_none(), "not before an hour is over");
    }

    #[test]
    fn rows_are_made_of_sealed_dates_also_of_those_that_an_older_version_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let data = record(dir.path(), date("2026-11-19"));
        let daily = date_file::path(&data, &DAILY, date("2026-11-19"));
        let bars = date_file::path(&data, &BARS_1M, date("2026-11-19"));
        let start = Instant::now();
        let mut housekeeping = Housekeeping::new(duties(&data, true), start);
        let mut hours = 0;
        let mut work = |housekeeping: &mut Housekeeping| {
            hours += 1;
            let over = Some(date("2026-11-19"));
            housekeeping.look(start + Duration::from_secs(3600 * hours), over, u64::MAX);
            wait(housekeeping);
        };
        work(&mut housekeeping);
        assert!(daily.exists() && !bars.exists(), "bars are not asked for");
        std::fs::remove_file(&daily).unwrap();
        housekeeping.duties.bars = true;
        work(&mut housekeeping);
        assert!(daily.exists() && bars.exists(), "the date was sealed before");
        // The hours are the calendar's: on the day of the exam they begin at 10, and the trade was made at 9.
        let says = date_file::says(&data, &DAILY, date("2026-11-19"))
            .unwrap()
            .unwrap();
        let ten = Moment::midnight(date("2026-11-19")).0 + 10 * 3_600_000_000;
        assert!(says["regular_session"].starts_with(&ten.to_string()), "{says:?}");
        let changed = Calendar::with_overrides(vec![Override {
            date: date("2026-11-19"),
            hours: None,
            note: None,
        }]);
        housekeeping.follow(Arc::new(changed));
        work(&mut housekeeping);
        let says = date_file::says(&data, &DAILY, date("2026-11-19"))
            .unwrap()
            .unwrap();
        assert_eq!(says["regular_session"], "closed");
    }

    #[test]
    fn a_first_look_while_exporters_are_busy_does_not_postpone_sealing() {
        let dir = tempfile::tempdir().unwrap();
        let data = record(dir.path(), date("2026-11-20"));
        let start = Instant::now();
        let mut housekeeping = Housekeeping::new(duties(&data, true), start);
        housekeeping.look(start + Duration::from_secs(60), None, u64::MAX);
        wait(&mut housekeeping);
        housekeeping.look(
            start + Duration::from_secs(61),
            Some(date("2026-11-20")),
            u64::MAX,
        );
        wait(&mut housekeeping);
        assert_eq!(
            state(&data, &TRADES, &feed(), date("2026-11-20")).unwrap(),
            State::Sealed
        );
    }

    #[test]
    fn a_shutdown_seals_the_day_only_if_configured() {
        for (seals, over, sealed) in [
            (true, Some("2026-11-20"), true),
            (true, None, false),
            (false, Some("2026-11-20"), false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let data = record(dir.path(), date("2026-11-20"));
            let leaving = Housekeeping::new(duties(&data, seals), Instant::now()).leave();
            let progress = leaving.progress();
            leaving.end(over.map(date));
            let found = state(&data, &TRADES, &feed(), date("2026-11-20")).unwrap();
            assert_eq!(found == State::Sealed, sealed, "{seals} {over:?}: {found:?}");
            assert_eq!(progress.load(Relaxed) > 0, sealed);
        }
    }

    /// How many replaced files are still there.
    fn replaced(data: &DataDir) -> usize {
        let dir = data.sealing().join("2026-11-20-trades-KOSPI");
        let names = std::fs::read_dir(dir).map_or(0, Iterator::count);
        names.saturating_sub(1)
    }

    #[test]
    fn replaced_files_stay_until_space_is_short_or_a_recorder_starts() {
        let dir = tempfile::tempdir().unwrap();
        let data = record(dir.path(), date("2026-11-20"));
        let start = Instant::now();
        let mut housekeeping = Housekeeping::new(duties(&data, true), start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let over = Some(date("2026-11-20"));
        housekeeping.look(after(60), over, u64::MAX);
        wait(&mut housekeeping);
        housekeeping.look(after(60 + 120), over, u64::MAX);
        wait(&mut housekeeping);
        assert_eq!(replaced(&data), 2, "its hour is not over");

        housekeeping.duties.low_bytes = u64::MAX;
        housekeeping.look(after(60 + 120 + 14), over, 1);
        assert!(housekeeping.thread.is_none(), "just looked at");
        housekeeping.look(after(60 + 120 + 15), over, 1);
        wait(&mut housekeeping);
        assert_eq!(replaced(&data), 0, "space is short");

        let dir = tempfile::tempdir().unwrap();
        let data = record(dir.path(), date("2026-11-20"));
        let leaving = Housekeeping::new(duties(&data, true), Instant::now()).leave();
        leaving.end(over);
        assert_eq!(replaced(&data), 2, "a shutdown does not wait for them");
        let mut duties = duties(&data, true);
        duties.started = Uptime::now().later(Duration::from_secs(1));
        let mut housekeeping = Housekeeping::new(duties, start);
        housekeeping.look(after(60), None, u64::MAX);
        wait(&mut housekeeping);
        assert_eq!(replaced(&data), 0, "the next recorder has started");
    }

    #[test]
    fn a_stop_request_ends_the_sealing() {
        let dir = tempfile::tempdir().unwrap();
        let data = record(dir.path(), date("2026-11-20"));
        let leaving = Housekeeping::new(duties(&data, true), Instant::now()).leave();
        leaving.stop().store(true, Relaxed);
        leaving.end(Some(date("2026-11-20")));
        let found = state(&data, &TRADES, &feed(), date("2026-11-20")).unwrap();
        assert_eq!(found, State::Files { files: 2, rows: 2 });
    }
}
