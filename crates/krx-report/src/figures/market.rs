//! A market's part of the day: its rows and its ledger as figures. Pure.

use std::collections::BTreeMap;

use krx_store::Moment;
use krx_store::coverage::Interval;
use serde::Serialize;

use super::fold::{Fold, Minute, Quarantined};
use super::issue::TopIssue;
use super::lag::LagFacts;
use super::recorded::{Recorded, Span};
use super::resent::SentAgain;
use super::volume::{VolumeFacts, judge};
use crate::interval::IntervalRow;
use crate::time;

/// How many issues are shown of each market.
const TOP_ISSUES: usize = 10;

/// A market's figures for the day.
#[derive(Clone, Debug, Serialize)]
pub struct MarketFacts {
    /// Its name.
    pub market: String,
    /// Rows of `trades`.
    pub records: u64,
    /// By `kind`.
    pub records_by_kind: BTreeMap<String, u64>,
    /// Messages of any kind according to the ledger, including heartbeats.
    pub messages: u64,
    /// Messages that gave rows.
    pub messages_with_rows: u64,
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
    pub quarantine: BTreeMap<String, Quarantined>,
    /// How much of the day was recorded.
    pub recorded: Recorded,
    /// Rows that the ledger counts but no committed file has; negative if it is the other way round.
    pub rows_not_committed: i64,
    /// `recv_ts` − `trade_ts` of its trades.
    pub lag: LagFacts,
    /// The meaning of `trdVol`, judged over its issues.
    pub volume: VolumeFacts,
    /// The issues with the most records.
    pub top_issues: Vec<TopIssue>,
    /// Records of issues beyond the first 200,000, which are not tracked individually.
    pub records_of_other_issues: u64,
    /// Rows of `trades` by the minute of `recv_ts`, 1,440 of them.
    pub records_by_minute: Vec<u64>,
    /// Messages that gave rows, by the minute.
    pub messages_by_minute: Vec<u64>,
    /// Sessions that begin by repeating records of the session before them.
    pub sent_again: Vec<SentAgain>,
    /// The ledger, in the form of `krx-recorder coverage --json`.
    pub intervals: Vec<IntervalRow>,
    /// The ledger.
    #[serde(skip)]
    pub ledger: Vec<Interval>,
}

impl MarketFacts {
    /// The figures of a market after all its rows were folded. Regular hours count up to `until`.
    #[must_use]
    pub fn new(
        market: &str,
        fold: &Fold,
        ledger: Vec<Interval>,
        regular: Option<Span>,
        until: Moment,
    ) -> Self {
        let quarantined = fold.quarantine.values().map(|of| of.count).sum::<u64>();
        let in_ledger: u64 = ledger.iter().map(|interval| interval.rows).sum();
        let signed = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        let by_minute = |of: fn(&Minute) -> u64| fold.minutes.iter().map(of).collect();
        Self {
            market: market.to_owned(),
            records: fold.records,
            records_by_kind: fold.by_kind(),
            messages: ledger.iter().map(|interval| interval.frames).sum(),
            messages_with_rows: fold.messages,
            issues: fold.issues.all().len() as u64,
            first_recv_ts: fold.first,
            last_recv_ts: fold.last,
            quarantined,
            quarantine: fold.quarantine.clone(),
            recorded: Recorded::of(&ledger, regular, until),
            rows_not_committed: signed(in_ledger) - signed(fold.records + quarantined),
            lag: fold.lags.facts(),
            volume: judge(fold.issues.all().iter().map(|issue| &issue.volume)),
            top_issues: fold.issues.top(TOP_ISSUES),
            records_of_other_issues: fold.issues.records_of_others,
            records_by_minute: by_minute(|minute| minute.records),
            messages_by_minute: by_minute(|minute| minute.messages),
            sent_again: fold.sent_again.clone(),
            intervals: ledger.iter().map(IntervalRow::from).collect(),
            ledger,
        }
    }
}
