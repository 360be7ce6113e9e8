//! Made-up days for the tests of derived datasets: of a market and of a per-issue feed.

use std::sync::Arc;

use krx_store::derived::{Session, Sessions};
use krx_store::journal::GapReason;
use krx_store::service::PER_ISSUE;
use krx_store::{DataDir, Entry, Event, Exporter, FeedName, JournalConfig, Moment};

use crate::per_issue::{registration, seal_all};
use crate::support::{NINE, SECOND, config, connected, event, frame};

pub(crate) const MINUTE: i64 = 60 * SECOND;
const ROOM: JournalConfig = JournalConfig {
    sync_interval: std::time::Duration::from_millis(1),
    segment_bytes: 1 << 20,
};

fn session(opens: i64, closes: i64) -> Session {
    Session::new(Moment(opens), Moment(closes), Moment(closes + 10 * MINUTE)).unwrap()
}

/// Sessions from so many minutes after nine on to so many.
pub(crate) fn sessions(opens: i64, closes: i64) -> Sessions {
    Sessions {
        stocks: Some(session(NINE + opens * MINUTE, NINE + closes * MINUTE)),
        derivatives: Some(session(
            NINE + (opens - 15) * MINUTE,
            NINE + (closes + 15) * MINUTE,
        )),
    }
}

/// `trdTm` of an instant.
fn trd_tm(at: i64) -> i64 {
    let hundredths = Moment(at).micros_of_day() / 10_000;
    let seconds = hundredths / 100;
    (seconds / 3600 * 10_000 + seconds / 60 % 60 * 100 + seconds % 60) * 100 + hundredths % 100
}

/// Numbers that look random, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit).cast_signed()
    }
}

fn disconnected(at: i64) -> Entry<Vec<u8>> {
    let reason = GapReason::Reset;
    let detail = "reset".to_owned();
    event(at, Event::Disconnected { reason, detail })
}

pub(crate) fn start(at: i64) -> Entry<Vec<u8>> {
    let version = "1".to_owned();
    event(at, Event::Start { version })
}

