//! What is in a date's directories.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::catalog;
use crate::dataset::Dataset;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir, SegmentName};
use crate::service::{FULL_MARKET, Service};

/// What is in a date's directories.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) files: BTreeMap<String, CommittedPath>,
    pub(super) foreign: Vec<String>,
    pub(super) segments: BTreeMap<FeedName, Segments>,
}

/// The journal segments of a feed.
#[derive(Default)]
pub(super) struct Segments {
    /// Those of the date.
    pub(super) raw: Vec<SegmentName>,
    pub(super) archived: Vec<SegmentName>,
    /// Those of any date.
    pub(super) newest: Option<SegmentName>,
}

impl Listed {
    /// The files of a feed and dataset, by their paths.
    pub(super) fn files_of<'a>(
        &'a self,
        feed: &'a FeedName,
        dataset: Dataset,
    ) -> impl Iterator<Item = (&'a String, &'a CommittedPath)> {
        let files = self.files.iter();
        files.filter(move |(_, file)| file.feed == *feed && file.name.dataset == dataset)
    }

    /// The feeds that have files.
    pub(super) fn feeds(&self) -> BTreeSet<&FeedName> {
        self.files.values().map(|file| &file.feed).collect()
    }

    /// The service of a feed, judged by the datasets in which it has files.
    pub(super) fn service_of(&self, data: &DataDir, feed: &FeedName) -> &'static Service {
        let has = |dataset: &Dataset| self.files_of(feed, dataset).next().is_some();
        let mut services = data.services().iter().copied();
        let by_primary = services.clone().find(|service| has(&service.primary()));
        by_primary
            .or_else(|| services.find(|service| service.datasets.iter().any(has)))
            .unwrap_or(&FULL_MARKET)
    }

    pub(super) fn of(data: &DataDir, date: NaiveDate) -> Result<Self, StoreError> {
        let mut listed = Self::default();
        for dataset in data.datasets() {
            for (name, is_dir) in catalog::entries(&data.date_dir(dataset, date))? {
                let path = format!("{dataset}/date={date}/{name}");
                match dataset.parse_partition(&name) {
                    Some(feed) if is_dir => listed.partition(data, dataset, date, &feed)?,
                    _ => listed.foreign.push(path),
                }
            }
        }
        for feed in catalog::journal_feeds(data)? {
            let raw = catalog::segments(&data.journal(&feed))?;
            let mut segments = Segments {
                newest: raw.last().copied(),
                raw,
                archived: catalog::archived(data, &feed)?,
            };
            segments.raw.retain(|name| name.date == date);
            segments.archived.retain(|name| name.date == date);
            listed.segments.insert(feed, segments);
        }
        Ok(listed)
    }

    fn partition(
        &mut self,
        data: &DataDir,
        dataset: Dataset,
        date: NaiveDate,
        feed: &FeedName,
    ) -> Result<(), StoreError> {
        for (name, is_dir) in catalog::entries(&data.partition(dataset, date, feed))? {
            let parsed = CommittedName::parse(dataset, &name).filter(|parsed| {
                let forwards = parsed.first_frame <= parsed.last_frame;
                !is_dir && parsed.partition.date() == date && forwards
            });
            match parsed {
                Some(name) => {
                    let feed = feed.clone();
                    let committed = CommittedPath { date, feed, name };
                    self.files.insert(committed.to_string(), committed);
                }
                None => {
                    let dir = format!("{dataset}/date={date}/{}", dataset.partition_name(feed));
                    self.foreign.push(format!("{dir}/{name}"));
                }
            }
        }
        Ok(())
    }
}
