use krx_protocol::per_issue::RegistrationState;
use krx_store::coverage::State as Recorded;
use krx_store::read::PushedQuote;

use super::*;
use crate::figures::active::tests::stretch;
use crate::figures::recorded::tests::interval;

const HOURS: Span = (Moment(1_000_000_000), Moment(10_000_000_000));

fn active(pairs: &[(Preset, &str)]) -> Active {
    let of = |(preset, code): &(Preset, &str)| {
        stretch(*preset, code, (500, 9000), RegistrationState::Active, Some(1))
    };
    let registrations: Vec<_> = pairs.iter().map(of).collect();
    Active::of(
        &registrations,
        &[interval(0, 20_000, Recorded::Live, "connected")],
    )
}

fn push(
    code: &str,
    kind: &'static str,
    at: i64,
    ask: Option<f64>,
    bid: Option<f64>,
) -> (String, Push<'static>) {
    let push = Push {
        preset: Preset::Quote10,
        code: "",
        kind,
        recv: Moment(at * 1_000_000),
        frame: 1,
        session: 1,
        trade_ts: None,
        acc_volume: None,
        trade: None,
        quote: Some(PushedQuote { ask, bid }),
    };
    (code.to_owned(), push)
}

/// The quotes of an issue that is active from 500 s to 9,000 s.
fn of(pushes: &[(i64, Option<f64>, Option<f64>)]) -> QuoteFacts {
    let active = active(&[(Preset::Quote10, "005930")]);
    let mut quotes = Quotes::new(&[("ISSUES", &active)], Some(HOURS));
    let held = active.pairs().next().unwrap().1[0];
    for (at, ask, bid) in pushes {
        let (code, push) = push("005930", "update", *at, *ask, *bid);
        quotes.quote(&Push { code: &code, ..push }, &held);
    }
    quotes.facts()
}

fn some(price: f64) -> Option<f64> {
    Some(price)
}

#[test]
fn a_quote_holds_until_the_next_or_until_nothing_is_known() {
    let facts = of(&[
        // Before the hours: only what is left of it then counts.
        (600, some(101.0), some(99.0)),
        (2000, some(100.0), some(100.0)),
        (2500, some(99.0), some(101.0)),
        // One side alone, or a price of zero, has no spread.
        (3000, None, some(99.0)),
        (3500, some(0.0), some(99.0)),
        (4000, some(102.0), some(98.0)),
        // It holds until 9,000 s, when the registration ends.
    ]);
    let issue = &facts.issues[0];
    assert_eq!(
        (issue.quotes, issue.seconds, issue.locked, issue.crossed),
        (4, 1000.0 + 500.0 + 500.0 + 5000.0, 1, 1)
    );
    assert_eq!((issue.locked_seconds, issue.crossed_seconds), (500.0, 500.0));
    let mean = (2.0 * 1000.0 - 2.0 * 500.0 + 4.0 * 5000.0) / 7000.0;
    assert!((issue.spread_mean.unwrap() - mean).abs() < 1e-9);
    // The middle is 100: a basis point is 0.01.
    assert!((issue.spread_bps_mean.unwrap() - mean * 100.0).abs() < 1e-6);
    let mut bins = [0.0; BINS];
    (bins[0], bins[1]) = (500.0, 500.0);
    // 200 and 400 basis points: an edge belongs to what ends there.
    (bins[9], bins[10]) = (1000.0, 5000.0);
    assert_eq!(facts.seconds_by_spread, bins);
    let crossed = &facts.crossed[0];
    assert_eq!(
        (
            crossed.from_ts,
            crossed.seconds,
            crossed.ask_price,
            crossed.bid_price
        ),
        (Some(Moment(2_500_000_000)), 500.0, 99.0, 101.0)
    );
    assert_eq!(facts.crossed.len(), 1);
}

