use std::collections::HashMap;

use super::*;
use crate::per_issue::instrument::Kind;

fn small_day(seed: u64) -> DayConfig {
    DayConfig {
        trades_per_day: 60_000,
        seed,
        ..DayConfig::default()
    }
}

/// What is left of an issue's ticks in half a second: last price and time, and all volumes.
type Conflated = HashMap<(u32, HalfSecond), (i64, u64, u32)>;

/// The day's ticks of stocks, conflated as the full-market service does.
fn conflated(config: &DayConfig) -> Conflated {
    let mut floor = Floor::new(config, 0);
    let mut all = Conflated::new();
    let mut look = |floor: &Floor, at: Moment, seen: Seen| {
        if let Seen::Trade(place, _) | Seen::Print(place) = seen {
            let of = &floor.instruments()[place as usize];
            if of.kind == Kind::Stock {
                let (_, volume, _) = all.get(&(place, at.half_second)).copied().unwrap_or_default();
                let volume = volume + u64::from(of.volume);
                all.insert((place, at.half_second), (of.price, volume, of.trade_time));
            }
        }
    };
    while floor.half_second(&mut look).is_some() {}
    all
}

#[test]
fn both_services_show_the_same_trades() {
    let config = small_day(1);
    let ours = conflated(&config);
    let mut theirs = Conflated::new();
    let mut first = 0;
    for market in Market::ALL {
        let trades = config.universe.share(market, config.trades_per_day);
        let mut tape = Tape::new(&config.universe, market, config.seed, trades);
        while let Some((time, prints)) = tape.next_half_second() {
            for print in prints {
                let digits = match print.time {
                    PrintTime::Signal(signal) => signal.digits().parse().unwrap(),
                    PrintTime::At(hundredths) => Moment {
                        half_second: time,
                        hundredths,
                    }
                    .digits(),
                };
                let value = (i64::from(print.price), u64::from(print.volume), digits);
                assert_eq!(theirs.insert((first + print.issue, time), value), None);
            }
        }
        first += u32::try_from(config.universe.issues(market).len()).unwrap();
    }
    assert!(theirs.len() > 60_000);
    assert_eq!(ours.len(), theirs.len());
    for (key, value) in theirs {
        assert_eq!(ours[&key], value, "{key:?}");
    }
}

#[test]
fn accumulated_volumes_are_sums_and_what_is_seen_is_in_order() {
    let mut floor = Floor::new(&small_day(2), 0);
    let mut sums: HashMap<u32, u64> = HashMap::new();
    let mut last = 0;
    let mut look = |floor: &Floor, at: Moment, seen: Seen| {
        assert!(at.digits() >= last, "{at:?} after {last}");
        last = at.digits();
        if let Seen::Trade(place, changed) = seen {
            assert_eq!(changed, Changed::Best);
            let of = &floor.instruments()[place as usize];
            assert!((of.low..=of.high).contains(&of.price), "{of:?}");
        }
        if let Seen::Trade(place, _) | Seen::Print(place) = seen {
            let of = &floor.instruments()[place as usize];
            let sum = sums.entry(place).or_default();
            *sum += u64::from(of.volume);
            assert_eq!(of.acc_volume, *sum, "{of:?}");
        }
    };
    while floor.half_second(&mut look).is_some() {}
    let derivatives = sums
        .keys()
        .filter(|place| **place >= floor.first_derivative)
        .count();
    assert_eq!(derivatives, Contract::all().len());
}

#[test]
fn an_index_has_the_volume_of_its_members() {
    let mut floor = Floor::new(&small_day(3), 0);
    while floor.half_second(|_, _, _| {}).is_some() {}
    let volume: u64 = floor.instruments[..floor.first_derivative as usize]
        .iter()
        .map(|of| of.acc_volume)
        .sum();
    let whole = |code: &str| {
        let index = floor.indices.iter().find(|index| index.code == code).unwrap();
        index.state(0, crate::per_issue::fields::Style::default())
    };
    let acc = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["accTrdvol"].as_u64();
    assert_eq!(acc(&whole("001")).unwrap() + acc(&whole("301")).unwrap(), volume);
    assert!(floor.indices.iter().all(|index| index.value() > 0));
}

#[test]
fn a_list_of_a_single_issue_makes_a_day_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("issues.csv");
    std::fs::write(&path, "code,market,base_price\n000210,KOSDAQ,1\n").unwrap();
    let config = DayConfig {
        universe: crate::universe::Universe::load(&path).unwrap(),
        ..small_day(1)
    };
    let mut floor = Floor::new(&config, 0);
    let mut trades = 0;
    let mut look = |_: &Floor, _: Moment, seen: Seen| trades += u32::from(matches!(seen, Seen::Trade(0, _)));
    while floor.half_second(&mut look).is_some() {}
    assert!(trades > 10_000, "{trades}");
    let value = |code: &str| {
        floor
            .indices
            .iter()
            .find(|index| index.code == code)
            .unwrap()
            .value()
    };
    assert_eq!(
        (value("001"), value("301")),
        (265_031, 84_512),
        "the price cannot change"
    );
}
