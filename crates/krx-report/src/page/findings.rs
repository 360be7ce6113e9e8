//! The sections of the page on what was found: quarantine, the busiest issues, and oddities. Pure.

use std::fmt::Write as _;

use krx_store::Moment;

use super::bars::{Bar, bars, beside};
use super::svg::Escaped;
use super::table::{Cell, Column, Table};
use super::timeline::Size;
use crate::figures::day::DayFacts;
use crate::figures::oddities::{Example, Kind, Oddity};
use crate::time::{clock, count, plural};

/// How many sessions are shown; a server that keeps breaking the connection makes thousands.
const SESSIONS_MAX: usize = 50;

/// What could not be read.
pub(crate) fn quarantine(day: &DayFacts) -> String {
    let mut html = String::from(
        "<section id=\"quarantine\">\n<h2>Quarantine</h2>\n<p class=\"say\">Pieces that could not be read as records, kept exactly as they \
         came. Each reason is explained in docs/reading-the-data.md.</p>\n",
    );
    for feed in day.received() {
        let _ = writeln!(html, "<h3>{}</h3>", Escaped(&feed.name));
        if feed.quarantined == 0 {
            html.push_str("<p class=\"none\">Nothing.</p>\n");
            continue;
        }
        let mut reasons: Vec<_> = feed.quarantine.iter().collect();
        reasons.sort_by_key(|(_, of)| std::cmp::Reverse(of.count));
        let all: Vec<Bar> = reasons
            .iter()
            .map(|(reason, of)| Bar {
                name: (*reason).clone(),
                value: of.count as f64,
                text: count(of.count),
                title: format!("{reason}: {}", plural(of.count, "piece")),
                is_other: false,
            })
            .collect();
        let columns = [
            Column::Text("reason"),
            Column::Number("pieces"),
            Column::Text("first and last"),
            Column::Text("first in"),
            Column::Long("first piece"),
        ];
        let mut table = Table::new(&format!("Quarantine of {} by reason", feed.name), &columns);
        for (reason, of) in reasons {
            let at = |moment: Option<Moment>| moment.map_or_else(String::new, clock);
            table.row([
                reason.as_str().into(),
                count(of.count).into(),
                Cell::with(at(of.first_recv_ts), at(of.last_recv_ts)),
                Cell::with(
                    format!("frame {}", of.frame),
                    of.item
                        .map_or_else(|| "whole message".to_owned(), |item| format!("item {item}")),
                ),
                Cell::with(
                    of.raw.clone().unwrap_or_else(|| {
                        format!(
                            "{}, not shown: it may repeat the API key",
                            plural(of.raw_bytes, "byte")
                        )
                    }),
                    of.detail.as_deref().unwrap_or_default(),
                ),
            ]);
        }
        let label = format!(
            "Quarantined pieces of {} by reason. The table has all bars.",
            feed.name
        );
        let _ = write!(
            html,
            "<figure>{}{}</figure>\n{}",
            bars(&all, &label, "pieces", Size::Wide),
            bars(&all, &label, "pieces", Size::Narrow),
            table.finish("none")
        );
    }
    html.push_str("</section>\n");
    html
}

/// The busiest issues of the full-market feeds.
pub(crate) fn top_issues(day: &DayFacts) -> String {
    if day.markets.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section id=\"issues\">\n<h2>Issues with the most records in the full-market feeds</h2>\n",
    );
    for market in &day.markets {
        let _ = writeln!(html, "<h3>{}</h3>", Escaped(&market.market));
        let all: Vec<Bar> = market
            .top_issues
            .iter()
            .map(|issue| Bar {
                name: issue.code.clone(),
                value: issue.records as f64,
                text: count(issue.records),
                title: format!("{}: {}", issue.code, plural(issue.records, "record")),
                is_other: false,
            })
            .collect();
        let columns = [
            Column::Text("issue"),
            Column::Number("records"),
            Column::Number("first"),
            Column::Number("low"),
            Column::Number("high"),
            Column::Number("last"),
        ];
        let mut table = Table::new(
            &format!("Busiest issues of {}, prices in KRW", market.market),
            &columns,
        );
        for issue in &market.top_issues {
            let price = |of: fn(&crate::figures::issue::Prices) -> i64| {
                let price = issue.prices.as_ref().map(of);
                Cell::from(price.map_or_else(|| "–".to_owned(), |price| count(price.unsigned_abs())))
            };
            table.row([
                issue.code.as_str().into(),
                count(issue.records).into(),
                price(|prices| prices.first),
                price(|prices| prices.low),
                price(|prices| prices.high),
                price(|prices| prices.last),
            ]);
        }
        let label = format!(
            "The busiest issues of {} by records. The table has all bars.",
            market.market
        );
        html.push_str(&beside(&all, &label, "records", &table.finish("no issues")));
    }
    html.push_str("</section>\n");
    html
}

