use krx_protocol::per_issue::RegistrationState;
use krx_store::coverage::State;
use krx_store::read::PushedQuote;

use super::*;
use crate::figures::active::tests::stretch;
use crate::figures::recorded::tests::interval;
use crate::figures::ticks::tests::push;

/// `tick10` of 005930 is active from 10 s to 100 s and from 200 s to 300 s.
fn active() -> Vec<Active> {
    let of = |from, to, session| {
        stretch(
            Preset::Tick10,
            "005930",
            (from, to),
            RegistrationState::Active,
            Some(session),
        )
    };
    let live = interval(0, 1000, State::Live, "connected");
    vec![Active::of(&[of(10, 100, 1), of(200, 300, 2)], &[live])]
}

/// Ticks as (shares, accumulated volume, second), quotes as (accumulated volume, second).
fn compared(ticks: &[(i64, Option<i64>, i64)], quotes: &[(i64, i64)], trades: Option<i64>) -> SharesFacts {
    let mut volumes = Volumes::default();
    let pushes: Vec<Push<'_>> = ticks
        .iter()
        .map(|(volume, acc, at)| push("005930", Preset::Tick10, 1, *volume, *acc, *at))
        .collect();
    pushes.iter().for_each(|push| volumes.push(push, false));
    for (acc, at) in quotes {
        let quote = Push {
            trade: None,
            quote: Some(PushedQuote { ask: None, bid: None }),
            kind: "update",
            ..push("005930", Preset::Quote, 1, 0, Some(*acc), *at)
        };
        volumes.push(&quote, true);
    }
    let ticks: Vec<Tick> = pushes.iter().filter_map(|push| Tick::of(0, push)).collect();
    let active = active();
    let mut comparing = Comparing::new(&volumes, &active, Moment(20_000_000), false);
    let codes: Vec<_> = comparing.codes().collect();
    codes.iter().for_each(|code| comparing.issue(code, &ticks));
    comparing.facts(|_| trades)
}

#[test]
fn what_was_traded_is_what_was_pushed_and_each_source_has_its_share() {
    let facts = compared(
        &[(3, Some(3), 30), (2, Some(5), 40)],
        &[(9, 60), (10, 90), (10, 80)],
        Some(8),
    );
    let issue = &facts.issues[0];
    assert_eq!(
        (
            issue.traded,
            issue.ticks,
            issue.ticks_share,
            issue.trades,
            issue.trades_share
        ),
        (Some(10), Some(5), Some(0.5), Some(8), Some(0.8))
    );
    assert_eq!((facts.ticks_share, facts.trades_share), (Some(0.5), Some(0.8)));
    // The last rise is known from a quote, and when it came first.
    assert_eq!(
        (issue.holes, issue.missing, issue.missing_unexplained),
        (Some(1), Some(5), Some(5))
    );
    let hole = &facts.unexplained[0];
    assert_eq!(
        (hole.from_ts, hole.to_ts, hole.missing),
        (Some(Moment(40_000_000)), Some(Moment(80_000_000)), 5)
    );
}

#[test]
fn a_hole_over_an_interruption_is_explained() {
    // Traded: 3 at 90 s, 4 unseen, 2 at 210 s.
    let facts = compared(&[(3, Some(3), 90), (2, Some(9), 210)], &[], None);
    let issue = &facts.issues[0];
    assert_eq!(
        (issue.holes, issue.missing, issue.missing_unexplained),
        (Some(1), Some(4), Some(0))
    );
    assert_eq!(facts.unexplained, []);
    // Before the first row: known since the day's beginning, or not.
    let late = compared(&[(3, Some(9), 90)], &[], None);
    assert_eq!(late.unexplained[0].from_ts, None);
    assert_eq!(late.issues[0].missing_unexplained, Some(6));
    // Even before that time: since midnight.
    let early = compared(&[(3, Some(9), 15)], &[], None);
    assert_eq!(early.issues[0].missing_unexplained, Some(0));
    let later = compared(&[(3, Some(9), 210)], &[], None);
    assert_eq!(
        (later.issues[0].missing, later.issues[0].missing_unexplained),
        (Some(6), Some(0))
    );
}

