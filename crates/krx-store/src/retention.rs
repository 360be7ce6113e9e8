//! Removing dates that are older than they are wanted for. Off unless asked for.
//!
//! What is not sealed is never removed: a date of which any market still has journal stays, whatever its age. So does,
//! for that reason, the newest date of each market, by whose files the exporter knows how far it is.
//!
//! ```text
//!   DATA/trades/date=2025-11-20/   ──▶   DATA/.krx/staging/expired-trades-2025-11-20/   ──▶   gone
//! ```
//!
//! A date leaves its dataset by one rename, so that whoever lists the dataset sees all of it or nothing. Before that its
//! files leave the list of checksums. A crash in between leaves files without lines, or a directory in staging; the
//! next run goes on with either.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use chrono::{Days, NaiveDate};
use tracing::{info, warn};

use crate::checksums::{self, Checksums};
use crate::error::{StoreError, at};
use crate::journal::list_segments;
use crate::layout::{DataDir, Dataset, Market, SealedPath};

/// For how many days after its date each dataset is kept; `None` for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Trades.
    pub trades_days: Option<u32>,
    /// Quarantine.
    pub quarantine_days: Option<u32>,
    /// Coverage.
    pub coverage_days: Option<u32>,
}

impl Retention {
    fn days(&self, dataset: Dataset) -> Option<u32> {
        match dataset {
            Dataset::Trades => self.trades_days,
            Dataset::Quarantine => self.quarantine_days,
            Dataset::Coverage => self.coverage_days,
        }
    }
}

/// A date that was removed from a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The dataset.
    pub dataset: Dataset,
    /// The date.
    pub date: NaiveDate,
    /// Its files.
    pub files: usize,
}

/// A clock that says that nothing was recorded for longer than this may be wrong, and nothing is removed on its word. Korea
/// has no holidays of this length. After a longer pause the first date that is recorded makes the clock credible.
const PAUSE_DAYS_MAX: u32 = 31;

/// The beginning of what stands in staging only to be removed.
const EXPIRED: &str = "expired-";

/// Removes what is more than its days before `today`, in all datasets; what was removed. Beside a recorder at work as
/// well as without one; the data directory's lock must be held by this process.
///
/// # Errors
/// [`StoreError::Io`]; what stands before the failure is removed, and the next run does the rest.
pub fn expire(data: &DataDir, retention: Retention, today: NaiveDate) -> Result<Vec<Expired>, StoreError> {
    clear_staging(data)?;
    let journaled = journaled_dates(data)?;
    if let Some(last) = last_before(data, &journaled, today)?
        && is_over(last, today, PAUSE_DAYS_MAX)
    {
        if retention != Retention::default() {
            warn!(%last, %today, "nothing is removed: no date was recorded for more than a month, or the clock is wrong");
        }
        return Ok(Vec::new());
    }
    let mut expired = Vec::new();
    for dataset in Dataset::ALL {
        let Some(days) = retention.days(dataset) else {
            continue;
        };
        for date in dates(data, dataset)? {
            if is_over(date, today, days) && !journaled.contains(&date) {
                let files = remove(data, dataset, date)?;
                info!(dataset = dataset.as_str(), %date, files, days, "removed: it is older than retention says");
                expired.push(Expired { dataset, date, files });
            }
        }
    }
    clear_staging(data)?;
    Ok(expired)
}

/// Whether `date` is more than `days` before `today`.
fn is_over(date: NaiveDate, today: NaiveDate, days: u32) -> bool {
    let last = date.checked_add_days(Days::new(days.into()));
    last.is_some_and(|last| last < today)
}

/// The dates of which any market has journal that is not removed yet.
fn journaled_dates(data: &DataDir) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let mut dates = BTreeSet::new();
    for name in checksums::list_names(&data.journals())? {
        if let Ok(market) = name.parse::<Market>() {
            let segments = list_segments(&data.journal(&market))?;
            dates.extend(segments.into_iter().map(|segment| segment.date));
        }
    }
    Ok(dates)
}

/// The last date before `today` that something was recorded on.
fn last_before(
    data: &DataDir,
    journaled: &BTreeSet<NaiveDate>,
    today: NaiveDate,
) -> Result<Option<NaiveDate>, StoreError> {
    let mut all = journaled.clone();
    for dataset in Dataset::ALL {
        all.extend(dates(data, dataset)?);
    }
    Ok(all.into_iter().rfind(|date| *date < today))
}

fn dates(data: &DataDir, dataset: Dataset) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let names = checksums::list_names(&data.path().join(dataset.as_str()))?;
    Ok(names
        .iter()
        .filter_map(|name| name.strip_prefix("date=")?.parse().ok())
        .filter(|date| data.date_dir(dataset, *date).is_dir())
        .collect())
}

