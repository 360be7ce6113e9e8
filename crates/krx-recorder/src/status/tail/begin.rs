//! Where a tail begins, and how far it goes.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::NaiveDate;
use krx_store::journal::Position;
use krx_store::tail::{Extent, committed, last_committed};
use krx_store::{Moment, StoreError, catalog};

use super::refusal::Refusal;
use super::request::Wanted;
use super::source::Source;

/// Where a tail begins, and how far it goes.
pub(super) struct Begin {
    /// The last frame of each date before it.
    pub(super) after: BTreeMap<NaiveDate, u64>,
    /// The date of the journal's last segment.
    pub(super) newest: NaiveDate,
    /// The last frame of that date that is on disk, in whatever form.
    last: u64,
    pub(super) extent: Extent,
}

impl Begin {
    /// Frames that were asked for and that the journal does not have any more are in files: the tail begins after them, and
    /// its head shows it. `None` when the client is gone.
    pub(super) fn find(
        source: &Source,
        wanted: &Wanted,
        until: Option<Position>,
    ) -> Result<Option<Self>, StoreError> {
        let (data, feed) = (&source.data, &source.feed.feed);
        let mut after = committed(data, feed, wanted.dataset)?;
        let segments = catalog::segments(&data.journal(feed))?;
        let newest = segments.last().map(|name| name.date);
        let newest = newest.unwrap_or_else(|| Moment::now().date());
        after.extend(wanted.after.newest.map(|frame| (newest, frame)));
        after.extend(wanted.after.dates.iter().map(|(date, frame)| (*date, *frame)));
        let Some(extent) = Extent::of(data, feed, &after, until, &|| !source.is_left())? else {
            return Ok(None);
        };
        for of in &extent.frames {
            let last = after.entry(of.date).or_default();
            *last = (*last).max(of.first_frame.saturating_sub(1));
        }
        let committed = last_committed(data, feed, wanted.dataset, newest)?;
        if extent.frames.iter().all(|of| of.date != newest) {
            let last = after.entry(newest).or_default();
            *last = (*last).max(committed);
        }
        let seen = extent.seen.get(&newest).copied().unwrap_or(0);
        Ok(Some(Self {
            after,
            newest,
            last: committed.max(seen),
            extent,
        }))
    }

    /// A frame that has not come yet is a mistake, or one of yesterday.
    pub(super) fn refusal(&self, wanted: &Wanted) -> Option<Refusal> {
        let of_newest = wanted.after.dates.get(&self.newest).copied();
        let asked = of_newest.or(wanted.after.newest)?;
        (asked > self.last).then(|| {
            let (last, date) = (self.last, self.newest);
            let words = format!(
                "{date} has frames up to {last} so far, and not frame {asked}; if that is of another date, say so: \
                 after=DATE:{asked}."
            );
            Refusal(StatusCode::CONFLICT, words)
        })
    }
}
