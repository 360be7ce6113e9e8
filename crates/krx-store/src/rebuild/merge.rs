//! Merging what is in place with what was exported again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::report::{Lost, Rebuilt};
use crate::catalog::{self, read_footer};
use crate::checksums::{Checksums, Digest, List, Pending, digest};
use crate::coverage::{self, Ledger};
use crate::dataset::{COVERAGE, Dataset, Rows};
use crate::error::{StoreError, at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir};
use crate::read::Arrivals;
use crate::rights;
use crate::verify::{self, Kind};

/// The state of a file in place, compared with what the journal produces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It matches its line in the list, or has none, and can be read to its end.
    Sound,
    /// It is not there.
    Missing,
    /// A newer recorder wrote it; this one cannot judge it, and leaves it alone.
    Newer,
    /// It is not what was committed; why.
    Damaged(String),
}

/// Merges what is in place with what was exported again.
pub(super) struct Merge<'a> {
    pub(super) data: &'a DataDir,
    pub(super) feed: &'a FeedName,
    pub(super) date: NaiveDate,
    /// Where each re-exported file is, by its path relative to the data directory.
    pub(super) made: BTreeMap<String, (CommittedPath, PathBuf)>,
    pub(super) lacking: Vec<(u64, u64)>,
    pub(super) segments: u64,
    pub(super) list: List,
    pub(super) frame_max: u64,
    pub(super) dry_run: bool,
}

