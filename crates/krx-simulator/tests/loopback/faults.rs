//! Scripted faults as clients see them.

use std::time::{Duration, Instant};

use crate::exchange::{End, Exchange, small_day, texts};
use krx_simulator::{Config, Day, Fault, InitReply, Market, Universe};

fn config(faults: &[&str]) -> Config {
    let faults = faults.iter().map(|text| text.parse::<Fault>().unwrap()).collect();
    Config {
        faults,
        init_reply: InitReply::Silent,
        ..small_day()
    }
}

fn day(market: Market) -> Vec<String> {
    let universe = Universe::synthetic();
    let mut day = Day::new(&universe, market, 1, universe.share(market, 20_000));
    std::iter::from_fn(|| day.next_message())
        .map(|message| message.text.to_string())
        .collect()
}

#[tokio::test]
async fn disconnect_tears_the_session_and_the_next_goes_on() {
    let exchange = Exchange::start(config(&["disconnect@500,market=KOSPI"])).await;
    let (mut received, end) = exchange.client("/ws_ksp", "k").await.rest().await;
    assert_eq!((received.len(), end), (500, End::Torn));
    received.extend(exchange.client("/ws_ksp", "k").await.until_silence().await);
    assert_eq!(received, day(Market::Kospi));
    assert_eq!(
        exchange.client("/ws_kdq", "k").await.until_silence().await,
        day(Market::Kosdaq)
    );
    let lines = exchange.stop().await;
    assert_eq!(
        [texts(&lines, "KOSPI", 1), texts(&lines, "KOSPI", 2)].concat(),
        day(Market::Kospi)
    );
}

#[tokio::test]
async fn resend_begins_the_next_session_with_the_end_of_the_last_one() {
    let exchange = Exchange::start(config(&["resend@500:3,market=KOSPI", "resend@2"])).await;
    let whole = day(Market::Kospi);
    let mut expected = whole[..2].to_vec();
    let (received, end) = exchange.client("/ws_ksp", "k").await.rest().await;
    assert_eq!((&received, end), (&expected, End::Torn), "all that there was");
    expected.extend_from_slice(&whole[..500]);
    let mut received = received;
    let (rest, end) = exchange.client("/ws_ksp", "k").await.rest().await;
    assert_eq!((rest.len(), end), (500, End::Torn));
    received.extend(rest);
    assert_eq!(received, expected);
    received.extend(exchange.client("/ws_ksp", "k").await.until_silence().await);
    expected.extend_from_slice(&whole[497..]);
    assert_eq!(received, expected);
    let lines = exchange.stop().await;
    let sent = [1, 2, 3].map(|session| texts(&lines, "KOSPI", session)).concat();
    assert_eq!(sent, expected, "and so says the ledger");
}

#[tokio::test]
async fn close_sends_its_code_again_and_again() {
    let exchange = Exchange::start(config(&["close@every:200:4001"])).await;
    let mut received = Vec::new();
    for _ in 0..3 {
        let (part, end) = exchange.client("/ws_ksp", "k").await.rest().await;
        assert_eq!((part.len(), end), (200, End::Closed(4001)));
        received.extend(part);
    }
    assert_eq!(received, day(Market::Kospi)[..600]);
    exchange.stop().await;
}

#[tokio::test]
async fn reset_ends_with_a_prefix_of_the_ledger() {
    let exchange = Exchange::start(config(&["reset@300"])).await;
    let (received, end) = exchange.client("/ws_ksp", "k").await.rest().await;
    assert_eq!(end, End::Reset);
    let lines = exchange.stop().await;
    let sent = texts(&lines, "KOSPI", 1);
    assert_eq!(sent.len(), 300);
    assert_eq!(received, sent[..received.len()]);
}

#[tokio::test]
async fn half_a_message_is_none() {
    let exchange = Exchange::start(config(&["half@100"])).await;
    let (received, end) = exchange.client("/ws_ksp", "k").await.rest().await;
    assert_eq!((received, end), (day(Market::Kospi)[..100].to_vec(), End::Torn));
    let lines = exchange.stop().await;
    let half = lines.iter().find(|line| line.kind == "partial").unwrap();
    assert_eq!((half.number, half.records), (101, 0));
    assert!(day(Market::Kospi)[99].starts_with(&half.text) && !half.text.is_empty());
}

#[tokio::test]
async fn stall_is_silent_even_towards_heartbeats() {
    let exchange = Exchange::start(config(&["stall@100:1.5"])).await;
    let before = Instant::now();
    let mut client = exchange.client("/ws_ksp", "k").await;
    assert_eq!(client.take(100).await, day(Market::Kospi)[..100]);
    let beat = r#"{"jsonrpc":"2.0","id":9,"method":"heartbeat"}"#;
    client.say(beat).await;
    let mut rest = vec![client.next().await.unwrap()];
    assert!(
        before.elapsed() >= Duration::from_millis(1_500),
        "{:?}",
        before.elapsed()
    );
    rest.extend(client.until_silence().await);
    assert!(rest.iter().any(|text| text == beat), "answered at last");
    rest.retain(|text| text != beat);
    assert_eq!(rest, day(Market::Kospi)[100..]);
    exchange.stop().await;
}

#[tokio::test]
async fn garbage_comes_in_addition_to_the_day() {
    let faults = [
        "garbage@5",
        "garbage@5:badrecord",
        "garbage@6:object",
        "garbage@7:truncated-json,market=KOSPI",
    ];
    let exchange = Exchange::start(config(&faults)).await;
    let received = exchange.client("/ws_ksp", "k").await.until_silence().await;
    let lines = exchange.stop().await;
    assert_eq!(received, texts(&lines, "KOSPI", 1));
    let garbage: Vec<(u64, u32)> = lines
        .iter()
        .filter(|line| line.kind == "garbage")
        .map(|line| (line.number, line.records))
        .collect();
    assert_eq!(garbage, [(6, 0), (7, 2), (9, 0), (11, 0)]);
    let data: Vec<String> = lines
        .iter()
        .filter(|line| line.kind == "data")
        .map(|line| line.text.clone())
        .collect();
    assert_eq!(data, day(Market::Kospi));
    let json = |index: usize| serde_json::from_str::<serde_json::Value>(&received[index]);
    assert!(json(5).is_err() && json(10).is_err());
    assert!(json(6).unwrap().is_array() && json(8).unwrap().is_object());
}
