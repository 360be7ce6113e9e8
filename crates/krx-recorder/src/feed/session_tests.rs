//! Tests of what a feed does with each message, without a socket.

use std::cell::Cell;

use futures_util::stream;
use krx_store::journal::What;

use super::*;
use crate::config::FeedService;
use crate::config::proxy::ProxySetting;
use crate::feed::connect::ProxyVariables;
use crate::feed::queue::queue;

fn init() -> InitRequest {
    let sources = crate::config::key::KeySources {
        environment: Some("kyz-9".into()),
        ..Default::default()
    };
    let key = crate::config::key::ApiKey::read(&sources).unwrap();
    key.init_request("x")
}

fn reader<'a>(
    init: &'a InitRequest,
    queue: &'a Queue,
    status: &'a FeedStatus,
    accepted: &'a AtomicBool,
) -> Reader<'a> {
    Reader {
        feed: "KOSPI",
        init,
        queue,
        status,
        accepted,
        conversation: Box::new(FullMarket::begin(
            Duration::from_secs(10),
            Duration::from_secs(30),
            Instant::now().into_std(),
        )),
        error_lines: LinePace::default(),
    }
}

#[tokio::test]
async fn a_frame_is_stamped_as_soon_as_it_is_read() {
    let (queue, mut entries) = queue();
    let (status, accepted) = (FeedStatus::default(), AtomicBool::new(false));
    // The clock counts steps: reading is step 1, stamping must be step 2, and all other work comes later.
    let step = Cell::new(0);
    let tick = || {
        step.set(step.get() + 1);
        step.get()
    };
    let mut messages = Box::pin(stream::poll_fn(|_| {
        tick();
        std::task::Poll::Ready(Some(Ok(Message::text("[]"))))
    }));
    let (at, message) = next_message(&mut messages, None, || Moment(tick())).await;
    let init = init();
    let read = reader(&init, &queue, &status, &accepted)
        .take(at, message)
        .await
        .unwrap();
    assert_eq!((read, step.get()), (Read::Message, 2));
    let batch = tokio::task::spawn_blocking(move || {
        let mut batch = Vec::new();
        entries.take(&mut batch, 10);
        batch
    })
    .await
    .unwrap();
    assert_eq!(
        (batch[0].at, &batch[0].what),
        (Moment(2), &What::Frame(Bytes::from_static(b"[]")))
    );
    assert_eq!(status.last_frame_us.load(Relaxed), 2);
}

