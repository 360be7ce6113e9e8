use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::NaiveDate;
use krx_protocol::per_issue::{Preset, RegistrationState};
use krx_store::Moment;
use krx_store::coverage::State;
use krx_store::read::{Push, PushedQuote, QuarantineRow, TradeRow};

use super::html::page;
use crate::figures::active::Active;
use crate::figures::active::tests::stretch;
use crate::figures::clock::ClockFacts;
use crate::figures::day::{ComparedWith, DayFacts};
use crate::figures::exchange::ExchangeDay;
use crate::figures::feed::{FeedFold, FeedHours};
use crate::figures::fold::Fold;
use crate::figures::market::MarketFacts;
use crate::figures::oddities::{Kind, together};
use crate::figures::quotes::{QuoteFacts, Quotes};
use crate::figures::recorded::tests::interval;
use crate::figures::registered::{Registered, worries};
use crate::figures::shares::{Comparing, SharesFacts, Volumes};
use crate::figures::ticks::Tick;
use crate::figures::ticks::tests::push;
use crate::figures::trd_vol::TrdVol;
use crate::figures::verdict::verdict;
use crate::figures::volume::judge;

const HOSTILE: &str =
    "</style></title><script>document.title='broken'</script><img src=x onerror=alert(1)>\"'&";

/// A day in which every text that can come over the wire is hostile.
fn day() -> DayFacts {
    let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    let second = Moment::midnight(date).0 / 1_000_000;
    let mut fold = Fold::new("KOSPI", date);
    for frame in 1..200_u64 {
        let at = second + 9 * 3600 + i64::try_from(frame).unwrap() * 60;
        fold.trade(&TradeRow {
            code: HOSTILE,
            trade_ts: Some(at * 1000 - i64::from(frame % 7 == 0) * 120_000),
            price: if frame % 50 == 0 { 5000 } else { 1000 },
            volume: 5,
            kind: if frame == 9 { HOSTILE } else { "trade" },
            trade_time: 1,
            recv: Moment(at * 1_000_000),
            frame,
            item: 0,
            session: 1 + u32::from(frame > 196),
            extra: (frame == 3).then_some(HOSTILE),
        });
    }
    fold.quarantined(&QuarantineRow {
        recv: Moment((second + 80_000) * 1_000_000),
        frame: 500,
        item: None,
        session: 1,
        reason: HOSTILE.to_owned(),
        detail: Some(HOSTILE.to_owned()),
        raw: HOSTILE.as_bytes().to_vec(),
    });
    fold.finish();
    fold.compare_issues(&BTreeSet::new(), &BTreeSet::from([HOSTILE.to_owned() + "x"]));
    let mut ledger = vec![interval(second, second + 40_000, State::Live, "connected")];
    ledger.push(interval(
        second + 40_000,
        second + 40_009,
        State::Gap,
        "server_closed",
    ));
    ledger[1].detail = Some(HOSTILE.to_owned());
    ledger.push(interval(
        second + 40_009,
        second + 86_400,
        State::Live,
        "connected",
    ));
    let exchange = ExchangeDay {
        trading: true,
        note: Some(HOSTILE.to_owned()),
        regular_from: Some(Moment((second + 32_400) * 1_000_000)),
        regular_to: Some(Moment((second + 55_800) * 1_000_000)),
        continuous_to: Some(Moment((second + 55_200) * 1_000_000)),
        unrecorded_before: Vec::new(),
    };
    let market = MarketFacts::new("KOSPI", &fold, ledger, exchange.regular(), Moment(i64::MAX));
    let oddities: Vec<_> = Kind::ALL
        .into_iter()
        .map(|kind| {
            together(
                kind,
                kind.sql(date, Some((date, date))),
                fold.found.get(&kind).into_iter(),
            )
        })
        .collect();
    let markets = vec![market];
    DayFacts {
        date,
        made_at: Some(Moment((second + 90_000) * 1_000_000)),
        version: "0.1.0",
        data_dir: PathBuf::from(HOSTILE),
        verdict: verdict(
            &exchange,
            &[&markets[0].received],
            (&Registered::default(), Vec::new()),
            &oddities,
            false,
        ),
        clock: ClockFacts::default(),
        goes_on: false,
        exchange,
        volume: judge(fold.issues.all().iter().map(|issue| &issue.volume)),
        trd_vol: None,
        markets,
        feeds: Vec::new(),
        quotes: QuoteFacts::default(),
        shares: SharesFacts::default(),
        oddities,
        issues_compared_with: ComparedWith::default(),
    }
}

