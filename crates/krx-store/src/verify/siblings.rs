//! What a date's files of one feed say about one another.
//!
//! The footer of a primary file names the files of the same frames, with their rows. Until the day is sealed, those
//! have the same name. A sealed day has the frames of many, so files that share frames are compared as a group.

use std::collections::BTreeMap;

use super::file::{self, Content};
use super::finding::{Fault, Kind, finding};
use super::listed::Listed;
use super::look::{Day, Looker};
use super::ranges::{Break, breaks, groups, held};
use crate::checksums::{List, Pending};
use crate::dataset::{Dataset, Footer, QUARANTINE};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath};
use crate::moment::Moment;

type Contents<'a> = BTreeMap<&'a str, Content>;
type Files<'a> = Vec<(&'a String, &'a CommittedPath)>;

impl Looker<'_> {
    /// What a feed's files say about one another.
    pub(super) fn between_files(
        &self,
        feed: &FeedName,
        listed: &Listed,
        list: &List,
        contents: &Contents<'_>,
        day: &mut Day,
    ) {
        let service = listed.service_of(self.data, feed);
        let mut primary: Files<'_> = listed.files_of(feed, service.primary()).collect();
        primary.sort_by_key(|(_, file)| (file.name.first_frame, file.name.last_frame));
        let covered = primary.iter().map(|(_, file)| file.name.last_frame).max();
        let damage: Vec<_> = listed
            .files
            .iter()
            .filter(|(_, file)| file.feed == *feed)
            .filter_map(|(path, _)| contents.get(path.as_str()))
            .flat_map(|content| content.damage.iter().copied())
            .collect();
        let frames = self.frames(&primary, contents, &damage, day);
        day.feed(self.date, feed).frames = frames;
        let segments = listed.segments.get(feed);
        let pending = Pending {
            has_journal: segments.is_some_and(|segments| !segments.raw.is_empty()),
            covered: covered.unwrap_or(0),
        };
        let siblings = service.datasets.iter().copied().chain([&QUARANTINE]);
        for dataset in siblings.filter(|dataset| *dataset != service.primary()) {
            // What retention has taken out of a dataset is not missing.
            if !self.is_expired(dataset) {
                self.siblings(feed, service.primary(), dataset, listed, contents, pending, day);
            }
        }
        let files = listed.files.iter().filter(|(_, file)| file.feed == *feed);
        for (path, file) in files {
            if !pending.has(&file.name) && !list.digests.contains_key(path) {
                let detail = "its date's list has no line for it".to_owned();
                day.find(path, self.date, Fault::new(Kind::Unlisted, detail));
            }
        }
    }

    /// The primary files of a feed, and those of another dataset.
    #[allow(clippy::too_many_arguments, reason = "all that a look has in hand")]
    fn siblings(
        &self,
        feed: &FeedName,
        primary: Dataset,
        dataset: Dataset,
        listed: &Listed,
        contents: &Contents<'_>,
        pending: Pending,
        day: &mut Day,
    ) {
        let both = listed
            .files_of(feed, primary)
            .chain(listed.files_of(feed, dataset));
        let both: Files<'_> = both.collect();
        let names: Vec<_> = both.iter().map(|(_, file)| file.name).collect();
        for group in groups(&names) {
            let (heads, others): (Files<'_>, Files<'_>) = group
                .into_iter()
                .map(|index| both[index])
                .partition(|(_, file)| file.name.dataset == primary);
            let is_sealed = heads.iter().chain(&others).any(|(_, file)| file.name.is_day());
            match heads.as_slice() {
                [] => self.orphans(primary, &others, pending, day),
                [(path, file)] if !is_sealed => self.pair(path, file, dataset, listed, contents, day),
                _ => self.group(&heads, dataset, &others, contents, day),
            }
        }
    }

    /// Files of frames that no primary file has.
    fn orphans(&self, primary: Dataset, others: &Files<'_>, pending: Pending, day: &mut Day) {
        if self.is_expired(primary) {
            return;
        }
        for (path, file) in others {
            if !pending.has(&file.name) {
                let detail = format!(
                    "{} covers the same frames, but does not exist",
                    twin(file, primary)
                );
                day.find(path, self.date, Fault::new(Kind::Partner, detail));
            }
        }
    }

    /// A primary file, and the file of the same frames that its footer may name.
    fn pair(
        &self,
        path: &str,
        file: &CommittedPath,
        dataset: Dataset,
        listed: &Listed,
        contents: &Contents<'_>,
        day: &mut Day,
    ) {
        let sibling = twin(file, dataset);
        let name = sibling.to_string();
        let Some(footer) = contents.get(path).and_then(|content| content.footer.as_ref()) else {
            return;
        };
        let rows = footer.rows_of(dataset);
        if !listed.files.contains_key(&name) {
            // If it is in the list, it is already reported as missing.
            if rows > 0 && !day.findings.iter().any(|finding| finding.path == name) {
                let detail = format!("{path} says that it has {rows} rows, but it does not exist");
                day.find(&name, self.date, Fault::new(Kind::Missing, detail));
            }
            return;
        }
        let Some(other) = contents.get(name.as_str()) else {
            return;
        };
        if !other
            .footer
            .as_ref()
            .is_some_and(|other| other.is_sibling_of(footer))
        {
            let detail = format!("its footer does not match that of {path}");
            day.find(&name, self.date, Fault::new(Kind::Partner, detail));
        } else if dataset == &QUARANTINE
            && let Err(fault) = file::double(self.data.path(), file, &sibling)
        {
            day.find(&name, self.date, fault);
        }
    }

    /// Primary files, and all files of another dataset that share frames with them.
    fn group(
        &self,
        heads: &Files<'_>,
        dataset: Dataset,
        others: &Files<'_>,
        contents: &Contents<'_>,
        day: &mut Day,
    ) {
        let Some((path, first)) = heads.first() else {
            return;
        };
        let said = heads.iter().map(|(path, _)| {
            let footer = contents.get(path.as_str())?.footer.as_ref()?;
            Some(footer.rows_of(dataset))
        });
        let found = others
            .iter()
            .map(|(path, _)| contents.get(path.as_str()).map(|content| content.rows));
        // A file that cannot be read, or is listed but missing, is already reported.
        let partition = format!(
            "{dataset}/date={}/{}/",
            self.date,
            dataset.partition_name(&first.feed)
        );
        let is_told = day
            .findings
            .iter()
            .any(|finding| finding.path.starts_with(&partition));
        if let (Some(said), Some(found)) = (said.sum::<Option<u64>>(), found.sum::<Option<u64>>())
            && said != found
            && !is_told
        {
            let detail =
                format!("it says that its frames have {said} rows in {dataset}, but {found} are there");
            day.find(path, self.date, Fault::new(Kind::Partner, detail));
        }
        if dataset == &QUARANTINE {
            let others: Vec<_> = others.iter().map(|(_, file)| *file).collect();
            for (path, file) in heads {
                if let Err(fault) = file::double_in_day(self.data.path(), file, &others) {
                    day.find(path, self.date, fault);
                }
            }
        }
    }

    /// The frames that the files cover.
    fn frames(
        &self,
        primary: &[(&String, &CommittedPath)],
        contents: &BTreeMap<&str, Content>,
        damage: &[(Moment, Moment)],
        day: &mut Day,
    ) -> u64 {
        let footer = |index: usize| contents.get(primary.get(index)?.0.as_str())?.footer.as_ref();
        // A sealed day lists the ranges of the files that it was made from.
        let (ranges, files): (Vec<_>, Vec<_>) = primary
            .iter()
            .enumerate()
            .flat_map(|(index, (_, committed))| {
                let by_name = || vec![(committed.name.first_frame, committed.name.last_frame)];
                let ranges = footer(index).map_or_else(by_name, Footer::frames);
                ranges.into_iter().map(move |range| (range, index))
            })
            .unzip();
        for found in breaks(&ranges) {
            match found {
                Break::Overlap { first, last, at } => {
                    let detail = format!("frames {first} to {last} are also in an earlier file");
                    day.find(primary[files[at]].0, self.date, Fault::new(Kind::Overlap, detail));
                }
                Break::Hole { first, last, after } => {
                    let before = after.checked_sub(1).map(|before| files[before]);
                    let after = files[after];
                    let hole = if before == Some(after) {
                        footer(after).map(|day| (day.first_recv, day.last_recv))
                    } else {
                        let begin = before.map_or_else(
                            || Some(Moment::midnight(self.date)),
                            |before| footer(before).map(|footer| footer.last_recv),
                        );
                        begin.zip(footer(after).map(|footer| footer.first_recv))
                    };
                    let known = hole.is_some_and(|(begin, end)| {
                        damage.iter().any(|(from, to)| *from <= end && *to >= begin)
                    });
                    let detail = if before == Some(after) {
                        format!("frames {first} to {last} were in none of the files that it was made from")
                    } else {
                        format!("frames {first} to {last} before it are in no file")
                    };
                    let detail = if known {
                        format!("{detail}; coverage records this: the journal was damaged there")
                    } else {
                        detail
                    };
                    let found = finding(primary[after].0, self.date, Fault::new(Kind::Hole, detail));
                    if known {
                        day.known.push(found);
                    } else {
                        day.findings.push(found);
                    }
                }
            }
        }
        held(&ranges)
    }
}

/// The file of another dataset with the same frames.
fn twin(file: &CommittedPath, dataset: Dataset) -> CommittedPath {
    CommittedPath {
        name: CommittedName { dataset, ..file.name },
        ..file.clone()
    }
}
