//! The registrations of a date, restored from its journal: no other file has them.

use std::path::Path;

use super::merge::{Merge, Place};
use super::report::Rebuilt;
use crate::checksums::Pending;
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
        match (made, self.place_of_registrations(&committed, made)?) {
            (_, Place::Newer) => rebuilt.unchecked += 1,
            (Some(made), Place::Sound) => {
                let in_place = self.data.path().join(&path);
                if registrations::have_same_rows(made, &in_place, self.date) {
                    rebuilt.identical += 1;
                } else {
                    rebuilt.differing.push(path);
                }
                self.keep(&committed, is_pending, rebuilt)?;
            }
            (None, Place::Sound) => {
                rebuilt.unchecked += 1;
                self.keep(&committed, is_pending, rebuilt)?;
            }
            (None, Place::Missing) if line.is_none() => {}
            (Some(_), Place::Missing)
                if line.is_none() && self.data.expired(&REGISTRATIONS, self.date).exists() => {}
            (Some(made), Place::Missing | Place::Damaged(_)) => {
                if !self.dry_run {
                    self.restore(made, &path)?;
                    self.keep(&committed, is_pending, rebuilt)?;
                }
                rebuilt.restored.push(path);
            }
            (None, place) => rebuilt.lost.push(self.lost(&committed, &place)),
        }
        Ok(())
    }

    /// The state of the file in place. One that an exporter had to begin again is sound, but the journal knows more.
    fn place_of_registrations(
        &self,
        committed: &CommittedPath,
        made: Option<&Path>,
    ) -> Result<Place, StoreError> {
        let in_place = self.data.path().join(committed.to_string());
        let is_less = |made| {
            registrations::is_in_part(&in_place, self.date) && !registrations::is_in_part(made, self.date)
        };
        Ok(match self.place(committed)? {
            Place::Sound if made.is_some_and(is_less) => Place::Damaged("part of it was lost".to_owned()),
            place => place,
        })
    }
}
