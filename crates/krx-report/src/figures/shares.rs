//! How many of the shares that were traded the files have, and where some are missing: as the macros
//! `completeness_in_shares` and `volume_holes` of `krx.sql` have it. Pure.
//!
//! What was traded is known from the accumulated volumes that the per-issue service pushes.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{Pair, Preset};
use krx_store::Moment;
use krx_store::read::Push;
use serde::Serialize;

use super::active::Active;
use super::ticks::Tick;
use crate::time;

/// How many holes are shown.
const HOLES_MAX: usize = 10;

/// What the files have of the shares that were traded.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SharesFacts {
    /// That of each stock of which anything was pushed, by code.
    pub issues: Vec<IssueShares>,
    /// The share of all that was traded that `ticks` has, over the issues whose trades were registered; `None` without
    /// them.
    pub ticks_share: Option<f64>,
    /// How many issues that is of.
    pub ticks_issues: u64,
    /// The same of the full-market feeds, if `trdVol` is what was traded, over the issues of which they have any.
    pub trades_share: Option<f64>,
    /// How many issues that is of.
    pub trades_issues: u64,
    /// Whether there were more than 25 million ticks: then none of them were compared with anything.
    pub ticks_are_too_many: bool,
    /// The largest holes that no interruption explains, ten at most.
    pub unexplained: Vec<Hole>,
}

/// What the files have of the shares of a stock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IssueShares {
    /// `isuSrtCd`.
    pub code: String,
    /// The highest accumulated volume that was pushed; `None` if none was.
    pub traded: Option<i64>,
    /// Whether its trades were registered and recorded at any time.
    pub registered: bool,
    /// The sum of the volumes in `ticks`, of trades and block trades; `None` without any.
    pub ticks: Option<i64>,
    /// Its share of what was traded.
    pub ticks_share: Option<f64>,
    /// The sum of the volumes of the full-market feeds; `None` without any.
    pub trades: Option<i64>,
    /// Its share of what was traded.
    pub trades_share: Option<f64>,
    /// Where the accumulated volume rose by more than a row of `ticks` says; `None` when no tick has one.
    pub holes: Option<u64>,
    /// The shares missing there.
    pub missing: Option<i64>,
    /// Those of them that are missing although nothing was interrupted: these trades were not sent, or are in quarantine.
    pub missing_unexplained: Option<i64>,
}

/// A rise of the accumulated volume that no tick explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// `isuSrtCd`.
    pub code: String,
    /// When the row before was received; `None`: since the day began.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub from_ts: Option<Moment>,
    /// When the row after was received.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub to_ts: Option<Moment>,
    /// The shares missing.
    pub missing: i64,
}

/// Pushes, folded: the accumulated volumes of each stock.
#[derive(Debug, Default)]
pub(crate) struct Volumes(BTreeMap<Box<str>, Highest>);

/// The highest accumulated volumes of a stock.
#[derive(Clone, Copy, Debug, Default)]
struct Highest {
    /// Of all rows.
    any: Option<i64>,
    /// Of quotes and books that count, and when it was first received.
    quoted: Option<(i64, Moment)>,
}

impl Volumes {
    /// A row of a table of stocks with an accumulated volume; `counts` says whether the views `quotes` and `books` have it.
    pub(crate) fn push(&mut self, push: &Push<'_>, counts: bool) {
        if push.is_snapshot() {
            return;
        }
        let of = match self.0.get_mut(push.code) {
            Some(of) => of,
            None => self.0.entry(push.code.into()).or_default(),
        };
        of.any = of.any.max(push.acc_volume);
        let Some(acc) = push.acc_volume.filter(|_| counts) else {
            return;
        };
        if of
            .quoted
            .is_none_or(|(most, at)| acc > most || (acc == most && push.recv < at))
        {
            of.quoted = Some((acc, push.recv));
        }
    }
}

/// Compares the shares of all stocks, one after the other.
#[derive(Debug)]
pub(crate) struct Comparing<'a> {
    volumes: &'a Volumes,
    /// When `tick` or `tick10` of each stock was active, in order of the beginning: each with the latest end up to then.
    active: BTreeMap<&'a str, Vec<(Moment, Moment)>>,
    midnight: Moment,
    /// When the day's first trade may be: what was missed before a feed began is missing from then on.
    begin: Moment,
    facts: SharesFacts,
}

impl<'a> Comparing<'a> {
    /// Before the first stock.
    pub(crate) fn new(
        volumes: &'a Volumes,
        feeds: &'a [Active],
        begin: Moment,
        ticks_are_too_many: bool,
    ) -> Self {
        let mut active: BTreeMap<&str, Vec<(Moment, Moment)>> = BTreeMap::new();
        for of in feeds {
            for (Pair { preset, code }, stretches) in of.pairs() {
                if matches!(preset, Preset::Tick | Preset::Tick10) {
                    let spans = stretches.iter().map(|stretch| (stretch.from, stretch.to));
                    active.entry(code).or_default().extend(spans);
                }
            }
        }
        for spans in active.values_mut() {
            spans.sort_unstable();
            let mut latest = Moment(i64::MIN);
            for (_, to) in spans {
                latest = latest.max(*to);
                *to = latest;
            }
        }
        let facts = SharesFacts {
            ticks_are_too_many,
            ..SharesFacts::default()
        };
        Self {
            volumes,
            active,
            midnight: Moment::midnight(begin.date()),
            begin,
            facts,
        }
    }