#[test]
fn the_order_of_arrival_makes_no_hole() {
    let facts = compared(&[(2, Some(5), 30), (3, Some(3), 31), (4, Some(9), 32)], &[], None);
    assert_eq!(
        (facts.issues[0].holes, facts.issues[0].missing),
        (Some(0), Some(0))
    );
    // Not even if two say the same total: a block's may repeat it.
    let twice = compared(&[(3, Some(3), 30), (0, Some(3), 31), (1, Some(4), 32)], &[], None);
    assert_eq!(twice.issues[0].holes, Some(0));
}

#[test]
fn what_was_not_pushed_is_not_known() {
    let facts = compared(&[(3, None, 30)], &[], Some(8));
    let issue = &facts.issues[0];
    assert_eq!(
        (
            issue.traded,
            issue.ticks,
            issue.ticks_share,
            issue.trades_share,
            issue.holes
        ),
        (None, Some(3), None, None, None)
    );
    assert_eq!((facts.ticks_share, facts.trades_share), (None, None));
    // Nothing traded: there is no share of it.
    let none = compared(&[], &[(0, 30)], None);
    assert_eq!(
        (
            none.issues[0].traded,
            none.issues[0].ticks,
            none.issues[0].ticks_share
        ),
        (Some(0), None, None)
    );
    // A state that was asked for may be yesterday's.
    let mut volumes = Volumes::default();
    let snapshot = Push {
        kind: "snapshot",
        ..push("005930", Preset::Tick10, 1, 1, Some(1_000_000), 5)
    };
    volumes.push(&snapshot, true);
    assert_eq!(Comparing::new(&volumes, &[], Moment(0), false).codes().count(), 0);
}

#[test]
fn a_registered_stock_without_a_tick_lacks_all() {
    let mut volumes = Volumes::default();
    for (code, acc) in [("000660", 40), ("005930", 60)] {
        let quote = Push {
            trade: None,
            kind: "update",
            ..push(code, Preset::Quote, 1, 0, Some(acc), 30)
        };
        volumes.push(&quote, true);
    }
    let (active, trade) = (active(), push("000660", Preset::Tick10, 1, 40, Some(40), 20));
    let ticks = [Tick::of(0, &trade).unwrap()];
    let compare = |are_too_many| {
        let mut comparing = Comparing::new(&volumes, &active, Moment(0), are_too_many);
        // The issue that is not registered has a tick all the same.
        comparing.issue("000660", &ticks);
        comparing.issue("005930", &[]);
        comparing.facts(|code| (code == "000660").then_some(10))
    };
    let facts = compare(false);
    let registered: Vec<_> = facts.issues.iter().map(|issue| issue.registered).collect();
    assert_eq!(registered, [false, true]);
    assert_eq!((facts.ticks_share, facts.ticks_issues), (Some(0.4), 2));
    assert_eq!((facts.trades_share, facts.trades_issues), (Some(0.25), 1));
    let facts = compare(true);
    assert_eq!(
        (facts.ticks_share, facts.ticks_issues, facts.trades_issues),
        (None, 0, 1)
    );
}

#[test]
fn of_many_holes_the_largest_are_kept() {
    let mut acc = 0;
    let ticks: Vec<_> = (0..60)
        .map(|nth| {
            acc += 10 + nth % 50;
            (1, Some(acc), 20 + nth)
        })
        .collect();
    let facts = compared(&ticks, &[], None);
    assert_eq!(facts.issues[0].holes, Some(60));
    let missing: Vec<_> = facts.unexplained.iter().map(|hole| hole.missing).collect();
    assert_eq!(missing, [58, 57, 56, 55, 54, 53, 52, 51, 50, 49]);
}