/// What is odd in the full-market feeds, what is not, and what could not be checked.
pub(crate) fn oddities(day: &DayFacts) -> String {
    if day.markets.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section id=\"oddities\">\n<h2>Oddities of the full-market feeds</h2>\n");
    let compared = &day.issues_compared_with;
    for odd in day.oddities.iter().filter(|odd| odd.count > 0) {
        html.push_str(&oddity(odd, day));
    }
    let none: Vec<_> = day
        .oddities
        .iter()
        .filter(|odd| odd.count == 0)
        .map(|odd| odd.kind.title())
        .collect();
    if !none.is_empty() {
        let _ = writeln!(
            html,
            "<p class=\"say\">Looked for and not found:</p><ul class=\"none\">"
        );
        for title in none {
            let _ = writeln!(html, "<li>{}</li>", Escaped(title));
        }
        html.push_str("</ul>\n");
    }
    let words = match (compared.from, compared.to) {
        (Some(from), Some(to)) if from == to => {
            format!("Issues were compared with those of {to}, the only date recorded before.")
        }
        (Some(from), Some(to)) => format!(
            "Issues were compared with those of {} recorded before, {from} to {to}.",
            plural(compared.dates as u64, "date")
        ),
        _ => "There is no earlier recorded date, so new and vanished issues cannot be identified.".to_owned(),
    };
    let _ = write!(html, "<p class=\"say\">{}</p>\n</section>\n", Escaped(&words));
    html
}

fn oddity(odd: &Oddity, day: &DayFacts) -> String {
    let mut html = format!(
        "<h3 data-oddity=\"{:?}\">{}: {}",
        odd.kind,
        Escaped(odd.kind.title()),
        Escaped(&plural(odd.count, odd.kind.noun()))
    );
    if let Some(issues) = odd.issues.filter(|_| odd.kind.noun() != "issue") {
        let _ = write!(html, " of {}", plural(issues, "issue"));
    }
    let _ = writeln!(
        html,
        "</h3>\n<p class=\"say\">{}</p>",
        Escaped(odd.kind.meaning())
    );
    if odd.kind == Kind::SentAgain {
        html.push_str(&sent_again(day));
    } else {
        html.push_str(&examples(odd));
    }
    if let Some(sql) = &odd.sql {
        let _ = writeln!(html, "<pre tabindex=\"0\"><code>{}</code></pre>", Escaped(sql));
    }
    html
}

/// How many records each session repeats.
fn sent_again(day: &DayFacts) -> String {
    let columns = [
        Column::Text("market"),
        Column::Number("session"),
        Column::Number("of session"),
        Column::Number("records sent again"),
    ];
    let mut table = Table::new("Records sent again by session", &columns);
    let all = day
        .markets
        .iter()
        .flat_map(|market| market.sent_again.iter().map(move |of| (market, of)));
    let sessions = all.clone().count();
    for (market, of) in all.take(SESSIONS_MAX) {
        table.row([
            market.market.as_str().into(),
            of.session.to_string().into(),
            of.session_before.to_string().into(),
            count(of.records).into(),
        ]);
    }
    if sessions > SESSIONS_MAX {
        let more = count((sessions - SESSIONS_MAX) as u64);
        table.note(&format!("{more} more: the query finds them"));
    }
    table.finish("none")
}

/// The examples, without columns that are empty in all of them.
fn examples(odd: &Oddity) -> String {
    type Text = fn(&Example) -> Option<String>;
    let columns: [(Column, Text); 8] = [
        (Column::Text("market"), |of| Some(of.market.clone())),
        (Column::Text("issue"), |of| of.code.clone()),
        (Column::Number("frame"), |of| {
            of.frame.map(|frame| frame.to_string())
        }),
        (Column::Number("item"), |of| of.item.map(|item| item.to_string())),
        (Column::Text("received"), |of| of.recv_ts.map(clock)),
        (Column::Text("traded"), |of| of.trade_ts.map(clock)),
        (Column::Number("price, KRW"), |of| {
            of.price.map(|price| count(price.unsigned_abs()))
        }),
        (Column::Long("against"), |of| {
            Some(of.detail.clone()).filter(|detail| !detail.is_empty())
        }),
    ];
    let some: Vec<_> = columns
        .into_iter()
        .filter(|(_, text)| odd.examples.iter().any(|example| text(example).is_some()))
        .collect();
    let names: Vec<Column> = some.iter().map(|(column, _)| *column).collect();
    let mut table = Table::new(&format!("Examples: {}", odd.kind.title()), &names);
    for example in &odd.examples {
        table.row(
            some.iter()
                .map(|(_, text)| Cell::from(text(example).unwrap_or_default())),
        );
    }
    table.finish("none")
}