#[tokio::test]
async fn each_kind_of_message_is_recognised() {
    let ((queue, _entries), init) = (queue(), init());
    let end = |reason, detail: &str, asked| {
        Read::End(End {
            reason,
            detail: detail.to_owned(),
            asked,
        })
    };
    let closed = |detail| end(GapReason::ServerClosed, detail, Asked::Nothing);
    let close = |code: u16, reason: &str| {
        Message::Close(Some(tungstenite::protocol::CloseFrame {
            code: code.into(),
            reason: reason.into(),
        }))
    };
    let cases = [
        (Message::text("[]"), Read::Message, true),
        (Message::binary("[]"), Read::Message, true),
        (Message::text("garbage"), Read::Message, true),
        (
            Message::text(r#"{"jsonrpc":"2.0","id":1,"result":{"message":"ok"}}"#),
            Read::Message,
            true,
        ),
        (Message::text(krx_protocol::heartbeat()), Read::Message, false),
        (
            Message::text(r#"{"error":{"code":47,"message":"x"}}"#),
            Read::Message,
            false,
        ),
        (
            Message::text(r#"{"jsonrpc":"2.0","method":"push","params":{"preset":"tick"}}"#),
            Read::Message,
            true,
        ),
        (Message::text(r#"{"hello":1}"#), Read::Message, false),
        (Message::text(" \n"), Read::Message, false),
        (
            Message::text(r#"{"error":{"code":10070,"message":"고객 정보가 일치하지 않습니다"}}"#),
            end(
                GapReason::Refused,
                "error 10070: 고객 정보가 일치하지 않습니다",
                Asked::OtherKey,
            ),
            false,
        ),
        (
            Message::text(r#"{"error":{"code":13004,"message":"잠시 후 재접속"}}"#),
            end(
                GapReason::Reconnect,
                "error 13004: 잠시 후 재접속",
                Asked::Reconnect,
            ),
            false,
        ),
        // What a server says is shortened to one line, and never repeats the key (I7).
        (
            Message::text(r#"{"error":{"code":13001,"message":"no\r\nINFO key ky\u0000z-9"}}"#),
            end(
                GapReason::Refused,
                "error 13001: noINFO key (the key)",
                Asked::OtherKey,
            ),
            false,
        ),
        (
            close(4001, &"x".repeat(120)),
            closed(&format!("close code 4001: {}", "x".repeat(120))),
            false,
        ),
        (close(1001, ""), closed("close code 1001"), false),
        (
            close(4002, "a\r\nb\u{1b}[0m"),
            closed("close code 4002: ab[0m"),
            false,
        ),
        (Message::Close(None), closed("no close code"), false),
        (Message::Ping(Bytes::new()), Read::Control, false),
        (Message::Pong(Bytes::from_static(b"1")), Read::Control, false),
    ];
    for (message, expected, accepts) in cases {
        let (status, accepted) = (FeedStatus::default(), AtomicBool::new(false));
        let read = reader(&init, &queue, &status, &accepted)
            .take(Moment::now(), Some(Ok(message)))
            .await
            .unwrap();
        assert_eq!((read, accepted.load(Relaxed)), (expected, accepts));
    }
}

#[test]
fn connection_errors_and_protocol_errors_are_distinguished() {
    use tungstenite::error::{CapacityError, Error, ProtocolError};
    let too_long = CapacityError::MessageTooLong { size: 2, max_size: 1 };
    for (error, expected) in [
        (Error::Capacity(too_long), GapReason::Protocol),
        (Error::Utf8("x".to_owned()), GapReason::Protocol),
        (
            Error::Protocol(ProtocolError::InvalidOpcode(3)),
            GapReason::Protocol,
        ),
        (
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
            GapReason::Reset,
        ),
        (
            Error::Io(std::io::ErrorKind::ConnectionReset.into()),
            GapReason::Reset,
        ),
        (Error::ConnectionClosed, GapReason::Reset),
    ] {
        assert_eq!(reason_of(&error), expected, "{error}");
    }
}

/// The disk hangs: again and again the queue stays full for longer than any timer's interval, yet each message that was
/// read arrives, in order (I1). The server feels the backpressure, and nothing else happens.
#[tokio::test]
async fn i1_a_full_queue_loses_no_message_whatever_timers_fire() {
    const MESSAGES: usize = 60;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut server = tokio_tungstenite::accept_async(stream).await.unwrap();
        server.next().await.unwrap().unwrap();
        for index in 0..MESSAGES {
            server.send(Message::text(format!("[{index}]"))).await.unwrap();
        }
        while server.next().await.is_some_and(|message| message.is_ok()) {}
    });
    let (queue, mut entries) = crate::feed::queue::bounded(1000);
    let second = Duration::from_secs(1);
    let connection = ConnectionConfig {
        proxy: ProxySetting::None,
        proxy_credentials_file: None,
        ca_file: None,
        connect_timeout: second,
        answer_timeout: second,
        silent_after: second,
        heartbeat_interval: Duration::from_millis(20),
        stall_timeout: 30 * second,
        backoff_initial: second,
        backoff_max: second,
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
        schedule: watch::channel(Schedule::Always).1,
        until_close: false,
        init: init(),
        queue,
        status: Arc::default(),
        wanted: None,
        traded: Arc::default(),
        accepted: Arc::default(),
    };
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(feed.run(stopping));
    // Slower than the watchdog's 250 ms, with room for seven messages at a time.
    let texts = tokio::task::spawn_blocking(move || {
        let (mut texts, mut batch) = (Vec::new(), Vec::new());
        while texts.len() < MESSAGES && entries.take(&mut batch, 8) {
            std::thread::sleep(Duration::from_millis(300));
            entries.journaled(&batch, 0);
            texts.extend(batch.drain(..).filter_map(|entry| match entry.what {
                What::Frame(payload) => Some(String::from_utf8(payload.to_vec()).unwrap()),
                What::Event(_) => None,
            }));
        }
        (texts, entries)
    });
    let (texts, _entries) = timeout(30 * second, texts)
        .await
        .expect("no message is missing")
        .unwrap();
    assert_eq!(
        texts,
        (0..MESSAGES)
            .map(|index| format!("[{index}]"))
            .collect::<Vec<_>>()
    );
    stop.send_replace(true);
    assert_eq!(
        timeout(5 * second, running).await.unwrap().unwrap(),
        FeedEnd::Stopped
    );
    server.abort();
}
