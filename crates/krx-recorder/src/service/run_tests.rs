//! A whole recorder in this process, and servers that refuse a key.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::{SinkExt, StreamExt};
use krx_store::coverage;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::config::proxy::ProxySetting;
use crate::config::{KeySources, Overrides};
use crate::process::exit::Exit;
use crate::process::logging::Filter;

const MINUTE: Duration = Duration::from_secs(60);

const RECORD: &str = r#"[{"isuSrtCd":"005930","trdPrc":"71000","trdVol":"1","trdTm":"9000001"}]"#;

/// What a server does in each session after it has read `init`.
#[derive(Clone, Copy)]
enum Conduct {
    Refuse,
    Send,
    SayNothing,
}

/// A server on a port of its own.
#[derive(Clone, Default)]
struct Server {
    /// Sessions that were opened.
    sessions: Arc<AtomicU64>,
    /// Sessions that have ended.
    over: Arc<AtomicU64>,
    /// Messages sent.
    sent: Arc<AtomicU64>,
}

impl Server {
    async fn begin(conduct: Conduct) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = Self::default();
        let told = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(told.clone().serve(stream, conduct));
            }
        });
        (server, url)
    }

    async fn serve(self, stream: tokio::net::TcpStream, conduct: Conduct) {
        let mut socket = accept_async(stream).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_text());
        self.sessions.fetch_add(1, Relaxed);
        loop {
            let text = match conduct {
                Conduct::Refuse => {
                    r#"{"error":{"code":10070,"message":"qzx-api-key-7391, kyz-other-key-55"}}"#
                }
                Conduct::Send => RECORD,
                Conduct::SayNothing => "",
            };
            if !text.is_empty() && socket.send(Message::text(text)).await.is_ok() {
                self.sent.fetch_add(1, Relaxed);
            }
            let heard = timeout(Duration::from_millis(20), socket.next()).await;
            if matches!(heard, Ok(None | Some(Err(_) | Ok(Message::Close(_))))) {
                break;
            }
        }
        self.over.fetch_add(1, Relaxed);
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < MINUTE, "{what}, within a minute");
        sleep(Duration::from_millis(10)).await;
    }
}

fn key(text: &str) -> ApiKey {
    let sources = KeySources {
        environment: Some(text.into()),
        ..KeySources::default()
    };
    ApiKey::read(&sources).unwrap()
}

#[tokio::test]
async fn i7_a_refused_key_ends_its_own_feeds_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        data_dir: Some(dir.path().join("data")),
        base_url: Some("ws://127.0.0.1:1".into()),
        member_name: Some("x".into()),
        always: true,
    };
    let mut config = Config::load(None, &overrides).unwrap();
    config.connection.proxy = ProxySetting::None;
    let (refusing, url_of_refusing) = Server::begin(Conduct::Refuse).await;
    let (sending, url_of_sending) = Server::begin(Conduct::Send).await;
    let (silent, url_of_silent) = Server::begin(Conduct::SayNothing).await;
    config.feeds.push(config.feeds[0].clone());
    config.feeds[2].name = "KONEX".parse().unwrap();
    for (feed, url) in config
        .feeds
        .iter_mut()
        .zip([url_of_refusing, url_of_sending, url_of_silent])
    {
        feed.url = url.parse().unwrap();
    }
    let data = DataDir::new(&config.data_dir);
    std::fs::create_dir_all(data.path()).unwrap();
    let keys = ["qzx-api-key-7391", "kyz-other-key-55", "qzx-api-key-7391"].map(key);
    let (request, requests) = mpsc::unbounded_channel();
    let source = reload::Source {
        load: Box::new(|| panic!("nobody asks for it")),
        filter: Filter::default(),
        until_close: false,
    };
    let sent_at_refusal = AtomicU64::new(0);
    let script = async {
        until("the feed with the same key ends", || {
            silent.over.load(Relaxed) == 1
        })
        .await;
        assert_eq!(refusing.sessions.load(Relaxed), 2, "it tries twice");
        let so_far = sending.sent.load(Relaxed);
        sent_at_refusal.store(so_far, Relaxed);
        until("the other one goes on", || {
            sending.sent.load(Relaxed) > so_far + 20
        })
        .await;
        assert_eq!(sending.over.load(Relaxed), 0);
        request.send(Request::Stop).unwrap();
    };
    let running = run(config, &keys, false, source, requests);
    let (ended, ()) = tokio::join!(timeout(2 * MINUTE, running), script);
    let failure = ended.expect("it ends").unwrap_err();
    assert_eq!(failure.exit(), Exit::KeyRefused);
    let words = failure.to_string();
    assert!(
        words.contains("for KOSPI: error 10070: (the key), (the key);"),
        "{words}"
    );
    let (kosdaq, now) = ("KOSDAQ".parse().unwrap(), Moment::now());
    let intervals = coverage::view(&data, &kosdaq, now.date(), now).unwrap();
    let received: u64 = intervals.iter().map(|interval| interval.frames).sum();
    assert!(
        received > sent_at_refusal.load(Relaxed),
        "{received} frames: {intervals:?}"
    );
}
