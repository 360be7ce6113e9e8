//! A simulated exchange in this process, and a client that speaks to it over loopback.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use krx_simulator::{Config, DayConfig, EventFormat, Pace, SimulatorError, serve};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Far longer than anything here takes: a test that gets there hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A day that is small enough to be read to its end at once.
pub(crate) fn small_day() -> Config {
    Config {
        day: DayConfig {
            trades_per_day: 20_000,
            ..DayConfig::default()
        },
        pace: Pace::Max,
        events: EventFormat::Silent,
        heartbeat_interval: None,
        ..Config::default()
    }
}

pub(crate) struct Exchange {
    pub(crate) address: String,
    ledger: PathBuf,
    _directory: TempDir,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), SimulatorError>>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// The market of a full-market feed, or `per_issue`.
    #[serde(alias = "service")]
    pub(crate) market: String,
    pub(crate) session: u32,
    pub(crate) number: u64,
    pub(crate) sent_us: u64,
    pub(crate) kind: String,
    pub(crate) records: u32,
    pub(crate) sha256: String,
    pub(crate) text: String,
}

impl Exchange {
    pub(crate) async fn start(config: Config) -> Exchange {
        let directory = tempfile::tempdir().unwrap();
        let ledger = directory.path().join("ledger.jsonl");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let config = Config {
            ledger: Some(ledger.clone()),
            ..config
        };
        let served = tokio::spawn(serve(listener, config, async {
            let _ = stopped.await;
        }));
        Exchange {
            address,
            ledger,
            _directory: directory,
            stop,
            served,
        }
    }

    /// Stops the exchange in order and reads what it says it sent.
    pub(crate) async fn stop(self) -> Vec<Line> {
        let _ = self.stop.send(());
        timeout(PATIENCE, self.served)
            .await
            .expect("the exchange stops")
            .unwrap()
            .unwrap();
        let text = std::fs::read_to_string(&self.ledger).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
        let lines: Vec<Line> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for line in &lines {
            let digest: String = Sha256::digest(line.text.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(line.sha256, digest);
        }
        lines
    }

    /// Waits until the exchange stops of itself.
    pub(crate) async fn stop_of_itself(self) {
        let served = timeout(PATIENCE, self.served);
        served.await.expect("the exchange stops").unwrap().unwrap();
    }

    pub(crate) async fn connect(&self, path: &str) -> Result<Client, Error> {
        let (socket, _) = connect_async(format!("ws://{}{path}", self.address)).await?;
        Ok(Client { socket })
    }

    /// Connects and sends a good `init`.
    pub(crate) async fn client(&self, path: &str, key: &str) -> Client {
        let mut client = self.connect(path).await.unwrap();
        client.init(key).await;
        client
    }
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// How a connection ended for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Closed(u16),
    /// Ended with a FIN and no close frame.
    Torn,
    /// Ended with a RST.
    Reset,
}

impl Client {
    pub(crate) async fn init(&mut self, key: &str) {
        let init = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"init\",\"params\":{{\"key\":\"{key}\",\"membername\":\"Example\"}}}}"
        );
        self.say(&init).await;
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next text message, or how the connection ended.
    pub(crate) async fn next(&mut self) -> Result<String, End> {
        loop {
            match timeout(PATIENCE, self.socket.next())
                .await
                .expect("a message or an end")
            {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => return Err(End::Closed(frame.unwrap().code.into())),
                Some(Ok(_)) => {}
                Some(Err(Error::Io(error))) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(End::Reset);
                }
                Some(Err(_)) | None => return Err(End::Torn),
            }
        }
    }

    /// So many text messages.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.next().await.unwrap());
        }
        texts
    }

    /// All text messages until the connection ends, and how it did.
    pub(crate) async fn rest(&mut self) -> (Vec<String>, End) {
        let mut texts = Vec::new();
        loop {
            match self.next().await {
                Ok(text) => texts.push(text),
                Err(end) => return (texts, end),
            }
        }
    }

    /// All text messages until nothing comes for a while.
    pub(crate) async fn until_silence(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(Some(Ok(message))) = timeout(Duration::from_millis(800), self.socket.next()).await {
            if let Message::Text(text) = message {
                texts.push(text.as_str().to_owned());
            }
        }
        texts
    }
}

/// The texts that were sent in one session of a market, or of `per_issue`, by the ledger's lines.
pub(crate) fn texts(lines: &[Line], market: &str, session: u32) -> Vec<String> {
    let lines: Vec<&Line> = lines
        .iter()
        .filter(|line| line.market == market && line.session == session && line.kind != "request")
        .collect();
    for (line, number) in lines.iter().zip(1..) {
        assert_eq!(line.number, number, "numbers follow one another");
    }
    lines.iter().map(|line| line.text.clone()).collect()
}