impl Merge<'_> {
    pub(super) fn run(self) -> Result<Rebuilt, StoreError> {
        let mut rebuilt = Rebuilt {
            feed: self.feed.clone(),
            segments: self.segments,
            identical: 0,
            restored: Vec::new(),
            differing: Vec::new(),
            unchecked: 0,
            lost: Vec::new(),
            lacking: self.lacking.clone(),
            lines: 0,
        };
        let (mut lines, mut restored, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        let mut wanted = self.wanted()?;
        // Registrations have no frames, and coverage is derived from the other files once they are in place.
        wanted.retain(|_, committed| committed.name.dataset.rows == Rows::OfFrames);
        let mut places = BTreeMap::new();
        for (path, committed) in &wanted {
            places.insert(path.clone(), self.place(committed)?);
        }
        let sound: Vec<_> = wanted
            .values()
            .filter(|committed| places[&committed.to_string()] == Place::Sound)
            .collect();
        for (path, committed) in &wanted {
            let place = &places[path];
            let line = self.list.digests.get(path);
            match (self.made.get(path), place) {
                (Some((_, made)), Place::Sound | Place::Damaged(_))
                    if self.is_as_good(made, path, committed, place)? =>
                {
                    rebuilt.identical += 1;
                    self.put_right(committed, line, &mut lines)?;
                }
                (_, Place::Newer) => rebuilt.unchecked += 1,
                (_, Place::Sound) => {
                    if self.lacks(committed).is_some() {
                        rebuilt.unchecked += 1;
                    } else {
                        rebuilt.differing.push(path.clone());
                    }
                    self.put_right(committed, line, &mut lines)?;
                }
                (Some((_, made)), _) if self.fits(committed, &sound) => {
                    if !self.dry_run {
                        restored.push((committed.clone(), self.restore(made, path)?));
                    }
                    rebuilt.restored.push(path.clone());
                }
                // Exported with other boundaries than the files beside it, or about to be committed by the recorder.
                (Some(_), Place::Missing) if line.is_none() => {}
                (None, Place::Missing) if self.is_bogus(committed, &sound) => removed.push(committed.clone()),
                (_, place) => rebuilt.lost.push(self.lost(committed, place)),
            }
        }
        // A recorder that is past the date may still be exporting it. What it may yet replace must not get a line.
        let files = catalog::committed(self.data, self.feed, self.date)?;
        let pending = Pending::of(self.data, self.feed, self.date, &files)?;
        let is_due = |(committed, _): &(CommittedPath, Digest)| {
            self.list.digests.contains_key(&committed.to_string()) || !pending.has(&committed.name)
        };
        lines.retain(is_due);
        restored.retain(is_due);
        rebuilt.lines = (lines.len() + removed.len()) as u64;
        if !self.dry_run {
            lines.append(&mut restored);
            Checksums::of(self.data, self.date).record(&lines, &removed)?;
        }
        self.registrations(&mut rebuilt, pending)?;
        self.coverage(&mut rebuilt, pending)?;
        Ok(rebuilt)
    }

    /// Whether the file in place has what was exported again: every byte, or if it is sound, every row.
    fn is_as_good(
        &self,
        made: &Path,
        path: &str,
        committed: &CommittedPath,
        place: &Place,
    ) -> Result<bool, StoreError> {
        let in_place = self.data.path().join(path);
        Ok(self.is_same(made, path)?
            || (*place == Place::Sound && has_same_rows(committed.name.dataset, made, &in_place)))
    }

    /// Puts a file that was exported again in its place.
    pub(super) fn restore(&self, made: &Path, path: &str) -> Result<Digest, StoreError> {
        let target = self.data.path().join(path);
        let dir = target.parent().unwrap_or(self.data.path());
        self.data.create_dir(dir)?;
        rights::as_born_in(made, dir);
        self.data.disk().replace(made, &target)?;
        digest(&target)
    }

    /// Coverage is what the committed files' footers say, plus what the date's whole journal adds.
    fn coverage(&self, rebuilt: &mut Rebuilt, pending: Pending) -> Result<(), StoreError> {
        let committed = CommittedPath {
            date: self.date,
            feed: self.feed.clone(),
            name: CommittedName::of_the_date(&COVERAGE, self.date),
        };
        let path = committed.to_string();
        let line = self.list.digests.get(&path);
        // An exporter may continue it: then it gets no line, and is left to the recorder at work.
        let is_pending = pending.has(&committed.name);
        if is_pending && self.frame_max < u64::MAX {
            return Ok(());
        }
        let made = match self.made.get(&path).filter(|_| self.lacking.is_empty()) {
            Some((_, made)) => coverage::read(made, self.date)?.map(|ledger| (made, ledger)),
            None => None,
        };
        let found = coverage::restore(self.data, self.feed, self.date)?;
        if found.on_disk && self.is_intact(&path, line, made.as_ref().map(|(made, _)| made.as_path()))? {
            match &made {
                Some((_, made)) if made.intervals() == found.ledger.intervals() => rebuilt.identical += 1,
                Some(_) => rebuilt.differing.push(path),
                None => rebuilt.unchecked += 1,
            }
            self.keep(&committed, is_pending, rebuilt)?;
            return Ok(());
        }
        let stored = coverage::load(self.data, self.feed, self.date).unwrap_or_default();
        let made = made.map(|(_, ledger)| ledger);
        let files = coverage::Files::of(self.data, self.feed, self.date)?;
        // A recorder at work may be about to commit what was exported again.
        let is_to_come = files.is_empty() && made.as_ref().is_some_and(|made| made.frames() > 0);
        let is_wanted = line.is_some() || made.is_some() || !files.is_empty();
        if !is_wanted || is_to_come || self.data.expired(&COVERAGE, self.date).exists() {
            return Ok(());
        }
        if self.dry_run {
            // It will match the files once the missing ones are in place.
            let fits = |made: &Ledger| stored.as_ref().map(Ledger::intervals) == Some(made.intervals());
            if !found.on_disk && made.as_ref().is_some_and(fits) {
                rebuilt.identical += 1;
            } else {
                rebuilt.restored.push(path);
            }
            return Ok(());
        }
        rebuilt.restored.push(path);
        let ledger = files.ledger(self.date, made.or(stored).as_ref());
        coverage::store(self.data, self.feed, &ledger)?;
        if line.is_none() && is_pending {
            return Ok(());
        }
        Checksums::of(self.data, self.date).record_files(&[committed])
    }

    /// Gives a file that is replaced as a whole its line, unless an exporter may continue it.
    pub(super) fn keep(
        &self,
        committed: &CommittedPath,
        is_pending: bool,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), StoreError> {
        let line = self.list.digests.get(&committed.to_string());
        let mut lines = Vec::new();
        if line.is_some() || !is_pending {
            self.put_right(committed, line, &mut lines)?;
        }
        rebuilt.lines += lines.len() as u64;
        if !self.dry_run && !lines.is_empty() {
            Checksums::of(self.data, self.date).record(&lines, &[])?;
        }
        Ok(())
    }

    /// Whether a file matches its line or was exported again identically. A changed byte is not always one that is
    /// read.
    fn is_intact(&self, path: &str, line: Option<&Digest>, made: Option<&Path>) -> Result<bool, StoreError> {
        let Some(line) = line else { return Ok(true) };
        if digest(&self.data.path().join(path))? == *line {
            return Ok(true);
        }
        made.map_or(Ok(false), |made| self.is_same(made, path))
    }

    /// All files of the feed and date: present, listed or exported again. Quarantine comes before the primary file of
    /// the same frames, which is the commit record of both.
    fn wanted(&self) -> Result<BTreeMap<String, CommittedPath>, StoreError> {
        let mut wanted: BTreeMap<_, _> = catalog::committed(self.data, self.feed, self.date)?
            .into_iter()
            .map(|committed| (committed.to_string(), committed))
            .collect();
        let listed = self.list.digests.keys().filter_map(|path| self.data.parse(path));
        let listed = listed.filter(|committed| committed.feed == *self.feed);
        wanted.extend(listed.map(|committed| (committed.to_string(), committed)));
        wanted.extend(
            self.made
                .iter()
                .map(|(path, (committed, _))| (path.clone(), committed.clone())),
        );
        Ok(wanted)
    }

    pub(super) fn place(&self, committed: &CommittedPath) -> Result<Place, StoreError> {
        let path = committed.to_string();
        let expected = self.list.digests.get(&path).copied();
        match verify::look_at_file(self.data, committed, expected) {
            Ok(facts) => Ok(match facts.content {
                Ok(_) => Place::Sound,
                Err(fault) if fault.kind == Kind::Newer => Place::Newer,
                Err(fault) => Place::Damaged(fault.detail),
            }),
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Place::Missing),
            // A sector that cannot be read is damage: the file is rewritten elsewhere.
            Err(error) => Ok(Place::Damaged(error.to_string())),
        }
    }

    fn is_same(&self, made: &Path, path: &str) -> Result<bool, StoreError> {
        let place = self.data.path().join(path);
        let open = |path: &Path| File::open(path).map_err(at("opening", path));
        let (mut left, mut right) = (open(made)?, open(&place)?);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        loop {
            a.clear();
            b.clear();
            let read = |file: &mut File, chunk: &mut Vec<u8>| file.take(COMPARED_BYTES).read_to_end(chunk);
            read(&mut left, &mut a).map_err(at("reading", made))?;
            // What cannot be read is not the same.
            if read(&mut right, &mut b).is_err() || a != b {
                return Ok(false);
            }
            if a.is_empty() {
                return Ok(true);
            }
        }
    }

    /// Gives a sound file its line if it has none, or a wrong one.
    fn put_right(
        &self,
        committed: &CommittedPath,
        line: Option<&Digest>,
        lines: &mut Vec<(CommittedPath, Digest)>,
    ) -> Result<(), StoreError> {
        let found = digest(&self.data.path().join(committed.to_string()))?;
        if line != Some(&found) {
            lines.push((committed.clone(), found));
        }
        Ok(())
    }

    /// Whether a re-exported file may be put in place: none of its frames are in a sound file of another name.
    fn fits(&self, committed: &CommittedPath, sound: &[&CommittedPath]) -> bool {
        let name = committed.name;
        let beside = self.list.digests.keys().filter_map(|path| self.data.parse(path));
        let mut beside = beside.filter(|listed| listed.feed == *self.feed);
        let is_other =
            |other: &CommittedName| self.data.is_primary(other.dataset) && !same_frames(other, &name);
        // A sealed day leaves the files of other datasets as they were.
        let is_apart =
            |other: &CommittedName| name.dataset != other.dataset && (other.is_day() || name.is_day());
        let is_hit = |other: &CommittedName| is_other(other) && other.overlaps(&name) && !is_apart(other);
        name.last_frame <= self.frame_max
            && !sound.iter().any(|other| is_hit(&other.name))
            && !beside.any(|other| is_hit(&other.name) && !self.is_bogus(&other, sound))
    }

    /// Whether a listed file that does not exist never did: the date's journal is complete, does not produce it, and
    /// produces everything that is there. Then the line itself is damaged.
    fn is_bogus(&self, committed: &CommittedPath, sound: &[&CommittedPath]) -> bool {
        let path = committed.to_string();
        let is_made = |committed: &CommittedPath| self.made.contains_key(&committed.to_string());
        self.lacking.is_empty()
            && !self.made.is_empty()
            && !is_made(committed)
            && !self.data.path().join(path).exists()
            && sound.iter().all(|committed| is_made(committed))
    }

    /// The first frames of a file that the journal no longer has.
    fn lacks(&self, committed: &CommittedPath) -> Option<(u64, u64)> {
        let name = committed.name;
        let inside = |(first, last): &(u64, u64)| (name.first_frame.max(*first), name.last_frame.min(*last));
        self.lacking
            .iter()
            .map(inside)
            .find(|(first, last)| first <= last)
    }

    pub(super) fn lost(&self, committed: &CommittedPath, place: &Place) -> Lost {
        let what = match place {
            Place::Sound | Place::Newer | Place::Missing => "it does not exist".to_owned(),
            Place::Damaged(detail) => detail.clone(),
        };
        let why = match self.lacks(committed) {
            Some((first, last)) => format!("the archive does not have frames {first} to {last}"),
            None => {
                "the journal produces no such file with these settings: pass the --config that it was recorded \
                     with, and use the same version of the recorder"
                    .to_owned()
            }
        };
        Lost {
            path: committed.to_string(),
            detail: format!("{what}; {why}"),
        }
    }
}

/// Whether two files have the same rows of the same frames. Their slices of the ledger differ if one was made from only
/// part of the journal.
fn has_same_rows(dataset: Dataset, left: &Path, right: &Path) -> bool {
    let facts = |path: &Path| {
        let mut arrivals = Arrivals::new(dataset, vec![path.to_owned()]);
        while arrivals.advance().ok()?.is_some() {}
        Some((read_footer(path).ok()?.of_sibling(), arrivals.fingerprint()))
    };
    facts(left).is_some_and(|left| facts(right) == Some(left))
}

const COMPARED_BYTES: u64 = 256 << 10;

fn same_frames(a: &CommittedName, b: &CommittedName) -> bool {
    (a.partition, a.first_frame, a.last_frame) == (b.partition, b.first_frame, b.last_frame)
}
