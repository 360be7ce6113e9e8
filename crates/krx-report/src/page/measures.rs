//! The sections of the page on what was measured over all trades: lag, and the meaning of volume. Pure.

use std::fmt::Write as _;

use super::bars::{Bar, beside};
use super::svg::Escaped;
use super::table::{Column, Table};
use crate::figures::day::DayFacts;
use crate::figures::lag::LagBin;
use crate::figures::received::Received;
use crate::figures::trd_vol::{Answer, TrdVolFacts};
use crate::figures::volume::{BINS, Verdict, VolumeFacts};
use crate::time::{count, length, percent, plural};

/// How late trades came.
pub(crate) fn lags(day: &DayFacts) -> String {
    let mut html = String::from(
        "<section id=\"lag\">\n<h2>Lag: from the trade to its receipt</h2>\n<p class=\"say\">recv_ts − trade_ts of the records \
         whose kind is trade. The exchange's clock and this machine's are different, and trdTm has hundredths of a second: a lag may \
         be below zero (bars in another colour), and is up to 10 ms too long. On the full-market feeds Koscom collects an issue's changes for half a second. Bars get wider \
         towards the ends; percentiles are accurate to 1.6 %.</p>\n",
    );
    let _ = writeln!(html, "<p class=\"say\">{}</p>", Escaped(&day.clock.words()));
    for feed in day.received() {
        html.push_str(&lags_of(feed));
    }
    html.push_str("</section>\n");
    html
}

fn lags_of(feed: &Received) -> String {
    let lag = &feed.lag;
    let mut html = format!("<h3>{}</h3>\n", Escaped(&feed.name));
    if lag.trades == 0 {
        html.push_str("<p class=\"none\">No trades.</p>\n");
        return html;
    }
    let ms = |value: Option<f64>| value.map_or_else(String::new, |ms| length(ms / 1000.0));
    html.push_str("<dl class=\"figures\">");
    for (term, text) in [
        ("Half are at most", ms(lag.p50_ms)),
        ("95 of 100", ms(lag.p95_ms)),
        ("99 of 100", ms(lag.p99_ms)),
        ("Longest", ms(lag.max_ms)),
        ("Shortest", ms(lag.min_ms)),
        ("Below zero", percent(lag.below_zero_share.unwrap_or(0.0))),
    ] {
        let _ = write!(
            html,
            "<div><dt>{term}</dt><dd><span class=\"big\">{}</span></dd></div>",
            Escaped(&text)
        );
    }
    html.push_str("</dl>\n");
    html.push_str(&lag_bars(feed));
    html
}

/// The trades of each length of lag, as bars and as a table.
fn lag_bars(feed: &Received) -> String {
    let lag = &feed.lag;
    let ms = |value: Option<f64>| value.map_or_else(String::new, |ms| length(ms / 1000.0));
    let shown = without_ends(&lag.bins);
    let share = |bin: &LagBin| bin.trades as f64 / lag.trades as f64;
    let all: Vec<Bar> = shown
        .iter()
        .map(|bin| Bar {
            name: bin_name(bin),
            value: share(bin) * 100.0,
            text: if bin.trades == 0 {
                String::new()
            } else {
                percent(share(bin))
            },
            title: format!(
                "{}: {}, {}",
                bin_name(bin),
                plural(bin.trades, "trade"),
                percent(share(bin))
            ),
            is_other: bin.to_ms.is_some_and(|to| to <= 0),
        })
        .collect();
    let mut table = Table::new(
        &format!("Lags of {}", feed.name),
        &[
            Column::Text("lag"),
            Column::Number("trades"),
            Column::Number("share"),
        ],
    );
    for bin in shown {
        table.row([
            bin_name(bin).into(),
            count(bin.trades).into(),
            percent(share(bin)).into(),
        ]);
    }
    let label = format!(
        "Lags of {}: half are at most {}, 99 of 100 at most {}. The table has all bars.",
        feed.name,
        ms(lag.p50_ms),
        ms(lag.p99_ms)
    );
    beside(&all, &label, "% of trades", &table.finish("none"))
}

/// Without the empty bars at both ends.
fn without_ends(bins: &[LagBin]) -> &[LagBin] {
    let some = |bin: &LagBin| bin.trades > 0;
    let (Some(first), Some(last)) = (bins.iter().position(some), bins.iter().rposition(some)) else {
        return &[];
    };
    &bins[first..=last]
}

fn bin_name(bin: &LagBin) -> String {
    match (bin.from_ms, bin.to_ms) {
        (Some(from), Some(to)) => format!("{} to {}", edge(from), edge(to)),
        (Some(from), None) => format!("over {}", edge(from)),
        (None, Some(to)) => format!("below {}", edge(to)),
        (None, None) => "all".to_owned(),
    }
}

fn edge(ms: i64) -> String {
    let sign = if ms < 0 { "−" } else { "" };
    match ms.unsigned_abs() {
        0 => "0".to_owned(),
        ms @ ..1_000 => format!("{sign}{ms} ms"),
        ms @ ..60_000 => format!("{sign}{} s", ms / 1_000),
        ms @ ..3_600_000 => format!("{sign}{} min", ms / 60_000),
        ms => format!("{sign}{} h", ms / 3_600_000),
    }
}

