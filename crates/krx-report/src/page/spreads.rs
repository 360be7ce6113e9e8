//! The section of the page on spreads, and on books that were locked or crossed. Pure.

use std::fmt::Write as _;

use indicatif::HumanFloatCount;

use super::bars::{Bar, beside};
use super::table::{Cell, Column, Table};
use crate::figures::day::DayFacts;
use crate::figures::quotes::{BINS, EDGES_BPS, IssueQuotes, QuoteFacts};
use crate::time::{clock, count, length, percent, plural};

/// How many issues are shown in the chart.
const WIDEST_MAX: usize = 10;

/// Spreads; nothing without a per-issue feed.
pub(crate) fn spreads(day: &DayFacts) -> String {
    if day.feeds.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section id=\"spreads\">\n<h2>Spreads, locked and crossed books</h2>\n<p class=\"say\">The best ask less the best bid in \
         continuous trading, weighted by the time for which each quote held, wherever both sides were known; in basis points of the \
         middle between them. An issue's quotes are those of quote10, or of quote where that was not registered. A locked book has \
         a spread of 0, a crossed one a negative spread: in continuous trading they are a sign of an auction of that issue, or of a \
         wrong or late message.</p>\n",
    );
    let quotes = &day.quotes;
    let quoted: Vec<&IssueQuotes> = quotes.issues.iter().filter(|issue| issue.quotes > 0).collect();
    if quoted.is_empty() {
        let words = if day.feeds.iter().any(|feed| feed.registrations.known) {
            "No quotes in continuous trading."
        } else {
            "Not known: nothing says when quotes were registered."
        };
        let _ = write!(html, "<p class=\"none\">{words}</p>\n</section>\n");
        return html;
    }
    html.push_str(&by_spread(quotes));
    let mut widest = quoted.clone();
    widest.sort_by(|one, other| {
        bps(other)
            .total_cmp(&bps(one))
            .then_with(|| one.code.cmp(&other.code))
    });
    widest.truncate(WIDEST_MAX);
    let bars: Vec<Bar> = widest
        .iter()
        .map(|issue| Bar {
            name: issue.code.clone(),
            value: bps(issue).max(0.0),
            text: format!("{:.1}", bps(issue)),
            title: format!("{}: {:.1} bp", issue.code, bps(issue)),
            is_other: false,
        })
        .collect();
    html.push_str(&beside(
        &bars,
        "The widest mean spreads by issue. The table has all bars.",
        "basis points",
        &table_of("Widest mean spreads", &widest),
    ));
    let _ = writeln!(
        html,
        "<details><summary>All {}</summary>{}</details>",
        plural(quoted.len() as u64, "issue"),
        table_of("Spreads of all issues", &quoted)
    );
    html.push_str(&crossed(quotes));
    html.push_str("</section>\n");
    html
}

fn bps(issue: &IssueQuotes) -> f64 {
    issue.spread_bps_mean.unwrap_or(0.0)
}

/// For how long spreads were how wide, as bars and as a table.
fn by_spread(quotes: &QuoteFacts) -> String {
    let all: f64 = quotes.seconds_by_spread.iter().sum();
    let name = |bin: usize| match bin {
        0 => "crossed".to_owned(),
        1 => "locked".to_owned(),
        2 => format!("up to {} bp", EDGES_BPS[0]),
        bin if bin == BINS - 1 => format!("over {} bp", EDGES_BPS[EDGES_BPS.len() - 1]),
        bin => format!("{} to {} bp", EDGES_BPS[bin - 3], EDGES_BPS[bin - 2]),
    };
    let bars: Vec<Bar> = quotes
        .seconds_by_spread
        .iter()
        .enumerate()
        .map(|(bin, seconds)| Bar {
            name: name(bin),
            value: seconds / all.max(f64::MIN_POSITIVE) * 100.0,
            text: if *seconds > 0.0 {
                percent(seconds / all)
            } else {
                String::new()
            },
            title: format!("{}: {}", name(bin), length(*seconds)),
            is_other: bin < 2,
        })
        .collect();
    let mut table = Table::new(
        "Time of all issues by spread",
        &[
            Column::Text("spread"),
            Column::Number("time"),
            Column::Number("share"),
        ],
    );
    for (bin, seconds) in quotes.seconds_by_spread.iter().enumerate() {
        table.row([
            name(bin).into(),
            length(*seconds).into(),
            percent(seconds / all.max(f64::MIN_POSITIVE)).into(),
        ]);
    }
    beside(
        &bars,
        "For how long spreads were how wide, over all issues. The table has all bars.",
        "% of the time",
        &table.finish("none"),
    )
}

fn table_of(caption: &str, issues: &[&IssueQuotes]) -> String {
    let columns = [
        Column::Text("issue"),
        Column::Number("mean, bp"),
        Column::Number("mean, KRW or points"),
        Column::Number("quotes"),
        Column::Number("locked"),
        Column::Number("crossed"),
    ];
    let mut table = Table::new(caption, &columns);
    for issue in issues {
        let held = |count_of: u64, seconds: f64| {
            let more = if count_of == 0 {
                String::new()
            } else {
                length(seconds)
            };
            Cell::with(count(count_of), more)
        };
        table.row([
            issue.code.as_str().into(),
            format!("{:.1}", bps(issue)).into(),
            issue
                .spread_mean
                .map_or_else(|| "–".to_owned(), |mean| format!("{mean:.3}"))
                .into(),
            Cell::with(count(issue.quotes), format!("held {}", length(issue.seconds))),
            held(issue.locked, issue.locked_seconds),
            held(issue.crossed, issue.crossed_seconds),
        ]);
    }
    table.finish("none")
}

/// A price: of stocks whole KRW, of derivatives with decimals.
fn price(price: f64) -> String {
    HumanFloatCount(price).to_string()
}

/// The crossed quotes that held longest.
fn crossed(quotes: &QuoteFacts) -> String {
    let columns = [
        Column::Text("issue"),
        Column::Text("from"),
        Column::Number("held for"),
        Column::Number("best ask"),
        Column::Number("best bid"),
    ];
    let mut table = Table::new("Books crossed longest", &columns);
    for of in &quotes.crossed {
        table.row([
            of.code.as_str().into(),
            of.from_ts.map_or_else(String::new, clock).into(),
            length(of.seconds).into(),
            price(of.ask_price).into(),
            price(of.bid_price).into(),
        ]);
    }
    table.finish("no book was crossed in continuous trading")
}
