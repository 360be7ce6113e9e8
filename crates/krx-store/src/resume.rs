//! Where a feed resumes: after the numbers that committed files, coverage and journal have used.

use std::sync::Arc;

use chrono::NaiveDate;
use tracing::error;

use crate::catalog;
use crate::coverage::{self, Slice};
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::journal::{Committed, Counters, JournalConfig, Last, Writer};
use crate::layout::DataDir;

/// Opens a feed's journal to continue it.
///
/// # Errors
/// [`StoreError`], when the journal cannot be used.
pub fn open_writer(
    data: &DataDir,
    feed: &FeedName,
    config: JournalConfig,
    counters: Arc<Counters>,
) -> Result<Writer, StoreError> {
    let (of_data, of_feed) = (data.clone(), feed.clone());
    let committed = Box::new(move |date| committed(&of_data, &of_feed, date));
    Writer::open(data, feed, config, committed, counters)
}

/// What committed files and coverage know about a date.
///
/// # Errors
/// [`StoreError`], when the partition cannot be listed.
pub fn committed(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Committed, StoreError> {
    let mut last = last_committed(data, feed, date)?;
    let mut folded = None;
    // A ledger that cannot be read is the exporter's concern; here it helps but is not needed.
    if let Ok(Some(ledger)) = coverage::load(data, feed, date) {
        last.session = last.session.max(ledger.last_session());
        last.frame = last.frame.max(ledger.last_frame());
        folded = ledger.folded();
        last.segment = last.segment.max(folded.map_or(0, |folded| folded.segment.number));
    }
    Ok(Committed { last, folded })
}

/// The highest frame that a committed file of the date covers, and the highest session known by then.
///
/// # Errors
/// [`StoreError`], when the partition cannot be listed.
pub fn last_committed(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<Last, StoreError> {
    let mut last = Last::default();
    let Some(service) = catalog::service_of(data, feed, date) else {
        return Ok(last);
    };
    let primary = service.primary();
    let (dir, names) = (
        data.partition(primary, date, feed),
        catalog::files(data, primary, feed, date)?,
    );
    last.frame = names.last().map_or(0, |name| name.last_frame);
    // A file damaged since must not stop a recording: the one before it also has a session number.
    for name in names.iter().rev() {
        match catalog::read_footer(&dir.join(name.to_string())) {
            Ok(footer) => {
                last.session = footer.last_session.unwrap_or(0);
                last.segment = Slice::of(&footer).map_or(0, |slice| slice.segment());
                break;
            }
            Err(error) => error!(%error, "a committed file cannot be read; see krx-recorder verify"),
        }
    }
    Ok(last)
}
