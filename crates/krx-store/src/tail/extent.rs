//! Which frames a tail has, before its rows are decoded: an answer names them in its head.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use super::reader::follower;
use crate::coverage::damage_detail;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::{Followed, Position, RecordKind, Tail};
use crate::layout::DataDir;
use crate::moment::Moment;

/// The frames of a date that a tail has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramesOfDate {
    /// The date.
    pub date: NaiveDate,
    /// The first frame.
    pub first_frame: u64,
    /// The last one; in between none is missing, unless it was lost with damaged journal.
    pub last_frame: u64,
    /// When the last one was received.
    pub last_recv: Moment,
}

/// The frames that a tail has, date by date, and what of the journal is damaged there, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The frames; no date is without any.
    pub frames: Vec<FramesOfDate>,
    /// The damage.
    pub damaged: Vec<String>,
}

impl Extent {
    /// The frames after those in `after` in the part of the journal that is on disk. A [`TailReader`] has the same, as long
    /// as no journal is removed.
    ///
    /// # Errors
    /// As [`TailReader::open`] and [`TailReader::advance`].
    ///
    /// [`TailReader`]: super::TailReader
    /// [`TailReader::open`]: super::TailReader::open
    /// [`TailReader::advance`]: super::TailReader::advance
    pub fn of(
        data: &DataDir,
        feed: &FeedName,
        after: &BTreeMap<NaiveDate, u64>,
        until: Option<Position>,
    ) -> Result<Self, StoreError> {
        let mut extent = Self::default();
        let Some(until) = until else {
            return Ok(extent);
        };
        let mut follower = follower(data, feed, after, Some(Arc::new(Tail::known(Some(until)))))?;
        loop {
            match follower.advance()? {
                Followed::Record(name, head) if head.kind == RecordKind::Frame => {
                    if head.frame > after.get(&name.date).copied().unwrap_or(0) {
                        extent.add(name.date, head.frame, head.at);
                    }
                }
                Followed::Damage(name, span) => extent.damaged.push(damage_detail(name, &span)),
                Followed::Record(..) | Followed::SegmentEnd(_) => {}
                Followed::CaughtUp => return Ok(extent),
            }
        }
    }

    /// Frames rise within a date; after a correction of the clock, the journal may come back to an earlier date.
    fn add(&mut self, date: NaiveDate, frame: u64, at: Moment) {
        let known = self.frames.iter_mut().rev().find(|of| of.date == date);
        match known {
            Some(of) => (of.last_frame, of.last_recv) = (frame, at),
            None => self.frames.push(FramesOfDate {
                date,
                first_frame: frame,
                last_frame: frame,
                last_recv: at,
            }),
        }
    }
}
