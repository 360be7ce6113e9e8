//! Spreads, and books that were locked or crossed: how long each best quote held, as the macro `spread` of `krx.sql` has
//! it. Pure.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{Pair, Preset};
use krx_store::Moment;
use krx_store::read::Push;
use serde::Serialize;

use super::active::{Active, ActiveStretch};
use super::recorded::Span;
use crate::time;

/// Where one bar of the histogram ends and the next begins, basis points of the middle. What is at 0 or below is told
/// apart: a locked book, and a crossed one.
pub(crate) const EDGES_BPS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
/// Crossed, locked, and between the edges.
pub(crate) const BINS: usize = EDGES_BPS.len() + 3;

/// How many crossed stretches are shown.
const CROSSED_MAX: usize = 10;

/// The best quotes of all issues during continuous trading.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QuoteFacts {
    /// Those of each issue, by code.
    pub issues: Vec<IssueQuotes>,
    /// The time for which spreads held, s: crossed; locked; up to 1, 2, 5, 10, 20, 50, 100 and 200 basis points; more.
    pub seconds_by_spread: [f64; BINS],
    /// The crossed quotes that held longest, ten at most, the longest first.
    pub crossed: Vec<Crossed>,
}

/// The best quotes of an issue during continuous trading, where both sides were known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IssueQuotes {
    /// `isuSrtCd`.
    pub code: String,
    /// The feed that they are of: where several have the issue, the first by name.
    pub feed: String,
    /// `quote10` if that feed has it, otherwise `quote`.
    pub preset: Preset,
    /// How many held for any time.
    pub quotes: u64,
    /// For how long in all, s.
    pub seconds: f64,
    /// The mean spread by time, in KRW or the unit of a derivative's quotation; `None` without a quote.
    pub spread_mean: Option<f64>,
    /// The same in basis points of the middle.
    pub spread_bps_mean: Option<f64>,
    /// Quotes whose spread was 0.
    pub locked: u64,
    /// For how long in all, s.
    pub locked_seconds: f64,
    /// Quotes whose spread was negative.
    pub crossed: u64,
    /// For how long in all, s.
    pub crossed_seconds: f64,
}

/// A crossed quote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Crossed {
    /// `isuSrtCd`.
    pub code: String,
    /// Since when.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub from_ts: Option<Moment>,
    /// For how long, s.
    pub seconds: f64,
    /// The best ask.
    pub ask_price: f64,
    /// The best bid, which is above it.
    pub bid_price: f64,
}

/// The quotes of all issues, folded.
#[derive(Debug)]
pub(crate) struct Quotes {
    hours: Option<Span>,
    issues: BTreeMap<String, Issue>,
    seconds_us: [i64; BINS],
    crossed: Vec<Crossed>,
}

/// An issue's quotes so far.
#[derive(Debug)]
struct Issue {
    feed: String,
    preset: Preset,
    open: Option<State>,
    quotes: u64,
    us: i64,
    spread_us: f64,
    spread_bps_us: f64,
    locked: (u64, i64),
    crossed: (u64, i64),
}

/// A quote, and until when it holds if no other comes.
#[derive(Clone, Copy, Debug)]
struct State {
    from: Moment,
    until: Moment,
    prices: Option<(f64, f64)>,
}

/// A quote that held for some time in the hours, and its spread in basis points.
#[derive(Clone, Copy, Debug)]
struct Held {
    from: Moment,
    us: i64,
    ask: f64,
    bid: f64,
    bps: f64,
}

impl Quotes {
    /// Before the first row: the quotes of each code are those of one feed for the whole day, of `quote10` before
    /// `quote`, and of the feed with the first name. Feeds are in the order of their names.
    pub(crate) fn new(feeds: &[(&str, &Active)], hours: Option<Span>) -> Self {
        let mut issues: BTreeMap<String, Issue> = BTreeMap::new();
        for preset in [Preset::Quote10, Preset::Quote] {
            for (feed, active) in feeds {
                for (pair, _) in active.pairs().filter(|(pair, _)| pair.preset == preset) {
                    issues
                        .entry(pair.code.clone())
                        .or_insert_with(|| Issue::new(feed, preset));
                }
            }
        }
        Self {
            hours,
            issues,
            seconds_us: [0; BINS],
            crossed: Vec::new(),
        }
    }

    /// Whether the quotes of a pair of a feed count.
    pub(crate) fn wants(&self, feed: &str, pair: &Pair) -> bool {
        let of = self.issues.get(&pair.code);
        of.is_some_and(|issue| issue.feed == feed && issue.preset == pair.preset)
    }

