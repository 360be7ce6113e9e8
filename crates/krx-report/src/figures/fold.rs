//! A market's rows, in order of arrival, folded into the day's figures. Pure, and in bounded memory: by minute and by
//! issue.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use krx_store::Moment;

use super::issue::{Issue, Issues};
use super::lag::Lags;
use super::oddities::{EXAMPLES_MAX, Example, Found, Kind, is_beyond_limit};
use super::quarantine::{self, ByReason, cut_off};
use super::resent::{Resent, SentAgain};
use crate::time;
use krx_store::read::{QuarantineRow, TradeRow};

/// Minutes of a date.
pub(crate) const MINUTES: usize = 1440;

/// What came in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// Rows of trades.
    pub records: u64,
    /// Messages that gave rows of trades or quarantine.
    pub messages: u64,
}

/// A market's day so far.
#[derive(Clone, Debug)]
pub struct Fold {
    market: String,
    midnight_us: i64,
    /// By the minute of `recv_ts`.
    pub minutes: Vec<Minute>,
    /// Rows of trades.
    pub records: u64,
    /// By `kind`.
    pub kinds: BTreeMap<String, u64>,
    /// Messages that gave rows.
    pub messages: u64,
    /// `recv_ts` of the row that arrived first.
    pub first: Option<Moment>,
    /// `recv_ts` of the row that arrived last.
    pub last: Option<Moment>,
    /// By issue.
    pub issues: Issues,
    /// Lags of trades.
    pub lags: Lags,
    /// By reason.
    pub quarantine: ByReason,
    /// By kind of oddity.
    pub found: BTreeMap<Kind, Found>,
    /// What sessions repeat of those before them; empty until all rows have come.
    pub sent_again: Vec<SentAgain>,
    resent: Resent,
    /// Rows of `kind` trade, which are nearly all: counted separately.
    trades: u64,
    frame: u64,
    trades_frame: Option<(u64, Moment)>,
    minute: usize,
}

impl Fold {
    /// A market's day before its first row.
    #[must_use]
    pub fn new(market: &str, date: NaiveDate) -> Self {
        Self {
            market: market.to_owned(),
            midnight_us: Moment::midnight(date).0,
            minutes: vec![Minute::default(); MINUTES],
            records: 0,
            kinds: BTreeMap::new(),
            messages: 0,
            first: None,
            last: None,
            issues: Issues::default(),
            lags: Lags::default(),
            quarantine: BTreeMap::new(),
            found: BTreeMap::new(),
            sent_again: Vec::new(),
            resent: Resent::default(),
            trades: 0,
            frame: 0,
            trades_frame: None,
            minute: 0,
        }
    }

    /// A row of trades; rows come in order of arrival, those of quarantine among them.
    pub fn trade(&mut self, row: &TradeRow<'_>) {
        self.message(row.frame, row.recv);
        if self.trades_frame.is_none_or(|(frame, _)| frame != row.frame) {
            self.frame_of_trades(row);
        }
        self.resent.row(&self.market, row);
        self.records += 1;
        self.minutes[self.minute].records += 1;
        let is_trade = row.kind == "trade";
        if is_trade {
            self.trades += 1;
            if let Some(ms) = row.trade_ts {
                self.lags.trade(row.recv, ms);
            }
        } else if let Some(count) = self.kinds.get_mut(row.kind) {
            *count += 1;
        } else {
            self.kinds.insert(row.kind.to_owned(), 1);
        }
        let Some(issue) = self.issues.of(row.code, row.frame) else {
            return;
        };
        issue.records += 1;
        if is_trade {
            trade_of_issue(&self.market, &mut self.found, issue, row);
        } else if row.kind.starts_with("block_") {
            issue.blocks = Some(issue.blocks.unwrap_or(0).saturating_add(row.volume));
        } else if row.kind == "unknown_signal" {
            issue.signals_unknown += 1;
            let is_first = issue.signals_unknown == 1;
            let of = self.found.entry(Kind::UnknownSignal).or_default();
            of.add(is_first, || {
                Example::of_row(&self.market, row, format!("trdTm {}", row.trade_time))
            });
        }
        if let Some(extra) = row.extra {
            issue.records_extra += 1;
            let is_first = issue.records_extra == 1;
            let of = self.found.entry(Kind::ExtraFields).or_default();
            of.add(is_first, || Example::of_row(&self.market, row, cut_off(extra)));
        }
    }

