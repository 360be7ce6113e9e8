//! Names on disk: the one place that formats them and the one that parses them.
//!
//! ```text
//!   DATA/trades/date=2026-11-20/market=KOSPI/trades-20261120T090000-000000000001-000000004711.parquet
//!   DATA/quarantine/date=…/feed=…/quarantine-….parquet         (the same name, of the same frames)
//!   DATA/coverage/date=…/feed=…/coverage-20261120T000000-000000000001-999999999999.parquet   (of the whole date)
//!   DATA/clock/date=…/clock-20261120T000000-000000000001-999999999999.parquet    (of the whole date and all feeds)
//!   DATA/.krx/format                                            the version of this layout
//!   DATA/.krx/journal/KOSPI/00000001-20261120-000000000001.journal    number of the segment, date, first frame
//!   DATA/.krx/archive/KOSPI/00000001-20261120-000000000001.journal.zst    an exported segment, compressed
//!   DATA/.krx/checksums/2026-11-20.sha256                       the date's committed files, for `sha256sum -c` from DATA
//!   DATA/.krx/expired/quarantine-2026-11-20                     records that this date was removed from this dataset
//!   DATA/.krx/staging/                                          files being written
//!   DATA/.krx/sealing/2026-11-20-trades-KOSPI/                  a day being made one file, or what it replaced
//!   DATA/.krx/sealing/2026-11-20-trades-KOSPI-2/                the same, while the first is still there
//!   DATA/.krx/sealing/2026-11-20-trades-KOSPI/replaced.parquet  records that, and since when
//!   DATA/.krx/lock
//! ```
//!
//! Nothing received over the wire is ever part of a name.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;

use crate::dataset::{COMMON, Dataset, WHOLE_DATE};
use crate::disk::{Disk, is_at};
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::moment::Moment;
use crate::service::{SERVICES, Service};

/// A data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    disk: Disk,
    services: &'static [&'static Service],
    /// The directory itself, once it is held open.
    held: Option<Arc<File>>,
}