/// Takes a date out of its dataset; the number of its files.
fn remove(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<usize, StoreError> {
    let mut files: Vec<SealedPath> = Vec::new();
    for market in checksums::sealed_markets(data, date)? {
        files.extend(checksums::sealed_files(data, &market, date)?);
    }
    files.retain(|path| path.name.dataset == dataset);
    let list = Checksums::of(data, date);
    if list.read().is_ok_and(|list| list.exists) {
        list.record(&[], &files)?;
    }
    let dir = data.date_dir(dataset, date);
    data.disk().create_dir(&data.staging())?;
    let aside = data
        .staging()
        .join(format!("{EXPIRED}{}-{date}", dataset.as_str()));
    data.disk().rename(&dir, &aside)?;
    data.disk().sync_parent(&dir)?;
    Ok(files.len())
}

/// Removes what was set aside, now or before a crash.
fn clear_staging(data: &DataDir) -> Result<(), StoreError> {
    for name in checksums::list_names(&data.staging())? {
        if name.starts_with(EXPIRED) {
            clear(data, &data.staging().join(name))?;
        }
    }
    Ok(())
}

fn clear(data: &DataDir, path: &Path) -> Result<(), StoreError> {
    let is_dir = fs::symlink_metadata(path)
        .map_err(at("looking at", path))?
        .is_dir();
    if !is_dir {
        return data.disk().remove(path);
    }
    let entries = fs::read_dir(path).map_err(at("listing", path))?;
    for entry in entries {
        clear(data, &entry.map_err(at("listing", path))?.path())?;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at("removing the directory", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    /// A file of each dataset for each date, with its line; and a journal segment of the last date.
    fn recorded(dir: &Path, days: &[u32]) -> DataDir {
        let data = DataDir::new(dir);
        let market: Market = "KOSPI".parse().unwrap();
        for date in days.iter().map(|number| day(*number)) {
            let mut paths = Vec::new();
            for dataset in Dataset::ALL {
                let name = format!(
                    "{}-{}T090000-000000000001-000000000009.parquet",
                    dataset.as_str(),
                    date.format("%Y%m%d")
                );
                let partition = data.partition(dataset, date, &market);
                fs::create_dir_all(&partition).unwrap();
                fs::write(partition.join(&name), "PAR1").unwrap();
                let path = format!("{}/date={date}/market=KOSPI/{name}", dataset.as_str());
                paths.push(SealedPath::parse(&path).unwrap());
            }
            Checksums::of(&data, date).record_files(&paths).unwrap();
        }
        let last = day(*days.last().unwrap()).format("%Y%m%d");
        fs::create_dir_all(data.journal(&market)).unwrap();
        fs::write(
            data.journal(&market)
                .join(format!("00000001-{last}-000000000001.journal")),
            "",
        )
        .unwrap();
        data
    }

    fn left(data: &DataDir, dataset: Dataset) -> Vec<String> {
        let names = dates(data, dataset).unwrap();
        names.iter().map(|date| date.format("%d").to_string()).collect()
    }

    #[test]
    fn each_dataset_is_kept_for_its_own_days_and_what_has_journal_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 3, 4, 5]);
        let nothing = expire(&data, Retention::default(), day(30)).unwrap();
        assert_eq!(nothing, [], "it is off as long as nobody asks for it");
        let retention = Retention {
            trades_days: Some(10),
            quarantine_days: Some(1),
            coverage_days: None,
        };
        // The 2nd is ten days ago on the 12th, and more than that on the 13th.
        assert_eq!(expire(&data, retention, day(12)).unwrap().len(), 3);
        assert_eq!(left(&data, Dataset::Trades), ["02", "03", "04", "05"]);
        assert_eq!(left(&data, Dataset::Quarantine), ["05"], "it has journal");
        let expired = expire(&data, retention, day(13)).unwrap();
        assert_eq!(
            expired,
            [Expired {
                dataset: Dataset::Trades,
                date: day(2),
                files: 1
            }]
        );
        expire(&data, retention, day(30)).unwrap();
        assert_eq!(left(&data, Dataset::Trades), ["05"]);
        assert_eq!(left(&data, Dataset::Coverage), ["02", "03", "04", "05"]);
        let list = Checksums::of(&data, day(2)).read().unwrap();
        let lines: Vec<_> = list.digests.keys().collect();
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("coverage/"), "{lines:?}");
        assert_eq!(
            checksums::list_names(&data.staging()).unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_clock_that_is_far_ahead_removes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 3, 4]);
        let retention = Retention {
            trades_days: Some(1),
            ..Retention::default()
        };
        let ahead = day(4) + Days::new(u64::from(PAUSE_DAYS_MAX) + 1);
        assert_eq!(expire(&data, retention, ahead).unwrap(), []);
        assert_eq!(
            expire(&data, retention, ahead.pred_opt().unwrap()).unwrap().len(),
            2
        );
    }

    #[test]
    fn a_run_that_was_cut_off_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 5]);
        let aside = data.staging().join("expired-trades-2026-11-01/market=KOSPI");
        fs::create_dir_all(&aside).unwrap();
        fs::write(aside.join("trades.parquet"), "PAR1").unwrap();
        fs::write(data.staging().join("trades-KOSPI.partial"), "").unwrap();
        expire(&data, Retention::default(), day(30)).unwrap();
        assert_eq!(
            checksums::list_names(&data.staging()).unwrap(),
            ["trades-KOSPI.partial"]
        );
    }
}