    /// A quote of a pair that counts, received within a stretch of its own; those of an issue come in order.
    pub(crate) fn quote(&mut self, push: &Push<'_>, stretch: &ActiveStretch) {
        let Some(quote) = push.quote else { return };
        // A state that is asked for before the day begins has no prices yet.
        if push.is_snapshot() && quote.ask.is_none() && quote.bid.is_none() {
            return;
        }
        let Some(issue) = self.issues.get_mut(push.code) else {
            return;
        };
        // Not back, even if the clock was set back.
        let from = issue.open.map_or(push.recv, |open| push.recv.max(open.from));
        let held = issue.end(from, self.hours);
        issue.open = Some(State {
            from,
            until: stretch.to,
            prices: quote
                .ask
                .zip(quote.bid)
                .filter(|(ask, bid)| *ask > 0.0 && *bid > 0.0 && (ask + bid).is_finite()),
        });
        self.held(push.code, held);
    }

    /// A quote of an issue has held.
    fn held(&mut self, code: &str, held: Option<Held>) {
        let Some(Held {
            from,
            us,
            ask,
            bid,
            bps,
        }) = held
        else {
            return;
        };
        let bin = if ask < bid {
            0
        } else if ask > bid {
            2 + EDGES_BPS.partition_point(|edge| *edge < bps)
        } else {
            1
        };
        self.seconds_us[bin] += us;
        if ask < bid {
            self.crossed.push(Crossed {
                code: code.to_owned(),
                from_ts: Some(from),
                seconds: us as f64 / 1e6,
                ask_price: ask,
                bid_price: bid,
            });
            if self.crossed.len() >= 2 * CROSSED_MAX {
                self.keep_longest();
            }
        }
    }

    fn keep_longest(&mut self) {
        let by_length = |one: &Crossed, other: &Crossed| {
            other
                .seconds
                .total_cmp(&one.seconds)
                .then(one.from_ts.cmp(&other.from_ts))
                .then_with(|| one.code.cmp(&other.code))
        };
        self.crossed.sort_by(by_length);
        self.crossed.truncate(CROSSED_MAX);
    }

    /// All rows have come.
    pub(crate) fn facts(mut self) -> QuoteFacts {
        let mut issues = std::mem::take(&mut self.issues);
        for (code, issue) in &mut issues {
            let held = issue.end(Moment(i64::MAX), self.hours);
            self.held(code, held);
        }
        self.keep_longest();
        QuoteFacts {
            issues: issues
                .into_iter()
                .map(|(code, issue)| issue.facts(code))
                .collect(),
            seconds_by_spread: self.seconds_us.map(|us| us as f64 / 1e6),
            crossed: self.crossed,
        }
    }
}

impl Issue {
    fn new(feed: &str, preset: Preset) -> Self {
        Self {
            feed: feed.to_owned(),
            preset,
            open: None,
            quotes: 0,
            us: 0,
            spread_us: 0.0,
            spread_bps_us: 0.0,
            locked: (0, 0),
            crossed: (0, 0),
        }
    }

    /// Its quote ends; returns what held for any time in the hours.
    fn end(&mut self, at: Moment, hours: Option<Span>) -> Option<Held> {
        let State { from, until, prices } = self.open.take()?;
        let hours = hours?;
        let from = from.max(hours.0);
        let us = at.min(until).min(hours.1).0 - from.0;
        let (ask, bid) = prices.filter(|_| us > 0)?;
        let bps = self.add(ask, bid, us);
        Some(Held {
            from,
            us,
            ask,
            bid,
            bps,
        })
    }

    /// A quote that held for so long; returns its spread in basis points of the middle.
    fn add(&mut self, ask: f64, bid: f64, us: i64) -> f64 {
        let spread = ask - bid;
        let bps = 20_000.0 * spread / (ask + bid);
        self.quotes += 1;
        self.us += us;
        self.spread_us += spread * us as f64;
        self.spread_bps_us += bps * us as f64;
        if ask < bid {
            self.crossed = (self.crossed.0 + 1, self.crossed.1 + us);
        } else if ask <= bid {
            self.locked = (self.locked.0 + 1, self.locked.1 + us);
        }
        bps
    }

    fn facts(self, code: String) -> IssueQuotes {
        let mean = |sum: f64| (self.us > 0).then(|| sum / self.us as f64);
        let seconds = |us: i64| us as f64 / 1e6;
        IssueQuotes {
            code,
            feed: self.feed,
            preset: self.preset,
            quotes: self.quotes,
            seconds: seconds(self.us),
            spread_mean: mean(self.spread_us),
            spread_bps_mean: mean(self.spread_bps_us),
            locked: self.locked.0,
            locked_seconds: seconds(self.locked.1),
            crossed: self.crossed.0,
            crossed_seconds: seconds(self.crossed.1),
        }
    }
}

#[cfg(test)]
#[path = "quotes_tests.rs"]
mod tests;
