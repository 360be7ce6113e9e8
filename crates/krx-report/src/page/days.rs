//! The sections of the page about the day as a whole: each feed's figures, timeline and gaps. Pure.

use std::fmt::Write as _;

use krx_protocol::per_issue::{Preset, RegistrationState};
use krx_store::Moment;
use krx_store::coverage::State;

use super::svg::Escaped;
use super::table::{Cell, Column, Table};
use super::timeline::{Panel, Size, Timeline, Together};
use crate::figures::day::DayFacts;
use crate::figures::feed::FeedFacts;
use crate::figures::fold::MINUTES;
use crate::figures::market::MarketFacts;
use crate::figures::received::Received;
use crate::figures::recorded::overlap;
use crate::time::{self, clock, count, length, percent};

/// How many gaps of a feed are shown; a day that would not stay connected has thousands.
const GAPS_MAX: usize = 200;
/// The minutes in a row of the table beside the day's chart.
const STEP: usize = 30;

/// A figure of the first section: its name, its term, what is large, and what is beside that.
type Figure = (&'static str, &'static str, String, String);

/// The figures of each feed.
pub(crate) fn glance(day: &DayFacts) -> String {
    let mut html = String::from("<section id=\"glance\">\n<h2>At a glance</h2>\n<div class=\"glance\">\n");
    for market in &day.markets {
        let trades = market.records_by_kind.get("trade").copied().unwrap_or(0);
        let messages = format!("{} with records", count(market.messages_with_rows));
        let more = [format!("{} with a clock time", count(trades)), messages];
        html.push_str(&figures_of(&market.received, more, None));
    }
    for feed in &day.feeds {
        let snapshots: u64 = feed.presets.iter().map(|preset| preset.snapshots).sum();
        let snapshots = match snapshots {
            0 => String::new(),
            some => format!("{} of them snapshots", count(some)),
        };
        let more = [snapshots, String::new()];
        html.push_str(&figures_of(&feed.received, more, Some(registered(feed))));
    }
    html.push_str("</div>\n</section>\n");
    html
}

fn registered(feed: &FeedFacts) -> Figure {
    let (name, term) = ("registrations", "Registrations");
    if !feed.registrations.known {
        return (name, term, "–".to_owned(), "not known".to_owned());
    }
    let pairs = &feed.registrations.pairs;
    let active = pairs.iter().filter(|pair| pair.active_seconds > 0.0).count();
    let refused = pairs
        .iter()
        .filter(|pair| pair.state == RegistrationState::Refused);
    let more = match refused.count() as u64 {
        0 => format!("{} were active", count(active as u64)),
        refused => format!("{} were active, {} refused", count(active as u64), count(refused)),
    };
    (name, term, count(feed.registrations.wanted), more)
}

fn figures_of(feed: &Received, [records, messages]: [String; 2], registered: Option<Figure>) -> String {
    let recorded = &feed.recorded;
    let share = recorded
        .regular_recorded_share
        .map_or_else(|| "–".to_owned(), percent);
    let regular = match recorded.regular_recorded_share {
        Some(_) => format!(
            "{} of {}",
            length(recorded.regular_recorded_seconds),
            length(recorded.regular_seconds)
        ),
        None => "none yet, or none on this day".to_owned(),
    };
    let (gaps, within) = (recorded.gaps, recorded.gaps_in_regular_hours);
    let gaps_more = match (gaps.count, within.count) {
        (0, _) => String::new(),
        (_, 0) => format!("{}; none in the regular hours", length(gaps.seconds)),
        (_, some) => format!(
            "{}; in the regular hours {}, {}",
            length(gaps.seconds),
            count(some),
            length(within.seconds)
        ),
    };
    let at = |moment: Option<Moment>| moment.map_or_else(|| "none".to_owned(), time::second);
    let mut html = format!(
        "<div data-market=\"{0}\"><h3>{0}</h3><dl class=\"figures\">\n",
        Escaped(&feed.name)
    );
    let figures: [Figure; 8] = [
        ("records", "Records", count(feed.records), records),
        ("messages", "Messages", count(feed.messages), messages),
        ("issues", "Issues", count(feed.issues), String::new()),
        ("first", "First received", at(feed.first_recv_ts), String::new()),
        ("last", "Last received", at(feed.last_recv_ts), String::new()),
        ("recorded", "Regular hours recorded", share, regular),
        ("gaps", "Gaps of the day", count(gaps.count), gaps_more),
        (
            "quarantined",
            "Quarantined",
            count(feed.quarantined),
            String::new(),
        ),
    ];
    for (name, term, big, more) in figures.into_iter().chain(registered) {
        let _ = writeln!(
            html,
            "<div><dt>{term}</dt><dd data-figure=\"{name}\"><span class=\"big\">{}</span> <span class=\"more\">{}</span></dd></div>",
            Escaped(&big),
            Escaped(&more)
        );
    }
    html.push_str("</dl></div>\n");
    html
}

/// Each feed's day, and its gaps.
pub(crate) fn timelines(day: &DayFacts) -> String {
    let markets = day.markets.iter().map(|market| {
        timeline(
            day,
            &market.received,
            "Records and messages",
            panels_of_market(market),
        )
    });
    let feeds = day
        .feeds
        .iter()
        .map(|feed| timeline(day, &feed.received, "Records", panels_of_feed(feed)));
    markets.chain(feeds).collect()
}

