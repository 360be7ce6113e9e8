use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::*;
use crate::issue::Issue;
use crate::price::Won;
use crate::timetable::Session;
use krx_exchange::RECORDS_MAX;

/// Enough to keep every session busy, few enough to be quick.
const TRADES: u64 = 400_000;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(non_snake_case, reason = "as sent")]
struct Record {
    isuSrtCd: String,
    trdPrc: String,
    trdVol: String,
    trdTm: String,
}

impl Record {
    fn timed(&self) -> bool {
        self.trdTm.len() == 8 && self.trdTm.as_str() < "24000000"
    }
}

fn messages(market: Market, seed: u64, trades: u64) -> impl Iterator<Item = DayMessage> {
    let mut day = Day::new(&Universe::synthetic(), market, seed, trades);
    std::iter::from_fn(move || day.next_message())
}

fn records(message: &DayMessage) -> Vec<Record> {
    serde_json::from_str(&message.text).unwrap()
}

fn fingerprint(market: Market, seed: u64) -> String {
    let mut hash = Sha256::new();
    for message in messages(market, seed, 50_000) {
        hash.update(message.text.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_same_seed_makes_the_same_bytes_on_every_machine() {
    // A change to the generator changes these; a change of machine must not.
    assert_eq!(
        fingerprint(Market::Kospi, 1),
        "42e0f1639fbda26c0b0460e1c7e6d755d0e2e833aae63cfd9c5732938249be65"
    );
    assert_eq!(
        fingerprint(Market::Kosdaq, 1),
        "74321aecfd51f0670e5dec383ee84a18aceb3dff842c98d2df437a45453955ff"
    );
}

#[test]
fn another_seed_or_market_makes_another_day() {
    let days = [
        fingerprint(Market::Kospi, 1),
        fingerprint(Market::Kospi, 2),
        fingerprint(Market::Kosdaq, 1),
        fingerprint(Market::Kosdaq, 2),
    ];
    assert_eq!(days.iter().collect::<HashSet<_>>().len(), days.len());
}

#[test]
fn records_are_packed_and_counted_as_documented() {
    let mut previous = HalfSecond::DAY_START;
    for message in messages(Market::Kosdaq, 3, TRADES) {
        let sent = records(&message);
        assert_eq!(u32::try_from(sent.len()).unwrap(), message.records);
        assert!((1..=RECORDS_MAX).contains(&message.records));
        assert!(message.at >= previous && message.at > HalfSecond::DAY_START);
        previous = message.at;
    }
    assert!(previous > HalfSecond::at(20, 0, 0));
    let first = messages(Market::Kospi, 1, TRADES)
        .find(|message| message.records == 1)
        .unwrap();
    let text = first.text.as_str();
    let Record {
        isuSrtCd,
        trdPrc,
        trdVol,
        trdTm,
    } = records(&first).remove(0);
    assert_eq!(
        text,
        format!(
            "[{{\"isuSrtCd\":\"{isuSrtCd}\",\"trdPrc\":\"{trdPrc}\",\"trdVol\":\"{trdVol}\",\"trdTm\":\"{trdTm}\"}}]"
        )
    );
}

#[test]
fn no_issue_is_sent_twice_in_half_a_second() {
    // So many trades that half seconds are saturated.
    for trades in [TRADES, 4_000_000] {
        let mut at = HalfSecond::DAY_START;
        let mut seen = HashSet::new();
        // Saturated half seconds come right after the open.
        for message in messages(Market::Kosdaq, 5, 10 * trades).take(20_000) {
            if message.at != at {
                at = message.at;
                seen.clear();
            }
            for record in records(&message) {
                assert!(seen.insert(record.isuSrtCd), "at {at}");
            }
        }
    }
}

#[test]
fn times_lie_in_the_half_second_before_sending() {
    for message in messages(Market::Kospi, 1, TRADES) {
        for record in records(&message).iter().filter(|record| record.timed()) {
            let digits = record.trdTm.as_bytes();
            let end = message.at.digits(0);
            // Half a second earlier is the same second's first half, or the second before's second half.
            assert!(digits < end.as_slice(), "{record:?}");
            let part = |range: std::ops::Range<usize>| record.trdTm[range].parse::<u32>().unwrap();
            let half = HalfSecond::at(part(0..2), part(2..4), part(4..6));
            let half = if part(6..8) >= 50 { half.next() } else { half };
            assert_eq!(half.next(), message.at, "{record:?}");
        }
    }
}

#[test]
fn prices_stay_on_the_grid_and_within_the_limits() {
    let universe = Universe::synthetic();
    for market in Market::ALL {
        let issues: HashMap<&str, &Issue> = universe
            .issues(market)
            .iter()
            .map(|issue| (issue.code.as_str(), issue))
            .collect();
        let mut moved = 0;
        for message in messages(market, 9, TRADES) {
            for record in records(&message) {
                let issue = issues[record.isuSrtCd.as_str()];
                let price: Won = record.trdPrc.parse().unwrap();
                assert_eq!(price % issue.grid.tick_size(price), 0, "{record:?}");
                let base = u64::from(issue.base_price);
                assert!(
                    (base * 70..=base * 130).contains(&(u64::from(price) * 100)),
                    "{record:?} {base}"
                );
                assert!(
                    !(issue.halted && record.timed()),
                    "{record:?} trades although halted"
                );
                moved += u32::from(price != issue.base_price);
            }
        }
        assert!(moved > 1_000, "prices of {market} stand still");
    }
}

#[test]
fn the_day_has_as_many_trades_as_asked_for() {
    let universe = Universe::synthetic();
    for asked in [1_000, 100_000, 3_000_000] {
        let mut trades = 0;
        for market in Market::ALL {
            let share = universe.share(market, asked);
            trades += messages(market, 1, share)
                .flat_map(|message| records(&message))
                .filter(|record| record.timed() || record.trdTm == "0")
                .fold(0, |count, _| count + 1);
        }
        let asked_f = asked.abs_diff(trades) * 100;
        assert!(asked_f <= 2 * asked, "{asked} asked for, {trades} made");
    }
}

#[test]
fn every_signal_is_sent_when_it_should_be() {
    let issues = Universe::synthetic().issues(Market::Kospi).len();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for message in messages(Market::Kospi, 1, TRADES) {
        let (session, _) = Session::at(message.at);
        for record in records(&message).into_iter().filter(|record| !record.timed()) {
            let right = match record.trdTm.as_str() {
                "0" => message.at <= HalfSecond::at(9, 0, 0),
                "31000000" => matches!(session, Session::RegularClosed | Session::Pause),
                "41000000" => matches!(session, Session::AfterHoursClosed | Session::AfterMarket),
                "81000000" => message.at > HalfSecond::at(20, 0, 0),
                "51000000" => session == Session::PreOpen,
                "61000000" => session == Session::Regular,
                "71000000" => matches!(session, Session::AfterHours | Session::AfterMarket),
                "91000007" | "91000008" => session == Session::Pause,
                _ => false,
            };
            assert!(right, "{record:?} at {}", message.at);
            *counts.entry(record.trdTm).or_default() += 1;
        }
    }
    for close in ["31000000", "41000000", "81000000"] {
        assert_eq!(counts[close], issues, "{close}");
    }
    for (rare, count) in [
        ("51000000", 4),
        ("61000000", 12),
        ("71000000", 6),
        ("91000007", 1),
        ("91000008", 1),
    ] {
        assert_eq!(counts[rare], count, "{rare}");
    }
    assert!(counts["0"] > 100);
}

#[test]
fn auctions_burst_and_noon_is_quiet() {
    let mut per_minute: HashMap<String, u64> = HashMap::new();
    let mut codes_at_open = HashSet::new();
    for message in messages(Market::Kospi, 1, TRADES) {
        for record in records(&message).into_iter().filter(Record::timed) {
            *per_minute.entry(record.trdTm[..4].to_owned()).or_default() += 1;
            if record.trdTm.as_str() < "09000200" {
                codes_at_open.insert(record.isuSrtCd);
            }
        }
    }
    let trading = Universe::synthetic()
        .issues(Market::Kospi)
        .iter()
        .filter(|issue| !issue.halted)
        .count();
    assert_eq!(codes_at_open.len(), trading * 89 / 100);
    let minute = |time: &str| per_minute.get(time).copied().unwrap_or(0);
    assert!(minute("0901") > 3 * minute("1200"));
    assert!(minute("1519") > 2 * minute("1200"));
    assert!(minute("1525") < 20);
    assert_eq!(minute("1530"), u64::try_from(trading * 89 / 100).unwrap());
    assert_eq!(minute("1535"), 0);
    assert!(minute("1800") > 0);
}

#[test]
fn activity_is_skewed() {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut total = 0;
    for message in messages(Market::Kosdaq, 1, TRADES) {
        for record in records(&message).into_iter().filter(Record::timed) {
            *counts.entry(record.isuSrtCd).or_default() += 1;
            total += 1;
        }
    }
    let mut counts: Vec<u64> = counts.into_values().collect();
    counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let top: u64 = counts.iter().take(100).sum();
    assert!(
        top * 5 > total && top * 2 < total,
        "the first 100 issues make {top} of {total}"
    );
}