    /// A row of quarantine.
    pub fn quarantined(&mut self, row: &QuarantineRow) {
        self.message(row.frame, row.recv);
        quarantine::add(&mut self.quarantine, row);
    }

    /// All rows have come.
    pub fn finish(&mut self) {
        let (sessions, found) = self.resent.finish();
        self.sent_again = sessions;
        if found.count > 0 {
            self.found.insert(Kind::SentAgain, found);
        }
    }

    /// All rows have come: compares the day's issues with those of earlier dates. `known` are the issues of all of
    /// them, `last` those of the last one.
    pub fn compare_issues(&mut self, known: &BTreeSet<String>, last: &BTreeSet<String>) {
        let mut unseen: Vec<&Issue> = self
            .issues
            .all()
            .iter()
            .filter(|issue| !known.contains(&*issue.code))
            .collect();
        unseen.sort_by(|one, other| other.records.cmp(&one.records).then(one.code.cmp(&other.code)));
        let count = unseen.len() as u64;
        let examples = unseen.iter().take(EXAMPLES_MAX).map(|issue| Example {
            price: issue.prices.map(|prices| prices.first),
            frame: Some(issue.first_frame),
            ..Example::of_issue(&self.market, &issue.code, time::plural(issue.records, "record"))
        });
        let unseen = Found {
            count,
            issues: count,
            examples: examples.collect(),
        };
        let gone = last.iter().filter(|code| !self.issues.contains(code));
        let count = gone.clone().count() as u64;
        let examples = gone.take(EXAMPLES_MAX);
        let gone = Found {
            count,
            issues: count,
            examples: examples
                .map(|code| Example::of_issue(&self.market, code, String::new()))
                .collect(),
        };
        self.found.insert(Kind::NeverSeen, unseen);
        self.found.insert(Kind::Vanished, gone);
    }

    /// Rows by `kind`.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<String, u64> {
        let mut all = self.kinds.clone();
        if self.trades > 0 {
            all.insert("trade".to_owned(), self.trades);
        }
        all
    }

    fn message(&mut self, frame: u64, recv: Moment) {
        if self.frame == frame && self.first.is_some() {
            return;
        }
        self.frame = frame;
        self.messages += 1;
        self.minute = time::minute_of(self.midnight_us, recv);
        self.minutes[self.minute].messages += 1;
        self.first.get_or_insert(recv);
        self.last = Some(recv);
    }

    /// The first row of a frame of trades: did the clock go back since the previous one?
    fn frame_of_trades(&mut self, row: &TradeRow<'_>) {
        if let Some((frame, before)) = self.trades_frame.filter(|(_, before)| row.recv < *before) {
            let by = time::length(before.0.saturating_sub(row.recv.0) as f64 / 1e6);
            let detail = format!("message {frame} came at {}, {by} later", time::clock(before));
            let of = self.found.entry(Kind::ReceiveTimeBack).or_default();
            of.add(true, || Example {
                code: None,
                item: None,
                trade_ts: None,
                price: None,
                ..Example::of_row(&self.market, row, detail)
            });
        }
        self.trades_frame = Some((row.frame, row.recv));
    }
}

/// Compares a trade with the previous one of its issue.
fn trade_of_issue(market: &str, found: &mut BTreeMap<Kind, Found>, issue: &mut Issue, row: &TradeRow<'_>) {
    issue.volume.add(row.volume);
    if let Some(ms) = row.trade_ts {
        if let Some(before) = issue.last_trade_ms.filter(|before| ms < *before) {
            issue.trades_back += 1;
            let of = found.entry(Kind::TradeTimeBack).or_default();
            of.add(issue.trades_back == 1, || {
                let before = time::clock(Moment(before.saturating_mul(1000)));
                Example::of_row(market, row, format!("the trade before it was at {before}"))
            });
        }
        issue.last_trade_ms = Some(ms);
    }
    // A price of zero is not a price, and nothing can be 30 % away from it.
    if row.price > 0 {
        let first = issue.price(row.price);
        if is_beyond_limit(row.price, first) {
            issue.trades_beyond += 1;
            let of = found.entry(Kind::BeyondLimit).or_default();
            of.add(issue.trades_beyond == 1, || {
                let change = (row.price as f64 / first as f64 - 1.0) * 100.0;
                Example::of_row(
                    market,
                    row,
                    format!(
                        "first trade at {}: {change:+.1} %",
                        time::count(first.unsigned_abs())
                    ),
                )
            });
        }
    }
}