    /// The stocks to compare, in order: those of which anything was pushed.
    pub(crate) fn codes(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.volumes.0.keys().map(|code| &**code)
    }

    /// Compares a stock's ticks, each of them once.
    pub(crate) fn issue(&mut self, code: &str, ticks: &[Tick]) {
        let highest = self.volumes.0.get(code).copied().unwrap_or_default();
        let counted = ticks.iter().filter(|tick| tick.counts());
        let sum = counted
            .clone()
            .fold(0_i64, |sum, tick| sum.saturating_add(tick.shares()));
        let ticks_sum = counted.clone().next().map(|_| sum);
        let mut of = IssueShares {
            code: code.to_owned(),
            traded: highest.any,
            registered: self.active.contains_key(code),
            ticks: ticks_sum,
            ticks_share: share(ticks_sum, highest.any),
            trades: None,
            trades_share: None,
            holes: None,
            missing: None,
            missing_unexplained: None,
        };
        self.holes(&mut of, ticks, highest.quoted);
        self.facts.issues.push(of);
    }

    fn holes(&mut self, of: &mut IssueShares, ticks: &[Tick], quoted: Option<(i64, Moment)>) {
        let with_total = ticks
            .iter()
            .filter_map(|tick| Some((tick.acc_volume()?, tick.shares(), tick.recv)));
        let mut rows: Vec<(i64, i64, Moment)> = with_total.collect();
        if rows.is_empty() {
            return;
        }
        rows.extend(quoted.map(|(acc, recv)| (acc, 0, recv)));
        rows.sort_by_key(|(acc, shares, recv)| (*acc, std::cmp::Reverse(*shares), *recv));
        let spans = self.active.get(&*of.code).map_or(&[][..], Vec::as_slice);
        let (mut before, mut from) = (0_i64, None);
        let (mut holes, mut sum, mut unexplained) = (0, 0_i64, 0_i64);
        for (acc, shares, recv) in rows {
            let missing = acc.saturating_sub(before).saturating_sub(shares);
            if missing > 0 {
                holes += 1;
                sum = sum.saturating_add(missing);
                // What was traded even before then was traded at any time of the day.
                let begin = if recv < self.begin {
                    self.midnight
                } else {
                    self.begin
                };
                let since = from.unwrap_or(begin);
                // Whether one stretch has both.
                let begun = spans.partition_point(|(from, _)| *from <= since);
                if begun > 0 && recv <= spans[begun - 1].1 {
                    unexplained = unexplained.saturating_add(missing);
                    self.facts.unexplained.push(Hole {
                        code: of.code.clone(),
                        from_ts: from,
                        to_ts: Some(recv),
                        missing,
                    });
                    if self.facts.unexplained.len() >= 2 * HOLES_MAX {
                        keep_largest(&mut self.facts.unexplained);
                    }
                }
            }
            (before, from) = (acc, Some(recv));
        }
        (of.holes, of.missing, of.missing_unexplained) = (Some(holes), Some(sum), Some(unexplained));
    }

    /// All stocks are compared. `trades` are the shares that the full-market feeds have of a stock.
    pub(crate) fn facts(self, trades: impl Fn(&str) -> Option<i64>) -> SharesFacts {
        let mut facts = self.facts;
        keep_largest(&mut facts.unexplained);
        for issue in &mut facts.issues {
            issue.trades = trades(&issue.code);
            issue.trades_share = share(issue.trades, issue.traded);
        }
        // Of what was registered, ticks that did not come are missing; a stock of no recorded market is not.
        (facts.ticks_share, facts.ticks_issues) = share_of_all(&facts.issues, |issue| {
            issue.ticks.or(issue.registered.then_some(0))
        });
        (facts.trades_share, facts.trades_issues) = share_of_all(&facts.issues, |issue| issue.trades);
        if facts.ticks_are_too_many {
            (facts.ticks_share, facts.ticks_issues) = (None, 0);
        }
        facts
    }
}

fn keep_largest(holes: &mut Vec<Hole>) {
    holes.sort_by(|one, other| {
        let by_size = other.missing.cmp(&one.missing).then(one.to_ts.cmp(&other.to_ts));
        by_size.then_with(|| one.code.cmp(&other.code))
    });
    holes.truncate(HOLES_MAX);
}

fn share(of: Option<i64>, traded: Option<i64>) -> Option<f64> {
    let (of, traded) = of.zip(traded.filter(|traded| *traded != 0))?;
    Some(of as f64 / traded as f64)
}

/// Over the stocks of which both are known, and how many these are.
fn share_of_all(issues: &[IssueShares], of: fn(&IssueShares) -> Option<i64>) -> (Option<f64>, u64) {
    let both = issues.iter().filter_map(|issue| of(issue).zip(issue.traded));
    let (mut sum, mut sum_traded, mut count) = (0_i128, 0_i128, 0);
    for (of, traded) in both {
        sum += i128::from(of);
        sum_traded += i128::from(traded);
        count += 1;
    }
    ((sum_traded > 0).then(|| sum as f64 / sum_traded as f64), count)
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
