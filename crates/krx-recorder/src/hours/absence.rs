//! Trading days on which no recorder ran: the recorder puts them on record when it starts, and
//! `krx-recorder coverage --complete` at any time.

use std::sync::Arc;

use chrono::NaiveDate;
use krx_calendar::Calendar;
use krx_store::absence::{Absent, absent, record_absent};
use krx_store::checksums;
use krx_store::{DataDir, FeedName, Moment, StoreError};
use tracing::warn;

use crate::hours::schedule::Schedule;

/// What is needed to tell that a day is missing.
#[derive(Clone, Debug)]
pub struct Absence {
    /// Which days are trading days.
    pub calendar: Arc<Calendar>,
    /// The hours in which data is expected on those days.
    pub schedule: Schedule,
}

impl Absence {
    /// The hours in which data is expected on a trading day; `None` on other days.
    #[must_use]
    pub fn hours(&self, date: NaiveDate) -> Option<(Moment, Moment)> {
        let is_trading = self.calendar.day(date).is_trading();
        is_trading.then(|| self.schedule.expected_on(date)).flatten()
    }

    /// The trading days up to `last` about which nothing is known for a feed, as [`absent`] finds them.
    ///
    /// # Errors
    /// [`StoreError::Io`], if the data directory cannot be listed.
    pub fn days(&self, data: &DataDir, feed: &FeedName, last: NaiveDate) -> Result<Absent, StoreError> {
        absent(data, feed, last, Moment::now().date(), &|date| self.hours(date))
    }

    /// Puts those days on record, if the clock is trusted, and returns them. This process must hold the data
    /// directory's lock.
    ///
    /// # Errors
    /// [`StoreError`], if the disk refuses.
    pub fn record(&self, data: &DataDir, feed: &FeedName, last: NaiveDate) -> Result<Absent, StoreError> {
        let absent = self.days(data, feed, last)?;
        for date in &absent.on_record {
            checksums::complete(data, feed, *date)?;
        }
        if !absent.believed {
            warn!(%feed, days = absent.days.len(),
                "trading days without a recorder are not put on record: too little was recorded in \
                 the last month to trust the clock");
            return Ok(absent);
        }
        for date in &absent.days {
            if let Some(hours) = self.hours(*date) {
                record_absent(data, feed, *date, hours)?;
                warn!(%feed, %date, "no recorder ran on this trading day; coverage now says so");
            }
        }
        Ok(absent)
    }
}
