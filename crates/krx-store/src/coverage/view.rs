//! The ledger as of now: what the exporter has written, plus the rest of the journal.

use chrono::NaiveDate;
use krx_protocol::Reason;

use super::file::load;
use super::interval::Interval;
use super::ledger::Ledger;
use super::restore::restore;
use super::state::bounds;
use crate::catalog;
use crate::dataset::{BATCH_ROWS, QUARANTINE};
use crate::decoding::Decoding;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::{Event, Followed, Follower, RecordKind, end_of_damage};
use crate::layout::DataDir;
use crate::lock;
use crate::moment::Moment;
use crate::service::{FrameFacts, Rejects};

/// The feeds and dates about which something is known, in order.
///
/// # Errors
/// [`StoreError::Io`], when the data directory cannot be listed.
pub fn dates(data: &DataDir) -> Result<Vec<(NaiveDate, FeedName)>, StoreError> {
    let mut found = Vec::new();
    for dataset in data.datasets() {
        if dataset == &QUARANTINE {
            continue;
        }
        for date in catalog::dates(data, dataset)? {
            let feeds = catalog::feeds_in(data, dataset, date)?;
            found.extend(feeds.into_iter().map(|feed| (date, feed)));
        }
    }
    for feed in catalog::journal_feeds(data)? {
        let names = catalog::segments(&data.journal(&feed))?;
        found.extend(names.into_iter().map(|name| (name.date, feed.clone())));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The intervals of a feed and date, up to `now` or the end of the date. Works while a recorder is running and after
/// one was killed: what the journal has beyond the coverage file is folded in.
///
/// # Errors
/// [`StoreError`], when file or journal cannot be read.
pub fn view(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    now: Moment,
) -> Result<Vec<Interval>, StoreError> {
    // A recorder may replace the file and remove a segment while they are read; the second look then sees both.
    let ledger = match fold(data, feed, date) {
        Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            fold(data, feed, date)
        }
        other => other,
    }?;
    let (_, end) = bounds(date);
    // The process that holds the lock may still be recording this date; an earlier one is finished.
    Ok(if now < end && lock::is_held(data)? {
        ledger.until(now)
    } else {
        ledger.without_recorder(now)
    })
}

/// What the files say. Coverage on its own, without the data it describes, is trusted.
fn known(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Ledger, StoreError> {
    let has_files = catalog::service_of(data, feed, date).is_some();
    if !has_files
        && !catalog::segments(&data.journal(feed))?
            .iter()
            .any(|name| name.date == date)
        && let Some(ledger) = load(data, feed, date)?
    {
        return Ok(ledger);
    }
    Ok(restore(data, feed, date)?.ledger)
}

fn fold(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Ledger, StoreError> {
    let mut ledger = known(data, feed, date)?;
    let mut follower = Follower::new(data.journal(feed), None);
    if let Some(before) = catalog::segments(&data.journal(feed))?
        .into_iter()
        .rfind(|name| name.date < date || ledger.folded().is_some_and(|folded| *name < folded.segment))
    {
        follower.skip_to_after(before);
    }
    let mut decoding = Decoding::default();
    loop {
        match follower.advance()? {
            Followed::Record(name, head) => {
                let position = follower.position();
                let event = match head.kind {
                    RecordKind::Frame => None,
                    RecordKind::Event => serde_json::from_slice::<Event>(follower.payload()).ok(),
                };
                if let Some(event) = &event {
                    decoding.event(data, feed, event)?;
                }
                if name.date != date || position.is_none_or(|here| ledger.has(here)) {
                    continue;
                }
                match head.kind {
                    RecordKind::Frame if head.frame <= ledger.last_frame() => {}
                    RecordKind::Frame => {
                        let facts =
                            FrameFacts::new(Moment::midnight(date), head.at, head.frame, head.session);
                        let mut rejected = Rejected(0);
                        let decoded = decoding.decoder.decode(&facts, follower.payload(), &mut rejected);
                        ledger.frame(head.at, head.session, head.frame, decoded.rows + rejected.0);
                        // They are counted but not needed.
                        for dataset in 0..decoding.service.datasets.len() {
                            if decoding.decoder.waiting(dataset) >= BATCH_ROWS {
                                drop(decoding.decoder.take(dataset));
                            }
                        }
                    }
                    RecordKind::Event => {
                        if let Some(event) = event {
                            ledger.event(head.at, head.session, head.frame, &event);
                        }
                    }
                }
            }
            Followed::Damage(name, span) if name.date == date => {
                let end = end_of_damage(&data.journal(feed), name, &span);
                if !ledger.has(end) {
                    ledger.damage(damage_detail(name, &span));
                }
            }
            Followed::Damage(..) | Followed::SegmentEnd(_) => {}
            Followed::CaughtUp => return Ok(ledger),
        }
    }
}

pub(crate) fn damage_detail(name: crate::layout::SegmentName, span: &std::ops::Range<u64>) -> String {
    if span.end == u64::MAX {
        format!("both copies of the header of journal segment {name} are damaged")
    } else {
        format!(
            "journal segment {name} is damaged in bytes {} to {}",
            span.start, span.end
        )
    }
}

/// Counts what cannot be read as a record.
struct Rejected(u64);

impl Rejects for Rejected {
    fn reject(&mut self, _item: Option<i16>, _reason: Reason, _detail: &str, _raw: &[u8]) {
        self.0 += 1;
    }
}
