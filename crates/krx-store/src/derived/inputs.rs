//! The files that a date's derived rows are made of, and how a footer names them.

use std::path::Path;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::fold::Part;
use super::kind::Derived;
use super::recorded::Recorded;
use super::source::Source;
use crate::catalog::{self, read_footer};
use crate::checksums::{Checksums, List, digest};
use crate::coverage;
use crate::dataset::{COVERAGE, Dataset, REGISTRATIONS};
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir};
use crate::read;

/// A file, as a footer names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Input {
    /// Relative to the data directory.
    pub(super) path: String,
    /// `None` if its footer cannot be read.
    rows: Option<u64>,
    sha256: String,
}

/// The files of a date.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(super) files: Vec<Input>,
    /// The files with trades.
    sources: Vec<Source>,
}

impl Inputs {
    /// The files that are there now; `None` while the date of any feed is not sealed.
    pub(super) fn of(data: &DataDir, derived: Derived, date: NaiveDate) -> Result<Option<Self>, StoreError> {
        let mut sources = Vec::new();
        for dataset in derived.sources() {
            for feed in catalog::feeds_in(data, dataset, date)? {
                let names = catalog::files(data, dataset, &feed, date)?;
                if names.is_empty() {
                    continue;
                }
                sources.push((dataset, feed, names));
            }
        }
        sources.sort_by(|one, other| one.1.cmp(&other.1));
        let list = Checksums::of(data, date).read()?;
        let mut inputs = Self {
            files: Vec::new(),
            sources: Vec::new(),
        };
        for (dataset, feed, names) in sources {
            let [name] = names.as_slice() else {
                return Ok(None);
            };
            let committed = |name| CommittedPath {
                date,
                feed: feed.clone(),
                name,
            };
            let place = committed(*name);
            let path = data.path().join(place.to_string());
            if read_footer(&path)?.day.is_none() {
                return Ok(None);
            }
            inputs.files.push(Input::of(data, &place, &list)?);
            for dataset in of_recording(dataset) {
                let place = committed(CommittedName::of_the_date(dataset, date));
                if data.path().join(place.to_string()).exists() {
                    inputs.files.push(Input::of(data, &place, &List::default())?);
                }
            }
            inputs.sources.push(Source {
                dataset,
                feed,
                paths: vec![path],
            });
        }
        Ok(Some(inputs))
    }

    /// Whether there are no trades.
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The files as a footer names them.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&self.files).expect("paths and numbers are JSON")
    }

    /// The trades of each feed, with when they were recorded.
    pub(super) fn parts(&self, data: &DataDir, date: NaiveDate) -> Result<Vec<Part>, StoreError> {
        let part = |source: &Source| {
            Ok(Part {
                source: source.clone(),
                recorded: recorded(data, source, date)?,
            })
        };
        self.sources.iter().map(part).collect()
    }

    /// Those of the files in `before` that are gone because retention removed their date.
    pub(super) fn expired(&self, data: &DataDir, date: NaiveDate, before: &[Input]) -> Vec<String> {
        let is_there = |input: &Input| self.files.iter().any(|now| now.path == input.path);
        let gone = before.iter().filter(|input| !is_there(input));
        let is_expired = |input: &&Input| {
            let dataset = data.parse(&input.path).map(|place| place.name.dataset);
            dataset.is_some_and(|dataset| data.expired(dataset, date).exists())
        };
        gone.filter(is_expired).map(|input| input.path.clone()).collect()
    }
}

impl Input {
    fn of(data: &DataDir, place: &CommittedPath, list: &List) -> Result<Self, StoreError> {
        let path = place.to_string();
        let full = data.path().join(&path);
        let digest = match list.digests.get(&path) {
            Some(digest) => *digest,
            None => digest(&full)?,
        };
        Ok(Self {
            rows: rows(&full, place.name.dataset),
            sha256: digest.to_string(),
            path,
        })
    }
}

fn rows(path: &Path, dataset: Dataset) -> Option<u64> {
    read_footer(path).ok().map(|footer| footer.rows_of(dataset))
}

/// The datasets that say when the trades of a dataset were recorded.
fn of_recording(source: Dataset) -> impl Iterator<Item = Dataset> {
    let registrations = source.index_of("preset").map(|_| -> Dataset { &REGISTRATIONS });
    let coverage: Dataset = &COVERAGE;
    std::iter::once(coverage).chain(registrations)
}

/// When a feed's trades were recorded. A file that is damaged, which `verify` reports, says nothing.
fn recorded(data: &DataDir, source: &Source, date: NaiveDate) -> Result<Recorded, StoreError> {
    let intervals = coverage_of(data, &source.feed, date)?;
    if !source.is_per_issue() {
        return Ok(Recorded::of_market(intervals.as_deref()));
    }
    let registrations = read::registrations(data, &source.feed, date)?;
    Ok(Recorded::of_issues(
        intervals.as_deref(),
        registrations.as_deref(),
    ))
}

fn coverage_of(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<Option<Vec<coverage::Interval>>, StoreError> {
    match coverage::load(data, feed, date) {
        Ok(ledger) => Ok(ledger.map(|ledger| ledger.intervals())),
        Err(StoreError::ReadBack { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
