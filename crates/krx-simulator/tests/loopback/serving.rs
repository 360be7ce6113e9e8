//! The exchange as clients see it: opening, data, heartbeats, sessions, and the ledger of it all.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::exchange::{End, Exchange, PATIENCE, small_day, texts};
use krx_simulator::{Config, Day, InitReply, Key, Market, Pace, RefuseAll, SecondSession, Universe};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;

const OK: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#;

/// The whole day as the generator makes it.
fn day(market: Market) -> Vec<String> {
    let universe = Universe::synthetic();
    let mut day = Day::new(&universe, market, 1, universe.share(market, 20_000));
    std::iter::from_fn(|| day.next_message())
        .map(|message| message.text.to_string())
        .collect()
}

#[tokio::test]
async fn what_is_received_is_what_the_ledger_says_and_the_same_again() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let exchange = Exchange::start(small_day()).await;
        let mut kospi = exchange.client("/ws_ksp", "k").await;
        let mut kosdaq = exchange.client("/ws_kdq", "k").await;
        let received = [kospi.until_silence().await, kosdaq.until_silence().await];
        let lines = exchange.stop().await;
        assert_eq!(received[0], texts(&lines, "KOSPI", 1));
        assert_eq!(received[1], texts(&lines, "KOSDAQ", 1));
        assert_eq!(lines.len(), received[0].len() + received[1].len());
        for line in &lines {
            let expected = if line.number == 1 {
                ("reply", 0)
            } else {
                ("data", line.records)
            };
            assert_eq!((line.kind.as_str(), line.records), expected);
            if line.kind == "data" {
                let array: Vec<serde_json::Value> = serde_json::from_str(&line.text).unwrap();
                assert_eq!(array.len(), usize::try_from(line.records).unwrap());
            }
        }
        runs.push(received);
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0][0][0], OK);
    assert_eq!(runs[0][0][1..], day(Market::Kospi));
    assert_eq!(runs[0][1][1..], day(Market::Kosdaq));
}

#[tokio::test]
async fn pacing_changes_no_bytes() {
    let day = day(Market::Kospi);
    for pace in [
        Pace::Speed(20_000.0),
        Pace::Rate(NonZeroU64::new(60_000).unwrap()),
    ] {
        let exchange = Exchange::start(Config { pace, ..small_day() }).await;
        let received = exchange.client("/ws_ksp", "k").await.take(day.len() + 1).await;
        assert_eq!(received[1..], day, "{pace:?}");
        exchange.stop().await;
    }
}

#[tokio::test]
async fn a_bad_key_is_refused() {
    let config = Config {
        keys: vec![Key::new("good").unwrap()],
        ..small_day()
    };
    let exchange = Exchange::start(config).await;
    let (texts, end) = exchange.client("/ws_ksp", "bad").await.rest().await;
    let refusal =
        r#"{"jsonrpc":"2.0","id":1,"error":{"message":"고객 정보가 일치하지 않습니다","code":10070}}"#;
    assert_eq!(texts, [refusal]);
    assert_eq!(end, End::Closed(1008));
    assert_eq!(exchange.client("/ws_ksp", "good").await.next().await.unwrap(), OK);
    let lines = exchange.stop().await;
    assert_eq!(
        (lines[0].session, lines[0].number, lines[0].kind.as_str()),
        (0, 1, "error")
    );
    assert_eq!(lines[0].text, refusal);
}

#[tokio::test]
async fn data_is_for_those_who_say_init_first() {
    let exchange = Exchange::start(small_day()).await;
    for opening in ["hello", r#"{"jsonrpc":"2.0","id":1,"method":"heartbeat"}"#, "[]"] {
        let mut client = exchange.connect("/ws_kdq").await.unwrap();
        client.say(opening).await;
        let (texts, end) = client.rest().await;
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains("\"code\":47"), "{texts:?}");
        assert_eq!(end, End::Closed(1008));
    }
    assert_eq!(
        exchange.stop().await.len(),
        3,
        "the ledger has what was said to those who never got in"
    );
}

#[tokio::test]
async fn unknown_paths_and_refused_clients_get_http_errors() {
    let status = |error| match error {
        Err(Error::Http(response)) => (
            response.status().as_u16(),
            String::from_utf8(response.body().clone().unwrap()).unwrap(),
        ),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("let in"),
    };
    let exchange = Exchange::start(Config {
        markets: vec![Market::Kosdaq],
        per_issue: None,
        ..small_day()
    })
    .await;
    for path in ["/", "/ws", "/ws_ksp", "/ws_kdq/"] {
        assert_eq!(status(exchange.connect(path).await).0, 404, "{path}");
    }
    exchange.connect("/ws_kdq?x=1").await.unwrap();
    exchange.stop().await;

    let exchange = Exchange::start(Config {
        refuse: Some(RefuseAll::Http),
        ..small_day()
    })
    .await;
    let (code, body) = status(exchange.connect("/ws_ksp").await);
    assert_eq!(
        (code, body.contains("Invalid authentication credentials")),
        (401, true)
    );
    exchange.stop().await;

    let exchange = Exchange::start(Config {
        refuse: Some(RefuseAll::Json),
        ..small_day()
    })
    .await;
    let (texts, end) = exchange.client("/ws_ksp", "k").await.rest().await;
    assert!(texts[0].contains("10070") && end == End::Closed(1008));
    exchange.stop().await;
}

