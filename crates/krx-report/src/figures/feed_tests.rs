use super::*;
use crate::figures::active::tests::stretch;
use crate::figures::recorded::tests::interval;

const DATE: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();

/// A second of the day.
fn at(second: i64) -> Moment {
    Moment(Moment::midnight(DATE).0 + second * 1_000_000)
}

fn midnight() -> i64 {
    Moment::midnight(DATE).0 / 1_000_000
}

/// KRX's regular hours: 09:00 to 15:30, the last ten minutes for the closing auction.
fn exchange(trading: bool) -> ExchangeDay {
    ExchangeDay {
        trading,
        note: None,
        regular_from: trading.then_some(at(32_400)),
        regular_to: trading.then_some(at(55_800)),
        continuous_to: trading.then_some(at(55_200)),
        unrecorded_before: Vec::new(),
    }
}

fn registered() -> Vec<Stretch> {
    use RegistrationState::{Active as On, Refused, Requested, Silent};
    let of = |preset, code, (from, to): (i64, i64), state, session| {
        let span = (midnight() + from, midnight() + to);
        stretch(preset, code, span, state, session)
    };
    let mut refused = of(Preset::Quote, "999999", (31_000, 60_000), Refused, Some(1));
    refused.detail = Some("no such issue".to_owned());
    vec![
        of(Preset::Tick10, "005930", (31_000, 31_001), Requested, Some(1)),
        of(Preset::Tick10, "005930", (31_001, 60_000), On, Some(1)),
        of(Preset::Tick10, "005930", (60_000, 86_400), Requested, None),
        refused,
        of(Preset::Quote, "000660", (31_000, 40_000), On, Some(1)),
        of(Preset::Quote, "000660", (40_000, 40_010), Silent, Some(1)),
        of(Preset::Quote, "000660", (40_010, 60_000), On, Some(1)),
    ]
}

fn ledger() -> Vec<Interval> {
    let of = |from, to, state, reason| interval(midnight() + from, midnight() + to, state, reason);
    vec![
        of(0, 30_000, State::Idle, "not_running"),
        of(30_000, 60_000, State::Live, "connected"),
    ]
}

fn push<'a>(preset: Preset, code: &'a str, kind: &'static str, frame: u64, second: i64) -> Push<'a> {
    Push {
        preset,
        code,
        kind,
        recv: at(second),
        frame,
        session: 1,
        trade_ts: (kind == "trade").then_some(at(second).0 / 1000 - 20),
        acc_volume: None,
        trade: None,
        quote: None,
    }
}

fn facts(until: Moment) -> FeedFacts {
    let (registrations, ledger) = (registered(), ledger());
    let active = Active::of(&registrations, &ledger);
    let hours = FeedHours::of(&exchange(true), &registrations, until);
    let mut fold = FeedFold::new(DATE, active, hours);
    // Every ten seconds from 09:00 to 15:30, and one at the minute of the open besides.
    let mut frame = 10;
    for second in (32_400..=55_800).step_by(10) {
        frame += 1;
        fold.row(&push(Preset::Tick10, "005930", "trade", frame, second));
    }
    fold.row(&push(Preset::Tick10, "005930", "trade", 5000, 32_405));
    fold.row(&push(Preset::Tick10, "005930", "snapshot", 1, 31_001));
    // Quotes until 12:00.
    for second in (32_400..43_200).step_by(60) {
        frame += 1;
        let (_, stretch) = fold.row(&push(Preset::Quote, "000660", "update", frame, second));
        assert_eq!(stretch.is_some(), !(40_000..40_010).contains(&second), "{second}");
    }
    fold.quarantined(&QuarantineRow {
        recv: at(56_000),
        frame: 9000,
        item: Some(0),
        session: 1,
        reason: "malformed_json".to_owned(),
        detail: None,
        raw: vec![b'{'],
    });
    fold.facts("ISSUES", Some(&registrations), ledger)
}