/// The meaning of `trdVol`: nothing without a full-market feed.
pub(crate) fn volume(day: &DayFacts) -> String {
    if day.markets.is_empty() {
        return String::new();
    }
    let facts = &day.volume;
    let compared = day.trd_vol.and_then(|of| of.answer);
    let (answer, more) = compared.map_or_else(|| judged(facts.verdict), by_comparison);
    let mut html = format!(
        "<section id=\"volume\" data-verdict=\"{}\">\n<h2>Traded or cumulative volume?</h2>\n<p class=\"answer\">{answer}</p>\n\
         <p class=\"say\">{more} Koscom's guide says both about trdVol.</p>\n",
        facts.verdict.as_str()
    );
    if let Some(of) = &day.trd_vol {
        html.push_str(&comparison(of));
    }
    html.push_str(
        "<p class=\"say\">By the volumes alone: a cumulative volume never falls within an issue's day; a \
         traded one falls about as often as it rises. Each issue whose volume changed 20 times or more from one trade to the \
         next is examined, in order of arrival.</p>\n",
    );
    html.push_str(&volume_table(day));
    html.push_str(
        "<p class=\"say\">“not falling” is the share of steps from one trade to the next in which the volume does not fall, for \
         the median issue; “last by sum” is the last trade's volume divided by the sum of all, also the median.</p>\n",
    );
    html.push_str(&volume_bars(facts));
    html.push_str("</section>\n");
    html
}

/// The answer by the volumes alone.
fn judged(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Traded => (
            "On this day trdVol is a traded quantity.",
            "Sums of volume are meaningful; whether conflation leaves trades out of them, only ticks of the same issues can show.",
        ),
        Verdict::Cumulative => (
            "On this day trdVol is cumulative.",
            "Never add it up: the difference between two records is the quantity traded between them.",
        ),
        Verdict::Unclear => (
            "This day does not show what trdVol is.",
            "The issues below disagree, or there are too few: fewer than 5 whose volume changed 20 times.",
        ),
    }
}

/// The answer by comparison with ticks.
fn by_comparison(answer: Answer) -> (&'static str, &'static str) {
    match answer {
        Answer::SinceLast => (
            "On this day trdVol is what was traded since the issue's record before.",
            "Sums of volume are what was traded: conflation leaves none out.",
        ),
        Answer::LastTrade => (
            "On this day trdVol is the quantity of the last trade alone.",
            "Sums of volume are too small: what conflation left out is not in them.",
        ),
        Answer::Cumulative => (
            "On this day trdVol is cumulative.",
            "Never add it up: the difference between two records is the quantity traded between them.",
        ),
    }
}

/// How many records fit each meaning of `trdVol`, by comparison with ticks of the same issues.
fn comparison(of: &TrdVolFacts) -> String {
    let records = plural(of.compared, "record");
    let said = match of.answer {
        Some(_) => format!("By comparison: {records} of registered stocks could be held against ticks."),
        None => format!(
            "There is no answer by comparison: {records} of registered stocks could be held against ticks. It takes 100, and a \
             meaning that holds for 95 % of them."
        ),
    };
    if of.compared == 0 {
        return format!("<p class=\"say\">{said}</p>\n");
    }
    let columns = [
        Column::Text("trdVol is"),
        Column::Number("records"),
        Column::Number("share"),
    ];
    let mut table = Table::new("Records beside the ticks of the same issues", &columns);
    for (name, records) in [
        ("what was traded since the issue's record before", of.since_last),
        ("the quantity of the last trade alone", of.last_trade),
        ("what was traded on the day so far", of.cumulative),
    ] {
        let share = records as f64 / of.compared.max(1) as f64;
        table.row([name.into(), count(records).into(), percent(share).into()]);
    }
    format!(
        "<p class=\"say\">{said} One record may agree with several meanings.</p>\n{}",
        table.finish("none")
    )
}

/// What each market's issues say about `trdVol`, and all together.
fn volume_table(day: &DayFacts) -> String {
    let columns = [
        Column::Text("market"),
        Column::Text("verdict"),
        Column::Number("issues"),
        Column::Number("that fall often"),
        Column::Number("that never fall"),
        Column::Number("last is largest"),
        Column::Number("not falling"),
        Column::Number("last by sum"),
    ];
    let mut table = Table::new("Over the issues", &columns);
    let markets = day
        .markets
        .iter()
        .map(|market| (market.market.as_str(), &market.volume));
    for (name, facts) in markets.chain([("all", &day.volume)]) {
        let share = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), percent);
        table.row([
            name.into(),
            facts.verdict.as_str().into(),
            count(facts.issues).into(),
            count(facts.issues_falling).into(),
            count(facts.issues_never_falling).into(),
            count(facts.issues_last_is_largest).into(),
            share(facts.not_falling_share_median).into(),
            share(facts.last_to_sum_median).into(),
        ]);
    }
    table.finish("none")
}

/// How many issues' volumes never fall, fall now and then, or often.
fn volume_bars(facts: &VolumeFacts) -> String {
    let name = |bin: usize| match bin {
        0 => "0 to 10 %".to_owned(),
        bin if bin == BINS - 1 => "100 %".to_owned(),
        bin => format!("{} to {} %", bin * 10, bin * 10 + 10),
    };
    let bins = facts.issues_by_not_falling_share;
    let all: Vec<Bar> = (0..BINS)
        .map(|bin| Bar {
            name: name(bin),
            value: bins[bin] as f64,
            text: count(bins[bin]),
            title: format!("{}: {}", name(bin), plural(bins[bin], "issue")),
            is_other: bin == BINS - 1,
        })
        .collect();
    let mut table = Table::new(
        "Issues by the share of steps in which volume does not fall",
        &[Column::Text("share"), Column::Number("issues")],
    );
    for (bin, issues) in bins.iter().enumerate() {
        table.row([name(bin).into(), count(*issues).into()]);
    }
    beside(
        &all,
        "Issues by the share of steps in which volume does not fall. The table has all bars.",
        "issues",
        &table.finish("none"),
    )
}
