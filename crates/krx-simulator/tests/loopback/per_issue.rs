//! The per-issue service as a client sees it, beside the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use krx_simulator::{Answers, Config, Fault, Market, Pace, PerIssueConfig, PerIssueRules, Universe};
use serde_json::Value;

use crate::exchange::{Client, End, Exchange, Line, small_day, texts};

/// The busiest stocks, and a future.
pub(crate) fn codes(stocks: usize) -> Vec<String> {
    let universe = Universe::synthetic();
    let stocks = universe.busiest(stocks);
    let stocks = stocks.iter().map(|issue| issue.code.as_str().to_owned());
    stocks.chain(["101N6000".to_owned()]).collect()
}

/// A rate that is slow enough for requests to come in between, and fast enough not to be noticed.
const RATE: u64 = 20_000;

fn config(faults: &[&str]) -> Config {
    Config {
        per_issue: Some(PerIssueConfig {
            pace: Some(Pace::Rate(NonZeroU64::new(RATE).unwrap())),
            ..PerIssueConfig::default()
        }),
        faults: faults.iter().map(|text| text.parse::<Fault>().unwrap()).collect(),
        ..small_day()
    }
}

pub(crate) fn request(method: &str, id: u64, preset: &str, code: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"preset":"{preset}","isuSrtCd":"{code}"}}}}"#
    )
}

impl Client {
    pub(crate) async fn subscribe(&mut self, id: u64, preset: &str, code: &str) {
        self.say(&request("subscribe", id, preset, code)).await;
    }
}

/// All texts until the last one of the day that is about a stock: each has a signal when the after-market closes.
async fn whole_day(client: &mut Client) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let text = client.next().await.unwrap();
        let last = text.contains("\"trdTm\":81000000");
        texts.push(text);
        if last {
            return texts;
        }
    }
}

/// Each object of a text, in whatever way they are put together.
fn objects(text: &str) -> Vec<Value> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let values: Vec<Value> = values.map(Result::unwrap).collect();
    let flat = values.into_iter().flat_map(|value| match value {
        Value::Array(elements) => elements,
        value => vec![value],
    });
    flat.collect()
}

/// The preset and the code of a push.
fn pair(push: &Value) -> (String, String) {
    let word = |name: &str| push["params"][name].as_str().unwrap_or_default().to_owned();
    (word("preset"), word("isuSrtCd"))
}

fn kinds(lines: &[Line]) -> BTreeMap<&str, usize> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        *kinds.entry(line.kind.as_str()).or_default() += 1;
    }
    kinds
}

#[tokio::test]
async fn what_is_registered_is_pushed_and_the_ledger_has_it_all() {
    let exchange = Exchange::start(config(&[])).await;
    let mut client = exchange.client("/ws/", "k").await;
    let mut received = client.take(1).await;
    let codes = codes(3);
    let mut asked = BTreeSet::new();
    let presets = ["tick", "quote", "tick10", "quote10"];
    let all = codes.iter().flat_map(|code| presets.map(|preset| (preset, code)));
    for (id, (preset, code)) in (2..).zip(all) {
        client.subscribe(id, preset, code).await;
        asked.insert((preset.to_owned(), code.clone()));
    }
    client.subscribe(90, "tick", "NOSUCH").await;
    client.subscribe(91, "index", "001").await;
    received.extend(client.take(5_000).await);
    client.say(&request("unsubscribe", 92, "tick", &codes[0])).await;
    received.extend(client.take(2_000).await);
    client.socket.close(None).await.unwrap();
    received.extend(client.rest().await.0);

    let lines = exchange.stop().await;
    let sent = texts(&lines, "per_issue", 1);
    assert_eq!(received, sent[..received.len()]);
    let kinds = kinds(&lines);
    assert_eq!((kinds["reply"], kinds["error"], kinds["request"]), (1, 1, 19));
    assert_eq!(
        (kinds["answer"], kinds["snapshot"]),
        (9, 9),
        "eight of each, the index, and the cancelled one"
    );
    for line in lines.iter().filter(|line| line.kind == "data") {
        assert_eq!((objects(&line.text).len(), line.records), (1, 1));
    }
    let data = lines.iter().filter(|line| line.kind == "data");
    let pushed: BTreeSet<_> = data.map(|line| pair(&objects(&line.text)[0])).collect();
    asked.insert(("index".to_owned(), "001".to_owned()));
    assert_eq!(pushed, asked);

    // What was cancelled is silent once that is confirmed.
    let confirmed = sent.iter().position(|text| text.contains("\"id\":92")).unwrap();
    let cancelled = ("tick".to_owned(), codes[0].clone());
    assert!(
        sent[confirmed..]
            .iter()
            .all(|text| pair(&objects(text)[0]) != cancelled)
    );
    let request = lines.iter().find(|line| line.text.contains("NOSUCH")).unwrap();
    let refusal = lines.iter().find(|line| line.kind == "error").unwrap();
    assert_eq!((request.kind.as_str(), request.records), ("request", 0));
    assert!(request.number < refusal.number && refusal.text.contains("\"id\":90"));
}