impl DataDir {
    /// The directory need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::on(Disk::default(), path)
    }

    /// A data directory on a given disk.
    #[must_use]
    pub fn on(disk: Disk, path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            disk,
            services: &SERVICES,
            held: None,
        }
    }

    /// The same directory with feeds of other services.
    #[must_use]
    pub fn with_services(self, services: &'static [&'static Service]) -> Self {
        Self { services, ..self }
    }

    /// Another data directory on the same disk, with feeds of the same services.
    #[must_use]
    pub fn another(&self, path: impl Into<PathBuf>) -> Self {
        Self::on(self.disk.clone(), path).with_services(self.services)
    }

    /// The services that its feeds may be of.
    #[must_use]
    pub fn services(&self) -> &'static [&'static Service] {
        self.services
    }

    /// All datasets that it may hold: those that are partitioned by feed, and those with one file per date.
    #[must_use]
    pub fn all_datasets(&self) -> Vec<Dataset> {
        self.datasets().into_iter().chain(WHOLE_DATE).collect()
    }

    /// The datasets that are partitioned by feed: those of its services, and those that are common to all.
    #[must_use]
    pub fn datasets(&self) -> Vec<Dataset> {
        let of_services = self.services.iter().flat_map(|service| service.datasets);
        let mut datasets: Vec<Dataset> = Vec::new();
        for dataset in of_services.copied().chain(COMMON) {
            if !datasets.contains(&dataset) {
                datasets.push(dataset);
            }
        }
        datasets
    }

    /// Whether a dataset is the primary one of a service.
    #[must_use]
    pub fn is_primary(&self, dataset: Dataset) -> bool {
        self.services.iter().any(|service| service.primary() == dataset)
    }

    /// The dataset of this name.
    #[must_use]
    pub fn dataset(&self, name: &str) -> Option<Dataset> {
        self.datasets().into_iter().find(|dataset| dataset.name == name)
    }

    /// The same, tied to the directory that has this path now: nothing is created at the path any more once it leads
    /// elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Io`], when there is none.
    pub fn held(&self) -> Result<Self, StoreError> {
        let mut held = self.clone();
        if held.held.is_none() {
            let dir = File::open(&self.path).map_err(at("opening the data directory", &self.path))?;
            held.held = Some(Arc::new(dir));
        }
        Ok(held)
    }

    /// Fails when the held directory is gone or its path leads to another. Whatever is found under the path can be
    /// trusted only if this succeeds.
    pub(crate) fn must_be_in_place(&self) -> Result<(), StoreError> {
        let in_place = match &self.held {
            Some(held) => is_at(held, &self.path),
            None => Ok(self.path.is_dir()),
        };
        if in_place.map_err(at("looking at", &self.path))? {
            return Ok(());
        }
        Err(StoreError::Moved {
            path: self.path.clone(),
        })
    }

    /// Creates a directory below the data directory, and its parents, unless they are there; when this returns, its name
    /// and theirs are on disk. That is not known of a directory that was found, either: another thread may have created
    /// it a moment ago, or a process that was killed before it could sync the name. It never creates the data directory
    /// itself: one that was moved away must not find a stub in its place.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.must_be_in_place()?;
        self.disk.create_dir_in(&self.path, path)?;
        let parent = path.parent().filter(|parent| parent.starts_with(&self.path));
        parent.map_or(Ok(()), |parent| self.disk.sync_dirs(&self.path, parent))
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path below the directory, relative to it, as messages and reports name it.
    pub(crate) fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.path).unwrap_or(path);
        path.display().to_string()
    }

    /// The disk that it is on.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// `.krx`: readers of the datasets never look at it.
    #[must_use]
    pub fn internal(&self) -> PathBuf {
        self.path.join(".krx")
    }

    /// The file that records the version of this layout.
    #[must_use]
    pub fn format_file(&self) -> PathBuf {
        self.internal().join("format")
    }

    /// The lock file.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.internal().join("lock")
    }

    /// Where the feeds' journals are.
    #[must_use]
    pub fn journals(&self) -> PathBuf {
        self.internal().join("journal")
    }

    /// Where a feed's journal segments are.
    #[must_use]
    pub fn journal(&self, feed: &FeedName) -> PathBuf {
        self.journals().join(feed.as_str())
    }

    /// Where exported segments are kept.
    #[must_use]
    pub fn archives(&self) -> PathBuf {
        self.internal().join("archive")
    }

    /// Where a feed's archived segments are, compressed.
    #[must_use]
    pub fn archive(&self, feed: &FeedName) -> PathBuf {
        self.archives().join(feed.as_str())
    }

    /// Where the lists of checksums are.
    #[must_use]
    pub fn checksums(&self) -> PathBuf {
        self.internal().join("checksums")
    }

    /// A date's list.
    #[must_use]
    pub fn checksum_list(&self, date: NaiveDate) -> PathBuf {
        self.checksums().join(format!("{date}{CHECKSUM_LIST_END}"))
    }

    /// Parses the name of a list; `None` if [`DataDir::checksum_list`] does not write it.
    #[must_use]
    pub fn parse_checksum_list(name: &str) -> Option<NaiveDate> {
        let date: NaiveDate = name.strip_suffix(CHECKSUM_LIST_END)?.parse().ok()?;
        (format!("{date}{CHECKSUM_LIST_END}") == name).then_some(date)
    }

    /// The empty file that records that a date was removed from a dataset because of its age.
    #[must_use]
    pub fn expired(&self, dataset: Dataset, date: NaiveDate) -> PathBuf {
        let name = format!("{}-{date}", dataset.name);
        self.internal().join("expired").join(name)
    }

    /// Where days are sealed: one directory for each day in progress, which is exchanged with its partition.
    #[must_use]
    pub fn sealing(&self) -> PathBuf {
        self.internal().join("sealing")
    }

    /// A directory in [`DataDir::sealing`].
    #[must_use]
    pub fn sealing_dir(&self, name: &SealingName) -> PathBuf {
        self.sealing().join(name.to_string())
    }

    /// Where files are built: on the same filesystem as the datasets.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.internal().join("staging")
    }

    /// The file in which a dataset's segment is built; its name does not end in `.parquet`.
    #[must_use]
    pub fn staged(&self, dataset: Dataset, feed: &FeedName) -> PathBuf {
        self.staging().join(format!("{}-{feed}.partial", dataset.name))
    }

    /// The directory of a partition.
    #[must_use]
    pub fn partition(&self, dataset: Dataset, date: NaiveDate, feed: &FeedName) -> PathBuf {
        self.date_dir(dataset, date).join(dataset.partition_name(feed))
    }

    /// Parses the path of a committed file, relative to the data directory; `None` if [`CommittedPath`] does not write
    /// it.
    #[must_use]
    pub fn parse(&self, path: &str) -> Option<CommittedPath> {
        let mut parts = path.split('/');
        let dataset = self.dataset(parts.next()?)?;
        let parsed = CommittedPath {
            date: parts.next()?.strip_prefix("date=")?.parse().ok()?,
            feed: dataset.parse_partition(parts.next()?)?,
            name: CommittedName::parse(dataset, parts.next()?)?,
        };
        (parsed.to_string() == path).then_some(parsed)
    }

    /// Parses the name of a directory in [`DataDir::sealing`]; `None` if [`SealingName`] does not write it.
    #[must_use]
    pub fn parse_sealing(&self, name: &str) -> Option<SealingName> {
        let (date, rest) = name.split_at_checked(DATE_LEN)?;
        let mut parts = rest.strip_prefix('-')?.splitn(3, '-');
        let parsed = SealingName {
            date: date.parse().ok()?,
            dataset: self.dataset(parts.next()?)?,
            feed: parts.next()?.parse().ok()?,
            number: parts.next().map_or(Some(1), |number| number.parse().ok())?,
        };
        (parsed.to_string() == name).then_some(parsed)
    }

    /// A dataset's directory.
    #[must_use]
    pub fn dataset_dir(&self, dataset: Dataset) -> PathBuf {
        self.path.join(dataset.name)
    }

    /// The directory of a date's partitions.
    #[must_use]
    pub fn date_dir(&self, dataset: Dataset, date: NaiveDate) -> PathBuf {
        self.dataset_dir(dataset).join(format!("date={date}"))
    }
}

