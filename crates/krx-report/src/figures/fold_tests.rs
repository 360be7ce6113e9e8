use std::collections::BTreeSet;

use chrono::NaiveDate;
use krx_store::Moment;

use super::fold::Fold;
use super::oddities::Kind;
use krx_store::read::{QuarantineRow, TradeRow};

const HOUR_MS: i64 = 3_600_000;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// Milliseconds after midnight as an instant.
fn at(ms: i64) -> i64 {
    Moment::midnight(date()).0 / 1000 + ms
}

/// A trade at 09:00 plus this many milliseconds, received 100 ms later.
fn trade(code: &'static str, frame: u64, item: i16, ms: i64) -> TradeRow<'static> {
    TradeRow {
        code,
        trade_ts: Some(at(9 * HOUR_MS + ms)),
        price: 1000,
        volume: 5,
        kind: "trade",
        trade_time: 9_000_000,
        recv: Moment(at(9 * HOUR_MS + ms + 100) * 1000),
        frame,
        item,
        session: 1,
        extra: None,
    }
}

fn fold(rows: &[TradeRow<'_>]) -> Fold {
    let mut fold = Fold::new("KOSPI", date());
    rows.iter().for_each(|row| fold.trade(row));
    fold
}

/// How often, in how many issues, and the frames of the examples.
fn found(fold: &Fold, kind: Kind) -> (u64, u64, Vec<u64>) {
    fold.found.get(&kind).map_or((0, 0, Vec::new()), |found| {
        let frames = found.examples.iter().filter_map(|example| example.frame);
        (found.count, found.issues, frames.collect())
    })
}

#[test]
fn records_and_messages_are_counted_by_minute_issue_and_kind() {
    let signal = TradeRow {
        kind: "regular_close",
        trade_ts: None,
        ..trade("000210", 4, 0, 120_000)
    };
    let mut fold = fold(&[
        trade("000210", 1, 0, 0),
        trade("00088K", 1, 1, 0),
        trade("000210", 2, 0, 59_000),
        trade("000210", 3, 0, 60_000),
        signal,
    ]);
    // A message of which nothing could be read, and a piece of the message before it.
    let piece = |frame, item| QuarantineRow {
        recv: Moment(at(9 * HOUR_MS + 125_000) * 1000),
        frame,
        item,
        session: 1,
        reason: "malformed_json".to_owned(),
        detail: None,
        raw: b"<b>{".repeat(300),
    };
    fold.quarantined(&piece(4, Some(1)));
    fold.quarantined(&piece(5, None));

    assert_eq!((fold.records, fold.messages, fold.issues.all().len()), (5, 5, 2));
    let minutes: Vec<_> = fold.minutes[540..543]
        .iter()
        .map(|minute| (minute.records, minute.messages))
        .collect();
    assert_eq!(minutes, [(3, 2), (1, 1), (1, 2)]);
    assert_eq!(
        fold.by_kind().into_iter().collect::<Vec<_>>(),
        [("regular_close".to_owned(), 1), ("trade".to_owned(), 4)]
    );
    assert_eq!(fold.first, Some(Moment(at(9 * HOUR_MS + 100) * 1000)));
    assert_eq!(fold.last, Some(Moment(at(9 * HOUR_MS + 125_000) * 1000)));
    assert_eq!(fold.lags.facts().p50_ms, Some(100.0));
    assert_eq!(fold.lags.facts().trades, 4, "a signal has no time");
    let quarantined = &fold.quarantine["malformed_json"];
    assert_eq!(
        (quarantined.count, quarantined.frame, quarantined.item),
        (2, 4, Some(1))
    );
    assert_eq!(quarantined.raw.as_ref().unwrap().chars().count(), 201, "cut off");
    assert!(fold.found.is_empty(), "nothing is odd about it");
}

#[test]
fn trade_times_that_run_backwards_are_those_of_an_issue() {
    let fold = fold(&[
        trade("A", 1, 0, 500),
        // Another issue's time does not matter.
        trade("B", 1, 1, 400),
        trade("A", 2, 0, 490),
        trade("A", 3, 0, 490),
        trade("A", 4, 0, 300),
        trade("B", 4, 1, 400),
        trade("A", 5, 0, 600),
    ]);
    assert_eq!(found(&fold, Kind::TradeTimeBack), (2, 1, vec![2]));
    let example = &fold.found[&Kind::TradeTimeBack].examples[0];
    assert_eq!(
        (example.code.as_deref(), example.item, example.price),
        (Some("A"), Some(0), Some(1000))
    );
    assert_eq!(example.detail, "the trade before it was at 09:00:00.50");
    // Signals between two trades have no time, and are skipped.
    let signal = TradeRow {
        kind: "block_during",
        trade_ts: None,
        ..trade("A", 2, 0, 0)
    };
    let fold = super::fold_tests::fold(&[trade("A", 1, 0, 500), signal, trade("A", 3, 0, 490)]);
    assert_eq!(found(&fold, Kind::TradeTimeBack), (1, 1, vec![3]));
}

#[test]
fn a_clock_that_was_set_back_is_seen_from_message_to_message() {
    let back = |frame, ms| TradeRow {
        recv: Moment(at(9 * HOUR_MS + ms) * 1000),
        ..trade("A", frame, 0, 0)
    };
    let fold = fold(&[
        back(1, 5000),
        back(2, 6000),
        back(3, 2500),
        back(3, 2500),
        back(4, 2500),
        back(5, 7000),
    ]);
    assert_eq!(found(&fold, Kind::ReceiveTimeBack).0, 1);
    let example = &fold.found[&Kind::ReceiveTimeBack].examples[0];
    assert_eq!((example.frame, example.code.as_deref()), (Some(3), None));
    assert_eq!(example.detail, "message 2 came at 09:00:06.00, 3.5 s later");
}

#[test]
fn prices_beyond_the_limit_of_the_first_trade() {
    let priced = |code, frame, price| TradeRow {
        price,
        ..trade(code, frame, 0, 0)
    };
    let fold = fold(&[
        priced("A", 1, 0),
        priced("A", 2, 1000),
        priced("A", 3, 1300),
        priced("A", 4, 1301),
        priced("A", 5, 0),
        priced("A", 6, 699),
        priced("B", 7, 5000),
        priced("B", 8, 3000),
    ]);
    assert_eq!(found(&fold, Kind::BeyondLimit), (3, 2, vec![4, 8]));
    assert_eq!(
        fold.found[&Kind::BeyondLimit].examples[1].detail,
        "first trade at 5,000: -40.0 %"
    );
    let prices = fold.issues.top(1)[0].prices.unwrap();
    assert_eq!(
        (prices.first, prices.low, prices.high, prices.last),
        (1000, 699, 1301, 699)
    );
}

#[test]
fn what_the_guide_does_not_name_is_shown() {
    let signal = TradeRow {
        kind: "unknown_signal",
        trade_time: 99_000_001,
        trade_ts: None,
        ..trade("A", 1, 0, 0)
    };
    let extra = TradeRow {
        extra: Some("{\"brdId\":\"G1\"}"),
        ..trade("B", 2, 3, 0)
    };
    let fold = fold(&[signal, signal, extra, extra]);
    assert_eq!(found(&fold, Kind::UnknownSignal), (2, 1, vec![1]));
    assert_eq!(
        fold.found[&Kind::UnknownSignal].examples[0].detail,
        "trdTm 99000001"
    );
    assert_eq!(found(&fold, Kind::ExtraFields), (2, 1, vec![2]));
    assert_eq!(
        fold.found[&Kind::ExtraFields].examples[0].detail,
        "{\"brdId\":\"G1\"}"
    );
}

#[test]
fn issues_are_held_against_those_of_earlier_dates() {
    let codes = |codes: &[&str]| {
        codes
            .iter()
            .map(|code| (*code).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let mut fold = fold(&[
        trade("A", 1, 0, 0),
        trade("N", 2, 0, 0),
        trade("M", 3, 0, 0),
        trade("M", 4, 0, 0),
    ]);
    fold.compare_issues(&codes(&["A", "B", "C"]), &codes(&["A", "B"]));
    // The one with the most records is first.
    assert_eq!(found(&fold, Kind::NeverSeen), (2, 2, vec![3, 2]));
    let gone = &fold.found[&Kind::Vanished];
    assert_eq!((gone.count, gone.examples[0].code.as_deref()), (1, Some("B")));
}

#[test]
fn absurd_rows_do_not_panic() {
    let absurd = |frame, us| TradeRow {
        recv: Moment(us),
        trade_ts: Some(-us),
        price: i64::MAX,
        volume: i64::MAX,
        ..trade("A", frame, 0, 0)
    };
    let fold = fold(&[absurd(0, i64::MAX), absurd(u64::MAX, i64::MIN + 1), absurd(3, 0)]);
    assert_eq!(fold.records, 3);
}
