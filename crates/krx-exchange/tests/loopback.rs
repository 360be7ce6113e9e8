//! The exchange over a real socket on loopback, with a program of a few messages.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use krx_exchange::{
    Config, Cursor, Deed, Endpoint, EventFormat, ExchangeError, Farewell, IssueDay, Issues, Market,
    MessageKind, Messages, Next, Note, Pace, PerIssueRules, Program, Push, Script, Subscription, TimeOfDay,
    TimedMessage, Welcome, listen, serve, supply, transcript,
};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Far longer than anything here takes: a test that gets there hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const REPLY: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#;

fn message(text: &str) -> TimedMessage {
    TimedMessage {
        at: TimeOfDay(0),
        records: 1,
        text: text.into(),
    }
}

/// A day that another thread supplies: its market's name, once and again.
fn supplied_day(market: Market) -> Cursor {
    let (mut supplier, supply) = supply();
    std::thread::spawn(move || {
        for _ in 0..2 {
            supplier.give(message(market.name())).unwrap();
        }
        supplier.finish().unwrap();
    });
    Cursor::new(supply, TimeOfDay(0), Pace::Max)
}

struct Served {
    url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ExchangeError>>,
}

impl Served {
    async fn start(config: Config, program: impl Program + 'static) -> Served {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let config = Config {
            events: EventFormat::Silent,
            ..config
        };
        let task = tokio::spawn(serve(listener, config, program, async {
            let _ = stopped.await;
        }));
        Served { url, stop, task }
    }

    /// Connects to the feed of `market` and sends a good `init`.
    async fn client(&self, market: Market) -> Client {
        self.client_at(Endpoint::FullMarket(market)).await
    }

    /// Connects to `endpoint` and sends a good `init`.
    async fn client_at(&self, endpoint: Endpoint) -> Client {
        let (mut socket, _) = connect_async(format!("{}{}", self.url, endpoint.path()))
            .await
            .unwrap();
        let init = r#"{"jsonrpc":"2.0","id":1,"method":"init","params":{"key":"k","membername":"Example"}}"#;
        socket.send(Message::text(init)).await.unwrap();
        Client(socket)
    }

    async fn end(self) -> Result<(), ExchangeError> {
        timeout(PATIENCE, self.task).await.expect("an end").unwrap()
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    /// The next text message; `None` at the end of the connection.
    async fn next(&mut self) -> Option<String> {
        let next = timeout(PATIENCE, self.0.next())
            .await
            .expect("a message or an end");
        next?.ok()?.into_text().ok().map(|text| text.to_string())
    }

    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.next().await.unwrap());
        }
        texts
    }
}

#[tokio::test]
async fn each_feed_has_the_day_of_its_market_and_the_exchange_can_end_with_it() {
    let config = Config {
        exit_at_end: true,
        ..Config::default()
    };
    let served = Served::start(config, supplied_day).await;
    for market in Market::ALL {
        let mut client = served.client(market).await;
        assert_eq!(client.take(3).await, [REPLY, market.name(), market.name()]);
        client.0.close(None).await.unwrap();
    }
    served.end().await.unwrap();
}

/// Messages without end.
struct Endless;

impl Messages for Endless {
    fn next(&mut self) -> Next {
        Next::Message(message("[]"))
    }
}

/// After two messages the session gets a word more, and half a frame, and ends; the next one begins with a word.
#[derive(Default)]
struct Scripted(Option<TimedMessage>);

impl Program for Scripted {
    fn day(&self, _: Market) -> Cursor {
        Cursor::new(Endless, TimeOfDay(0), Pace::Max)
    }

    fn script(&self, _: Endpoint) -> Box<dyn Script> {
        Box::new(Scripted::default())
    }
}

impl Script for Scripted {
    fn ahead(&mut self) -> Option<TimedMessage> {
        self.0.take()
    }

    fn sent(&mut self, data_messages: u64) -> Vec<Deed> {
        if data_messages != 2 {
            return Vec::new();
        }
        self.0 = Some(message("again"));
        let say = Deed::Say {
            kind: MessageKind::Scripted("word"),
            records: 0,
            text: "a word".into(),
        };
        let write = Deed::Write {
            kind: MessageKind::Scripted("torn"),
            text: "to".into(),
            bytes: b"\x81\x04to".to_vec(),
        };
        let end = Deed::End {
            farewell: Farewell::HangUp,
            reason: "scripted".to_owned(),
        };
        vec![say, write, end]
    }
}

#[tokio::test]
async fn a_script_is_done_in_its_order_and_the_transcript_has_it() {
    let (transcript, mut notes) = transcript();
    let told = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some(note) = notes.recv().await {
            if let Note::Sent { entry, .. } = note {
                told.push((entry.session, entry.number, entry.kind.name()));
            }
        }
        told
    });
    let config = Config {
        transcript: Some(transcript),
        ..Config::default()
    };
    let served = Served::start(config, Scripted::default()).await;
    let mut client = served.client(Market::Kospi).await;
    assert_eq!(client.take(4).await, [REPLY, "[]", "[]", "a word"]);
    assert_eq!(client.next().await, None, "half a frame is not a message");
    let mut client = served.client(Market::Kospi).await;
    assert_eq!(client.take(3).await, [REPLY, "again", "[]"]);
    served.stop.send(()).unwrap();
    timeout(PATIENCE, served.task).await.unwrap().unwrap().unwrap();

    let told = timeout(PATIENCE, told).await.expect("its end").unwrap();
    let expected = [
        (1, 1, "reply"),
        (1, 2, "data"),
        (1, 3, "data"),
        (1, 4, "word"),
        (1, 5, "torn"),
        (2, 1, "reply"),
        (2, 2, "data"),
    ];
    assert_eq!(told[..expected.len()], expected);
}