#[tokio::test]
async fn both_services_agree_on_the_volume_of_a_day() {
    let config = Config {
        per_issue: Some(PerIssueConfig {
            pace: Some(Pace::Max),
            answers: Answers::Ok,
            ..PerIssueConfig::default()
        }),
        ..small_day()
    };
    let exchange = Exchange::start(config).await;
    let code = codes(1).remove(0);
    let mut client = exchange.client("/ws/", "k").await;
    client.subscribe(2, "tick", &code).await;
    let ticks = whole_day(&mut client).await;
    let mut full = 0;
    for path in ["/ws_ksp", "/ws_kdq"] {
        for text in exchange.client(path, "k").await.until_silence().await {
            let records = objects(&text)
                .into_iter()
                .filter(|record| record["isuSrtCd"] == code.as_str());
            full += records
                .map(|record| record["trdVol"].as_str().unwrap().parse::<u64>().unwrap())
                .sum::<u64>();
        }
    }
    let pushes = ticks
        .iter()
        .flat_map(|text| objects(text))
        .filter(|object| object["method"] == "push");
    let volumes: Vec<(u64, u64)> = pushes
        .map(|push| {
            let number = |name: &str| push["params"][name].as_u64().unwrap();
            (number("trdvol"), number("accTrdvol"))
        })
        .collect();
    assert!(volumes.len() > 20, "{ticks:?}");
    assert_eq!(volumes.iter().map(|(volume, _)| volume).sum::<u64>(), full);
    assert_eq!(volumes.last().unwrap().1, full);
    exchange.stop().await;
}

#[tokio::test]
async fn the_limit_is_as_configured_and_a_new_session_begins_with_nothing() {
    let config = Config {
        per_issue: Some(PerIssueConfig {
            rules: PerIssueRules { registrations_max: 2 },
            ..config(&[]).per_issue.unwrap()
        }),
        ..config(&[])
    };
    let exchange = Exchange::start(config).await;
    let codes = codes(3);
    for _ in 0..2 {
        let mut client = exchange.client("/ws", "k").await;
        assert_eq!(client.take(1).await.len(), 1);
        for (id, code) in (2..).zip(&codes[..3]) {
            client.subscribe(id, "tick", code).await;
        }
        let mut answers = Vec::new();
        while answers.len() < 3 {
            let text = client.next().await.unwrap();
            if !text.contains("\"push\"") {
                answers.push(text);
            }
        }
        assert!(
            answers[..2].iter().all(|text| text.contains("\"ok\"")),
            "{answers:?}"
        );
        assert!(answers[2].contains("\"id\":4,\"error\"") && answers[2].contains("10080"));
    }
    let lines = exchange.stop().await;
    assert_eq!(lines.iter().filter(|line| line.kind == "error").count(), 2);
}

