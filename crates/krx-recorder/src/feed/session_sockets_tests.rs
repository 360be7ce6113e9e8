//! Tests of a feed's sessions with a server and a socket: what is put on record, and what the server receives.

use std::sync::Mutex;

use chrono::NaiveTime;
use krx_calendar::{Calendar, Override};
use krx_store::journal::What;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::config::FeedService;
use crate::config::key::{ApiKey, KeySources};
use crate::config::proxy::ProxySetting;
use crate::feed::connect::ProxyVariables;
use crate::feed::queue::{QueuedEntry, queue};
use crate::hours::schedule::Daily;

const MINUTE: Duration = Duration::from_secs(60);

/// A running feed, and everything it has put into its queue.
struct Running {
    schedule: watch::Sender<Schedule>,
    stop: watch::Sender<bool>,
    task: JoinHandle<FeedEnd>,
    entries: Arc<Mutex<Vec<QueuedEntry>>>,
    taking: JoinHandle<()>,
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, url)
}

/// Accepts the server's next session and reads its `init`.
async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = timeout(MINUTE, listener.accept())
        .await
        .expect("nobody connects")
        .unwrap();
    let mut server = accept_async(stream).await.unwrap();
    assert!(server.next().await.unwrap().unwrap().is_text());
    server
}

fn feed(url: &str, queue: Queue) -> (Feed, watch::Sender<Schedule>) {
    let sources = KeySources {
        environment: Some("kyz-9".into()),
        ..KeySources::default()
    };
    let schedule = watch::Sender::new(Schedule::Always);
    let connection = ConnectionConfig {
        proxy: ProxySetting::None,
        proxy_credentials_file: None,
        ca_file: None,
        // Longer than any test: one that waits this long has missed what it waits for.
        connect_timeout: 10 * MINUTE,
        answer_timeout: 10 * MINUTE,
        silent_after: 10 * MINUTE,
        stall_timeout: 10 * MINUTE,
        heartbeat_interval: Duration::from_millis(20),
        backoff_initial: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        message_bytes_max: 1 << 20,
    };
    let config = FeedConfig {
        name: "KOSPI".parse().unwrap(),
        url: url.parse().unwrap(),
        member_name: "x".to_owned(),
        api_key_file: None,
        schedule: Schedule::Always,
        service: FeedService::FullMarket,
    };
    let connector = Connector::new(&config, &connection, &ProxyVariables::default()).unwrap();
    let feed = Feed {
        config,
        connector: Arc::new(connector),
        connection,
        schedule: schedule.subscribe(),
        until_close: false,
        init: ApiKey::read(&sources).unwrap().init_request("x"),
        queue,
        status: Arc::default(),
        wanted: None,
        traded: Arc::default(),
        accepted: Arc::default(),
    };
    (feed, schedule)
}

impl Running {
    fn begin(url: &str) -> Self {
        let (queue, mut reader) = queue();
        let (feed, schedule) = feed(url, queue);
        let stop = watch::Sender::new(false);
        let task = tokio::spawn(feed.run(stop.subscribe()));
        let entries = Arc::<Mutex<Vec<QueuedEntry>>>::default();
        let taking = tokio::task::spawn_blocking({
            let entries = Arc::clone(&entries);
            move || {
                let mut batch = Vec::new();
                while reader.take(&mut batch, 64) {
                    reader.journaled(&batch, 0);
                    entries.lock().unwrap().append(&mut batch);
                }
            }
        });
        Self {
            schedule,
            stop,
            task,
            entries,
            taking,
        }
    }

    fn events(&self) -> Vec<Event> {
        let entries = self.entries.lock().unwrap();
        let event = |entry: &QueuedEntry| match &entry.what {
            What::Event(event) => Some(event.clone()),
            What::Frame(_) => None,
        };
        entries.iter().filter_map(event).collect()
    }

