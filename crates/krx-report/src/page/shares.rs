//! The section of the page on completeness in shares. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use krx_protocol::per_issue::Preset;

use super::bars::{Bar, beside};
use super::svg::Escaped;
use super::table::{Cell, Column, Table};
use crate::figures::day::DayFacts;
use crate::figures::shares::{IssueShares, SharesFacts};
use crate::figures::trd_vol::is_cumulative;
use crate::time::{clock, count, percent, plural};

/// How many stocks are shown beside all of them.
const LACKING_MAX: usize = 10;
/// Tenths, all, and more than all.
const BINS: usize = 12;

/// Completeness in shares; nothing without a per-issue feed.
pub(crate) fn shares(day: &DayFacts) -> String {
    if day.feeds.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section id=\"shares\">\n<h2>Completeness in shares</h2>\n");
    let shares = &day.shares;
    if shares.issues.iter().all(|issue| issue.traded.is_none()) {
        html.push_str("<p class=\"none\">No accumulated volume was pushed: what was traded is not known.</p>\n</section>\n");
        return html;
    }
    html.push_str(&answer(day));
    html.push_str(
        "<p class=\"say\">What was traded is the highest accumulated volume that was pushed. The full-market feeds collect an issue's \
         trades for half a second; what they show supposes that trdVol is a traded quantity (see below). Ticks lack what was traded \
         while an issue was not registered or not recorded. A hole is a rise of the accumulated volume that no tick explains; \
         one without an interruption is a trade that was not sent, or that is in quarantine.</p>\n",
    );
    html.push_str(&by_share(shares, of_ticks(day)));
    if shares.ticks_are_too_many {
        html.push_str(
            "<p class=\"none\">There were more than 25 million ticks: they were not compared.</p>\n",
        );
    } else {
        let mut lacking: Vec<&IssueShares> = shares.issues.iter().filter(|issue| lost(issue) > 0).collect();
        lacking.sort_by_key(|issue| (std::cmp::Reverse(lost(issue)), issue.code.as_str()));
        lacking.truncate(LACKING_MAX);
        html.push_str(&table_of("Stocks of which ticks lack most", &lacking));
    }
    let all: Vec<&IssueShares> = shares.issues.iter().collect();
    let _ = writeln!(
        html,
        "<details><summary>All {}</summary>{}</details>",
        plural(all.len() as u64, "stock"),
        table_of("Shares of all stocks", &all)
    );
    html.push_str(&holes(shares));
    html.push_str("</section>\n");
    html
}

/// What was recorded of the shares that were traded, in a sentence.
fn answer(day: &DayFacts) -> String {
    let shares = &day.shares;
    let mut parts = Vec::new();
    if let Some(share) = shares.ticks_share {
        let stocks = plural(shares.ticks_issues, "stock");
        parts.push(format!(
            "Of the shares traded in {stocks}, the recorded ticks have {}.",
            share_of(share)
        ));
    }
    if is_cumulative(day.trd_vol.as_ref(), &day.volume) {
        parts.push(
            "trdVol is cumulative on this day, so the volumes of the full-market feeds cannot be added up."
                .to_owned(),
        );
    } else if let Some(share) = shares.trades_share {
        let stocks = plural(shares.trades_issues, "stock");
        parts.push(format!(
            "Of the shares traded in {stocks}, the full-market feeds show {}.",
            share_of(share)
        ));
    }
    let silent = without_push(day);
    if silent > 0 {
        parts.push(format!(
            "Nothing was pushed of {}, whatever was traded in {}.",
            plural(silent, "more registered issue"),
            if silent == 1 { "it" } else { "them" }
        ));
    }
    if parts.is_empty() {
        parts.push("Neither ticks nor the full-market feeds have any of the stocks below.".to_owned());
    }
    format!("<p class=\"answer\">{}</p>\n", Escaped(&parts.join(" ")))
}

/// Issues whose trades were registered and recorded, and of which nothing came. Of which kind they are, only a push says.
fn without_push(day: &DayFacts) -> u64 {
    let pairs = day.feeds.iter().flat_map(|feed| &feed.registrations.pairs);
    let of_trades = pairs.filter(|pair| matches!(pair.preset, Preset::Tick | Preset::Tick10));
    let mut came: BTreeMap<&str, bool> = BTreeMap::new();
    for pair in of_trades.filter(|pair| pair.active_seconds > 0.0) {
        *came.entry(&pair.code).or_default() |= pair.records > pair.snapshots;
    }
    let known = |code: &str| day.shares.issues.iter().any(|issue| issue.code == code);
    came.into_iter()
        .filter(|(code, came)| !came && !known(code))
        .count() as u64
}

/// Whether the bars are of ticks, because sums of the full-market feeds are missing or mean nothing.
fn of_ticks(day: &DayFacts) -> bool {
    day.shares.trades_issues == 0 || is_cumulative(day.trd_vol.as_ref(), &day.volume)
}

/// The shares that ticks lack of a stock whose trades were registered, or came.
fn lost(issue: &IssueShares) -> i64 {
    let is_of_ticks = issue.registered || issue.ticks.is_some();
    let traded = issue.traded.filter(|_| is_of_ticks).unwrap_or(0);
    traded.saturating_sub(issue.ticks.unwrap_or(0))
}

