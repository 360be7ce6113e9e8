//! How many of the shares that were traded the files have, and where some are missing: as the macros
//! `completeness_in_shares` and `volume_holes` of `krx.sql` have it. Pure.
//!
//! What was traded is known from the accumulated volumes that the per-issue service pushes.

use std::collections::BTreeMap;

use krx_protocol::per_issue::{Pair, Preset};
use krx_store::Moment;
use krx_store::read::Push;
use serde::Serialize;

use super::active::{Active, ActiveStretch};
use super::ticks::Tick;
use crate::time;

/// How many holes are shown.
const HOLES_MAX: usize = 10;

/// What the files have of the shares that were traded.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SharesFacts {
    /// That of each stock of which anything was pushed, by code.
    pub issues: Vec<IssueShares>,
    /// The share of all that was traded that `ticks` has, over the issues of which it has any; `None` without them.
    pub ticks_share: Option<f64>,
    /// The same of the full-market feeds, if `trdVol` is what was traded.
    pub trades_share: Option<f64>,
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
    /// The sum of the volumes in `ticks`, of trades and block trades; `None` without any.
    pub ticks: Option<i64>,
    /// Its share of what was traded.
    pub ticks_share: Option<f64>,
    /// The sum of the volumes of the full-market feeds; `None` without any.
    pub trades: Option<i64>,
    /// Its share of what was traded.
    pub trades_share: Option<f64>,
    /// Where the accumulated volume rose by more than a row of `ticks` says.
    pub holes: u64,
    /// The shares missing there.
    pub missing: i64,
    /// Those of them that are missing although nothing was interrupted: the server did not send what it should have.
    pub missing_unexplained: i64,
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
        let Some(acc) = push.acc_volume.filter(|_| counts && push.trade.is_none()) else {
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
    /// When `tick` or `tick10` of each stock was active.
    active: BTreeMap<&'a str, Vec<ActiveStretch>>,
    /// When the day's first trade may be: what was missed before a feed began is missing from then on.
    begin: Moment,
    facts: SharesFacts,
}

impl<'a> Comparing<'a> {
    /// Before the first stock.
    pub(crate) fn new(volumes: &'a Volumes, feeds: &'a [Active], begin: Moment) -> Self {
        let mut active: BTreeMap<&str, Vec<ActiveStretch>> = BTreeMap::new();
        for of in feeds {
            for (Pair { preset, code }, stretches) in of.pairs() {
                if matches!(preset, Preset::Tick | Preset::Tick10) {
                    active.entry(code).or_default().extend(stretches);
                }
            }
        }
        Self {
            volumes,
            active,
            begin,
            facts: SharesFacts::default(),
        }
    }

    /// The stocks to compare, in order.
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
            ticks: ticks_sum,
            ticks_share: share(ticks_sum, highest.any),
            trades: None,
            trades_share: None,
            holes: 0,
            missing: 0,
            missing_unexplained: 0,
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
        let stretches = self.active.get(&*of.code).map_or(&[][..], Vec::as_slice);
        let (mut before, mut from) = (0_i64, None);
        for (acc, shares, recv) in rows {
            let missing = acc.saturating_sub(before).saturating_sub(shares);
            if missing > 0 {
                of.holes += 1;
                of.missing = of.missing.saturating_add(missing);
                let since = from.unwrap_or(self.begin);
                let is_one = |stretch: &ActiveStretch| stretch.from <= since && recv <= stretch.to;
                if stretches.iter().any(is_one) {
                    of.missing_unexplained = of.missing_unexplained.saturating_add(missing);
                    self.facts.unexplained.push(Hole {
                        code: of.code.clone(),
                        from_ts: from,
                        to_ts: Some(recv),
                        missing,
                    });
                }
            }
            (before, from) = (acc, Some(recv));
        }
        if self.facts.unexplained.len() > HOLES_MAX {
            largest_first(&mut self.facts.unexplained);
            self.facts.unexplained.truncate(HOLES_MAX);
        }
    }

    /// All stocks are compared. `trades` are the shares that the full-market feeds have of a stock.
    pub(crate) fn facts(self, trades: impl Fn(&str) -> Option<i64>) -> SharesFacts {
        let mut facts = self.facts;
        largest_first(&mut facts.unexplained);
        for issue in &mut facts.issues {
            issue.trades = trades(&issue.code);
            issue.trades_share = share(issue.trades, issue.traded);
        }
        facts.ticks_share = share_of_all(&facts.issues, |issue| issue.ticks);
        facts.trades_share = share_of_all(&facts.issues, |issue| issue.trades);
        facts
    }
}

fn largest_first(holes: &mut [Hole]) {
    holes.sort_by(|one, other| {
        let by_size = other.missing.cmp(&one.missing).then(one.to_ts.cmp(&other.to_ts));
        by_size.then_with(|| one.code.cmp(&other.code))
    });
}

fn share(of: Option<i64>, traded: Option<i64>) -> Option<f64> {
    let (of, traded) = of.zip(traded.filter(|traded| *traded != 0))?;
    Some(of as f64 / traded as f64)
}

/// Over the stocks of which both are known.
fn share_of_all(issues: &[IssueShares], of: fn(&IssueShares) -> Option<i64>) -> Option<f64> {
    let both = issues.iter().filter_map(|issue| of(issue).zip(issue.traded));
    let (of, traded) = both.fold((0_i128, 0_i128), |sums, (of, traded)| {
        (sums.0 + i128::from(of), sums.1 + i128::from(traded))
    });
    (traded > 0).then(|| of as f64 / traded as f64)
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