    async fn until(&self, what: &str, is_there: impl Fn(&[Event]) -> bool) {
        let begun = Instant::now();
        while !is_there(&self.events()) {
            assert!(
                begun.elapsed() < MINUTE,
                "{what} within a minute: {:?}",
                self.events()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Asks it to stop, and returns everything it put into the queue.
    async fn end(self) -> Vec<QueuedEntry> {
        self.stop.send_replace(true);
        let ended = timeout(MINUTE, self.task).await.expect("it does not stop");
        assert_eq!(ended.unwrap(), FeedEnd::Stopped);
        self.taking.await.unwrap();
        std::mem::take(&mut self.entries.lock().unwrap())
    }
}

#[tokio::test]
async fn each_session_and_attempt_is_on_record_with_its_end() {
    let (listener, url) = listen().await;
    let running = Running::begin(&url);
    let mut server = accept(&listener).await;
    server.send(Message::text("[1]")).await.unwrap();
    server.close(None).await.unwrap();
    while server.next().await.is_some_and(|message| message.is_ok()) {}
    let mut server = accept(&listener).await;
    // From here on nobody listens.
    drop(listener);
    server.send(Message::text("[2]")).await.unwrap();
    server.get_mut().set_zero_linger().unwrap();
    running
        .until("the second session", |events| {
            events
                .iter()
                .filter(|event| matches!(event, Event::Connected { .. }))
                .count()
                == 2
        })
        .await;
    drop(server);
    let failed = |event: &Event| matches!(event, Event::ConnectFailed { .. });
    running
        .until("two attempts that fail", |events| {
            events.iter().filter(|event| failed(event)).count() > 1
        })
        .await;
    let entries = running.end().await;
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| match &entry.what {
            What::Frame(payload) => String::from_utf8(payload.to_vec()).unwrap(),
            What::Event(Event::Connected { url: of }) => format!("connected {}", *of == url),
            What::Event(Event::Disconnected { reason, .. }) => format!("disconnected {}", reason.as_str()),
            What::Event(Event::ConnectFailed { reason, .. }) => format!("failed {}", reason.as_str()),
            What::Event(event) => format!("{event:?}"),
        })
        // A frame right before the end of its connection may be lost with it.
        .filter(|text| text != "[2]")
        .collect();
    assert_eq!(
        seen[..7],
        [
            "connected true",
            "[1]",
            "disconnected server_closed",
            "connected true",
            "disconnected reset",
            "failed unreachable",
            "failed unreachable",
        ]
    );
}

/// A session that brought data was good, which decides how soon the next one is tried.
#[tokio::test]
async fn a_session_says_whether_it_brought_data() {
    for (text, has_data) in [("[]", true), (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, false)] {
        let (listener, url) = listen().await;
        let (queue, _reader) = queue();
        let (mut feed, _schedule) = feed(&url, queue);
        let server = tokio::spawn(async move {
            let mut server = accept(&listener).await;
            server.send(Message::text(text)).await.unwrap();
            server.close(None).await.unwrap();
            while server.next().await.is_some_and(|message| message.is_ok()) {}
        });
        let (_stop, mut stopping) = watch::channel(false);
        let ended = timeout(MINUTE, feed.session(&mut stopping))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ended.end.reason, GapReason::ServerClosed);
        assert_eq!(ended.data_for.is_some(), has_data, "{text}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_works_while_waiting_for_a_silent_server() {
    let (listener, url) = listen().await;
    let running = Running::begin(&url);
    let (_silent, _) = timeout(MINUTE, listener.accept()).await.unwrap().unwrap();
    assert_eq!(running.end().await, []);
}

#[tokio::test]
async fn a_server_gets_heartbeats_pings_and_a_close_frame() {
    let (listener, url) = listen().await;
    let running = Running::begin(&url);
    let mut server = accept(&listener).await;
    let (mut heartbeats, mut pings) = (0, 0);
    while heartbeats < 3 || pings < 3 {
        let message = timeout(MINUTE, server.next()).await.expect("no heartbeat");
        match message.unwrap().unwrap() {
            Message::Text(text) => {
                assert_eq!(text.as_str(), krx_protocol::heartbeat());
                heartbeats += 1;
            }
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    running.stop.send_replace(true);
    let goodbye = async {
        loop {
            match server.next().await {
                Some(Ok(Message::Close(_))) => return true,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return false,
            }
        }
    };
    let said = timeout(MINUTE, goodbye).await.unwrap();
    assert!(said, "it left without a close frame");
    running.end().await;
}

/// A reloaded schedule, by which no day is a trading day.
fn closed() -> Schedule {
    let today = Moment::now().date();
    let overrides = today.iter_days().take(3).map(|date| Override {
        date,
        hours: None,
        note: None,
    });
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    Schedule::Calendar(Daily {
        open: time(8),
        close: time(20),
        calendar: Arc::new(Calendar::with_overrides(overrides)),
    })
}

#[tokio::test]
async fn a_session_ends_with_the_hours_even_while_data_arrives() {
    let (listener, url) = listen().await;
    let running = Running::begin(&url);
    let mut server = accept(&listener).await;
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while server.send(Message::text("[]")).await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        sent
    });
    running
        .until("a session", |events| matches!(events, [Event::Connected { .. }]))
        .await;
    running.schedule.send_replace(closed());
    running
        .until("the end of the hours", |events| {
            events.contains(&Event::SessionEnd)
        })
        .await;
    let events = running.events();
    let [
        Event::Connected { .. },
        Event::Disconnected { reason, detail },
        Event::SessionEnd,
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (*reason, detail.as_str()),
        (GapReason::Shutdown, "the day's hours are over")
    );
    running.end().await;
    assert!(timeout(MINUTE, sending).await.unwrap().unwrap() > 0);
}

/// Pings cost a server nothing. What it sends after them waits with them.
#[tokio::test]
async fn endless_pings_are_read_no_faster_than_their_pace() {
    let (listener, url) = listen().await;
    let running = Running::begin(&url);
    let mut server = accept(&listener).await;
    let sending = tokio::spawn(async move {
        for _ in 0..1000 {
            server.feed(Message::Ping(Bytes::new())).await.unwrap();
        }
        server.send(Message::text("[]")).await.unwrap();
        while server.next().await.is_some_and(|message| message.is_ok()) {}
    });
    let frame = |entry: &QueuedEntry| matches!(entry.what, What::Frame(_)).then_some(entry.at.0);
    let begun = Instant::now();
    while !running
        .entries
        .lock()
        .unwrap()
        .iter()
        .any(|entry| frame(entry).is_some())
    {
        assert!(begun.elapsed() < MINUTE, "no frame");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A hundred in a tenth of a second.
    assert!(
        begun.elapsed() > Duration::from_millis(700),
        "{:?}",
        begun.elapsed()
    );
    running.end().await;
    timeout(MINUTE, sending).await.unwrap().unwrap();
}