#[test]
fn each_preset_and_each_pair_has_what_came_of_it() {
    let facts = facts(at(80_000));
    let trades = 2341 + 1;
    let quotes = 180;
    assert_eq!(facts.received.records, trades + quotes + 1);
    assert_eq!(
        (
            facts.received.issues,
            facts.received.quarantined,
            facts.received.lag.trades
        ),
        (2, 1, trades)
    );
    assert_eq!(
        (facts.received.lag.min_ms, facts.received.lag.max_ms),
        (Some(20.0), Some(20.0))
    );
    assert_eq!(
        (facts.received.first_recv_ts, facts.received.last_recv_ts),
        (Some(at(31_001)), Some(at(56_000))),
        "by frames: rows come table by table"
    );
    let presets: Vec<_> = facts
        .presets
        .iter()
        .map(|of| {
            (
                of.preset,
                of.wanted,
                of.records,
                of.snapshots,
                of.busiest_minute,
                of.busiest_minute_records,
            )
        })
        .collect();
    assert_eq!(
        presets,
        [
            (Preset::Quote, 2, quotes, 0, Some(540), 1),
            (Preset::Tick10, 1, trades + 1, 1, Some(540), 7)
        ]
    );
    let pairs: Vec<_> = facts
        .registrations
        .pairs
        .iter()
        .map(|of| {
            (
                of.preset,
                &*of.code,
                of.state,
                of.records,
                of.asked_again,
                of.active_seconds,
            )
        })
        .collect();
    use RegistrationState::{Active as On, Refused};
    assert_eq!(
        pairs,
        [
            (Preset::Quote, "000660", On, quotes, 1, 28_990.0),
            (Preset::Quote, "999999", Refused, 0, 0, 0.0),
            (Preset::Tick10, "005930", On, trades + 1, 0, 28_999.0),
        ]
    );
    let [quote, refused, tick] = &facts.registrations.pairs[..] else {
        panic!("three pairs")
    };
    assert_eq!(refused.detail.as_deref(), Some("no such issue"));
    assert_eq!(
        (refused.share, refused.active_from, refused.longest_pause),
        (Some(0.0), None, None)
    );
    assert_eq!(tick.share, Some(1.0));
    assert_eq!(quote.share, Some(23_390.0 / 23_400.0));
    assert_eq!(
        [quote.is_short, refused.is_short, tick.is_short],
        [false, true, false]
    );
    assert_eq!((quote.snapshots, tick.snapshots), (0, 1));
    assert_eq!(
        (tick.active_from, tick.active_to),
        (Some(at(31_001)), Some(at(60_000)))
    );
    // Until the closing auction begins, at 15:20.
    let silent = quote.silent.unwrap();
    assert_eq!(
        (silent.from_ts, silent.to_ts, silent.seconds),
        (Some(at(43_140)), Some(at(55_200)), 12_060.0)
    );
    assert_eq!(quote.longest_pause, Some(silent));
    assert_eq!((tick.silent, tick.longest_pause.unwrap().seconds), (None, 10.0));
}

#[test]
fn active_pairs_are_counted_at_the_beginning_of_each_minute() {
    let minutes = facts(at(80_000)).registrations.active_by_minute;
    assert_eq!(minutes.len(), MINUTES);
    // 08:36:40 is the first second; both from 08:37 on; 11:06:40 is within a minute.
    assert_eq!(
        (minutes[516], minutes[517], minutes[666], minutes[667]),
        (0, 2, 2, 2)
    );
    assert_eq!((minutes[999], minutes[1000]), (2, 0), "16:40 is the end");
}

#[test]
fn while_the_day_goes_on_shares_are_of_what_is_over() {
    let facts = facts(at(36_000));
    let share = |code: &str| {
        let pair = facts.registrations.pairs.iter().find(|pair| pair.code == code);
        pair.unwrap().share
    };
    assert_eq!((share("005930"), share("999999")), (Some(1.0), Some(0.0)));
    // Before the opening no share is known; on a day without a session no pauses are.
    let (registrations, ledger) = (registered(), ledger());
    let hours = FeedHours::of(&exchange(false), &registrations, at(80_000));
    let fold = FeedFold::new(DATE, Active::of(&registrations, &ledger), hours);
    let facts = fold.facts("ISSUES", Some(&registrations), ledger.clone());
    assert!(
        facts
            .registrations
            .pairs
            .iter()
            .all(|pair| pair.share.is_none() && pair.longest_pause.is_none())
    );
    let unknown = fold.facts("ISSUES", None, ledger);
    assert!(!unknown.registrations.known && unknown.registrations.pairs.is_empty());
    assert_eq!(unknown.registrations.active_by_minute[540], 2, "as it was read");
}

/// On a day in progress the ledger goes on to now, and registrations to the last commit.
#[test]
fn what_is_not_known_yet_is_neither_short_nor_silent() {
    let mut registrations = registered();
    registrations.truncate(2);
    registrations.retain(|stretch| stretch.state == RegistrationState::Active);
    registrations[0].to = at(33_000);
    registrations.push(Stretch {
        pair: Pair {
            preset: Preset::Quote,
            code: "000020".to_owned(),
        },
        from: at(32_900),
        ..registrations[0].clone()
    });
    let asked = Stretch {
        from: at(32_000),
        to: at(32_900),
        state: RegistrationState::Requested,
        ..registrations[1].clone()
    };
    registrations.insert(1, asked);
    let ledger = vec![interval(
        midnight() + 30_000,
        midnight() + 33_600,
        State::Live,
        "connected",
    )];
    let hours = FeedHours::of(&exchange(true), &registrations, at(33_600));
    let mut fold = FeedFold::new(DATE, Active::of(&registrations, &ledger), hours);
    fold.row(&push(Preset::Tick10, "005930", "trade", 1, 32_390));
    // It answers nothing: a state is no push.
    fold.row(&push(Preset::Tick10, "005930", "snapshot", 2, 32_700));
    let facts = fold.facts("ISSUES", Some(&registrations), ledger);
    assert_eq!(facts.registrations.known_to, Some(at(33_000)));
    let [late, tick] = &facts.registrations.pairs[..] else {
        panic!("two pairs")
    };
    // Until 09:10 it was active all along; the other was asked for, and active since 09:08:20.
    assert_eq!(
        (tick.is_short, tick.share, late.is_short),
        (false, Some(0.5), true)
    );
    let silent = tick.silent.unwrap();
    assert_eq!(
        (silent.from_ts, silent.to_ts, silent.seconds),
        (Some(at(32_400)), Some(at(33_000)), 600.0)
    );
    assert_eq!(late.silent, None, "too short a time to tell");
}
