//! What of a feed can be served.

use chrono::NaiveDate;
use krx_exchange::TimeOfDay;
use krx_store::read::Trades;
use krx_store::resume::last_committed;
use krx_store::{DataDir, FeedName, Moment, coverage};

use super::frames::Frames;
use crate::process::exit::Failure;

/// What is served of a feed.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub(super) feed: FeedName,
    pub(super) market: krx_exchange::Market,
    pub(super) trades: u64,
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
    market: krx_exchange::Market,
) -> Result<Recording, Failure> {
    let last_frame = last_committed(data, &feed, date)?.frame;
    let intervals = coverage::view(data, &feed, date, Moment::now())?;
    let received: u64 = intervals.iter().map(|interval| interval.frames).sum();
    let begins = Frames::new(data, &feed, date, last_frame).begins()?;
    Ok(Recording {
        trades: Trades::open(data, &feed, date)?.rows(),
        last_frame,
        uncommitted: received.saturating_sub(last_frame),
        begins: begins.map(|at| time_of_day(at, date)),
        market,
        feed,
    })
}

/// The time of day on `date`. A moment before the date, caused by a clock that was set back, counts as midnight.
pub(super) fn time_of_day(at: Moment, date: NaiveDate) -> TimeOfDay {
    let since_midnight = at.0.saturating_sub(Moment::midnight(date).0);
    TimeOfDay(u64::try_from(since_midnight).unwrap_or(0))
}
