//! Looks at a date: its files, its list of checksums, its journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;

use super::file::{self, Content, Facts};
use super::finding::{Fault, Finding, Kind, finding, foreign_finding};
use super::journal::{self, Last};
use super::listed::{Listed, Segments};
use super::report::{FeedDay, Report};
use crate::archive;
use crate::catalog;
use crate::checksums::{Checksums, List};
use crate::dataset::{Dataset, QUARANTINE, Rows};
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::{CommittedPath, DataDir};
use crate::lock;

/// How often a date with findings is looked at before they are believed, and the wait in between: longer than an
/// exporter takes to rename two files and add them to a list.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// Roughly how many bytes [`verify`] is going to read.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed.
pub fn bytes_of(data: &DataDir, dates: &BTreeSet<NaiveDate>) -> Result<u64, StoreError> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut bytes = 0;
    for date in dates {
        let listed = Listed::of(data, *date)?;
        for committed in listed.files.keys() {
            bytes += size(&data.path().join(committed));
        }
        for (feed, segments) in listed.segments {
            let raw = segments
                .raw
                .iter()
                .map(|name| data.journal(&feed).join(name.to_string()));
            let archived = segments
                .archived
                .iter()
                .map(|name| archive::path(data, &feed, *name));
            bytes += raw.chain(archived).map(|path| size(&path)).sum::<u64>();
        }
    }
    Ok(bytes)
}

/// Reads all committed files, lists and journal segments of the dates. `read` is called with the number of bytes as
/// they are done.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed. A file that cannot be read is a finding.
pub fn verify(data: &DataDir, dates: &BTreeSet<NaiveDate>, read: &dyn Fn(u64)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    for date in dates {
        let mut looker = Looker {
            data,
            date: *date,
            read: Some(read),
            sound: HashMap::new(),
        };
        let mut day = looker.look()?;
        looker.read = None;
        for _ in 1..LOOKS {
            if day.findings.is_empty() {
                break;
            }
            // Nothing is half done when no recorder is running, so there is nothing to wait for.
            if lock::is_held(data)? {
                std::thread::sleep(PAUSE);
            }
            let before = std::mem::take(&mut day.findings);
            day = looker.look()?;
            day.findings.retain(|finding| before.contains(finding));
        }
        report.dates.push(*date);
        report.findings.append(&mut day.findings);
        report.known.append(&mut day.known);
        for feed in day.feeds.into_values() {
            report.files += feed.files;
            report.bytes += feed.bytes;
            report.days.push(feed);
        }
        report.rows += day.rows;
    }
    report.ok = report.findings.is_empty();
    Ok(report)
}

/// What is in the datasets besides dates: nothing, unless somebody put it there.
///
/// # Errors
/// [`StoreError::Io`], when a directory cannot be listed.
pub fn foreign(data: &DataDir) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for dataset in data.all_datasets() {
        for (name, is_dir) in catalog::entries(&data.dataset_dir(dataset))? {
            if !is_dir || catalog::parse_date(&name).is_none() {
                findings.push(foreign_finding(format!("{dataset}/{name}"), None));
            }
        }
    }
    Ok(findings)
}

/// What one look at a date found.
#[derive(Default)]
pub(super) struct Day {
    feeds: BTreeMap<FeedName, FeedDay>,
    rows: u64,
    pub(super) findings: Vec<Finding>,
    pub(super) known: Vec<Finding>,
}

/// Looks at a date, several times if need be.
pub(super) struct Looker<'a> {
    pub(super) data: &'a DataDir,
    pub(super) date: NaiveDate,
    read: Option<&'a dyn Fn(u64)>,
    /// Files that were sound, and their metadata at the time: they are not read again until that changes.
    sound: HashMap<String, (Stamp, Facts)>,
}

/// A file's identity, length and time of change.
type Stamp = (u64, u64, i64, i64);

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ))
}

impl Day {
    pub(super) fn find(&mut self, path: &str, date: NaiveDate, fault: Fault) {
        self.findings.push(finding(path, date, fault));
    }

    pub(super) fn feed(&mut self, date: NaiveDate, feed: &FeedName) -> &mut FeedDay {
        self.feeds.entry(feed.clone()).or_insert_with(|| FeedDay {
            date,
            feed: feed.clone(),
            files: 0,
            rows: 0,
            quarantined: 0,
            frames: 0,
            bytes: 0,
            segments: 0,
        })
    }
}