/// What was pushed of one registration, whose name and whose answer are hostile: trades of which one is missing, and books
/// that cross at times.
fn pushed(day: &mut DayFacts) {
    let second = Moment::midnight(day.date).0 / 1_000_000;
    let regular = day.exchange.regular();
    let ledger = vec![interval(second, second + 86_400, State::Live, "connected")];
    let of = |preset, state| {
        let mut of = stretch(
            preset,
            HOSTILE,
            (second + 30_000, second + 70_000),
            state,
            Some(1),
        );
        of.detail = Some(HOSTILE.to_owned());
        of
    };
    let registrations = [
        of(Preset::Tick10, RegistrationState::Active),
        of(Preset::Quote, RegistrationState::Refused),
        of(Preset::Quote10, RegistrationState::Active),
    ];
    let active = Active::of(&registrations, &ledger);
    let mut quotes = Quotes::new(&[("ISSUES", &active)], regular);
    let hours = FeedHours::of(&day.exchange, &registrations, Moment(i64::MAX));
    let mut fold = FeedFold::new(day.date, active.clone(), hours);
    let (mut volumes, mut ticks, mut total) = (Volumes::default(), Vec::new(), 0);
    for nth in 0..300_i64 {
        let at = second + 9 * 3600 + nth * 60;
        total += 7;
        if nth == 100 {
            continue;
        }
        let trade = push(
            HOSTILE,
            Preset::Tick10,
            i32::try_from(nth).unwrap(),
            7,
            Some(total),
            at,
        );
        fold.row(&trade);
        volumes.push(&trade, false);
        ticks.extend(Tick::of(0, &trade));
        let (ask, bid) = if nth % 90 == 0 {
            (999.0, 1000.0)
        } else {
            (1001.0, 1000.0)
        };
        let book = Push {
            preset: Preset::Quote10,
            kind: "update",
            trade: None,
            quote: Some(PushedQuote {
                ask: Some(ask),
                bid: Some(bid),
            }),
            ..trade
        };
        let (_, stretch) = fold.row(&book);
        quotes.quote(&book, &stretch.unwrap());
        volumes.push(&book, true);
    }
    let feeds = [active];
    let mut comparing = Comparing::new(&volumes, &feeds, Moment((second + 30_600) * 1_000_000), false);
    comparing.issue(HOSTILE, &ticks);
    let mut trd_vol = TrdVol::default();
    trd_vol.issue(HOSTILE, &ticks);
    let mut market = trd_vol.market();
    (0..300)
        .step_by(2)
        .for_each(|time| market.trade(HOSTILE, time, 100, 7));
    market.finish();
    day.trd_vol = trd_vol.facts();
    day.shares = comparing.facts(|_| Some(1000));
    day.quotes = quotes.facts();
    day.feeds = vec![fold.facts("ISSUES", Some(&registrations), ledger)];
    day.verdict
        .worries
        .extend(worries(&day.feeds, (&day.shares, &day.quotes), false, false));
}

#[test]
fn a_feed_of_registered_issues_has_sections_of_its_own() {
    let without = page(&day(), "");
    for section in ["id=\"registrations\"", "id=\"spreads\"", "id=\"shares\""] {
        assert!(!without.contains(section), "there is no such feed: {section}");
    }
    let mut with = day();
    pushed(&mut with);
    let html = page(&with, "");
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    let order = [
        place("<h2>ISSUES over the day</h2>"),
        place("id=\"registrations\""),
        place("id=\"spreads\""),
        place("id=\"shares\""),
        place("id=\"lag\""),
    ];
    assert!(order.is_sorted(), "{order:?}");
    for words in [
        // What was asked for, what came, and what the server said.
        "<span class=\"big\">3</span> <span class=\"more\">2 were active, 1 refused</span>",
        "<td>tick10</td><td class=\"number\">1</td><td class=\"number\">299</td>",
        "Registrations of ISSUES that deserve a look",
        // It came every minute from 09:00 to 13:59, and then not until the closing auction.
        "<td>13:59:00.00</td><td>15:20:00.00</td><td class=\"number\">1 h 21 min</td>",
        "since 13:59:00.00",
        // At 09:00, 10:30, 12:00 and 13:30 it was crossed for a minute.
        "<td class=\"number\">4 <span class=\"more\">4 min 0 s</span></td>",
        "<td>09:00:00.00</td><td class=\"number\">1 min 0 s</td><td class=\"number\">999</td><td class=\"number\">1,000</td>",
        // 2,100 shares, of which the ticks lack 7, and the full-market feed has 1,000.
        "Of the shares traded in 1 stock, the recorded ticks have 99.66 %. Of the shares traded in 1 stock, the full-market feeds show 47.6 %.",
        "<td>10:39:00.00</td><td>10:41:00.00</td><td class=\"number\">7</td>",
        "On this day trdVol is the quantity of the last trade alone.",
    ] {
        assert!(html.contains(words), "{words}");
    }
    let worries: Vec<_> = with.verdict.worries.iter().map(|worry| &*worry.words).collect();
    assert!(
        worries.contains(&"Ticks of 1 stock lack 7 shares although nothing was interrupted: these trades were not sent, or are in quarantine."),
        "{worries:?}"
    );
    let pairs = format!("tick10:{HOSTILE}, quote10:{HOSTILE}");
    for words in [
        format!("ISSUES: 1 registration was refused: quote:{HOSTILE}."),
        format!("ISSUES: 2 registrations fell silent, for up to 1 h 21 min: {pairs}."),
    ] {
        assert!(worries.contains(&&*words), "{words}: {worries:?}");
    }
}