/// A market's day: before the open, both auctions, two gaps, blocks, a trade sent again, closing signals, after-hours. `B` has
/// signals only, and `C` trades only after hours.
pub(crate) fn market_day(opens: i64, closes: i64) -> Vec<Entry<Vec<u8>>> {
    let (opens, closes, mut dice) = (NINE + opens * MINUTE, NINE + closes * MINUTE, Dice(7));
    let record = |code: &str, price: i64, volume: i64, time: i64| {
        format!(r#"{{"isuSrtCd":"{code}","trdPrc":"{price}","trdVol":"{volume}","trdTm":"{time}"}}"#)
    };
    let send = |at: i64, records: &[String]| frame(at, &format!("[{}]", records.join(",")));
    let mut entries = vec![start(opens - 40 * MINUTE), connected(opens - 30 * MINUTE)];
    entries.push(send(
        opens - 20 * MINUTE,
        &[record("A00010", 900, 0, 0), record("B00020", 5, 0, 0)],
    ));
    entries.push(send(
        opens - 10 * MINUTE,
        &[record("A00010", 7_777, 9_000, 51_000_000)],
    ));
    let gaps = [
        (opens + 5 * MINUTE + 1, opens + 7 * MINUTE),
        (opens + 60 * MINUTE, opens + 95 * MINUTE),
    ];
    let mut at = opens;
    while at < closes - 10 * MINUTE {
        let in_gap = gaps.iter().any(|(from, to)| *from < at && at <= *to);
        if !in_gap {
            let codes = ["A00010", "A00030", "00088K", "Q50001"];
            let count = 1 + dice.below(4);
            let records = (0..count).map(|_| {
                let code = codes[usize::try_from(dice.below(4)).unwrap()];
                // Some trades come a little late, also into another minute.
                let time = trd_tm((at - dice.below(3_000) * 1000).max(opens));
                record(code, 1000 + dice.below(50), 1 + dice.below(900), time)
            });
            entries.push(send(at, &records.collect::<Vec<_>>()));
        }
        let next = at + 500_000 + dice.below(30_000_000);
        for (from, to) in gaps {
            if at <= from && from < next {
                entries.push(disconnected(from));
            }
            if at <= to && to < next {
                entries.push(connected(to));
            }
        }
        at = next;
    }
    entries.push(send(
        closes + 150_000,
        &[record("A00010", 1_111, 5_000, trd_tm(closes + 150_000))],
    ));
    entries.push(send(
        closes + 2 * SECOND,
        &[record("A00030", 999, 70, trd_tm(closes + 90_000))],
    ));
    entries.push(send(
        closes + 3 * SECOND,
        &[
            record("A00010", 1_111, 0, 31_000_000),
            record("B00020", 6, 0, 31_000_000),
        ],
    ));
    entries.push(send(
        closes + 11 * MINUTE,
        &[record("A00010", 1_111, 33, trd_tm(closes + 10 * MINUTE))],
    ));
    entries.push(send(
        closes + 12 * MINUTE,
        &[record("C00050", 40, 2, trd_tm(closes + 12 * MINUTE))],
    ));
    entries.push(event(closes + 40 * MINUTE, Event::SessionEnd));
    entries
}

/// The same of a per-issue feed: `tick` and `tick10` of one stock, of which each lacks trades that the other has, `tick10` of
/// another from the middle of a minute on, and a future. The registration is lost in a gap.
fn issues_day(opens: i64, closes: i64) -> Vec<Entry<Vec<u8>>> {
    let (opens, closes, mut dice) = (NINE + opens * MINUTE, NINE + closes * MINUTE, Dice(11));
    let wanted = [
        ("tick", "005930", ""),
        ("tick10", "005930", ""),
        ("tick10", "000660", ""),
        ("tick10", "101N6000", r#","instruments":"derivatives""#),
    ];
    let wishes =
        wanted.map(|(preset, code, more)| format!(r#"{{"preset":"{preset}","code":"{code}"{more}}}"#));
    let begin = opens - 20 * MINUTE;
    let mut entries = vec![
        start(begin),
        registration(begin, &format!(r#""wanted","wishes":[{}]"#, wishes.join(","))),
    ];
    let register = |entries: &mut Vec<Entry<Vec<u8>>>, at: i64, first_id: usize| {
        entries.push(connected(at));
        for (place, (preset, code, more)) in wanted.into_iter().enumerate() {
            let id = first_id + place;
            let pair = format!(r#""id":{id},"preset":"{preset}","code":"{code}""#);
            let at = at
                + if code == "000660" {
                    12 * SECOND + 20 * MINUTE
                } else {
                    0
                };
            entries.push(registration(at, &format!(r#""subscribe",{pair}{more}"#)));
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"message":"ok"}}}}"#);
            entries.push(frame(at, &answer));
            entries.push(registration(at, &format!(r#""state",{pair},"state":"active""#)));
        }
        entries.sort_by_key(|entry| entry.at);
    };
    register(&mut entries, begin, 2);
    let push = |at: i64, params: &str| {
        frame(
            at,
            &format!(r#"{{"jsonrpc":"2.0","method":"push","params":{{{params}}}}}"#),
        )
    };
    let deal = |preset: &str, code: &str, price: &str, volume: i64, total: i64, time: i64| {
        format!(
            r#""preset":"{preset}","isuSrtCd":"{code}","trdPrc":{price},"trdvol":{volume},"accTrdvol":{total},"trdTm":{time}"#
        )
    };
    let (mut at, mut totals) = (opens, [0, 0, 0]);
    while at < closes {
        let (volume, price, time) = (
            1 + dice.below(90),
            70_000 + 100 * dice.below(9),
            trd_tm(at - at % 10_000),
        );
        let on_minutes = |which: i64| (at / MINUTE) % 40 != which;
        match dice.below(3) {
            0 => {
                totals[0] += volume;
                for preset in ["tick", "tick10"] {
                    // Each preset misses a minute now and then.
                    if on_minutes(if preset == "tick" { 3 } else { 17 }) {
                        entries.push(push(
                            at,
                            &deal(preset, "005930", &price.to_string(), volume, totals[0], time),
                        ));
                    }
                }
            }
            1 if at > opens + 30 * MINUTE => {
                totals[1] += volume;
                entries.push(push(
                    at,
                    &deal("tick10", "000660", &price.to_string(), volume, totals[1], time),
                ));
            }
            _ => {
                totals[2] += volume;
                let price = format!("{}.{:02}", 300 + dice.below(9), 5 * dice.below(20));
                entries.push(push(
                    at,
                    &deal("tick10", "101N6000", &price, volume, totals[2], time),
                ));
            }
        }
        let next = at + 100_000 + dice.below(20_000_000);
        let gap = (opens + 100 * MINUTE, opens + 101 * MINUTE + 7 * SECOND);
        if at <= gap.0 && gap.0 < next {
            entries.push(disconnected(gap.0));
            let mut again = Vec::new();
            register(&mut again, gap.1, 20);
            // The future is registered again late, as the other is.
            entries.extend(again.into_iter().filter(|entry| entry.at.0 < closes));
            at = gap.1 + 21 * MINUTE;
            continue;
        }
        at = next;
    }
    let closing = closes + 300_000;
    for preset in ["tick", "tick10"] {
        let total = totals[0] + 40;
        entries.push(push(
            closing,
            &deal(preset, "005930", "70300", 40, total, trd_tm(closing)),
        ));
        entries.push(push(
            closing + SECOND,
            &deal(preset, "005930", "70300", 0, total, 31_000_000),
        ));
    }
    entries.push(push(
        closes + 15 * MINUTE + SECOND,
        &deal(
            "tick10",
            "101N6000",
            "305.55",
            4,
            totals[2] + 4,
            trd_tm(closes + 15 * MINUTE + 100_000),
        ),
    ));
    entries.push(event(closes + 40 * MINUTE, Event::SessionEnd));
    entries
}

pub(crate) fn record(data: &DataDir, feed: &str, entries: &[Entry<Vec<u8>>], is_per_issue: bool) {
    let feed: FeedName = feed.parse().unwrap();
    let writer = krx_store::open_writer(data, &feed, ROOM, Arc::default()).unwrap();
    let mut writer = if is_per_issue {
        writer.of_service(&PER_ISSUE)
    } else {
        writer
    };
    writer.append(entries).unwrap();
    writer.close().unwrap();
    Exporter::new(data, &feed, config(3600, 300), None, Arc::default())
        .run()
        .unwrap();
}

/// A day of two markets and a per-issue feed, sealed.
pub(crate) fn recorded(data: &DataDir, (opens, closes): (i64, i64)) {
    let market = market_day(opens, closes);
    record(data, "KOSPI", &market, false);
    // Another market, of which the second half was lost.
    let half = market.len() / 2;
    record(
        data,
        "KOSDAQ",
        &[&market[..half], &[event(market[half].at.0, Event::Stop)]].concat(),
        false,
    );
    record(data, "ISSUES", &issues_day(opens, closes), true);
    assert!(seal_all(data) > 3);
}
