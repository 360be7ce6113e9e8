//! What is in a data directory: the one place that lists its dates, feeds, files and segments.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use crate::dataset::{Dataset, Footer};
use crate::error::{StoreError, at, parquet_at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir, SegmentName};
use crate::moment::Moment;
use crate::service::Service;

/// The names in a directory, and whether each is a directory. A missing directory has none.
pub(crate) fn entries(dir: &Path) -> Result<Vec<(String, bool)>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(at("listing", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("listing", dir))?;
        let is_dir = entry.file_type().map_err(at("listing", dir))?.is_dir();
        found.push((entry.file_name().to_string_lossy().into_owned(), is_dir));
    }
    found.sort();
    Ok(found)
}

/// The names in a directory that may be the recorder's, that is, those in UTF-8. A missing directory has none.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(at("listing", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(at("listing", dir))?.file_name();
        names.extend(name.into_string().ok());
    }
    Ok(names)
}

/// The date in the name of a dataset's subdirectory.
pub(crate) fn parse_date(name: &str) -> Option<NaiveDate> {
    let text = name.strip_prefix("date=")?;
    let date: NaiveDate = text.parse().ok()?;
    (date.to_string() == text).then_some(date)
}

/// A dataset's dates.
///
/// # Errors
/// [`StoreError::Io`], when it cannot be listed.
pub fn dates(data: &DataDir, dataset: Dataset) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let names = names(&data.dataset_dir(dataset))?;
    Ok(names.iter().filter_map(|name| parse_date(name)).collect())
}

/// The dates on which the primary dataset of any service has files.
///
/// # Errors
/// As [`dates`].
pub fn recorded_dates(data: &DataDir) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let mut found = BTreeSet::new();
    for service in data.services() {
        found.append(&mut dates(data, service.primary())?);
    }
    Ok(found)
}

/// The feeds of a dataset on a date.
///
/// # Errors
/// As [`dates`].
pub fn feeds_in(data: &DataDir, dataset: Dataset, date: NaiveDate) -> Result<BTreeSet<FeedName>, StoreError> {
    let names = names(&data.date_dir(dataset, date))?;
    let feeds = names.iter().filter_map(|name| dataset.parse_partition(name));
    Ok(feeds.collect())
}

/// The feeds that have a partition on a date, in any dataset.
///
/// # Errors
/// As [`dates`].
pub fn feeds(data: &DataDir, date: NaiveDate) -> Result<BTreeSet<FeedName>, StoreError> {
    let mut found = BTreeSet::new();
    for dataset in data.datasets() {
        found.append(&mut feeds_in(data, dataset, date)?);
    }
    Ok(found)
}

/// The feeds that have a journal or an archive.
///
/// # Errors
/// As [`dates`].
pub fn journal_feeds(data: &DataDir) -> Result<BTreeSet<FeedName>, StoreError> {
    let mut found = BTreeSet::new();
    for dir in [data.journals(), data.archives()] {
        let names = names(&dir)?;
        found.extend(names.iter().filter_map(|name| name.parse::<FeedName>().ok()));
    }
    Ok(found)
}

/// The service whose primary dataset has a partition of a feed and date; `None` where nothing is committed.
#[must_use]
pub fn service_of(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Option<&'static Service> {
    let mut services = data.services().iter().copied();
    services.find(|service| data.partition(service.primary(), date, feed).is_dir())
}

/// The service of this name.
///
/// # Errors
/// [`StoreError::UnknownService`], when this version does not know it.
pub(crate) fn service_named(
    data: &DataDir,
    feed: &FeedName,
    name: &str,
) -> Result<&'static Service, StoreError> {
    let mut services = data.services().iter().copied();
    let found = services.find(|service| service.name == name);
    found.ok_or_else(|| StoreError::UnknownService {
        path: data.journal(feed),
        service: name.to_owned(),
    })
}

