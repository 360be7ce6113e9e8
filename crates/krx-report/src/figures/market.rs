//! A market's part of the day: its rows and its ledger as figures. Pure.

use std::collections::BTreeMap;

use krx_store::Moment;
use krx_store::coverage::Interval;
use serde::Serialize;

use super::fold::{Fold, Minute};
use super::issue::TopIssue;
use super::received::{Counted, Received};
use super::recorded::Span;
use super::resent::SentAgain;
use super::volume::{VolumeFacts, judge};

/// How many issues are shown of each market.
const TOP_ISSUES: usize = 10;

/// A market's figures for the day.
#[derive(Clone, Debug, Serialize)]
pub struct MarketFacts {
    /// Its name.
    pub market: String,
    /// Its day in outline; `records` are rows of `trades`.
    #[serde(flatten)]
    pub received: Received,
    /// By `kind`.
    pub records_by_kind: BTreeMap<String, u64>,
    /// Messages that gave rows.
    pub messages_with_rows: u64,
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
        let by_minute = |of: fn(&Minute) -> u64| fold.minutes.iter().map(of).collect();
        let counted = Counted {
            records: fold.records,
            issues: fold.issues.all().len() as u64,
            first: fold.first,
            last: fold.last,
            lags: &fold.lags,
            quarantine: &fold.quarantine,
        };
        Self {
            market: market.to_owned(),
            received: Received::new(market, counted, ledger, regular, until),
            records_by_kind: fold.by_kind(),
            messages_with_rows: fold.messages,
            volume: judge(fold.issues.all().iter().map(|issue| &issue.volume)),
            top_issues: fold.issues.top(TOP_ISSUES),
            records_of_other_issues: fold.issues.records_of_others,
            records_by_minute: by_minute(|minute| minute.records),
            messages_by_minute: by_minute(|minute| minute.messages),
            sent_again: fold.sent_again.clone(),
        }
    }
}
