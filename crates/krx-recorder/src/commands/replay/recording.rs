//! What of a feed can be served.

use std::sync::Arc;

use chrono::NaiveDate;
use krx_exchange::{Endpoint, TimeOfDay};
use krx_protocol::per_issue::Table;
use krx_store::read::{Records, Trades, again_if_gone};
use krx_store::resume::last_committed;
use krx_store::{DataDir, FeedName, Moment, StoreError, coverage};

use super::frames::{Frames, Source};
use super::issue_frames::IssueFrames;
use super::issues::Known;
use crate::process::exit::Failure;

/// What is served of a feed.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub(super) feed: FeedName,
    /// Where it is served.
    pub(super) endpoint: Endpoint,
    /// Rows of all datasets but quarantine.
    pub(super) rows: u64,
    /// Of a per-issue feed, what can be registered.
    pub(super) known: Arc<Known>,
    /// The last frame in the files that were committed when the replay began.
    pub(super) last_frame: u64,
    /// Frames that are received but in no committed file.
    pub(super) uncommitted: u64,
    /// When the first frame with rows was received.
    pub(super) begins: Option<TimeOfDay>,
}

/// Finds what of a feed is committed.
pub(super) fn look(
    data: &DataDir,
    date: NaiveDate,
    feed: FeedName,
    endpoint: Endpoint,
) -> Result<Recording, Failure> {
    let last_frame = last_committed(data, &feed, date)?.frame;
    let intervals = coverage::view(data, &feed, date, Moment::now())?;
    let received: u64 = intervals.iter().map(|interval| interval.frames).sum();
    let (begins, rows, known) = match endpoint {
        Endpoint::FullMarket(_) => {
            let begins = Frames::new(data, &feed, date, last_frame).head()?;
            let rows = again_if_gone(|| Ok(Trades::open(data, &feed, date)?.rows()))?;
            (begins, rows, Known::default())
        }
        Endpoint::PerIssue => {
            let begins = IssueFrames::new(data, &feed, date, last_frame).head()?;
            (
                begins,
                again_if_gone(|| issue_rows(data, &feed, date))?,
                again_if_gone(|| Known::of(data, &feed, date))?,
            )
        }
    };
    Ok(Recording {
        rows,
        known: Arc::new(known),
        last_frame,
        uncommitted: received.saturating_sub(last_frame),
        begins: begins.map(|(_, at)| time_of_day(at, date)),
        endpoint,
        feed,
    })
}

fn issue_rows(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<u64, StoreError> {
    let mut rows = 0;
    for table in Table::ALL {
        rows += Records::open(data, table, feed, date)?.rows();
    }
    Ok(rows)
}

/// The time of day on `date`. A moment before the date, caused by a clock that was set back, counts as midnight.
pub(super) fn time_of_day(at: Moment, date: NaiveDate) -> TimeOfDay {
    let since_midnight = at.0.saturating_sub(Moment::midnight(date).0);
    TimeOfDay(u64::try_from(since_midnight).unwrap_or(0))
}