/// The dataset whose files are the commit records of a feed and date; `None` when there are none.
pub(crate) fn primary_of(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Option<Dataset> {
    service_of(data, feed, date).map(Service::primary)
}

/// Whether retention has removed a date from the primary dataset of a feed's service: of any, where it is not known.
pub(crate) fn is_primary_expired(data: &DataDir, feed: &FeedName, date: NaiveDate) -> bool {
    let is_expired = |service: &'static Service| data.expired(service.primary(), date).exists();
    match service_of(data, feed, date) {
        Some(service) => is_expired(service),
        None => data.services().iter().copied().any(is_expired),
    }
}

/// The names of a dataset's files in a directory, in order of their frames.
pub(crate) fn files_in(dir: &Path, dataset: Dataset) -> Result<Vec<CommittedName>, StoreError> {
    let names = names(dir)?;
    let parsed = names
        .iter()
        .filter_map(|name| CommittedName::parse(dataset, name));
    let mut files: Vec<_> = parsed.collect();
    files.sort_unstable_by_key(|name| name.last_frame);
    Ok(files)
}

/// The committed files of a dataset, feed and date, in order of their frames.
///
/// # Errors
/// As [`dates`].
pub fn files(
    data: &DataDir,
    dataset: Dataset,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<Vec<CommittedName>, StoreError> {
    files_in(&data.partition(dataset, date, feed), dataset)
}

/// Where they are.
pub(crate) fn paths(
    data: &DataDir,
    dataset: Dataset,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<Vec<PathBuf>, StoreError> {
    let dir = data.partition(dataset, date, feed);
    let names = files_in(&dir, dataset)?;
    Ok(names.iter().map(|name| dir.join(name.to_string())).collect())
}

/// The committed files of a feed and date, of all datasets.
///
/// # Errors
/// As [`dates`].
pub fn committed(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Vec<CommittedPath>, StoreError> {
    let mut found = Vec::new();
    for dataset in data.datasets() {
        for name in files(data, dataset, feed, date)? {
            found.push(CommittedPath {
                date,
                feed: feed.clone(),
                name,
            });
        }
    }
    Ok(found)
}

/// The journal segments in a directory, in order.
///
/// # Errors
/// As [`dates`].
pub fn segments(dir: &Path) -> Result<Vec<SegmentName>, StoreError> {
    let names = names(dir)?;
    let mut segments: Vec<_> = names.iter().filter_map(|name| SegmentName::parse(name)).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// A feed's archived segments, in order.
///
/// # Errors
/// As [`dates`].
pub fn archived(data: &DataDir, feed: &FeedName) -> Result<Vec<SegmentName>, StoreError> {
    let names = names(&data.archive(feed))?;
    let parsed = names.iter().filter_map(|name| SegmentName::parse_archived(name));
    let mut segments: Vec<_> = parsed.collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The dates of which a feed has journal segments, archived or not.
pub(crate) fn journal_dates(data: &DataDir, feed: &FeedName) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let mut segments = segments(&data.journal(feed))?;
    segments.append(&mut archived(data, feed)?);
    Ok(segments.iter().map(|name| name.date).collect())
}

/// Every date of which the data directory has anything.
///
/// # Errors
/// [`StoreError::Io`], when it cannot be listed.
pub fn all_dates(data: &DataDir) -> Result<BTreeSet<NaiveDate>, StoreError> {
    fs::read_dir(data.path()).map_err(at("reading the data directory", data.path()))?;
    let mut found = BTreeSet::new();
    for dataset in data.all_datasets() {
        found.append(&mut dates(data, dataset)?);
    }
    let lists = names(&data.checksums())?;
    found.extend(lists.iter().filter_map(|name| DataDir::parse_checksum_list(name)));
    for feed in journal_feeds(data)? {
        found.append(&mut journal_dates(data, &feed)?);
    }
    Ok(found)
}

/// What a committed file says about itself.
pub(crate) fn read_footer(path: &Path) -> Result<Footer, StoreError> {
    let file = File::open(path).map_err(at("opening", path))?;
    let unsound = |what: &str| StoreError::Unsound {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    // Our code never panics on bad input, but the Parquet library makes no such promise for damaged files.
    let reader = catch_unwind(AssertUnwindSafe(|| SerializedFileReader::new(file)))
        .map_err(|_| unsound("the Parquet library panicked over its footer"))?
        .map_err(|error| match error {
            // The disk, and not what is on it.
            ParquetError::External(_) => parquet_at("reading the footer of", path)(error),
            error => unsound(&error.to_string()),
        })?;
    Footer::read(reader.metadata().file_metadata()).ok_or_else(|| {
        unsound("its footer does not say what it covers, or not the way this version of the recorder does")
    })
}

/// When each row group of a file was received, first and last, and how many rows it has.
pub(crate) fn stretches(path: &Path) -> Result<Vec<(Moment, Moment, u64)>, StoreError> {
    let file = File::open(path).map_err(at("opening", path))?;
    let reader = SerializedFileReader::new(file).map_err(parquet_at("reading the footer of", path))?;
    let groups = reader.metadata().row_groups().iter();
    Ok(groups
        .filter_map(|group| {
            let mut columns = group.columns().iter();
            let recv = columns.find(|column| column.column_path().string() == "recv_ts")?;
            let Some(Statistics::Int64(values)) = recv.statistics() else {
                return None;
            };
            let (first, last) = (*values.min_opt()?, *values.max_opt()?);
            Some((Moment(first), Moment(last), group.num_rows().cast_unsigned()))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{TICKS, TRADES};

    #[test]
    fn what_retention_took_from_one_service_says_nothing_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let [market, issues]: [FeedName; 2] = ["KOSPI", "ISSUES"].map(|name| name.parse().unwrap());
        fs::create_dir_all(data.partition(&TICKS, date, &issues)).unwrap();
        let mark = data.expired(&TRADES, date);
        fs::create_dir_all(mark.parent().unwrap()).unwrap();
        fs::write(mark, "").unwrap();
        assert!(is_primary_expired(&data, &market, date));
        assert!(!is_primary_expired(&data, &issues, date));
        assert_eq!(
            service_of(&data, &issues, date).map(|service| service.name),
            Some("per_issue")
        );
        assert_eq!(service_of(&data, &market, date), None);
    }
}