#[tokio::test]
async fn faults_of_its_own_are_done_and_on_record() {
    let faults = [
        "answer@1:withheld",
        "answer@2:refused",
        "answer@3:refused-without-id",
        "answer@4:overtaken",
        "answer@5:twice",
        "answer@6:snapshot-after-push",
        "array@50:4",
        "joined@60:2",
        "unregistered@70",
        "error@80",
        "garbage@90:badrecord",
        "forget@100:100",
    ];
    let exchange = Exchange::start(config(&faults)).await;
    let mut client = exchange.client("/ws/", "k").await;
    let codes = codes(7);
    for (id, code) in (2..).zip(&codes[..7]) {
        client.subscribe(id, "tick", code).await;
    }
    let received = client.until_silence().await;
    let lines = exchange.stop().await;
    assert_eq!(received, texts(&lines, "per_issue", 1));
    let with = |id: u64| {
        let id = format!("\"id\":{id},");
        let answers = lines
            .iter()
            .filter(|line| line.kind != "request" && line.text.contains(&id));
        answers.map(|line| line.kind.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(with(2), Vec::<&str>::new());
    assert_eq!(with(3), ["error"]);
    assert_eq!(with(4), Vec::<&str>::new());
    assert_eq!((with(5), with(6)), (vec!["answer"], vec!["answer"; 2]));
    assert_eq!(with(7), ["snapshot"]);
    let place = |part: &str| received.iter().position(|text| text.contains(part)).unwrap();
    assert!(place("\"id\":5,") > place("\"id\":6,"), "overtaken");
    let push = format!(
        "\"push\",\"params\":{{\"preset\":\"tick\",\"isuSrtCd\":\"{}\"",
        codes[5]
    );
    assert!(place("\"id\":7,") > place(&push), "after its first push");

    let data: Vec<&Line> = lines.iter().filter(|line| line.kind == "data").collect();
    assert_eq!(data.len(), 100, "then everything is forgotten");
    assert_eq!((data[50].records, &data[50].text[..1]), (4, "["));
    assert_eq!((data[60].records, data[60].text.contains("}}{")), (2, true));
    for line in &data {
        assert_eq!(objects(&line.text).len(), usize::try_from(line.records).unwrap());
    }
    let kinds = kinds(&lines);
    assert_eq!(
        (kinds["unregistered"], kinds["garbage"], kinds["error"]),
        (1, 1, 3)
    );
    let refused: BTreeSet<String> = data
        .iter()
        .flat_map(|line| objects(&line.text))
        .map(|push| pair(&push).1)
        .collect();
    assert!(refused.contains(&codes[0]) && !refused.contains(&codes[1]) && !refused.contains(&codes[2]));
}

#[tokio::test]
async fn the_faults_of_every_feed_happen_here_too() {
    let exchange = Exchange::start(config(&["half@30", "close@40:4001,service=per_issue"])).await;
    let code = codes(1).remove(0);
    let mut client = exchange.client("/ws/", "k").await;
    client.subscribe(2, "quote10", &code).await;
    let (received, end) = client.rest().await;
    assert_eq!(
        (received.len(), end),
        (32, End::Torn),
        "a reply, a snapshot, and 30 pushes"
    );
    let mut client = exchange.client("/ws/", "k").await;
    client.subscribe(2, "quote10", &code).await;
    assert_eq!(client.rest().await.1, End::Closed(4001));
    let lines = exchange.stop().await;
    assert_eq!(lines.iter().filter(|line| line.kind == "partial").count(), 1);
}

#[tokio::test]
async fn the_exchange_ends_when_those_who_use_it_have_had_their_day() {
    let config = Config {
        exit_at_end: true,
        markets: vec![Market::Kospi],
        per_issue: Some(PerIssueConfig::default()),
        ..small_day()
    };
    let exchange = Exchange::start(config).await;
    let mut full = exchange.client("/ws_ksp", "k").await;
    let mut client = exchange.client("/ws/", "k").await;
    client.subscribe(2, "tick", &codes(1)[0]).await;
    assert!(whole_day(&mut client).await.len() > 20);
    full.until_silence().await;
    for mut client in [full, client] {
        client.socket.close(None).await.unwrap();
        client.rest().await;
    }
    exchange.stop_of_itself().await;
}
