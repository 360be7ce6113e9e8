//! The section of the page on completeness in shares. Pure.

use std::fmt::Write as _;

use super::bars::{Bar, beside};
use super::svg::Escaped;
use super::table::{Cell, Column, Table};
use crate::figures::day::DayFacts;
use crate::figures::shares::{IssueShares, SharesFacts};
use crate::time::{clock, count, percent, plural};

/// How many issues are shown beside those of all.
const LOWEST_MAX: usize = 10;
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
    let known = shares
        .issues
        .iter()
        .filter(|issue| issue.traded.is_some())
        .count();
    let share = |of: Option<f64>| of.map_or_else(|| "not known".to_owned(), percent);
    let _ = write!(
        html,
        "<p class=\"answer\">Of the shares that were traded of {}, the full-market feeds show {}, and ticks have {}.</p>\n\
         <p class=\"say\">What was traded is the highest accumulated volume that was pushed. The full-market feeds collect an issue's \
         trades for half a second; what they show supposes that trdVol is a traded quantity (see below). Ticks lack what was traded \
         while an issue was not registered or not recorded. A hole is a rise of the accumulated volume that no tick explains.</p>\n",
        plural(known as u64, "registered stock"),
        Escaped(&share(shares.trades_share)),
        Escaped(&share(shares.ticks_share)),
    );
    html.push_str(&by_share(shares, day.markets.is_empty()));
    let mut lowest: Vec<&IssueShares> = shares
        .issues
        .iter()
        .filter(|issue| issue.traded.is_some())
        .collect();
    let least = |issue: &IssueShares| issue.ticks_share.or(issue.trades_share).unwrap_or(0.0);
    lowest.sort_by(|one, other| {
        least(one)
            .total_cmp(&least(other))
            .then_with(|| one.code.cmp(&other.code))
    });
    lowest.truncate(LOWEST_MAX);
    html.push_str(&table_of("Stocks of which most is missing", &lowest));
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
    let (drawn, what) = if of_ticks {
        (ticks, "ticks have")
    } else {
        (trades, "the full-market feeds show")
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
    let columns = [
        Column::Text("share"),
        Column::Number("in the full-market feeds"),
        Column::Number("in ticks"),
    ];
    let mut table = Table::new("Stocks by the share of what was traded", &columns);
    for bin in 0..BINS {
        table.row([
            name(bin).into(),
            count(trades[bin]).into(),
            count(ticks[bin]).into(),
        ]);
    }
    beside(
        &bars,
        &format!("Stocks by the share of what was traded that {what}. The table has all bars."),
        "stocks",
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
        Column::Number("missing without a reason"),
    ];
    let mut table = Table::new(caption, &columns);
    let number = |of: Option<i64>| of.map_or_else(|| "–".to_owned(), signed);
    for issue in issues {
        let with = |shares: Option<i64>, share: Option<f64>| {
            Cell::with(number(shares), share.map_or_else(String::new, percent))
        };
        let missing = if issue.holes == 0 {
            String::new()
        } else {
            format!("{} shares", signed(issue.missing))
        };
        table.row([
            issue.code.as_str().into(),
            number(issue.traded).into(),
            with(issue.trades, issue.trades_share),
            with(issue.ticks, issue.ticks_share),
            Cell::with(count(issue.holes), missing),
            signed(issue.missing_unexplained).into(),
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
    table.finish("none: what is missing was traded while recording or a registration was interrupted")
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
    }
}
