//! What days of the simulated exchange show of the clock, decoded by either service.

use std::ops::Range;
use std::time::Duration;

use chrono::Days;
use krx_protocol::Reason;
use krx_protocol::per_issue::{Instruments, RegistrationEvent, RegistrationState, Wish};
use krx_simulator::{Day, DayConfig, Market, PerIssueConfig, Preset, Pushes, TimeOfDay};
use krx_store::lag::{LagVerdict, LagWatch};
use krx_store::service::{FULL_MARKET, FrameDecoder, FrameFacts, PER_ISSUE, Rejects};
use krx_store::{Event, Moment};

use crate::support::date;

/// Few, so that seconds without a record are among them.
const TRADES: u64 = 4_000;

const HOUR_S: i64 = 3600;

/// Nothing that the simulated exchange sends is rejected.
struct Nothing;

impl Rejects for Nothing {
    fn reject(&mut self, _: Option<i16>, reason: Reason, detail: &str, _: &[u8]) {
        panic!("{reason:?}: {detail}");
    }
}

/// A day's messages of a feed, and what decodes them.
type FeedDay = (
    Box<dyn FrameDecoder>,
    Box<dyn Iterator<Item = (TimeOfDay, String)>>,
);

fn full_market(nth: u64) -> FeedDay {
    let mut day = Day::new(&DayConfig::default().universe, Market::Kospi, nth, TRADES);
    let messages = std::iter::from_fn(move || day.next_message());
    let messages = messages.map(|message| (message.at.into(), message.text.as_str().to_owned()));
    ((FULL_MARKET.decoder)(), Box::new(messages))
}

fn per_issue(nth: u64) -> FeedDay {
    let day = DayConfig {
        seed: nth,
        trades_per_day: TRADES,
        ..DayConfig::default()
    };
    let pushes = Pushes::new(&day, PerIssueConfig::default(), &[Preset::Tick]);
    let mut decoder = (PER_ISSUE.decoder)();
    for (id, pair) in (2..).zip(pushes.pairs()) {
        let wish = Wish {
            instruments: Instruments::Stocks,
            pair: pair.clone(),
            items: Vec::new(),
        };
        let accepted = RegistrationEvent::State {
            id,
            pair: pair.clone(),
            state: RegistrationState::Active,
            detail: String::new(),
        };
        for event in [RegistrationEvent::Subscribe(wish.with_id(id)), accepted] {
            decoder.event(&Event::Registration(event));
        }
    }
    (decoder, Box::new(pushes))
}

/// The verdicts of the `nth` day, each with the second of the day in which it was first given, in truth. The clock is fast
/// by `fast_s`; only messages from before the second `until_s` are looked at.
fn verdicts(of_day: fn(u64) -> FeedDay, nth: u64, fast_s: i64, until_s: i64) -> Vec<(LagVerdict, i64)> {
    let (mut decoder, messages) = of_day(nth);
    let midnight = Moment::midnight(date() + Days::new(nth));
    let mut watch = LagWatch::new(Duration::from_secs(10));
    let mut said = vec![(LagVerdict::Unknown, 0)];
    let received = messages.map(|(TimeOfDay(sent_us), text)| {
        let on_the_way_us = 20_000;
        (i64::try_from(sent_us).unwrap() + on_the_way_us, text)
    });
    let received = received.take_while(|(at_us, _)| *at_us < until_s * 1_000_000);
    for ((at_us, text), frame) in received.zip(1..) {
        let recv = Moment(midnight.0 + at_us + fast_s * 1_000_000);
        let facts = FrameFacts::new(midnight, recv, frame, 1);
        let decoded = decoder.decode(&facts, text.as_bytes(), &mut Nothing);
        watch.second(recv.0.div_euclid(1_000_000), decoded.lags);
        let verdict = watch.now().verdict;
        if said.last().is_some_and(|(last, _)| *last != verdict) {
            said.push((verdict, at_us / 1_000_000));
        }
    }
    said.split_off(1)
}

/// A good clock never alarms on these days, and one that is an hour wrong does within a minute of data.
fn watch_over(of_day: fn(u64) -> FeedDay, days: Range<u64>) {
    for nth in days {
        let said = verdicts(of_day, nth, 0, 24 * HOUR_S);
        let [(LagVerdict::Good, since_s)] = said[..] else {
            panic!("day {nth}: {said:?}");
        };
        for (fast_s, expected) in [(HOUR_S, LagVerdict::Late), (-HOUR_S, LagVerdict::Early)] {
            // A right clock is known after five seconds with data, so data came for a minute by then.
            let said = verdicts(of_day, nth, fast_s, since_s + 60);
            assert!(
                matches!(said[..], [(verdict, _)] if verdict == expected),
                "day {nth}, {fast_s} s fast: {said:?}"
            );
        }
    }
}

#[test]
fn a_full_market_week_never_alarms_with_a_good_clock_and_at_once_with_a_wrong_one() {
    watch_over(full_market, 0..7);
}

#[test]
fn a_per_issue_day_never_alarms_with_a_good_clock_and_at_once_with_a_wrong_one() {
    watch_over(per_issue, 0..1);
}
