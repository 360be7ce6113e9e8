//! What a file says about itself: the key-values of its Parquet footer.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use parquet::file::metadata::{FileMetaData, KeyValue};

use super::common::QUARANTINE;
use super::spec::DatasetSpec;
use crate::feed_name::FeedName;
use crate::moment::Moment;

/// What a committed file covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The version of the file's columns.
    pub schema_version: u32,
    /// The feed.
    pub feed: String,
    /// The trading date.
    pub date: NaiveDate,
    /// The first frame covered.
    pub first_frame: u64,
    /// The last one.
    pub last_frame: u64,
    /// The files of these frames, by dataset, with their row counts; this file is among them.
    pub files: BTreeMap<String, u64>,
    /// When the first frame was received.
    pub first_recv: Moment,
    /// When the last one was received.
    pub last_recv: Moment,
    /// The highest session known when the segment ended.
    pub last_session: Option<u32>,
    /// The layout of a sealed day; `None` for a segment in order of arrival.
    pub day: Option<DayFooter>,
    /// What the frames add to their date's ledger, as JSON (`coverage::Slice`); only in the primary dataset's file.
    pub slice: Option<String>,
}

/// The layout of a sealed day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayFooter {
    /// The rows of each run; runs are in order of arrival. A run's row groups are ordered by the column that divides
    /// the day, and each is in the dataset's [`super::GroupOrder`].
    pub runs: Vec<u64>,
    /// The frames that it covers, as ranges (first and last) without a hole.
    pub frames: Vec<(u64, u64)>,
}

impl DayFooter {
    fn read(runs: &str, frames: &str) -> Option<Self> {
        let list = |text: &str| -> Vec<String> {
            text.split(',')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        Some(Self {
            runs: list(runs)
                .iter()
                .map(|rows| rows.parse().ok())
                .collect::<Option<_>>()?,
            frames: list(frames)
                .iter()
                .map(|range| {
                    let (first, last) = range.split_once('-')?;
                    Some((first.parse().ok()?, last.parse().ok()?))
                })
                .collect::<Option<_>>()?,
        })
    }

    /// In the form that [`DayFooter::read`] parses.
    fn texts(&self) -> [(&'static str, String); 2] {
        let runs: Vec<_> = self.runs.iter().map(u64::to_string).collect();
        let frames: Vec<_> = self
            .frames
            .iter()
            .map(|(first, last)| format!("{first}-{last}"))
            .collect();
        [("runs", runs.join(",")), ("frames", frames.join(","))]
    }
}

/// The key under which a footer has the files of its frames.
const FILES_KEY: &str = "files";

/// The key under which a footer has its slice of the ledger.
const INTERVALS_KEY: &str = "intervals";

impl Footer {
    pub(crate) fn new(feed: &FeedName, date: NaiveDate, first_frame: u64, first_recv: Moment) -> Self {
        Self {
            schema_version: 1,
            feed: feed.to_string(),
            date,
            first_frame,
            last_frame: first_frame,
            files: BTreeMap::new(),
            first_recv,
            last_recv: first_recv,
            last_session: None,
            day: None,
            slice: None,
        }
    }

    /// As it is in the file of a dataset other than the primary one.
    pub(crate) fn of_sibling(&self) -> Self {
        Self {
            slice: None,
            ..self.clone()
        }
    }

    /// As it is in a dataset's file.
    pub(crate) fn of_dataset(&self, dataset: &DatasetSpec) -> Self {
        Self {
            schema_version: dataset.schema_version,
            ..self.clone()
        }
    }

    /// Whether two footers are of the same segment.
    pub(crate) fn is_sibling_of(&self, other: &Self) -> bool {
        let common = |footer: &Self| Self {
            schema_version: 0,
            ..footer.of_sibling()
        };
        common(self) == common(other)
    }

    /// How many rows the frames gave in a dataset.
    #[must_use]
    pub fn rows_of(&self, dataset: &DatasetSpec) -> u64 {
        self.files.get(dataset.name).copied().unwrap_or(0)
    }

    /// How many pieces of the frames are in quarantine.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.rows_of(&QUARANTINE)
    }

    /// How many rows the frames gave in all datasets.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.values().sum()
    }

    /// Whether a newer recorder wrote the file, with columns that this version does not know.
    #[must_use]
    pub fn is_newer_than(&self, dataset: &DatasetSpec) -> bool {
        self.schema_version > dataset.schema_version
    }

    /// The frames covered, as ranges without a hole.
    pub(crate) fn frames(&self) -> Vec<(u64, u64)> {
        match &self.day {
            Some(day) => day.frames.clone(),
            None => vec![(self.first_frame, self.last_frame)],
        }
    }

    pub(crate) fn to_key_values(&self, dataset: &DatasetSpec) -> Vec<KeyValue> {
        let files: Vec<_> = self
            .files
            .iter()
            .map(|(name, rows)| format!("{name}={rows}"))
            .collect();
        let market = dataset.partition_key.filter(|key| *key != "feed");
        let partition = market.map(|key| (key, self.feed.clone()));
        let pairs = [
            ("schema_version", self.schema_version.to_string()),
            ("feed", self.feed.clone()),
            ("date", self.date.to_string()),
            ("first_frame", self.first_frame.to_string()),
            ("last_frame", self.last_frame.to_string()),
            ("rows", self.rows_of(dataset).to_string()),
            ("quarantined", self.quarantined().to_string()),
            (FILES_KEY, files.join(",")),
            ("first_recv", self.first_recv.0.to_string()),
            ("last_recv", self.last_recv.0.to_string()),
            ("last_session", self.last_session.unwrap_or(0).to_string()),
            ("recorder_version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        let day = self.day.iter().flat_map(DayFooter::texts);
        let slice = self.slice.iter().map(|slice| (INTERVALS_KEY, slice.clone()));
        pairs
            .into_iter()
            .chain(partition)
            .chain(day)
            .chain(slice)
            .map(|(key, value)| KeyValue::new(format!("krx.{key}"), value))
            .collect()
    }

    /// Parses a footer, even that of a file with newer columns; `None` when one of its values is missing or cannot be
    /// read.
    #[must_use]
    pub fn read(metadata: &FileMetaData) -> Option<Self> {
        let value = |key: &str| value_of(metadata, key);
        let day = match value("runs") {
            Some(runs) => Some(DayFooter::read(runs, value("frames")?)?),
            None => None,
        };
        let files = value(FILES_KEY)?.split(',').filter(|file| !file.is_empty());
        let files = files.map(|file| {
            let (name, rows) = file.split_once('=')?;
            Some((name.to_owned(), rows.parse().ok()?))
        });
        Some(Self {
            schema_version: value("schema_version")?.parse().ok()?,
            feed: value("feed")?.to_owned(),
            date: value("date")?.parse().ok()?,
            first_frame: value("first_frame")?.parse().ok()?,
            last_frame: value("last_frame")?.parse().ok()?,
            files: files.collect::<Option<_>>()?,
            first_recv: Moment(value("first_recv")?.parse().ok()?),
            last_recv: Moment(value("last_recv")?.parse().ok()?),
            last_session: Some(value("last_session")?.parse().ok()?),
            day,
            slice: value(INTERVALS_KEY).map(str::to_owned),
        })
    }
}

/// A value that the recorder wrote into a footer.
pub(crate) fn value_of<'a>(metadata: &'a FileMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.key_value_metadata()?;
    let pair = pairs
        .iter()
        .find(|pair| pair.key.strip_prefix("krx.") == Some(key))?;
    pair.value.as_deref()
}
