//! How fast the per-issue service is. It is run by hand, in a quiet hour:
//!
//! ```text
//! cargo test --release -p krx-simulator --test loopback -- --ignored --nocapture speed
//! ```

use std::time::Instant;

use futures_util::StreamExt;
use krx_simulator::{Answers, Config, DayConfig, HalfSecond, Pace, PerIssueConfig};
use tokio_tungstenite::tungstenite::Message;

use crate::exchange::{Exchange, small_day};
use crate::per_issue::codes;

/// Messages that are counted: some seconds' worth.
const MESSAGES: u32 = 400_000;

/// How many messages a second a client gets that registers `preset` of the 100 busiest stocks and the ledger keeps.
async fn rate(preset: &str) -> f64 {
    let exchange = Exchange::start(Config {
        day: DayConfig {
            start: HalfSecond::at(9, 0, 0),
            ..DayConfig::default()
        },
        pace: Pace::Max,
        per_issue: Some(PerIssueConfig {
            answers: Answers::Ok,
            ..PerIssueConfig::default()
        }),
        ..small_day()
    })
    .await;
    let mut client = exchange.client("/ws/", "k").await;
    for (id, code) in (2..).zip(codes(99)) {
        client.subscribe(id, preset, &code).await;
    }
    // The reply and the answers come first.
    client.take(1_000).await;
    let (begun, mut bytes) = (Instant::now(), 0);
    for _ in 0..MESSAGES {
        match client.socket.next().await {
            Some(Ok(Message::Text(text))) => bytes += text.len(),
            other => panic!("{other:?}"),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(client);
    exchange.stop().await;
    let rate = f64::from(MESSAGES) / seconds;
    println!(
        "{preset}: {rate:.0} messages/s, {} bytes each",
        bytes / MESSAGES as usize
    );
    rate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and so needs the machine for itself"]
async fn speed_is_enough_for_books_and_ticks() {
    assert!(rate("quote10").await > 20_000.0);
    assert!(rate("tick10").await > 50_000.0);
}
