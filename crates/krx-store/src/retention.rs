//! Removing dates that have been kept long enough. Off unless configured.
//!
//! What is not committed is never removed: a date stays, whatever its age, while any feed still has journal of it. For
//! the same reason so does each feed's newest date, whose files tell the exporter how far it is.
//!
//! ```text
//!   DATA/trades/date=2025-11-20/   ──▶   DATA/.krx/staging/expired-trades-2025-11-20/   ──▶   gone
//! ```
//!
//! A date leaves its dataset by a single rename, so a listing of the dataset shows all of it or nothing. Before that,
//! an empty file in `.krx/expired` records the removal, and the date's files leave the list of checksums. A crash in
//! between leaves files without lines, or a directory in staging; the next run completes either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use tracing::{info, warn};

use crate::catalog;
use crate::checksums::Checksums;
use crate::dataset::{Dataset, Rows};
use crate::disk::Output;
use crate::error::{StoreError, at};
use crate::layout::{CommittedName, CommittedPath, DataDir};
use crate::moment::is_past;

/// How many days each dataset is kept after its date, by name; one that is not named is kept for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    days: BTreeMap<&'static str, u32>,
}

impl Retention {
    /// The same, with a dataset kept for so many days.
    #[must_use]
    pub fn keeping(mut self, dataset: Dataset, days: u32) -> Self {
        self.days.insert(dataset.name, days);
        self
    }

