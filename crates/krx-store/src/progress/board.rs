//! What the exporter shows of the current date.

use std::collections::{BTreeMap, VecDeque};

use chrono::NaiveDate;

use super::chart::{Chart, MINUTES};
use super::tally::News;
use crate::coverage::{Interval, Ledger, Reason, State, bounds};
use crate::lag::LagWatch;
use crate::layout::CommittedName;
use crate::moment::Moment;

/// How many committed files are shown: 40 minutes' worth with the default `rotate.interval`.
const FILES_MAX: usize = 8;

/// A committed file of the primary dataset, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedFile {
    /// Its date.
    pub date: NaiveDate,
    /// Its name.
    pub name: CommittedName,
    /// Rows in it.
    pub rows: u64,
    /// Rows in the quarantine file of the same name.
    pub quarantined: u64,
    /// Its size in bytes, including the quarantine file if this run committed it.
    pub bytes: u64,
    /// When it was committed.
    pub at: Moment,
}

/// A feed's date, as far as it is exported.
#[derive(Clone, Debug)]
pub struct Day {
    /// The date of the instant that was asked for.
    pub date: NaiveDate,
    /// Its intervals up to that instant; empty while its journal has nothing.
    pub intervals: Vec<Interval>,
    /// Records in each minute.
    pub minutes: Box<[u32; MINUTES]>,
    /// The last committed files of the primary dataset, newest first; may include the date before.
    pub files: Vec<CommittedFile>,
}

/// How many gaps there were, and how long they were in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GapSum {
    /// How many.
    pub count: u64,
    /// Their total length, µs.
    pub us: i64,
}

/// Gaps by their reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(pub BTreeMap<Reason, GapSum>);

impl Gaps {
    /// The gaps among `intervals` that end after `since`.
    #[must_use]
    pub fn of(intervals: &[Interval], since: Moment) -> Self {
        let mut gaps = Self::default();
        for gap in intervals
            .iter()
            .filter(|row| row.state == State::Gap && row.to > since)
        {
            gaps.add(
                gap.reason,
                GapSum {
                    count: 1,
                    us: gap.to.0 - gap.from.0,
                },
            );
        }
        gaps
    }

    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> GapSum {
        self.0.values().fold(GapSum::default(), |sum, of| GapSum {
            count: sum.count + of.count,
            us: sum.us + of.us,
        })
    }

    fn add(&mut self, reason: Reason, more: GapSum) {
        let sum = self.0.entry(reason).or_default();
        sum.count += more.count;
        sum.us += more.us;
    }

    fn rise_to(&mut self, reason: Reason, to: GapSum) {
        let shown = self.0.entry(reason).or_default();
        shown.count = shown.count.max(to.count);
        shown.us = shown.us.max(to.us);
    }
}

#[derive(Debug, Default)]
pub(super) struct Board {
    /// The last frame that was counted.
    pub(super) counted: Option<(NaiveDate, u64)>,
    chart: Option<Chart>,
    ledger: Option<Ledger>,
    files: VecDeque<CommittedFile>,
    pub(super) lags: LagWatch,
    /// Gaps on dates that are over.
    gaps_before: Gaps,
    /// The highest totals ever reported: setting the clock back must not make a counter fall.
    gaps_told: Gaps,
}

impl Board {
    pub(super) fn count(&mut self, news: &News) {
        self.counted = self.counted.max(news.counted);
        for &(date, minute, records) in &news.minutes {
            if let Some(chart) = self.chart_of(date) {
                chart.add(minute, records);
            }
        }
        for (second, lags) in &news.lags {
            self.lags.second(*second, *lags);
        }
    }

    /// The chart of a date, unless a later one has begun.
    pub(super) fn chart_of(&mut self, date: NaiveDate) -> Option<&mut Chart> {
        if self.chart.as_ref().is_none_or(|chart| chart.date() < date) {
            self.chart = Some(Chart::new(date));
        }
        self.chart.as_mut().filter(|chart| chart.date() == date)
    }

    /// Shows the ledger as it is now, unless it is that of an older date. An exporter's first ledger is copied as a
    /// whole: it may know less than the exporter before it.
    pub(super) fn set_ledger(&mut self, ledger: &Ledger, first: bool, started: Moment) {
        match &mut self.ledger {
            Some(shown) if shown.date() > ledger.date() => {}
            Some(shown) if shown.date() == ledger.date() && !first => shown.catch_up(ledger),
            shown => {
                if let Some(before) = shown.take().filter(|shown| shown.date() < ledger.date()) {
                    for (reason, sum) in Gaps::of(&before.intervals(), started).0 {
                        self.gaps_before.add(reason, sum);
                    }
                }
                *shown = Some(ledger.clone());
            }
        }
    }

    pub(super) fn committed(&mut self, file: CommittedFile) {
        self.files.push_front(file);
        self.files.truncate(FILES_MAX);
    }

    pub(super) fn day(&self, now: Moment) -> Day {
        let date = now.date();
        let chart = self.chart.as_ref().filter(|chart| chart.date() == date);
        let ledger = self.ledger.as_ref().filter(|ledger| ledger.date() == date);
        Day {
            date,
            intervals: ledger.map(|ledger| ledger.until(now)).unwrap_or_default(),
            minutes: chart.map_or_else(|| Box::new([0; MINUTES]), |chart| Box::new(*chart.minutes())),
            files: self.files.iter().cloned().collect(),
        }
    }

    pub(super) fn gaps(&mut self, now: Moment, started: Moment) -> Gaps {
        let mut gaps = self.gaps_before.clone();
        if let Some(ledger) = &self.ledger {
            // A date that is over stays as it was left.
            let until = now.min(bounds(ledger.date()).1);
            for (reason, sum) in Gaps::of(&ledger.until(until), started).0 {
                gaps.add(reason, sum);
            }
        }
        for (reason, sum) in gaps.0 {
            self.gaps_told.rise_to(reason, sum);
        }
        self.gaps_told.clone()
    }
}