/// A share in percent, which may be more than all.
fn share_of(share: f64) -> String {
    if share > 1.0 {
        format!("{:.1} %", share * 100.0)
    } else {
        percent(share)
    }
}

/// How many stocks the feeds show to which share, as bars and as a table: bars of the full-market feeds, if there are any.
fn by_share(shares: &SharesFacts, of_ticks: bool) -> String {
    let name = |bin: usize| match bin {
        10 => "100 %".to_owned(),
        11 => "over 100 %".to_owned(),
        bin => format!("{} to {} %", bin * 10, bin * 10 + 10),
    };
    let bins = |of: fn(&IssueShares) -> Option<f64>| {
        let mut bins = [0_u64; BINS];
        for share in shares.issues.iter().filter_map(of) {
            bins[bin(share)] += 1;
        }
        bins
    };
    let (trades, ticks) = (bins(|issue| issue.trades_share), bins(|issue| issue.ticks_share));
    let (drawn, what, unit) = if of_ticks {
        (ticks, "ticks have", "stocks, ticks")
    } else {
        (trades, "the full-market feeds show", "stocks, full market")
    };
    let bars: Vec<Bar> = (0..BINS)
        .map(|bin| Bar {
            name: name(bin),
            value: drawn[bin] as f64,
            text: count(drawn[bin]),
            title: format!("{}: {}", name(bin), plural(drawn[bin], "stock")),
            // Nothing has more than all of it.
            is_other: bin > 10,
        })
        .collect();
    let has_trades = shares.trades_issues > 0;
    let mut columns = vec![Column::Text("share"), Column::Number("in ticks")];
    if has_trades {
        columns.push(Column::Number("in the full-market feeds"));
    }
    let mut table = Table::new("Stocks by the share of what was traded", &columns);
    for bin in 0..BINS {
        let of_trades = has_trades.then(|| count(trades[bin]).into());
        table.row(
            [name(bin).into(), count(ticks[bin]).into()]
                .into_iter()
                .chain(of_trades),
        );
    }
    beside(
        &bars,
        &format!("Stocks by the share of what was traded that {what}. The table has all bars."),
        unit,
        &table.finish("none"),
    )
}

/// The bar, from 0 to 11, of a share.
fn bin(share: f64) -> usize {
    if share > 1.0 {
        11
    } else if share >= 1.0 {
        10
    } else {
        (0..10).rev().find(|bin| share * 10.0 >= *bin as f64).unwrap_or(0)
    }
}

fn table_of(caption: &str, issues: &[&IssueShares]) -> String {
    let columns = [
        Column::Text("issue"),
        Column::Number("traded"),
        Column::Number("full-market feeds"),
        Column::Number("ticks"),
        Column::Number("holes"),
        Column::Number("missing without an interruption"),
    ];
    let mut table = Table::new(caption, &columns);
    let number = |of: Option<i64>| of.map_or_else(|| "–".to_owned(), signed);
    for issue in issues {
        let with = |shares: Option<i64>, share: Option<f64>| {
            Cell::with(number(shares), share.map_or_else(String::new, share_of))
        };
        let missing = issue.missing.filter(|missing| *missing > 0);
        let missing = missing.map_or_else(String::new, |missing| plural(missing.unsigned_abs(), "share"));
        table.row([
            issue.code.as_str().into(),
            number(issue.traded).into(),
            with(issue.trades, issue.trades_share),
            with(issue.ticks, issue.ticks_share),
            Cell::with(issue.holes.map_or_else(|| "–".to_owned(), count), missing),
            number(issue.missing_unexplained).into(),
        ]);
    }
    table.finish("none")
}

/// The largest holes that no interruption explains.
fn holes(shares: &SharesFacts) -> String {
    let columns = [
        Column::Text("issue"),
        Column::Text("from"),
        Column::Text("to"),
        Column::Number("shares missing"),
    ];
    let mut table = Table::new("Largest holes without an interruption", &columns);
    for hole in &shares.unexplained {
        table.row([
            hole.code.as_str().into(),
            hole.from_ts
                .map_or_else(|| "the day's beginning".to_owned(), clock)
                .into(),
            hole.to_ts.map_or_else(String::new, clock).into(),
            signed(hole.missing).into(),
        ]);
    }
    let are_known = shares.issues.iter().any(|issue| issue.holes.is_some());
    let is_missing = shares.issues.iter().any(|issue| issue.holes.unwrap_or(0) > 0);
    table.finish(match (are_known, is_missing) {
        (false, _) => "not known: no tick has an accumulated volume",
        (true, false) => "none: no shares are missing between ticks",
        (true, true) => "none: what is missing was traded while recording or a registration was interrupted, or was not known",
    })
}

fn signed(number: i64) -> String {
    let sign = if number < 0 { "−" } else { "" };
    format!("{sign}{}", count(number.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_all_has_a_bar_of_its_own() {
        for (share, expected) in [
            (0.0, 0),
            (0.099, 0),
            (0.1, 1),
            (0.3, 3),
            (0.999, 9),
            (1.0, 10),
            (1.2, 11),
        ] {
            assert_eq!(bin(share), expected, "{share}");
        }
        assert_eq!([signed(-1234), signed(0)], ["−1,234", "0"]);
        assert_eq!(
            [share_of(47.3), share_of(1.0), share_of(0.5)],
            ["4730.0 %", "100 %", "50.0 %"]
        );
    }
}