#[test]
fn nothing_that_came_over_the_wire_becomes_markup() {
    let mut day = day();
    pushed(&mut day);
    let html = page(&day, "");
    for forbidden in [
        "<script", "<img", "<link", " src=", " href=", " style=", "http://", "https://", "url(", "@import",
    ] {
        let forbidden_in_text = html.replace("&lt;", "").replace("src=x onerror", "");
        assert!(!forbidden_in_text.contains(forbidden), "{forbidden}");
    }
    assert_eq!(html.matches("</style>").count(), 1);
    let (code, extra) = (
        html.matches("&lt;script&gt;").count(),
        html.matches("brdId").count(),
    );
    assert!(code > 15 && extra == 0, "it is shown, as a text: {code}");
    // Every element that is opened is closed.
    for element in [
        "section", "table", "figure", "svg", "title", "div", "details", "dl", "span", "p", "h3", "pre",
    ] {
        let opened =
            html.matches(&format!("<{element}>")).count() + html.matches(&format!("<{element} ")).count();
        assert_eq!(
            opened,
            html.matches(&format!("</{element}>")).count(),
            "{element}"
        );
    }
}

#[test]
fn the_answer_comes_first_and_everything_has_its_figures() {
    let day = day();
    let html = page(&day, "");
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    let answer = place("▲ Complete: yes, but for 1 gap totalling 9.0 s in the regular hours</h1>");
    let order = [
        answer,
        place("id=\"glance\""),
        place("class=\"day\""),
        place("id=\"lag\""),
        place("id=\"volume\""),
        place("id=\"quarantine\""),
        place("id=\"issues\""),
        place("id=\"oddities\""),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert!(html.contains("<span class=\"big\">199</span>"), "records");
    assert!(html.contains("<td>11:06:40.00</td><td>11:06:49.00</td><td class=\"number\">9.0 s</td><td class=\"number\">9.0 s</td>"), "the gap");
    for odd in &day.oddities {
        assert_eq!(
            html.contains(&format!("data-oddity=\"{:?}\"", odd.kind)),
            odd.count > 0,
            "{:?}",
            odd.kind
        );
    }
    // Every seventh of 199 has an earlier time than the one before it.
    let back = &day.oddities[0];
    assert_eq!(
        (back.kind, back.count, back.issues),
        (Kind::TradeTimeBack, 28, Some(1))
    );
    assert!(html.contains("Records sent again after a reconnect: 3 records of 1 issue</h3>"));
    assert!(html.contains(
        "<td>KOSPI</td><td class=\"number\">2</td><td class=\"number\">1</td><td class=\"number\">3</td>"
    ));
    let worries: Vec<_> = day.verdict.worries.iter().map(|worry| &*worry.words).collect();
    assert!(
        worries.contains(&"Records sent again after a reconnect: 3 records."),
        "{worries:?}"
    );
}

#[test]
fn names_in_json_are_those_that_scripts_rely_on() {
    let json = serde_json::to_value(day()).unwrap();
    let names = |value: &serde_json::Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let expected = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        names(&json),
        expected(&[
            "date",
            "made_at",
            "version",
            "data_dir",
            "verdict",
            "clock",
            "goes_on",
            "exchange",
            "markets",
            "feeds",
            "quotes",
            "shares",
            "volume",
            "trd_vol",
            "oddities",
            "issues_compared_with"
        ])
    );
    assert_eq!(
        names(&json["markets"][0]),
        expected(&[
            "market",
            "records",
            "records_by_kind",
            "messages",
            "messages_with_rows",
            "issues",
            "first_recv_ts",
            "last_recv_ts",
            "quarantined",
            "quarantine",
            "recorded",
            "rows_not_committed",
            "lag",
            "volume",
            "top_issues",
            "records_of_other_issues",
            "records_by_minute",
            "messages_by_minute",
            "sent_again",
            "intervals",
        ])
    );
    assert_eq!(json["verdict"]["complete"], "yes_but");
    assert_eq!(json["oddities"][0]["kind"], "trade_time_back");
    assert_eq!(json["markets"][0]["lag"]["trades"], 198);
    assert_eq!(
        json["markets"][0]["sent_again"],
        serde_json::json!([{"session": 2, "session_before": 1, "records": 3}])
    );
    assert_eq!(
        json["exchange"]["regular_from"],
        "2026-11-20T09:00:00.000000+09:00"
    );
}