#[tokio::test]
async fn a_second_session_displaces_the_first_and_goes_on() {
    let exchange = Exchange::start(small_day()).await;
    let mut first = exchange.client("/ws_ksp", "k").await;
    let mut received = first.take(100).await.split_off(1);
    let mut second = exchange.client("/ws_ksp", "k").await;
    let (texts_left, end) = first.rest().await;
    assert_eq!(end, End::Closed(1008));
    received.extend(texts_left);
    received.extend(second.until_silence().await.split_off(1));
    assert_eq!(received, day(Market::Kospi));

    // Another key is another customer, who gets the day from its beginning.
    let mut other = exchange.client("/ws_ksp", "other").await;
    assert_eq!(other.take(51).await[1..], day(Market::Kospi)[..50]);
    assert_eq!(second.until_silence().await, Vec::<String>::new());
    let lines = exchange.stop().await;
    assert_eq!(texts(&lines, "KOSPI", 3)[1..51], day(Market::Kospi)[..50]);
}

#[tokio::test]
async fn a_second_session_can_be_refused() {
    let exchange = Exchange::start(Config {
        second_session: SecondSession::Refuse,
        ..small_day()
    })
    .await;
    let mut first = exchange.client("/ws_ksp", "k").await;
    let mut received = first.take(100).await.split_off(1);
    let (texts, end) = exchange.client("/ws_ksp", "k").await.rest().await;
    assert!(
        texts.len() == 1 && texts[0].contains("\"code\":13004"),
        "{texts:?}"
    );
    assert_eq!(end, End::Closed(1008));
    received.extend(first.until_silence().await);
    assert_eq!(received, day(Market::Kospi));
    drop(first);
    // Once the first has left, the key is free again.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(exchange.client("/ws_ksp", "k").await.next().await.unwrap(), OK);
    exchange.stop().await;
}

#[tokio::test]
async fn init_is_answered_when_configured() {
    let first_data = &day(Market::Kospi)[0];
    for (init_reply, opening) in [
        (InitReply::Answered, [OK, first_data]),
        (InitReply::Late, [first_data, OK]),
        (InitReply::Silent, [first_data, &day(Market::Kospi)[1]]),
    ] {
        let exchange = Exchange::start(Config {
            init_reply,
            ..small_day()
        })
        .await;
        assert_eq!(
            exchange.client("/ws_ksp", "k").await.take(2).await,
            opening,
            "{init_reply:?}"
        );
        exchange.stop().await;
    }
}

#[tokio::test]
async fn heartbeats_go_both_ways_and_never_round_in_circles() {
    let config = Config {
        pace: Pace::Speed(0.001),
        heartbeat_interval: Some(Duration::from_millis(700)),
        ..small_day()
    };
    let exchange = Exchange::start(config).await;
    let mut client = exchange.client("/ws_ksp", "k").await;
    let mine = r#"{"jsonrpc":"2.0", "id":7, "method":"heartbeat"}"#;
    client.say(mine).await;
    assert_eq!(client.take(2).await, [OK, mine]);
    let theirs = client.next().await.unwrap();
    assert_eq!(theirs, r#"{"jsonrpc":"2.0","id":1000001,"method":"heartbeat"}"#);
    client.say(&theirs).await;
    assert_eq!(client.next().await.unwrap(), theirs.replace("1000001", "1000002"));
    client
        .say(r#"{"jsonrpc":"2.0","id":8,"method":"subscribe"}"#)
        .await;
    let mut answers = client.take(2).await;
    answers.retain(|text| text.contains("\"code\":47"));
    assert!(
        answers.len() == 1 && answers[0].contains("\"id\":8"),
        "{answers:?}"
    );
    let lines = exchange.stop().await;
    assert!(lines.iter().filter(|line| line.kind == "heartbeat").count() >= 3);
    assert_eq!(lines.iter().filter(|line| line.kind == "error").count(), 1);
}

#[tokio::test]
async fn at_a_speed_the_day_goes_on_while_nobody_listens() {
    let day = day(Market::Kospi);
    let exchange = Exchange::start(Config {
        pace: Pace::Speed(10_000.0),
        ..small_day()
    })
    .await;
    let opened = Instant::now();
    let mut first = exchange.client("/ws_ksp", "k").await;
    let before = first.take(50).await.split_off(1);
    assert_eq!(before, day[..49]);
    first.socket.close(None).await.unwrap();
    first.rest().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = exchange
        .client("/ws_ksp", "k")
        .await
        .until_silence()
        .await
        .split_off(1);
    let resumed = day.len() - after.len();
    assert_eq!(after, day[resumed..], "the end of the same day");
    assert!(
        resumed > 500,
        "resumed at message {resumed}, {:?} later",
        opened.elapsed()
    );
    exchange.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_neither_the_stop_nor_its_successor() {
    let mut config = small_day();
    config.day.trades_per_day = 12_000_000;
    let exchange = Exchange::start(config).await;
    let _deaf = exchange.client("/ws_ksp", "k").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut second = exchange.client("/ws_ksp", "k").await;
    assert_eq!(second.take(10).await[0], OK);
    let stopping = Instant::now();
    exchange.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_exchange_can_end_with_the_day() {
    let config = Config {
        exit_at_end: true,
        markets: vec![Market::Kospi],
        ..small_day()
    };
    let exchange = Exchange::start(config).await;
    let mut client = exchange.client("/ws_ksp", "k").await;
    assert_eq!(client.until_silence().await[1..], day(Market::Kospi));
    client.socket.close(None).await.unwrap();
    client.rest().await;
    let refused = timeout(PATIENCE, async {
        while exchange.connect("/ws_ksp").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    refused.await.expect("the exchange is gone");
    exchange.stop().await;
}
