use krx_protocol::per_issue::Preset;

use super::*;
use crate::figures::ticks::tests::push;

/// Two trades at each of 200 times, of 3 and of `nth` shares; and what the day's total is after them.
fn ticks() -> Vec<Tick> {
    let mut total = 0;
    let mut of = |time: i32, volume: i64| {
        total += volume;
        Tick::of(
            0,
            &push(
                "005930",
                Preset::Tick10,
                time,
                volume,
                Some(total),
                i64::from(time),
            ),
        )
        .unwrap()
    };
    (1..=200)
        .flat_map(|time| [of(time, 3), of(time, i64::from(time))])
        .collect()
}

/// Records at every second of the times, each with the volume that `told` makes of the place of the time.
fn told(told: impl Fn(i64) -> i64) -> TrdVolFacts {
    let mut trd_vol = TrdVol::default();
    trd_vol.issue("005930", &ticks());
    trd_vol.issue("000660", &[]);
    let mut market = trd_vol.market();
    // Of an issue that is not registered, nothing is known.
    market.trade("000020", 2, 100, 1);
    for time in (2..=200).step_by(2) {
        market.trade("005930", time, 100, told(i64::from(time)));
    }
    // No trade of this time, or of this price.
    market.trade("005930", 999, 100, 1);
    market.trade("005930", 199, 100, 1);
    market.trade("005930", 200, 101, 1);
    market.finish();
    // Read, but not to its end: it does not count.
    trd_vol.market().trade("005930", 2, 100, 1);
    trd_vol.facts().unwrap()
}

fn total(time: i64) -> i64 {
    3 * time + time * (time + 1) / 2
}

#[test]
fn records_are_held_against_the_trades_between_them() {
    // 100 records, of which the first has none before it: too few by one.
    let facts = told(|time| total(time) - total(time - 2));
    assert_eq!((facts.compared, facts.since_last, facts.answer), (99, 99, None));
}

#[test]
fn the_answer_is_what_nearly_all_agree_with() {
    let answer = |volume: &dyn Fn(i64) -> i64| {
        let mut trd_vol = TrdVol::default();
        trd_vol.issue("005930", &ticks());
        for _ in 0..2 {
            let mut market = trd_vol.market();
            for time in 1..=200 {
                market.trade("005930", time, 100, volume(time.into()));
            }
            market.finish();
        }
        let facts = trd_vol.facts().unwrap();
        assert_eq!(facts.compared, 398, "the first of each market has none before it");
        facts.answer
    };
    assert_eq!(
        answer(&|time| total(time) - total(time - 1)),
        Some(Answer::SinceLast)
    );
    assert_eq!(answer(&|time| time), Some(Answer::LastTrade));
    assert_eq!(answer(&total), Some(Answer::Cumulative));
    assert_eq!(answer(&|_| 12_345), None);
    // One in ten is something else.
    assert_eq!(
        answer(&|time| if time % 10 == 0 { -1 } else { total(time) }),
        None
    );
    assert_eq!(
        answer(&|time| if time % 50 == 0 { -1 } else { total(time) }),
        Some(Answer::Cumulative)
    );
}

#[test]
fn without_ticks_nothing_is_compared() {
    assert_eq!(TrdVol::default().facts(), None);
    let mut trd_vol = TrdVol::default();
    let one = Tick::of(0, &push("005930", Preset::Tick10, 1, 1, Some(1), 1)).unwrap();
    trd_vol.issue("005930", &[one]);
    assert_eq!(trd_vol.facts(), Some(TrdVolFacts::default()));
}

#[test]
fn a_tie_is_no_answer() {
    let mut trd_vol = TrdVol::default();
    // One trade at each time: what was traded since the record before is the last trade.
    let ticks: Vec<Tick> = (1..=200)
        .map(|time| {
            Tick::of(
                0,
                &push("005930", Preset::Tick10, time, 3, Some(9), i64::from(time)),
            )
            .unwrap()
        })
        .collect();
    trd_vol.issue("005930", &ticks);
    let mut market = trd_vol.market();
    (1..=200).for_each(|time| market.trade("005930", time, 100, 3));
    market.finish();
    let facts = trd_vol.facts().unwrap();
    assert_eq!(
        (facts.compared, facts.since_last, facts.last_trade, facts.answer),
        (199, 199, 199, None)
    );
}
