//! Recovering after the disk has refused: it is then not known what the disk holds of the last segments, and no further
//! sync of them could be trusted. So everything that may not be on disk is written to a new segment, which is synced
//! before it gets its name and whose header says up to where the journal before it counts. Nothing received is lost,
//! and nothing is duplicated.

use std::sync::Arc;

use chrono::NaiveDate;
use tracing::warn;

use super::counters::Counters;
use super::position::Position;
use super::record::{RecordKind, Resumes, encode_again, own_record};
use super::spare::Spare;
use super::writer::{Active, HEADER, Writer, Written};
use crate::error::StoreError;
use crate::layout::SegmentName;

impl Writer {
    /// Begins a new segment if the disk has refused a write or a sync.
    pub(super) fn renew_if_failed(&mut self) -> Result<(), StoreError> {
        let failure = self.tail.failure();
        if !self.failed && failure.is_none() {
            return Ok(());
        }
        if let Some(failure) = failure {
            warn!(feed = %self.feed, failure, "whatever may not be on disk is written to a new journal segment");
        }
        // Until this succeeds, every further attempt must come back here.
        self.failed = true;
        self.renew()?;
        self.failed = false;
        Counters::add(&self.counters.renewals, 1);
        Ok(())
    }

    /// Abandons the files whose contents on disk are not known, and writes everything that may not be on disk to new
    /// segments, which are synced before they get their names.
    fn renew(&mut self) -> Result<(), StoreError> {
        // A removed file can be restored only while it is open.
        self.tail.look_after(&self.files)?;
        let base = {
            let mut state = self.tail.lock();
            state.generation += 1;
            state.unsynced.clear();
            state.failure = None;
            state.written = state.synced;
            state.synced
        };
        drop(self.forget_synced(base));
        // A date's first events wait without a segment; they are not in the one that is abandoned.
        let waiting = self.segment.is_none();
        if let Some(active) = self.segment.take() {
            self.unsynced_bytes += self.buffer.len();
            self.unsynced.push_back(Written {
                end: Position {
                    segment: active.name,
                    offset: 0,
                },
                records: std::mem::take(&mut self.buffer),
                in_force: std::mem::replace(&mut self.in_force_before, Arc::clone(&self.in_force)),
            });
        }
        // Whatever is synced from here on, these records are on disk only once they are in a new segment.
        for written in &mut self.unsynced {
            written.end.segment.number = u32::MAX;
        }
        let mut resumes = match base {
            Some(base) => Resumes {
                number: base.segment.number,
                bytes: base.offset,
            },
            // Nothing of this run is on disk, so everything that existed before it counts.
            None => Resumes {
                number: self
                    .tail
                    .lock()
                    .first
                    .map_or(self.last_number, |first| first.number - 1),
                bytes: Resumes::WHOLE,
            },
        };
        while let Some(date) = self.unsynced.front().map(|written| written.end.segment.date) {
            let is_of_date = |written: &&Written| written.end.segment.date == date;
            let count = self.unsynced.iter().take_while(is_of_date).count();
            if let Some(end) = self.write_synced_segment(date, resumes, count)? {
                resumes = Resumes {
                    number: end.segment.number,
                    bytes: Resumes::WHOLE,
                };
            }
            for gone in self.unsynced.drain(..count) {
                self.unsynced_bytes -= gone.records.len();
            }
        }
        if waiting {
            self.segment = None;
        }
        Ok(())
    }

    /// Writes one segment with the first `count` writes that may not be on disk; they are when this returns. One write
    /// is encoded at a time: on top of what is already in memory, this needs no more than that.
    fn write_synced_segment(
        &mut self,
        date: NaiveDate,
        resumes: Resumes,
        count: usize,
    ) -> Result<Option<Position>, StoreError> {
        let first = self.unsynced.iter().take(count);
        let Some((written, (head, ..))) = first
            .clone()
            .find_map(|written| Some((written, own_record(&written.records, 0)?)))
        else {
            return Ok(None);
        };
        let beginning = self.beginning(&written.in_force, head);
        let bytes: usize = first.map(|written| written.records.len()).sum::<usize>() + beginning.len();
        let name = SegmentName {
            number: self.last_number + 1,
            date,
            first_frame: head.frame + u64::from(head.kind == RecordKind::Event),
        };
        let (dir, disk) = (self.data.journal(&self.feed), self.data.disk());
        let path = dir.join(name.to_string());
        let header = self.header(name, Some(resumes))?;
        let spare = Spare::create_smaller(disk, &dir, self.config.segment_bytes, HEADER + bytes as u64)?;
        self.tail.lock().first.get_or_insert(name);
        let mut end = HEADER;
        let mut write = || {
            disk.write_at(&spare.file, &spare.path, &header.to_bytes(), 0)?;
            let mut encoded = Vec::new();
            encode_again(&beginning, header.salt, &mut encoded);
            disk.write_at(&spare.file, &spare.path, &encoded, end)?;
            end += encoded.len() as u64;
            for written in self.unsynced.iter().take(count) {
                encoded.clear();
                encode_again(&written.records, header.salt, &mut encoded);
                disk.write_at(&spare.file, &spare.path, &encoded, end)?;
                end += encoded.len() as u64;
            }
            disk.sync(&spare.file, &spare.path)
        };
        let made = write().and_then(|()| {
            self.last_number = name.number;
            disk.rename(&spare.path, &path)
        });
        if let Err(error) = made {
            let _ = disk.remove(&spare.path);
            return Err(error);
        }
        let end = Position {
            segment: name,
            offset: end,
        };
        let file = Arc::new(spare.file);
        {
            let mut state = self.tail.lock();
            (state.written, state.synced) = (Some(end), Some(end));
            state.unsynced = vec![(name, Arc::clone(&file))];
        }
        self.tail.notify_advanced();
        self.segment = Some(Active {
            name,
            file,
            salt: header.salt,
            end: end.offset,
            limit: spare.bytes,
        });
        Ok(Some(end))
    }
}
