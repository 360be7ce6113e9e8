//! The registrations of a date, restored from its journal: no other file has them.

use super::merge::{Merge, Place};
use super::report::Rebuilt;
use crate::checksums::{Checksums, Pending};
use crate::dataset::REGISTRATIONS;
use crate::error::StoreError;
use crate::layout::{CommittedName, CommittedPath};
use crate::registrations;

impl Merge<'_> {
    pub(super) fn registrations(&self, rebuilt: &mut Rebuilt, pending: Pending) -> Result<(), StoreError> {
        let committed = CommittedPath {
            date: self.date,
            feed: self.feed.clone(),
            name: CommittedName::of_the_date(&REGISTRATIONS, self.date),
        };
        let path = committed.to_string();
        let line = self.list.digests.get(&path);
        // An exporter may continue it: then it gets no line, and is left to the recorder at work.
        let is_pending = pending.has(&committed.name);
        if is_pending && self.frame_max < u64::MAX {
            return Ok(());
        }
        let made = self.made.get(&path).filter(|_| self.lacking.is_empty());
        let made = made.map(|(_, made)| made.as_path());
        let mut lines = Vec::new();
        match (made, self.place(&committed)?) {
            (_, Place::Newer) => rebuilt.unchecked += 1,
            (made, Place::Sound) => {
                match made {
                    Some(made) => {
                        let in_place = self.data.path().join(&path);
                        if registrations::has_rows_of(made, &in_place, self.date) {
                            rebuilt.identical += 1;
                        } else {
                            rebuilt.differing.push(path);
                        }
                    }
                    None => rebuilt.unchecked += 1,
                }
                if line.is_some() || !is_pending {
                    self.put_right(&committed, line, &mut lines)?;
                }
            }
            (None, Place::Missing) if line.is_none() => {}
            (Some(_), Place::Missing)
                if line.is_none() && self.data.expired(&REGISTRATIONS, self.date).exists() => {}
            (Some(made), Place::Missing | Place::Damaged(_)) => {
                if !self.dry_run {
                    let digest = self.restore(made, &path)?;
                    if line.is_some() || !is_pending {
                        lines.push((committed, digest));
                    }
                }
                rebuilt.restored.push(path);
            }
            (None, place) => rebuilt.lost.push(self.lost(&committed, &place)),
        }
        rebuilt.lines += lines.len() as u64;
        if !self.dry_run && !lines.is_empty() {
            Checksums::of(self.data, self.date).record(&lines, &[])?;
        }
        Ok(())
    }
}