#[test]
fn what_comes_after_the_hours_has_no_time_in_them() {
    let active = active(&[(Preset::Quote10, "005930")]);
    let held = ActiveStretch {
        to: Moment(20_000_000_000),
        ..active.pairs().next().unwrap().1[0]
    };
    let mut quotes = Quotes::new(&[("ISSUES", &active)], Some(HOURS));
    for (at, ask) in [(9500, 101.0), (10_500, 102.0)] {
        let (code, push) = push("005930", "update", at, some(ask), some(100.0));
        quotes.quote(&Push { code: &code, ..push }, &held);
    }
    let facts = quotes.facts();
    assert_eq!((facts.issues[0].quotes, facts.issues[0].seconds), (1, 500.0));
    // Without a session there are no hours.
    let closed = Quotes::new(&[("ISSUES", &active)], None);
    assert_eq!(closed.facts().issues[0].seconds, 0.0);
}

#[test]
fn an_empty_state_before_the_day_is_no_quote() {
    let active = active(&[(Preset::Quote10, "005930")]);
    let held = active.pairs().next().unwrap().1[0];
    let mut quotes = Quotes::new(&[("ISSUES", &active)], Some(HOURS));
    for (kind, at, ask) in [
        ("update", 2000, some(101.0)),
        ("snapshot", 3000, None),
        ("update", 4000, None),
    ] {
        let (code, push) = push("005930", kind, at, ask, ask.map(|ask| ask - 1.0));
        quotes.quote(&Push { code: &code, ..push }, &held);
    }
    assert_eq!(
        quotes.facts().issues[0].seconds,
        2000.0,
        "until a push without prices"
    );
}

#[test]
fn each_issue_has_one_source_for_the_day() {
    let one = active(&[
        (Preset::Quote, "005930"),
        (Preset::Quote, "000660"),
        (Preset::Tick, "000020"),
    ]);
    let two = active(&[(Preset::Quote10, "005930"), (Preset::Quote, "000660")]);
    let quotes = Quotes::new(&[("ONE", &one), ("TWO", &two)], Some(HOURS));
    let pair = |preset, code: &str| Pair {
        preset,
        code: code.to_owned(),
    };
    assert!(
        quotes.wants("TWO", &pair(Preset::Quote10, "005930")),
        "a book before a quote"
    );
    assert!(!quotes.wants("ONE", &pair(Preset::Quote, "005930")));
    assert!(
        quotes.wants("ONE", &pair(Preset::Quote, "000660")),
        "the first feed by name"
    );
    assert!(!quotes.wants("TWO", &pair(Preset::Quote, "000660")));
    assert!(
        !quotes.wants("ONE", &pair(Preset::Tick, "000020")),
        "a trade is no quote"
    );
    let codes: Vec<_> = quotes
        .facts()
        .issues
        .into_iter()
        .map(|issue| issue.code)
        .collect();
    assert_eq!(codes, ["000660", "005930"]);
}

#[test]
fn of_many_crossed_quotes_the_longest_are_shown() {
    let mut pushes = Vec::new();
    for nth in 0..50 {
        pushes.push((2000 + nth * 100, some(99.0), some(101.0)));
        pushes.push((2000 + nth * 100 + 1 + (nth * 7) % 50, some(101.0), some(99.0)));
    }
    let facts = of(&pushes);
    assert_eq!(facts.issues[0].crossed, 50);
    let seconds: Vec<_> = facts.crossed.iter().map(|of| of.seconds).collect();
    let expected: Vec<f64> = (0..10).map(|nth| f64::from(50 - nth)).collect();
    assert_eq!(seconds, expected);
}

#[test]
fn a_clock_that_is_set_back_counts_no_time_twice() {
    let facts = of(&[
        (2000, some(101.0), some(100.0)),
        (2060, some(102.0), some(100.0)),
        (2050, some(103.0), some(100.0)),
        (2055, some(104.0), some(100.0)),
        (2100, some(105.0), some(100.0)),
    ]);
    // Until 2,060 the first, from then on the last that came: until 2,100, and until the end at 9,000.
    assert_eq!((facts.issues[0].quotes, facts.issues[0].seconds), (3, 7000.0));
    // Prices that are beyond all numbers have no spread.
    let absurd = of(&[(2000, some(f64::MAX), some(f64::MAX))]);
    assert_eq!((absurd.issues[0].quotes, absurd.issues[0].spread_mean), (0, None));
}
