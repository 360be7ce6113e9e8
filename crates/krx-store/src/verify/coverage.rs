//! Whether coverage says what the files of a date say: their frames, rows and sessions, and the ledger in their footers.

use std::collections::BTreeMap;

use super::file::Content;
use super::finding::{Fault, Kind};
use super::listed::Listed;
use super::look::{Day, Looker};
use crate::coverage::{Interval, Ledger, Slice, State, load};
use crate::dataset::{COVERAGE, Dataset, QUARANTINE};
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath};

impl Looker<'_> {
    /// Compares a feed's coverage with its files. A file that cannot be read is reported elsewhere.
    pub(super) fn coverage(
        &self,
        feed: &FeedName,
        listed: &Listed,
        contents: &BTreeMap<&str, Content>,
        day: &mut Day,
    ) {
        let service = listed.service_of(self.data, feed);
        if self.is_expired(service.primary()) || self.is_expired(&COVERAGE) {
            return;
        }
        let mut files: Vec<(&CommittedPath, &Content)> = Vec::new();
        for (path, committed) in listed.files_of(feed, service.primary()) {
            let Some(content) = contents.get(path.as_str()) else {
                return;
            };
            files.push((committed, content));
        }
        files.sort_by_key(|(committed, _)| committed.name.last_frame);
        let path = CommittedPath {
            date: self.date,
            feed: feed.clone(),
            name: CommittedName::of_the_date(&COVERAGE, self.date),
        };
        let name = path.to_string();
        let partition =
            |dataset: Dataset| format!("{dataset}/date={}/{}/", self.date, dataset.partition_name(feed));
        let siblings = service.datasets.iter().copied().chain([&QUARANTINE]);
        let siblings: Vec<Dataset> = siblings.filter(|other| *other != service.primary()).collect();
        // What is reported about these files already says more than wrong figures in coverage would.
        let primary_dir = partition(service.primary());
        let is_told = day.findings.iter().any(|finding| {
            let is_lost = matches!(
                finding.kind,
                Kind::Missing | Kind::Digest | Kind::Footer | Kind::Decode | Kind::Unreadable
            );
            finding.path == name || (is_lost && finding.path.starts_with(&primary_dir))
        });
        if is_told {
            return;
        }
        let Some(stored) = self.stored(feed, &name, day) else {
            return;
        };
        let is_pending = listed
            .segments
            .get(feed)
            .is_some_and(|segments| !segments.raw.is_empty());
        let slices: Vec<Slice> = files
            .iter()
            .filter_map(|(_, content)| Slice::of(content.footer.as_ref()?))
            .collect();
        let fault = contradiction(stored.as_ref(), Ledger::of_slices(self.date, &slices), is_pending);
        if let Some(detail) = fault {
            day.find(&name, self.date, Fault::new(Kind::Coverage, detail));
        }
        let is_told = siblings.iter().any(|dataset| {
            let dir = partition(dataset);
            day.findings.iter().any(|finding| finding.path.starts_with(&dir))
        });
        // The sum lacks what retention has removed.
        if !is_told && !siblings.iter().any(|dataset| self.is_expired(dataset)) {
            let siblings = siblings.iter().flat_map(|dataset| listed.files_of(feed, dataset));
            self.sessions(&files, &siblings.collect::<Vec<_>>(), contents, day);
        }
    }

    /// The coverage file's ledger, if there is one; `None` when what is wrong with the file is told.
    fn stored(&self, feed: &FeedName, name: &str, day: &mut Day) -> Option<Option<Ledger>> {
        let fault = match load(self.data, feed, self.date) {
            Ok(stored) => return Some(stored),
            // It is listed as damaged, or is about to be replaced.
            Err(StoreError::ReadBack { what, .. }) => Fault::new(Kind::Coverage, what),
            Err(error) => Fault::new(Kind::Unreadable, error.to_string()),
        };
        day.find(name, self.date, fault);
        None
    }

    /// Whether each session has as many rows as the footers' intervals say.
    fn sessions(
        &self,
        files: &[(&CommittedPath, &Content)],
        siblings: &[(&String, &CommittedPath)],
        contents: &BTreeMap<&str, Content>,
        day: &mut Day,
    ) {
        for (committed, content) in files {
            let Some(footer) = &content.footer else { continue };
            let mut found = content.sessions.clone();
            for (path, other) in siblings {
                if !committed.name.overlaps(&other.name) {
                    continue;
                }
                // A sealed day does not say which of its rows came from these frames.
                if !committed.name.contains(&other.name) {
                    return;
                }
                let Some(content) = contents.get(path.as_str()) else {
                    return;
                };
                for (session, rows) in &content.sessions {
                    *found.entry(*session).or_default() += rows;
                }
            }
            let (mut told, mut frames) = (BTreeMap::<u32, u64>::new(), 0);
            for row in Slice::of(footer).iter().flat_map(Slice::intervals) {
                frames += row.frames;
                if let Some(session) = row.session.filter(|_| row.rows > 0) {
                    *told.entry(session).or_default() += row.rows;
                }
            }
            let held: u64 = footer.frames().iter().map(|(first, last)| last + 1 - first).sum();
            let path = committed.to_string();
            if told != found {
                let detail = format!(
                    "its rows by session are {found:?}, but the intervals in its footer say {told:?}"
                );
                day.find(&path, self.date, Fault::new(Kind::Coverage, detail));
            } else if frames != held {
                let detail = format!("it has {held} frames, but the intervals in its footer say {frames}");
                day.find(&path, self.date, Fault::new(Kind::Coverage, detail));
            }
        }
    }
}