/// One issue, `000210`, of which the registration's number is pushed without end.
#[derive(Default)]
struct OneIssue {
    registered: Vec<u64>,
    nth: usize,
}

impl Program for OneIssue {
    fn day(&self, _: Market) -> Cursor {
        Cursor::new(Endless, TimeOfDay(0), Pace::Max)
    }

    fn issues(&self) -> IssueDay {
        IssueDay::new(OneIssue::default(), TimeOfDay(0), Pace::Max)
    }
}

impl Issues for OneIssue {
    fn register(&mut self, number: u64, subscription: &Subscription) -> Welcome {
        if subscription.pair.code != "000210" {
            return Welcome::NoSuchIssue;
        }
        self.registered.push(number);
        Welcome::WithState
    }

    fn cancel(&mut self, number: u64) {
        self.registered.retain(|one| *one != number);
    }

    fn state(&self, number: u64) -> Option<String> {
        Some(format!("{{\"number\":{number}}}"))
    }

    fn next(&mut self) -> Next<Push> {
        self.nth += 1;
        let at = TimeOfDay(0);
        let registered = self.registered.get(self.nth % self.registered.len().max(1));
        Next::Message(registered.map_or(Push::Mark(at), |number| Push::Of {
            registration: *number,
            at,
            params: format!("{{\"number\":{number}}}"),
        }))
    }
}

fn subscribe(id: u64, preset: &str, code: &str) -> Message {
    let params = format!("{{\"preset\":\"{preset}\",\"isuSrtCd\":\"{code}\"}}");
    Message::text(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"subscribe\",\"params\":{params}}}"
    ))
}

#[tokio::test]
async fn the_per_issue_service_sends_what_is_asked_for_and_a_new_session_begins_with_nothing() {
    let (transcript, mut notes) = transcript();
    let told = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some(note) = notes.recv().await {
            if let Note::Sent { entry, .. } = note {
                told.push((entry.endpoint, entry.session, entry.number, entry.kind.name()));
            }
        }
        told
    });
    let config = Config {
        transcript: Some(transcript),
        per_issue: Some(PerIssueRules { registrations_max: 1 }),
        ..Config::default()
    };
    let served = Served::start(config, OneIssue::default()).await;
    let mut first = served.client_at(Endpoint::PerIssue).await;
    assert_eq!(first.next().await.unwrap(), REPLY);
    first.0.send(subscribe(2, "tick", "000210")).await.unwrap();
    let push = |number: u64| format!(r#"{{"jsonrpc":"2.0","method":"push","params":{{"number":{number}}}}}"#);
    let state =
        |id: u64, number: u64| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"number":{number}}}}}"#);
    assert_eq!(first.take(2).await, [state(2, 1), push(1)]);
    first.0.send(subscribe(3, "quote", "000210")).await.unwrap();
    let error = loop {
        let text = first.next().await.unwrap();
        if text != push(1) {
            break text;
        }
    };
    assert!(
        error.contains(r#""id":3,"error""#) && error.contains("10080"),
        "{error}"
    );

    let mut second = served.client_at(Endpoint::PerIssue).await;
    assert_eq!(second.next().await.unwrap(), REPLY);
    second.0.send(subscribe(2, "tick", "999999")).await.unwrap();
    let answer = second.next().await.unwrap();
    assert!(
        answer.contains(r#""id":2,"error""#) && answer.contains("10040"),
        "{answer}"
    );
    let beat = r#"{"jsonrpc":"2.0","id":4,"method":"heartbeat"}"#;
    second.0.send(Message::text(beat)).await.unwrap();
    assert_eq!(second.next().await.unwrap(), beat);
    second
        .0
        .send(Message::text(r#"{"id":5,"method":"order"}"#))
        .await
        .unwrap();
    let unknown = second.next().await.unwrap();
    assert!(
        unknown.contains(r#""id":5,"error""#) && unknown.contains("47"),
        "{unknown}"
    );
    served.stop.send(()).unwrap();
    timeout(PATIENCE, served.task).await.unwrap().unwrap().unwrap();

    let told = timeout(PATIENCE, told).await.expect("its end").unwrap();
    let expected = [(1, "reply"), (1, "request"), (2, "snapshot"), (3, "data")];
    let expected = expected.map(|(number, kind)| (Endpoint::PerIssue, 1, number, kind));
    assert_eq!(told[..4], expected);
    let last: Vec<_> = told.iter().filter(|(_, session, ..)| *session == 2).collect();
    let kinds: Vec<&str> = last.iter().map(|(.., kind)| *kind).collect();
    assert_eq!(kinds, ["reply", "request", "error", "heartbeat", "error"]);
}

#[tokio::test]
async fn the_per_issue_service_is_only_there_if_it_is_wanted() {
    let served = Served::start(Config::default(), OneIssue::default()).await;
    let error = connect_async(format!("{}/ws/", served.url)).await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
    served.stop.send(()).unwrap();
    served.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn nothing_is_sent_that_nobody_takes_note_of() {
    let (transcript, notes) = transcript();
    drop(notes);
    let config = Config {
        transcript: Some(transcript),
        ..Config::default()
    };
    let served = Served::start(config, supplied_day).await;
    let error = served.end().await.unwrap_err();
    assert!(error.to_string().contains("keeping the transcript"), "{error}");
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let error = listen("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ExchangeError::NotLoopback(_)), "{error}");
}