impl Looker<'_> {
    fn look(&mut self) -> Result<Day, StoreError> {
        // Files first: one that is committed in between then has a line but is not listed, which is no contradiction.
        let listed = Listed::of(self.data, self.date)?;
        let mut day = Day::default();
        for path in &listed.foreign {
            day.findings.push(foreign_finding(path.clone(), Some(self.date)));
        }
        let list = self.list(&listed, &mut day);
        let mut contents = BTreeMap::new();
        for (path, committed) in &listed.files {
            if let Some(content) = self.file(path, committed, &list, &mut day) {
                contents.insert(path.as_str(), content);
            }
        }
        for feed in listed.feeds() {
            self.between_files(feed, &listed, &list, &contents, &mut day);
            self.coverage(feed, &listed, &contents, &mut day);
            self.registrations(feed, &listed, &mut day);
        }
        for (feed, segments) in &listed.segments {
            self.segments(feed, segments, &mut day)?;
        }
        self.derived(&mut day)?;
        Ok(day)
    }

    fn tell(&self, bytes: u64) {
        if let Some(read) = self.read {
            read(bytes);
        }
    }

    /// Reads the list, and checks that the files in it exist.
    fn list(&self, listed: &Listed, day: &mut Day) -> List {
        let name = self.data.relative(&self.data.checksum_list(self.date));
        let list = Checksums::of(self.data, self.date)
            .read()
            .unwrap_or_else(|error| {
                day.find(&name, self.date, Fault::new(Kind::Unreadable, error.to_string()));
                List::default()
            });
        for line in &list.odd_lines {
            let detail = format!("line {line} is not a digest and path of this date, or repeats a path");
            day.find(&name, self.date, Fault::new(Kind::List, detail));
        }
        for path in list.digests.keys() {
            if !listed.files.contains_key(path) && !self.data.path().join(path).exists() {
                let detail = format!("it is in {name} but does not exist");
                day.find(path, self.date, Fault::new(Kind::Missing, detail));
            }
        }
        list
    }

    /// Reads a file, unless it was sound before and has not changed since.
    fn file(&mut self, path: &str, committed: &CommittedPath, list: &List, day: &mut Day) -> Option<Content> {
        let full = self.data.path().join(path);
        let expected = list.digests.get(path).copied();
        let stamped = stamp(&full);
        let known = self.sound.get(path).filter(|(before, facts)| {
            Some(*before) == stamped && expected.is_none_or(|expected| expected == facts.digest)
        });
        let looked = match known {
            Some((_, facts)) => Ok(facts.clone()),
            None => file::look(self.data, committed, expected),
        };
        let facts = match looked {
            Ok(facts) => facts,
            Err(error) => {
                day.find(path, self.date, Fault::new(Kind::Unreadable, error.to_string()));
                return None;
            }
        };
        self.tell(facts.bytes);
        let feed = day.feed(self.date, &committed.feed);
        feed.files += 1;
        feed.bytes += facts.bytes;
        match &facts.content {
            Ok(content) => {
                if committed.name.dataset == &QUARANTINE {
                    feed.quarantined += content.rows;
                } else if committed.name.dataset.rows == Rows::OfFrames {
                    feed.rows += content.rows;
                }
                day.rows += content.rows;
                if let Some(stamp) = stamped {
                    self.sound.insert(path.to_owned(), (stamp, facts.clone()));
                }
            }
            Err(fault) => day.find(path, self.date, fault.clone()),
        }
        facts.content.ok()
    }

    /// Whether [`crate::retention`] has removed the date from a dataset.
    pub(super) fn is_expired(&self, dataset: Dataset) -> bool {
        let is_there = self.data.date_dir(dataset, self.date).exists();
        !is_there && self.data.expired(dataset, self.date).exists()
    }

    fn segments(&self, feed: &FeedName, segments: &Segments, day: &mut Day) -> Result<(), StoreError> {
        let relative = |dir: &str, name: String| format!(".krx/{dir}/{feed}/{name}");
        let mut looked = Vec::new();
        for name in &segments.raw {
            let path = self.data.journal(feed).join(name.to_string());
            let bytes = stamp(&path).map_or(0, |stamp| stamp.1);
            let is_newest = segments.newest == Some(*name);
            let last = if is_newest { Last::AtRest } else { Last::No };
            let mut faults = journal::look(&path, feed, *name, last);
            // Whether a recorder is at work is checked only where it matters, since checking takes the lock for a
            // moment.
            let is_odd = faults.as_ref().is_ok_and(|faults| !faults.is_empty());
            if is_newest && is_odd && lock::is_held(self.data)? {
                faults = journal::look(&path, feed, *name, Last::Written);
            }
            looked.push((relative("journal", name.to_string()), bytes, faults));
        }
        for name in &segments.archived {
            let path = archive::path(self.data, feed, *name);
            let bytes = stamp(&path).map_or(0, |stamp| stamp.1);
            looked.push((
                relative("archive", name.archived()),
                bytes,
                journal::look_archived(&path),
            ));
        }
        if looked.is_empty() {
            return Ok(());
        }
        day.feed(self.date, feed).segments += looked.len() as u64;
        for (path, bytes, faults) in looked {
            self.tell(bytes);
            match faults {
                Ok(faults) => faults
                    .into_iter()
                    .for_each(|fault| day.find(&path, self.date, fault)),
                // Exported or expired in the meantime.
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => day.find(&path, self.date, Fault::new(Kind::Unreadable, error.to_string())),
            }
        }
        Ok(())
    }
}