fn panels_of_market(market: &MarketFacts) -> Vec<Panel<'_>> {
    let panel = |noun, column: &'static str, minutes, height| Panel {
        unit: format!("{column} a minute"),
        noun,
        column,
        minutes,
        height,
        together: Together::Sum,
    };
    vec![
        panel("record", "records", &market.records_by_minute, 120.0),
        panel("message", "messages", &market.messages_by_minute, 56.0),
    ]
}

/// One for each preset, and the pairs that were active, if that is known.
fn panels_of_feed(feed: &FeedFacts) -> Vec<Panel<'_>> {
    let presets = feed.presets.iter().map(|of| Panel {
        unit: format!("{} records a minute", of.preset),
        noun: match of.preset {
            Preset::Tick => "tick record",
            Preset::Quote => "quote record",
            Preset::Tick10 => "tick10 record",
            Preset::Quote10 => "quote10 record",
            Preset::Index => "index record",
            Preset::Change => "change record",
        },
        column: of.preset.as_str(),
        minutes: &of.records_by_minute,
        height: 56.0,
        together: Together::Sum,
    });
    let active = Panel {
        unit: "active registrations".to_owned(),
        noun: "active registration",
        column: "active registrations",
        minutes: &feed.registrations.active_by_minute,
        height: 40.0,
        together: Together::Most,
    };
    let active = feed.registrations.known.then_some(active);
    presets.chain(active).collect()
}

fn timeline(day: &DayFacts, feed: &Received, what: &str, panels: Vec<Panel<'_>>) -> String {
    let midnight = Moment::midnight(day.date);
    let timeline = Timeline {
        name: format!("{what} of {}", feed.name),
        midnight,
        panels,
        ledger: &feed.ledger,
        regular: day.exchange.regular(),
    };
    format!(
        "<section class=\"day\" data-market=\"{0}\">\n<h2>{0} over the day</h2>\n<figure>\n\
         <figcaption>{what} a minute, by the time at which they were received</figcaption>\n{1}{2}\n\
         <p class=\"legend\" aria-hidden=\"true\"><span><span class=\"key live\"></span> recorded</span> \
         <span><span class=\"key gap\"></span> gap</span> \
         <span><span class=\"key idle\"></span> outside the recorder's hours</span> \
         <span><span class=\"key regular\"></span> regular session</span></p>\n</figure>\n\
         <details><summary>The chart as a table</summary>{3}</details>\n{4}</section>\n",
        Escaped(&feed.name),
        timeline.draw(Size::Wide),
        timeline.draw(Size::Narrow),
        half_hours(feed, &timeline.panels, midnight),
        gaps(day, feed)
    )
}

fn half_hours(feed: &Received, panels: &[Panel<'_>], midnight: Moment) -> String {
    let mut columns = vec![Column::Text("from"), Column::Text("to")];
    columns.extend(panels.iter().map(|panel| Column::Number(panel.column)));
    columns.push(Column::Number("in gaps"));
    let mut table = Table::new(&format!("{} by half hour", feed.name), &columns);
    for start in (0..MINUTES).step_by(STEP) {
        let end = start + STEP;
        let counts: Vec<u64> = panels.iter().map(|panel| panel.of((start, end))).collect();
        let at = |minute: usize| Moment(midnight.0 + i64::try_from(minute).unwrap_or(0) * 60_000_000);
        let span = (at(start), at(end));
        let gaps = feed.ledger.iter().filter(|interval| interval.state == State::Gap);
        let us: i64 = gaps.map(|gap| overlap(gap, span)).sum();
        let live = feed
            .ledger
            .iter()
            .any(|interval| interval.state == State::Live && overlap(interval, span) > 0);
        if counts.iter().sum::<u64>() == 0 && us == 0 && !live {
            continue;
        }
        let missing = if us == 0 {
            String::new()
        } else {
            length(us as f64 / 1e6)
        };
        let times = [time::minute(start).into(), time::minute(end).into()];
        let counts = counts.into_iter().map(|of| Cell::from(count(of)));
        table.row(times.into_iter().chain(counts).chain([missing.into()]));
    }
    table.finish("nothing arrived")
}

fn gaps(day: &DayFacts, feed: &Received) -> String {
    let columns = [
        Column::Text("from"),
        Column::Text("to"),
        Column::Number("length"),
        Column::Number("in the regular hours"),
        Column::Long("reason"),
    ];
    let mut table = Table::new(&format!("Gaps of {}", feed.name), &columns);
    let gaps = feed.ledger.iter().filter(|interval| interval.state == State::Gap);
    let all = gaps.clone().count();
    for gap in gaps.take(GAPS_MAX) {
        let within = day.exchange.regular().map_or(0, |hours| overlap(gap, hours));
        let to = if gap.to.date() > day.date {
            "24:00:00.00".to_owned()
        } else {
            clock(gap.to)
        };
        table.row([
            clock(gap.from).into(),
            to.into(),
            length((gap.to.0 - gap.from.0) as f64 / 1e6).into(),
            if within > 0 {
                length(within as f64 / 1e6).into()
            } else {
                "none".into()
            },
            Cell::with(gap.reason.as_str(), gap.detail.as_deref().unwrap_or_default()),
        ]);
    }
    if all > GAPS_MAX {
        table.note(&format!(
            "{} more: krx-recorder coverage {} shows them",
            count((all - GAPS_MAX) as u64),
            day.date
        ));
    }
    let none = if feed.recorded.known {
        "none"
    } else {
        "not known: there is no coverage of this date"
    };
    table.finish(none)
}