/// What is wrong with a date's coverage, by the ledger that its files' footers make. With `is_pending` the recorder was
/// killed between committing the files and writing coverage: the next start finishes it.
fn contradiction(stored: Option<&Ledger>, of_files: Option<Ledger>, is_pending: bool) -> Option<String> {
    match (stored, of_files) {
        (None, None) => None,
        (None, Some(_)) => (!is_pending).then(|| {
            "it does not exist, although there are files that it should cover; `rebuild` makes it from them".to_owned()
        }),
        (Some(stored), None) => (stored.frames() > 0)
            .then(|| format!("it counts {} frames, but no file has any", stored.frames())),
        (Some(stored), Some(of_files)) => {
            let lags = is_pending && stored.last_held() < of_files.last_held();
            (!lags).then(|| difference(stored, of_files)).flatten()
        }
    }
}

/// Where coverage contradicts the files; what it has after their last frame is its own.
fn difference(stored: &Ledger, mut of_files: Ledger) -> Option<String> {
    if (stored.frames(), stored.last_held()) != (of_files.frames(), of_files.last_held()) {
        return Some(format!(
            "it counts {} frames up to {}, but the files have {} up to {}; `rebuild` puts it right",
            stored.frames(),
            stored.last_held(),
            of_files.frames(),
            of_files.last_held()
        ));
    }
    if let Some(pair) = stored
        .intervals()
        .windows(2)
        .find(|pair| pair[0].to != pair[1].from)
    {
        return Some(format!(
            "one of its intervals ends at {}, but the next begins at {}",
            pair[0].to, pair[1].from
        ));
    }
    of_files.graft(stored);
    let (said, expected) = (stored.intervals(), of_files.intervals());
    let index = (0..said.len().max(expected.len())).find(|index| said.get(*index) != expected.get(*index))?;
    let words = |row: Option<&Interval>| {
        row.map_or_else(
            || "missing".to_owned(),
            |row| {
                let kind = if row.state == State::Live {
                    "live"
                } else {
                    row.reason.as_str()
                };
                format!(
                    "{kind} from {} to {}, {} frames, {} rows",
                    row.from, row.to, row.frames, row.rows
                )
            },
        )
    };
    Some(format!(
        "its row {index} is {}, but according to the files it should be {}; `rebuild` puts it right",
        words(said.get(index)),
        words(expected.get(index))
    ))
}
