//! Trading days on which no recorder ran: nothing else would record them (I9).

use chrono::{Days, NaiveDate};

use crate::catalog;
use crate::checksums::Checksums;
use crate::coverage::{Interval, Ledger, dates, store};
use crate::dataset::{COVERAGE, Rows};
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir};
use crate::moment::Moment;
use crate::retention;

/// When data is expected on a trading day, from and to; `None` on other days.
pub type HoursOf<'a> = &'a dyn Fn(NaiveDate) -> Option<(Moment, Moment)>;

/// Trading days of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absent {
    /// The days.
    pub days: Vec<NaiveDate>,
    /// Days of which only coverage is known: a kill may have left it without a checksum.
    pub on_record: Vec<NaiveDate>,
    /// Whether the clock is trusted ([`retention::believes`]). If not, the days are not put on record: a clock that is
    /// years ahead would invent years of them.
    pub believed: bool,
}

/// A feed's trading days of which nothing is known, from its first recorded day to `last`, except those that retention
/// has removed. `today` is the date by the clock.
///
/// # Errors
/// [`StoreError::Io`], when the data directory cannot be listed.
pub fn absent(
    data: &DataDir,
    feed: &FeedName,
    last: NaiveDate,
    today: NaiveDate,
    hours_of: HoursOf<'_>,
) -> Result<Absent, StoreError> {
    let known: Vec<_> = dates(data)?
        .into_iter()
        .filter(|(_, known)| known == feed)
        .map(|(date, _)| date)
        .collect();
    let Some(first) = known.first() else {
        return Ok(Absent {
            believed: true,
            ..Absent::default()
        });
    };
    let mut days = Vec::new();
    let mut next = first.checked_add_days(Days::new(1));
    while let Some(date) = next.filter(|date| *date <= last) {
        let is_known = known.binary_search(&date).is_ok();
        let is_removed = || data.expired(&COVERAGE, date).exists();
        if !is_known && hours_of(date).is_some() && !is_removed() && !is_listed(data, feed, date)? {
            days.push(date);
        }
        next = date.checked_add_days(Days::new(1));
    }
    let has_files = |date: &NaiveDate| catalog::service_of(data, feed, *date).is_some();
    Ok(Absent {
        on_record: known.into_iter().filter(|date| !has_files(date)).collect(),
        believed: days.is_empty() || retention::believes(data, today)?,
        days,
    })
}

/// Whether frames were recorded that day: the files were removed but not the list. `verify` reports them as missing.
fn is_listed(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<bool, StoreError> {
    let list = Checksums::of(data, date).read()?;
    let mut committed = list.digests.keys().filter_map(|path| data.parse(path));
    Ok(committed.any(|committed| committed.feed == *feed && committed.name.dataset.rows == Rows::OfFrames))
}

/// The intervals of a trading day on which nothing ran.
#[must_use]
pub fn not_running(date: NaiveDate, hours: (Moment, Moment)) -> Vec<Interval> {
    Ledger::not_running(date, hours).intervals()
}

/// Puts it on record that nothing ran on a trading day. This process must hold the data directory's lock.
///
/// # Errors
/// [`StoreError`], when the disk refuses.
pub fn record_absent(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    hours: (Moment, Moment),
) -> Result<(), StoreError> {
    data.create_dir(&data.staging())?;
    store(data, feed, &Ledger::not_running(date, hours))?;
    Checksums::of(data, date).record_files(&[CommittedPath {
        date,
        feed: feed.clone(),
        name: CommittedName::of_the_date(&COVERAGE, date),
    }])
}
