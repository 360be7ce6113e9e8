//! The section of the page on what was registered: what came of each preset, what became of each registration, and when
//! nothing came. Pure.

use std::fmt::Write as _;

use krx_protocol::per_issue::RegistrationState;
use krx_store::Moment;

use super::bars::{Bar, beside};
use super::svg::Escaped;
use super::table::{Cell, Column, Table};
use crate::figures::day::DayFacts;
use crate::figures::feed::{FeedFacts, PairFacts};
use crate::figures::pauses::Pause;
use crate::time::{clock, count, length, minute, percent, plural, second};

/// How many registrations of a feed are shown in tables that are not of all of them.
const SHOWN_MAX: usize = 20;
/// How many have the longest pauses.
const LONGEST_MAX: usize = 10;

/// What was registered; nothing without a per-issue feed.
pub(crate) fn registrations(day: &DayFacts) -> String {
    if day.feeds.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section id=\"registrations\">\n<h2>Registrations</h2>\n<p class=\"say\">A registration is active from the server's \
         answer until it is cancelled or its session ends. Its share is the part of the regular hours in which it was active and \
         recorded. A pause is a time in which it was active and recorded, but nothing came; pauses count until the closing auction. \
         A registration fell silent if nothing came for the last ten minutes in which it was active then, and for three times as \
         long as ever before: the issue may have been suspended.</p>\n",
    );
    for feed in &day.feeds {
        let _ = writeln!(html, "<h3>{}</h3>", Escaped(&feed.feed));
        html.push_str(&presets(feed));
        if feed.registrations.known {
            html.push_str(&conspicuous(feed));
            html.push_str(&longest(feed));
            let all: Vec<&PairFacts> = feed.registrations.pairs.iter().collect();
            let table = table_of(&format!("All registrations of {}", feed.feed), &all, all.len());
            let _ = writeln!(
                html,
                "<details><summary>All {}</summary>{table}</details>",
                plural(all.len() as u64, "registration")
            );
        } else {
            html.push_str(
                "<p class=\"none\">Nothing says what was registered: the file is missing or damaged, or not written yet.</p>\n",
            );
        }
    }
    html.push_str("</section>\n");
    html
}

/// What came of each preset, as bars and as a table.
fn presets(feed: &FeedFacts) -> String {
    let bars: Vec<Bar> = feed
        .presets
        .iter()
        .map(|of| Bar {
            name: of.preset.to_string(),
            value: of.records as f64,
            text: count(of.records),
            title: format!("{}: {}", of.preset, plural(of.records, "record")),
            is_other: false,
        })
        .collect();
    let columns = [
        Column::Text("preset"),
        Column::Number("issues"),
        Column::Number("records"),
        Column::Number("snapshots"),
        Column::Number("most in a minute"),
    ];
    let mut table = Table::new(&format!("Records of {} by preset", feed.feed), &columns);
    for of in &feed.presets {
        let at = of
            .busiest_minute
            .map_or_else(String::new, |at| format!("at {}", minute(at)));
        table.row([
            of.preset.as_str().into(),
            if feed.registrations.known {
                count(of.wanted).into()
            } else {
                "–".into()
            },
            count(of.records).into(),
            count(of.snapshots).into(),
            Cell::with(count(of.busiest_minute_records), at),
        ]);
    }
    let label = format!("Records of {} by preset. The table has all bars.", feed.feed);
    beside(&bars, &label, "records", &table.finish("nothing came"))
}

/// Those that were not active all along, or fell silent.
fn conspicuous(feed: &FeedFacts) -> String {
    let some: Vec<&PairFacts> = feed
        .registrations
        .pairs
        .iter()
        .filter(|pair| {
            pair.state != RegistrationState::Active
                || pair.is_short && pair.active_seconds > 0.0
                || pair.silent.is_some()
                || pair.asked_again > 0
        })
        .collect();
    if some.is_empty() {
        let were_hours = feed.registrations.pairs.iter().any(|pair| pair.share.is_some());
        let words = if were_hours {
            "Each was active in at least 99 % of what was recorded of the regular hours, and none fell silent."
        } else {
            "The server refused none."
        };
        return format!("<p class=\"say\">{words}</p>\n");
    }
    table_of(
        &format!("Registrations of {} that deserve a look", feed.feed),
        &some,
        SHOWN_MAX,
    )
}

/// Some registrations, `shown` of them at most.
fn table_of(caption: &str, pairs: &[&PairFacts], shown: usize) -> String {
    let columns = [
        Column::Text("preset"),
        Column::Text("issue"),
        Column::Text("last state"),
        Column::Number("share"),
        Column::Text("active"),
        Column::Number("records"),
        Column::Number("longest pause"),
        Column::Text("silent"),
    ];
    let mut table = Table::new(caption, &columns);
    for pair in pairs.iter().take(shown) {
        let again = match pair.asked_again {
            0 => String::new(),
            1 => "found silent, and registered again".to_owned(),
            times => format!("found silent, and registered again {} times", count(times)),
        };
        let detail = pair
            .detail
            .iter()
            .cloned()
            .chain(Some(again).filter(|text| !text.is_empty()));
        let active = pair.active_from.zip(pair.active_to);
        let active = active.map_or_else(Cell::default, |(from, to)| {
            Cell::with(
                format!("{} to {}", second(from), second(to)),
                format!("in all {}", length(pair.active_seconds)),
            )
        });
        table.row([
            pair.preset.as_str().into(),
            pair.code.as_str().into(),
            Cell::with(pair.state.as_str(), detail.collect::<Vec<_>>().join("; ")),
            pair.share.map_or_else(|| "–".to_owned(), percent).into(),
            active,
            count(pair.records).into(),
            pair.longest_pause
                .map_or_else(|| "–".to_owned(), |pause| length(pause.seconds))
                .into(),
            pair.silent.map_or_else(Cell::default, |silent| {
                Cell::with(format!("since {}", at(silent.from_ts)), length(silent.seconds))
            }),
        ]);
    }
    if pairs.len() > shown {
        let more = count((pairs.len() - shown) as u64);
        table.note(&format!("{more} more: the table of all registrations has them"));
    }
    table.finish("nothing was registered")
}

/// Those of which nothing came for longest.
fn longest(feed: &FeedFacts) -> String {
    let pairs = feed.registrations.pairs.iter();
    let mut pauses: Vec<(&PairFacts, Pause)> = pairs
        .filter_map(|pair| Some((pair, pair.longest_pause?)))
        .collect();
    pauses.sort_by(|one, other| other.1.seconds.total_cmp(&one.1.seconds));
    let columns = [
        Column::Text("preset"),
        Column::Text("issue"),
        Column::Text("from"),
        Column::Text("to"),
        Column::Number("length"),
        Column::Number("records of the day"),
    ];
    let mut table = Table::new(&format!("Longest pauses of {}", feed.feed), &columns);
    for (pair, pause) in pauses.into_iter().take(LONGEST_MAX) {
        table.row([
            pair.preset.as_str().into(),
            pair.code.as_str().into(),
            at(pause.from_ts).into(),
            at(pause.to_ts).into(),
            length(pause.seconds).into(),
            count(pair.records).into(),
        ]);
    }
    table.finish("none: nothing was active in the regular hours")
}

fn at(moment: Option<Moment>) -> String {
    moment.map_or_else(String::new, clock)
}
