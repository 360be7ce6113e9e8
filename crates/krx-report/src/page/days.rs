//! The sections of the page about the day as a whole: each market's figures, timeline and gaps. Pure.

use std::fmt::Write as _;

use krx_store::Moment;
use krx_store::coverage::State;

use super::svg::Escaped;
use super::table::{Cell, Column, Table};
use super::timeline::{Size, Timeline};
use crate::figures::day::DayFacts;
use crate::figures::fold::MINUTES;
use crate::figures::market::MarketFacts;
use crate::figures::recorded::overlap;
use crate::time::{self, clock, count, length, percent};

/// How many gaps of a market are shown; a day that would not stay connected has thousands.
const GAPS_MAX: usize = 200;
/// The minutes in a row of the table beside the day's chart.
const STEP: usize = 30;

/// The figures of each market.
pub(crate) fn glance(day: &DayFacts) -> String {
    let mut html = String::from("<section id=\"glance\">\n<h2>At a glance</h2>\n<div class=\"glance\">\n");
    for market in &day.markets {
        let recorded = &market.recorded;
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
        let trades = market.records_by_kind.get("trade").copied().unwrap_or(0);
        let _ = writeln!(
            html,
            "<div data-market=\"{0}\"><h3>{0}</h3><dl class=\"figures\">",
            Escaped(&market.market)
        );
        for (name, term, big, more) in [
            (
                "records",
                "Records",
                count(market.records),
                format!("{} with a clock time", count(trades)),
            ),
            (
                "messages",
                "Messages",
                count(market.messages),
                format!("{} with records", count(market.messages_with_rows)),
            ),
            ("issues", "Issues", count(market.issues), String::new()),
            ("first", "First received", at(market.first_recv_ts), String::new()),
            ("last", "Last received", at(market.last_recv_ts), String::new()),
            ("recorded", "Regular hours recorded", share, regular),
            ("gaps", "Gaps of the day", count(gaps.count), gaps_more),
            (
                "quarantined",
                "Quarantined",
                count(market.quarantined),
                String::new(),
            ),
        ] {
            let _ = writeln!(
                html,
                "<div><dt>{term}</dt><dd data-figure=\"{name}\"><span class=\"big\">{}</span> <span class=\"more\">{}</span></dd></div>",
                Escaped(&big),
                Escaped(&more)
            );
        }
        html.push_str("</dl></div>\n");
    }
    html.push_str("</div>\n</section>\n");
    html
}

/// Each market's day, and its gaps.
pub(crate) fn timelines(day: &DayFacts) -> String {
    let mut html = String::new();
    let midnight = Moment::midnight(day.date);
    for market in &day.markets {
        let timeline = Timeline {
            market: &market.market,
            midnight,
            records: &market.records_by_minute,
            messages: &market.messages_by_minute,
            ledger: &market.ledger,
            regular: day.exchange.regular(),
        };
        let _ = write!(
            html,
            "<section class=\"day\" data-market=\"{0}\">\n<h2>{0} over the day</h2>\n<figure>\n\
             <figcaption>Records and messages a minute, by the time at which they were received</figcaption>\n{1}{2}\n\
             <p class=\"legend\" aria-hidden=\"true\"><span><span class=\"key live\"></span> recorded</span> \
             <span><span class=\"key gap\"></span> gap</span> \
             <span><span class=\"key idle\"></span> outside the recorder's hours</span> \
             <span><span class=\"key regular\"></span> regular session</span></p>\n</figure>\n",
            Escaped(&market.market),
            timeline.draw(Size::Wide),
            timeline.draw(Size::Narrow),
        );
        let _ = write!(
            html,
            "<details><summary>The chart as a table</summary>{}</details>\n{}</section>\n",
            half_hours(market, midnight),
            gaps(day, market)
        );
    }
    html
}

fn half_hours(market: &MarketFacts, midnight: Moment) -> String {
    let columns = [
        Column::Text("from"),
        Column::Text("to"),
        Column::Number("records"),
        Column::Number("messages"),
        Column::Number("in gaps"),
    ];
    let mut table = Table::new(&format!("{} by half hour", market.market), &columns);
    for start in (0..MINUTES).step_by(STEP) {
        let end = start + STEP;
        let sum = |of: &[u64]| {
            of.get(start..end)
                .map_or(0, |minutes| minutes.iter().sum::<u64>())
        };
        let (records, messages) = (sum(&market.records_by_minute), sum(&market.messages_by_minute));
        let at = |minute: usize| Moment(midnight.0 + i64::try_from(minute).unwrap_or(0) * 60_000_000);
        let span = (at(start), at(end));
        let gaps = market
            .ledger
            .iter()
            .filter(|interval| interval.state == State::Gap);
        let us: i64 = gaps.map(|gap| overlap(gap, span)).sum();
        let live = market
            .ledger
            .iter()
            .any(|interval| interval.state == State::Live && overlap(interval, span) > 0);
        if records + messages == 0 && us == 0 && !live {
            continue;
        }
        let missing = if us == 0 {
            String::new()
        } else {
            length(us as f64 / 1e6)
        };
        table.row([
            time::minute(start).into(),
            time::minute(end).into(),
            count(records).into(),
            count(messages).into(),
            missing.into(),
        ]);
    }
    table.finish("nothing arrived")
}

fn gaps(day: &DayFacts, market: &MarketFacts) -> String {
    let columns = [
        Column::Text("from"),
        Column::Text("to"),
        Column::Number("length"),
        Column::Number("in the regular hours"),
        Column::Long("reason"),
    ];
    let mut table = Table::new(&format!("Gaps of {}", market.market), &columns);
    let gaps = market
        .ledger
        .iter()
        .filter(|interval| interval.state == State::Gap);
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
    let none = if market.recorded.known {
        "none"
    } else {
        "not known: there is no coverage of this date"
    };
    table.finish(none)
}
