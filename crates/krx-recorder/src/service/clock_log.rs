//! Writes the dataset `clock`, on its own thread: whatever the disk does, nothing waits for it (invariant I6).
//!
//! ```text
//!   a row each minute ──▶ channel ──▶ thread: the rows of a date ──▶ its file, replaced every few minutes
//! ```

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use krx_store::clock::{self, ClockRow};
use krx_store::{DataDir, StoreError};
use tracing::{error, info, warn};

/// How often the file is replaced.
const WRITE_INTERVAL: Duration = Duration::from_secs(300);

/// Rows that wait while the disk hangs: those of four hours.
const WAITING_MAX: usize = 240;

/// Rows of a date: those of its minutes, and of many starts.
const ROWS_MAX: usize = 10_000;

/// After a start, a row that is not a minute later than the last one in the file is left out, so that a recorder that is
/// started again and again does not fill it.
const APART_MIN_US: i64 = 45_000_000;

/// How often the log repeats that the file cannot be written.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// The thread, and the way to it.
#[derive(Debug)]
pub(crate) struct ClockLog {
    rows: Option<SyncSender<ClockRow>>,
    thread: Option<JoinHandle<()>>,
    is_full: bool,
}

impl ClockLog {
    /// Starts the thread.
    #[must_use]
    pub(crate) fn start(data: DataDir) -> Self {
        let (rows, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("clock".into());
        let thread = thread.spawn(move || run(&mut Pages::new(data), &waiting));
        let thread =
            thread.inspect_err(|error| error!(%error, "the dataset `clock` is not written: no thread"));
        Self {
            rows: Some(rows),
            thread: thread.ok(),
            is_full: false,
        }
    }

    /// Adds a row, unless too many wait.
    pub(crate) fn add(&mut self, row: ClockRow) {
        let Some(rows) = &self.rows else { return };
        match rows.try_send(row) {
            Ok(()) => self.is_full = false,
            Err(TrySendError::Full(_)) if !std::mem::replace(&mut self.is_full, true) => {
                warn!("the disk does not take the dataset `clock`; rows are left out until it does");
            }
            Err(_) => {}
        }
    }

    /// Has the rest written, and waits for it.
    pub(crate) fn end(mut self) {
        drop(self.rows.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread of the dataset `clock` panicked: that is a bug, please report it");
        }
    }
}

fn run(pages: &mut Pages, rows: &Receiver<ClockRow>) {
    let mut next = Instant::now() + WRITE_INTERVAL;
    loop {
        match rows.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(row) => pages.add(row),
            Err(RecvTimeoutError::Timeout) => {
                pages.write();
                next = Instant::now() + WRITE_INTERVAL;
            }
            Err(RecvTimeoutError::Disconnected) => return pages.write(),
        }
    }
}

/// The rows of the current date.
#[derive(Debug)]
struct Pages {
    data: DataDir,
    page: Option<Page>,
    /// When the log last said that the disk refused.
    refused: Option<Instant>,
}

/// The rows of a date.
#[derive(Debug)]
struct Page {
    date: NaiveDate,
    /// What the file had at the beginning; `None` before it was read.
    before: Option<Vec<ClockRow>>,
    rows: Vec<ClockRow>,
    is_written: bool,
}

impl Pages {
    fn new(data: DataDir) -> Self {
        Self {
            data,
            page: None,
            refused: None,
        }
    }

    fn add(&mut self, row: ClockRow) {
        let date = row.ts.date();
        if self.page.as_ref().is_some_and(|page| page.date != date) {
            // If the disk refuses now, the rows since the last time are lost: memory is bounded.
            self.write();
            self.page = None;
        }
        let is_new = self.page.is_none();
        let page = self.page.get_or_insert_with(|| Page {
            date,
            before: None,
            rows: Vec::new(),
            is_written: true,
        });
        if page.rows.len() < ROWS_MAX {
            page.rows.push(row);
            page.is_written = false;
        }
        if is_new {
            // So that a date on which anything was recorded has a file, however soon the recorder is killed.
            self.write();
        }
    }

    fn write(&mut self) {
        let Some(page) = &mut self.page else { return };
        if page.is_written {
            return;
        }
        match page.write(&self.data) {
            Ok(()) => {
                if self.refused.take().is_some() {
                    info!("the dataset `clock` is written again");
                }
            }
            Err(error) => {
                if self.refused.is_none_or(|at| at.elapsed() >= REPEAT_INTERVAL) {
                    warn!(%error, date = %page.date, "the dataset `clock` cannot be written; trying again in five minutes");
                    self.refused = Some(Instant::now());
                }
            }
        }
    }
}

