//! The beginning of a journal segment: a file with a header before it has its name, and a number that is never reused.

use std::sync::Arc;

use super::record::{Resumes, SegmentHeader, encode_again};
use super::spare::Spare;
use super::writer::{Active, HEADER, Writer};
use crate::error::{StoreError, at};
use crate::layout::SegmentName;

impl Writer {
    /// Begins the next segment, for a record of `bytes` and those that are waiting for it.
    pub(super) fn start_segment(&mut self, bytes: u64) -> Result<(), StoreError> {
        let name = SegmentName {
            number: self.last_number + 1,
            date: self.date.expect("a date was entered"),
            // Those waiting are events, and the frame about to be pushed has no number yet.
            first_frame: self.last.frame + 1,
        };
        let spare = {
            let mut state = self.tail.lock();
            // Followers must know that the segment is of this run before they can find its file.
            state.first.get_or_insert(name);
            state.spare.take()
        };
        let (dir, disk) = (self.data.journal(&self.feed), self.data.disk());
        let bytes_min = bytes + self.buffer.len() as u64 + HEADER;
        let spare = match spare {
            Some(spare) if spare.bytes >= bytes_min => spare,
            other => {
                if let Some(small) = other {
                    let _ = disk.remove(&small.path);
                }
                Spare::create_smaller(disk, &dir, self.config.segment_bytes, bytes_min)?
            }
        };
        let path = dir.join(name.to_string());
        let header = self.header(name, None)?;
        // The header is written before the file gets its name: no reader ever sees a segment without one.
        let named = disk
            .write_at(&spare.file, &spare.path, &header.to_bytes(), 0)
            .and_then(|()| {
                // From here on the number is never reused: nobody knows how far a failed rename got.
                self.last_number = name.number;
                disk.name(&spare.path, &path)
            });
        if let Err(error) = named {
            let _ = disk.remove(&spare.path);
            return Err(error);
        }
        let file = Arc::new(spare.file);
        self.tail.lock().unsynced.push((name, Arc::clone(&file)));
        let waiting = std::mem::take(&mut self.buffer);
        encode_again(&waiting, header.salt, &mut self.buffer);
        self.segment = Some(Active {
            name,
            file,
            salt: header.salt,
            end: HEADER,
            limit: spare.bytes,
        });
        Ok(())
    }

    pub(super) fn header(
        &self,
        name: SegmentName,
        resumes: Option<Resumes>,
    ) -> Result<SegmentHeader, StoreError> {
        let mut salt = [0; 8];
        rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty()).map_err(|error| {
            at(
                "generating a salt for a segment in",
                &self.data.journal(&self.feed),
            )(error.into())
        })?;
        Ok(SegmentHeader {
            name,
            feed: self.feed.clone(),
            salt: u64::from_le_bytes(salt),
            resumes,
        })
    }
}