    /// How many days a dataset is kept; `None` means for ever.
    #[must_use]
    pub fn days(&self, dataset: Dataset) -> Option<u32> {
        self.days.get(dataset.name).copied()
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

/// The clock is trusted if at least `CREDIBLE_DATES` of the last `CREDIBLE_DAYS` days before its date were recorded: a
/// clock that is years ahead must not remove years of data. No Korean holiday is that long; after a longer pause, a week
/// of recording makes the clock credible again.
const CREDIBLE_DATES: usize = 5;
const CREDIBLE_DAYS: u32 = 31;

/// The prefix of what is in staging only to be removed.
const EXPIRED: &str = "expired-";

/// Removes whatever is too old by the date `today`, from all datasets, and returns what was removed. Works with or
/// without a recorder running; this process must hold the data directory's lock.
///
/// # Errors
/// The first [`StoreError::Io`]. A date that cannot be removed does not hold up the others.
pub fn expire(data: &DataDir, retention: &Retention, today: NaiveDate) -> Result<Vec<Expired>, StoreError> {
    let mut failure = clear_staging(data).err();
    let over = over(data, retention, today)?;
    if !over.is_empty() && !believes(data, today)? {
        warn!(%today, "nothing is removed: too little was recorded in the last month to trust the clock");
        return failure.map_or(Ok(Vec::new()), Err);
    }
    let mut expired = Vec::new();
    for (dataset, date) in over {
        match remove(data, dataset, date) {
            Ok(None) => {}
            Ok(Some(files)) => {
                info!(dataset = dataset.name, %date, files, "removed: it is older than retention allows");
                expired.push(Expired { dataset, date, files });
            }
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    failure.map_or(Ok(expired), Err)
}

/// What should be removed, by age and journal.
fn over(
    data: &DataDir,
    retention: &Retention,
    today: NaiveDate,
) -> Result<Vec<(Dataset, NaiveDate)>, StoreError> {
    let journaled = journaled_dates(data)?;
    let mut over = Vec::new();
    for dataset in data.all_datasets() {
        let Some(days) = retention.days(dataset) else {
            continue;
        };
        let dates = dates(data, dataset)?.into_iter();
        over.extend(
            dates
                .filter(|date| is_past(*date, today, days) && !journaled.contains(date))
                .map(|date| (dataset, date)),
        );
    }
    Ok(over)
}

/// Whether the clock, which says `today`, is trusted, judging by what was recorded in the month before.
///
/// # Errors
/// [`StoreError::Io`], when the dataset cannot be listed.
pub fn believes(data: &DataDir, today: NaiveDate) -> Result<bool, StoreError> {
    Ok(is_credible(&catalog::recorded_dates(data)?, today))
}

/// Whether enough was recorded before `today` for it to be credible.
fn is_credible(recorded: &BTreeSet<NaiveDate>, today: NaiveDate) -> bool {
    let recent = |date: &&NaiveDate| **date < today && !is_past(**date, today, CREDIBLE_DAYS);
    recorded.iter().filter(recent).count() >= CREDIBLE_DATES
}

/// The dates of which any feed still has journal.
fn journaled_dates(data: &DataDir) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let mut dates = BTreeSet::new();
    for feed in catalog::journal_feeds(data)? {
        let segments = catalog::segments(&data.journal(&feed))?;
        dates.extend(segments.into_iter().map(|segment| segment.date));
    }
    Ok(dates)
}

fn dates(data: &DataDir, dataset: Dataset) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let mut dates = catalog::dates(data, dataset)?;
    dates.retain(|date| is_real_dir(&data.date_dir(dataset, *date)));
    Ok(dates)
}

/// Takes a date out of its dataset and removes it; returns the number of its files. `None` when it holds anything that
/// is not the recorder's, and so stays.
fn remove(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<Option<usize>, StoreError> {
    let dir = data.date_dir(dataset, date);
    let Some((count, files)) = only_committed(&dir, dataset, date)? else {
        warn!(dir = %dir.display(), "not removed, although it is older than retention allows: it holds something that is not the recorder's");
        return Ok(None);
    };
    crate::day::forget(data, dataset, date)?;
    // From here on, `verify` does not miss anything of it.
    mark(data, dataset, date)?;
    let list = Checksums::of(data, date);
    if list.read().is_ok_and(|list| list.exists) {
        list.record(&[], &files)?;
    }
    data.create_dir(&data.staging())?;
    let aside = data.staging().join(format!("{EXPIRED}{}-{date}", dataset.name));
    data.disk().rename(&dir, &aside)?;
    data.disk().sync_parent(&dir)?;
    data.disk().remove_tree(&aside)?;
    let datasets = data.all_datasets();
    if datasets.iter().all(|other| !data.date_dir(other, date).exists()) {
        // Nothing is left that could miss a file.
        for other in datasets {
            data.disk().remove_left_over(&data.expired(other, date))?;
        }
    }
    Ok(Some(count))
}

/// Puts it on record that a date was removed from a dataset.
fn mark(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<(), StoreError> {
    let path = data.expired(dataset, date);
    data.create_dir(path.parent().unwrap_or(data.path()))?;
    if !path.exists() {
        Output::create(data.disk(), &path)?.sync()?;
    }
    // Who made a mark that is there may have been killed before its name was on disk.
    data.disk().sync_parent(&path)
}

/// How many files of the dataset are below a date's directory, and which of them may have a line in a list of checksums;
/// `None` if there is anything else in it: another name, or a link.
fn only_committed(
    dir: &Path,
    dataset: Dataset,
    date: NaiveDate,
) -> Result<Option<(usize, Vec<CommittedPath>)>, StoreError> {
    if dataset.rows == Rows::OfAllFeeds {
        let files = list(dir)?;
        let are_ours = files.iter().all(|file| committed_name(dataset, file).is_some());
        return Ok(are_ours.then_some((files.len(), Vec::new())));
    }
    let mut files = Vec::new();
    for feed_dir in list(dir)? {
        let feed = feed_dir.file_name().and_then(|name| name.to_str());
        let feed = feed.and_then(|name| dataset.parse_partition(name));
        let Some(feed) = feed.filter(|_| is_real_dir(&feed_dir)) else {
            return Ok(None);
        };
        for file in list(&feed_dir)? {
            let Some(name) = committed_name(dataset, &file) else {
                return Ok(None);
            };
            files.push(CommittedPath {
                date,
                feed: feed.clone(),
                name,
            });
        }
    }
    Ok(Some((files.len(), files)))
}

/// The name of a file of the dataset; `None` for anything else.
fn committed_name(dataset: Dataset, file: &Path) -> Option<CommittedName> {
    let name = CommittedName::parse(dataset, file.file_name()?.to_str()?)?;
    let is_file = fs::symlink_metadata(file).is_ok_and(|known| known.is_file());
    is_file.then_some(name)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(dir).map_err(at("listing", dir))?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(at("listing", dir)))
        .collect()
}

/// A link to a directory does not count as one.
fn is_real_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|known| known.is_dir())
}

/// Removes what was set aside, now or before a crash.
fn clear_staging(data: &DataDir) -> Result<(), StoreError> {
    for name in catalog::names(&data.staging())? {
        if name.starts_with(EXPIRED) {
            data.disk().remove_tree(&data.staging().join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use std::io::ErrorKind;

    use chrono::Days;

    use super::*;
    use crate::dataset::{CLOCK, COVERAGE, QUARANTINE};
    use crate::disk::{Disk, Gate, Op};
    use crate::feed_name::FeedName;
    use crate::service::TRADES;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    /// A file of each of three datasets for each date, with its line; and a journal segment of the last date.
    fn recorded(dir: &Path, days: &[u32]) -> DataDir {
        let data = DataDir::new(dir);
        let feed: FeedName = "KOSPI".parse().unwrap();
        for date in days.iter().map(|number| day(*number)) {
            let mut paths = Vec::new();
            for dataset in [&TRADES, &QUARANTINE, &COVERAGE] {
                let name = format!(
                    "{}-{}T090000-000000000001-000000000009.parquet",
                    dataset.name,
                    date.format("%Y%m%d")
                );
                let partition = data.partition(dataset, date, &feed);
                fs::create_dir_all(&partition).unwrap();
                fs::write(partition.join(&name), "PAR1").unwrap();
                let path = format!(
                    "{}/date={date}/{}/{name}",
                    dataset.name,
                    dataset.partition_name(&feed)
                );
                paths.push(data.parse(&path).unwrap());
            }
            Checksums::of(&data, date).record_files(&paths).unwrap();
        }
        let last = day(*days.last().unwrap()).format("%Y%m%d");
        fs::create_dir_all(data.journal(&feed)).unwrap();
        fs::write(
            data.journal(&feed)
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
        let data = recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        let nothing = expire(&data, &Retention::default(), day(30)).unwrap();
        assert_eq!(nothing, [], "it is off by default");
        let retention = Retention::default().keeping(&TRADES, 10).keeping(&QUARANTINE, 1);
        // The 2nd is ten days ago on the 12th, and more than that on the 13th.
        assert_eq!(expire(&data, &retention, day(12)).unwrap().len(), 5);
        assert_eq!(left(&data, &TRADES), ["02", "03", "04", "05", "06", "09"]);
        assert_eq!(left(&data, &QUARANTINE), ["09"], "it has journal");
        let expired = expire(&data, &retention, day(13)).unwrap();
        assert_eq!(
            expired,
            [Expired {
                dataset: &TRADES,
                date: day(2),
                files: 1
            }]
        );
        let lines = |date| Checksums::of(&data, date).read().unwrap().digests;
        assert_eq!(lines(day(2)).len(), 1);
        assert!(lines(day(2)).keys().all(|path| path.starts_with("coverage/")));
        let retention = retention.keeping(&COVERAGE, 10);
        expire(&data, &retention, day(13)).unwrap();
        assert!(!data.checksum_list(day(2)).exists(), "an empty list is removed");
        assert!(
            !data.expired(&TRADES, day(2)).exists(),
            "nor is a mark of nothing"
        );
        assert!(data.expired(&QUARANTINE, day(3)).exists());
        assert_eq!(left(&data, &COVERAGE), ["03", "04", "05", "06", "09"]);
        assert_eq!(catalog::names(&data.staging()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_date_of_a_dataset_without_partitions_goes_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        for number in [2, 3, 4] {
            let path = crate::date_file::path(&data, &CLOCK, day(number));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "PAR1").unwrap();
        }
        fs::write(data.date_dir(&CLOCK, day(3)).join("notes.txt"), "").unwrap();
        let retention = Retention::default().keeping(&CLOCK, 9);
        let expired = expire(&data, &retention, day(13)).unwrap();
        let expired: Vec<_> = expired.iter().map(|gone| (gone.date, gone.files)).collect();
        assert_eq!(expired, [(day(2), 1)]);
        assert_eq!(
            left(&data, &CLOCK),
            ["03", "04"],
            "one has a stranger's file, one is young"
        );
        assert!(data.expired(&CLOCK, day(2)).exists());
        assert_eq!(left(&data, &TRADES).len(), 6);
    }

    #[test]
    fn what_a_sealed_day_replaced_goes_with_its_date() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        let replaced =
            ["2026-11-02-trades-KOSPI", "2026-11-03-trades-KOSPI"].map(|name| data.sealing().join(name));
        for dir in &replaced {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join("replaced.parquet"), "").unwrap();
            let name = "trades-20261102T090000-000000000001-000000000009.parquet";
            fs::write(dir.join(name), "PAR1").unwrap();
        }
        let retention = Retention::default().keeping(&TRADES, 10);
        expire(&data, &retention, day(13)).unwrap();
        let names = replaced.map(|dir| catalog::names(&dir).unwrap().len());
        assert_eq!(names, [1, 2], "a date that stays keeps everything");
    }

    #[test]
    fn a_clock_that_is_far_ahead_removes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        let retention = Retention::default().keeping(&TRADES, 1);
        let ahead = day(2) + Days::new(365);
        assert_eq!(expire(&data, &retention, ahead).unwrap(), []);
        // After four days recorded by that clock, it is still not trusted.
        let feed: FeedName = "KOSPI".parse().unwrap();
        for days in 0..4 {
            let date = ahead + Days::new(days);
            fs::create_dir_all(data.partition(&TRADES, date, &feed)).unwrap();
            fs::create_dir_all(data.partition(&COVERAGE, date, &feed)).unwrap();
            assert_eq!(expire(&data, &retention, date + Days::new(1)).unwrap(), []);
        }
    }

    #[test]
    fn a_date_stays_as_long_as_any_feed_has_journal_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        // An exporter that lags behind: its newest segment is not its only one.
        let segments = [
            ("KOSPI", "00000000-20261103-000000000001.journal"),
            ("KOSDAQ", "00000001-20261104-000000000001.journal"),
            ("KOSDAQ", "00000002-20261105-000000000001.journal"),
            ("KOSDAQ", "00000003-20261109-000000000001.journal"),
        ];
        for (feed, segment) in segments {
            let journal = data.journal(&feed.parse().unwrap());
            fs::create_dir_all(&journal).unwrap();
            fs::write(journal.join(segment), "").unwrap();
        }
        let retention = Retention::default().keeping(&TRADES, 1);
        expire(&data, &retention, day(20)).unwrap();
        assert_eq!(left(&data, &TRADES), ["03", "04", "05", "09"]);
    }

    #[test]
    fn five_dates_of_the_month_before_make_a_clock_credible() {
        let today = day(30);
        let before = |days: &[u64]| days.iter().map(|days| today - Days::new(*days)).collect();
        assert!(is_credible(&before(&[1, 2, 3, 4, 31]), today));
        assert!(!is_credible(&before(&[1, 2, 3, 4]), today));
        assert!(!is_credible(&before(&[1, 2, 3, 4, 32]), today));
        assert!(
            !is_credible(&before(&[0, 1, 2, 3, 4]), today),
            "today says nothing"
        );
        let ahead: BTreeSet<_> = (1..9).map(|days| today + Days::new(days)).collect();
        assert!(!is_credible(&ahead, today), "nor do future dates");
    }

    /// Records every operation, and refuses those whose path contains this text.
    #[derive(Debug, Default)]
    struct Porter {
        seen: std::sync::Mutex<Vec<(Op, PathBuf)>>,
        refused: Option<&'static str>,
    }

    impl Gate for Porter {
        fn pass(&self, op: Op, path: &Path) -> std::io::Result<()> {
            self.seen.lock().unwrap().push((op, path.to_owned()));
            match self.refused {
                Some(part) if path.to_str().unwrap().contains(part) => Err(ErrorKind::Other.into()),
                _ => Ok(()),
            }
        }
    }

    /// Expires the trades of 2 November, and gives what was done in order, with the place at which they left their dataset.
    fn expired_in_order(data_dir: &Path) -> (DataDir, Vec<(Op, PathBuf)>, usize) {
        let porter = Arc::new(Porter::default());
        let data = DataDir::on(Disk::behind(porter.clone()), data_dir);
        let retention = Retention::default().keeping(&TRADES, 10);
        assert_eq!(expire(&data, &retention, day(13)).unwrap().len(), 1);
        let seen = porter.seen.lock().unwrap().clone();
        let left = (Op::Rename, data.staging().join("expired-trades-2026-11-02"));
        let place = seen.iter().position(|done| *done == left).unwrap();
        (data, seen, place)
    }

    #[test]
    fn no_file_of_a_date_goes_before_it_is_known_to_have_left_its_dataset() {
        let dir = tempfile::tempdir().unwrap();
        recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        let (data, seen, left) = expired_in_order(dir.path());
        let removed = seen
            .iter()
            .position(|(op, path)| *op == Op::Remove && path.starts_with(&seen[left].1));
        for dataset in [data.path().join("trades"), data.staging()] {
            let synced = seen[left..removed.unwrap()].contains(&(Op::SyncDir, dataset.clone()));
            assert!(synced, "{}: {seen:?}", dataset.display());
        }
        // Nor is it removed before that is on record.
        let marked = (Op::Sync, data.expired(&TRADES, day(2)));
        assert!(seen[..left].contains(&marked), "{seen:?}");
    }

    #[test]
    fn a_mark_that_is_found_is_synced_before_its_date_goes() {
        let dir = tempfile::tempdir().unwrap();
        let unsynced = recorded(dir.path(), &[2, 3, 4, 5, 6, 9]).expired(&TRADES, day(2));
        let marks = unsynced.parent().unwrap();
        fs::create_dir_all(marks).unwrap();
        fs::write(&unsynced, "").unwrap();
        let (data, seen, left) = expired_in_order(dir.path());
        for dir in marks.ancestors().take_while(|dir| dir.starts_with(data.path())) {
            let synced = seen[..left].contains(&(Op::SyncDir, dir.to_owned()));
            assert!(synced, "{}: {seen:?}", dir.display());
        }
    }

    #[test]
    fn a_date_that_cannot_be_removed_keeps_no_other() {
        let dir = tempfile::tempdir().unwrap();
        recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        let porter = Arc::new(Porter {
            refused: Some("trades-2026-11-03"),
            ..Porter::default()
        });
        let data = DataDir::on(Disk::behind(porter), dir.path());
        let retention = Retention::default().keeping(&TRADES, 8);
        assert!(expire(&data, &retention, day(13)).is_err());
        assert_eq!(left(&data, &TRADES), ["03", "05", "06", "09"]);
    }

    #[test]
    fn what_is_not_the_recorders_keeps_its_date() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 3, 4, 5, 6, 9]);
        let retention = Retention::default().keeping(&TRADES, 1);
        fs::write(data.date_dir(&TRADES, day(2)).join("notes.txt"), "").unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(data.date_dir(&TRADES, day(3)), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, data.date_dir(&TRADES, day(3))).unwrap();
        let partition = data.partition(&TRADES, day(4), &"KOSPI".parse().unwrap());
        std::os::unix::fs::symlink(&elsewhere, partition.join("link")).unwrap();
        fs::create_dir(data.date_dir(&TRADES, day(5)).join("mine")).unwrap();
        let more = data.date_dir(&TRADES, day(8));
        fs::create_dir(&more).unwrap();
        let dates: Vec<_> = expire(&data, &retention, day(20))
            .unwrap()
            .iter()
            .map(|expired| expired.date)
            .collect();
        assert_eq!(dates, [day(6), day(8)]);
        assert!(elsewhere.join("market=KOSPI").is_dir());
    }

    #[test]
    fn a_run_that_was_cut_off_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let data = recorded(dir.path(), &[2, 5]);
        let aside = data.staging().join("expired-trades-2026-11-01/market=KOSPI");
        fs::create_dir_all(&aside).unwrap();
        fs::write(aside.join("trades.parquet"), "PAR1").unwrap();
        fs::write(data.staging().join("trades-KOSPI.partial"), "").unwrap();
        expire(&data, &Retention::default(), day(30)).unwrap();
        assert_eq!(catalog::names(&data.staging()).unwrap(), ["trades-KOSPI.partial"]);
    }
}