impl Page {
    fn write(&mut self, data: &DataDir) -> Result<(), StoreError> {
        if self.before.is_none() {
            let before = match clock::load(data, self.date) {
                // Nobody can read it as it is, and its rows are nowhere else.
                Err(error @ StoreError::Unsound { .. }) => {
                    warn!(%error, date = %self.date, "the date's file of the dataset `clock` is damaged, and is made anew");
                    Vec::new()
                }
                loaded => loaded?,
            };
            self.continue_after(before);
        }
        let before = self.before.iter().flatten();
        let rows: Vec<_> = before.chain(&self.rows).take(ROWS_MAX).cloned().collect();
        clock::store(data, self.date, &rows)?;
        self.is_written = true;
        Ok(())
    }

    fn continue_after(&mut self, before: Vec<ClockRow>) {
        if let (Some(last), Some(first)) = (before.last(), self.rows.first())
            && (0..APART_MIN_US).contains(&(first.ts.0 - last.ts.0))
        {
            self.rows.remove(0);
        }
        self.before = Some(before);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use krx_store::Moment;
    use krx_store::dataset::CLOCK;
    use krx_store::date_file;

    use super::*;
    use crate::process::logging::logged;

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    /// A row of this second of the date.
    fn row(second: i64) -> ClockRow {
        ClockRow {
            ts: Moment(Moment::midnight(date()).0 + second * 1_000_000),
            synchronised: Some(true),
            offset_us: None,
            max_error_us: Some(second),
            source: "kernel".to_owned(),
        }
    }

    fn seconds(data: &DataDir, date: NaiveDate) -> Vec<i64> {
        let rows = clock::load(data, date).unwrap();
        rows.iter().map(|row| row.max_error_us.unwrap()).collect()
    }

    /// What a recorder writes that has these rows.
    fn record(data: &DataDir, of: &[i64]) {
        let mut log = ClockLog::start(data.clone());
        of.iter().for_each(|second| log.add(row(*second)));
        log.end();
    }

    #[test]
    fn a_date_is_written_across_restarts_and_the_next_one_into_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        record(&data, &[36_000, 36_060]);
        assert_eq!(seconds(&data, date()), [36_000, 36_060]);
        // Started again within the minute.
        record(&data, &[36_070, 36_130]);
        assert_eq!(seconds(&data, date()), [36_000, 36_060, 36_130]);
        record(&data, &[86_390, 86_450]);
        assert_eq!(seconds(&data, date()), [36_000, 36_060, 36_130, 86_390]);
        let tomorrow = date().succ_opt().unwrap();
        assert_eq!(seconds(&data, tomorrow), [86_450]);
        // The clock is set back across midnight.
        record(&data, &[86_460, 72_000]);
        assert_eq!(seconds(&data, date()), [36_000, 36_060, 36_130, 86_390, 72_000]);
        assert_eq!(seconds(&data, tomorrow), [86_450]);
    }

    #[test]
    fn a_disk_that_refuses_costs_a_warning_and_no_row() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        // A file where the directory should be.
        fs::write(dir.path().join("clock"), "").unwrap();
        let mut pages = Pages::new(data.clone());
        let told = logged(|| (0..3).for_each(|minute| pages.add(row(36_000 + 60 * minute))));
        assert_eq!(
            told.matches("WARN krx_recorder::service::clock_log: the dataset `clock` cannot be written")
                .count(),
            1,
            "{told}"
        );
        assert_eq!(logged(|| pages.write()), "", "said already");
        fs::remove_file(dir.path().join("clock")).unwrap();
        assert!(
            logged(|| pages.write())
                .contains("INFO krx_recorder::service::clock_log: the dataset `clock` is written again")
        );
        assert_eq!(seconds(&data, date()), [36_000, 36_060, 36_120]);
    }

    #[test]
    fn a_damaged_file_is_made_anew_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        record(&data, &[36_000]);
        fs::write(date_file::path(&data, &CLOCK, date()), "no Parquet").unwrap();
        let mut pages = Pages::new(data.clone());
        let told = logged(|| pages.add(row(40_000)));
        assert!(
            told.contains(
                "WARN krx_recorder::service::clock_log: the date's file of the dataset `clock` is damaged"
            ),
            "{told}"
        );
        assert_eq!(seconds(&data, date()), [40_000]);
    }
}
