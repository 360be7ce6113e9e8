use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::NaiveDate;
use krx_store::Moment;
use krx_store::coverage::State;
use krx_store::read::{QuarantineRow, TradeRow};

use super::html::page;
use crate::figures::day::{ComparedWith, DayFacts};
use crate::figures::exchange::ExchangeDay;
use crate::figures::fold::Fold;
use crate::figures::market::MarketFacts;
use crate::figures::oddities::{Kind, together};
use crate::figures::quotes::QuoteFacts;
use crate::figures::recorded::tests::interval;
use crate::figures::shares::SharesFacts;
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
        verdict: verdict(&exchange, &[&markets[0].received], Vec::new(), &oddities, false),
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

#[test]
fn nothing_that_came_over_the_wire_becomes_markup() {
    let html = page(&day(), "");
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