const CHECKSUM_LIST_END: &str = ".sha256";

/// Where a committed file is, and what its path says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedPath {
    /// The trading date.
    pub date: NaiveDate,
    /// The feed.
    pub feed: FeedName,
    /// Its name.
    pub name: CommittedName,
}

impl fmt::Display for CommittedPath {
    /// Relative to the data directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dataset, date) = (self.name.dataset, self.date);
        let partition = dataset.partition_name(&self.feed);
        write!(f, "{}/date={date}/{partition}/{}", dataset.name, self.name)
    }
}

/// What a committed file's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedName {
    /// The dataset.
    pub dataset: Dataset,
    /// The start of the time partition.
    pub partition: Moment,
    /// The first frame that the file covers.
    pub first_frame: u64,
    /// The last one.
    pub last_frame: u64,
}

impl CommittedName {
    /// The one file of a sealed date.
    #[must_use]
    pub fn day(dataset: Dataset, date: NaiveDate, first_frame: u64, last_frame: u64) -> Self {
        Self {
            dataset,
            partition: Moment::midnight(date),
            first_frame,
            last_frame,
        }
    }

    /// The only file of a feed and date of a dataset that is replaced as a whole: it covers whatever frames the date will
    /// have.
    #[must_use]
    pub fn of_the_date(dataset: Dataset, date: NaiveDate) -> Self {
        Self {
            dataset,
            partition: Moment::midnight(date),
            first_frame: 1,
            last_frame: 999_999_999_999,
        }
    }
}

impl fmt::Display for CommittedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.partition.micros_of_day() / 1_000_000;
        write!(
            f,
            "{}-{}T{:02}{:02}{:02}-{:012}-{:012}.parquet",
            self.dataset.name,
            self.partition.date().format("%Y%m%d"),
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            self.first_frame,
            self.last_frame
        )
    }
}

impl CommittedName {
    /// Whether this is the name of a sealed day.
    #[must_use]
    pub fn is_day(&self) -> bool {
        *self
            == Self::day(
                self.dataset,
                self.partition.date(),
                self.first_frame,
                self.last_frame,
            )
    }

    /// Whether two files have frames in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first_frame <= other.last_frame && other.first_frame <= self.last_frame
    }

    /// Whether all frames of another file are among this one's.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.first_frame <= other.first_frame && other.last_frame <= self.last_frame
    }

    /// Parses the name of a file of `dataset`; `None` if [`CommittedName`] does not write it.
    #[must_use]
    pub fn parse(dataset: Dataset, name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".parquet")?.split('-');
        (parts.next()? == dataset.name).then_some(())?;
        let start = chrono::NaiveDateTime::parse_from_str(parts.next()?, "%Y%m%dT%H%M%S").ok()?;
        let partition = Moment((start.and_utc().timestamp() - 9 * 3600) * 1_000_000);
        let (first_frame, last_frame) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let parsed = Self {
            dataset,
            partition,
            first_frame,
            last_frame,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

/// Marks a directory in `sealing` as replaced. A reader that lists this file looks for it in the partition, and fails
/// because it is missing.
pub(crate) const REPLACED: &str = "replaced.parquet";

/// The name of a directory in which a feed's date is sealed, and which then holds what was replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealingName {
    /// The trading date.
    pub date: NaiveDate,
    /// The dataset.
    pub dataset: Dataset,
    /// The feed.
    pub feed: FeedName,
    /// From 1; the first has no number in its name.
    pub number: u32,
}

impl fmt::Display for SealingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.date, self.dataset.name, self.feed)?;
        match self.number {
            1 => Ok(()),
            number => write!(f, "-{number}"),
        }
    }
}

/// A date as in `2026-11-20`.
const DATE_LEN: usize = 10;

/// A journal segment's name: its number in the feed's journal (from 1, never reused), its date and its first frame.
/// Segments are ordered by number, whatever the clock did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The segment's number.
    pub number: u32,
    /// The trading date.
    pub date: NaiveDate,
    /// The number of the first frame that was written to it, or will be.
    pub first_frame: u64,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:08}-{}-{:012}.journal",
            self.number,
            self.date.format("%Y%m%d"),
            self.first_frame
        )
    }
}

impl SegmentName {
    /// Parses a name; `None` if [`SegmentName`] does not write it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".journal")?.split('-');
        let number = parts.next()?.parse().ok()?;
        let date = NaiveDate::parse_from_str(parts.next()?, "%Y%m%d").ok()?;
        let parsed = Self {
            number,
            date,
            first_frame: parts.next()?.parse().ok()?,
        };
        (parsed.to_string() == name).then_some(parsed)
    }

    /// The segment's name in the archive.
    #[must_use]
    pub fn archived(&self) -> String {
        format!("{self}{ARCHIVED_END}")
    }

    /// Parses a name in the archive; `None` if [`SegmentName::archived`] does not write it.
    #[must_use]
    pub fn parse_archived(name: &str) -> Option<Self> {
        Self::parse(name.strip_suffix(ARCHIVED_END)?)
    }
}

const ARCHIVED_END: &str = ".zst";

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
