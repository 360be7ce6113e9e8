//! What is known of a date beside its rows: coverage and registrations. Each record is folded into both, and both files
//! are written before journal is removed.

use super::cut::CommitReason;
use super::exporter::Exporter;
use crate::coverage::{self, Ledger};
use crate::error::StoreError;
use crate::journal::{Event, Position};
use crate::moment::Moment;
use crate::{checksums, registrations};

impl Exporter {
    /// Folds a record into the ledger and into the registrations; `event` is the event with its time, if it is one.
    pub(super) fn fold(
        &mut self,
        position: Option<Position>,
        event: Option<(Moment, &Event)>,
        record: impl FnOnce(&mut Ledger),
    ) {
        let (Some(date), Some(position)) = (&mut self.date, position) else {
            return;
        };
        self.tally.note();
        record(&mut date.ledger);
        date.ledger.fold_to(position);
        date.registrations.fold(position, &date.ledger, event);
    }

    /// The journal has moved on to another date: nothing will be added to this one.
    pub(super) fn leave_date(&mut self) -> Result<(), StoreError> {
        self.commit(CommitReason::Day)?;
        if let Some(date) = &mut self.date {
            date.ledger.end_date();
            date.registrations.follow(&date.ledger);
        }
        self.save_ledger()?;
        self.tell();
        if let Some(left) = self.date.take() {
            checksums::list_whole_files(&self.data, &self.feed, left.date)?;
        }
        Ok(())
    }

    /// Writes the ledger if its file is out of date. Not while frames are held that no file has: the file would call
    /// live what readers cannot find (I8).
    pub(super) fn save_ledger(&mut self) -> Result<(), StoreError> {
        if self.segment.is_some() {
            return Ok(());
        }
        // Before the ledger, by which records count as known: the registrations are never behind it.
        self.save_registrations()?;
        let Some(date) = &mut self.date else {
            return Ok(());
        };
        if date.saved.as_ref() == Some(&date.ledger) {
            return Ok(());
        }
        coverage::store(&self.data, &self.feed, &date.ledger)?;
        match &mut date.saved {
            Some(saved) => saved.catch_up(&date.ledger),
            saved @ None => *saved = Some(date.ledger.clone()),
        }
        Ok(())
    }

    /// Writes the registrations if their file is out of date.
    pub(super) fn save_registrations(&mut self) -> Result<(), StoreError> {
        if let Some(date) = &mut self.date
            && date.registrations.is_to_be_saved()
        {
            registrations::store(&self.data, &self.feed, &date.registrations)?;
            date.registrations.saved();
        }
        Ok(())
    }
}
