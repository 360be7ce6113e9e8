//! What the figures of any feed begin with: how much came, when, and how much of the day was recorded. Pure.

use krx_store::Moment;
use krx_store::coverage::Interval;
use serde::Serialize;

use super::lag::{LagFacts, Lags};
use super::quarantine::ByReason;
use super::recorded::{Recorded, Span};
use crate::interval::IntervalRow;
use crate::time;

/// A feed's day in outline.
#[derive(Clone, Debug, Serialize)]
pub struct Received {
    /// Its name, which JSON has as `market` or `feed`.
    #[serde(skip)]
    pub name: String,
    /// Rows of its datasets.
    pub records: u64,
    /// Messages of any kind according to the ledger, including heartbeats.
    pub messages: u64,
    /// Issues with a record.
    pub issues: u64,
    /// When the first record or quarantined piece was received.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub first_recv_ts: Option<Moment>,
    /// When the last one was.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub last_recv_ts: Option<Moment>,
    /// Rows of `quarantine`.
    pub quarantined: u64,
    /// By `reason`.
    pub quarantine: ByReason,
    /// How much of the day was recorded.
    pub recorded: Recorded,
    /// Rows that the ledger counts but no committed file has; negative if it is the other way round.
    pub rows_not_committed: i64,
    /// `recv_ts` − `trade_ts` of its trades.
    pub lag: LagFacts,
    /// The ledger, in the form of `krx-recorder coverage --json`.
    pub intervals: Vec<IntervalRow>,
    /// The ledger.
    #[serde(skip)]
    pub ledger: Vec<Interval>,
}

/// What the rows of a feed add up to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) records: u64,
    pub(crate) issues: u64,
    pub(crate) first: Option<Moment>,
    pub(crate) last: Option<Moment>,
    pub(crate) lags: &'a Lags,
    pub(crate) quarantine: &'a ByReason,
}

impl Received {
    /// The outline of a feed after all its rows were counted. Regular hours count up to `until`.
    #[must_use]
    pub(crate) fn new(
        name: &str,
        counted: Counted<'_>,
        ledger: Vec<Interval>,
        regular: Option<Span>,
        until: Moment,
    ) -> Self {
        let quarantined = counted.quarantine.values().map(|of| of.count).sum::<u64>();
        let in_ledger: u64 = ledger.iter().map(|interval| interval.rows).sum();
        let signed = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        Self {
            name: name.to_owned(),
            records: counted.records,
            messages: ledger.iter().map(|interval| interval.frames).sum(),
            issues: counted.issues,
            first_recv_ts: counted.first,
            last_recv_ts: counted.last,
            quarantined,
            quarantine: counted.quarantine.clone(),
            recorded: Recorded::of(&ledger, regular, until),
            rows_not_committed: signed(in_ledger) - signed(counted.records + quarantined),
            lag: counted.lags.facts(),
            intervals: ledger.iter().map(IntervalRow::from).collect(),
            ledger,
        }
    }
}
