//! One connection that speaks WebSocket: sends texts, each entered in the ledger first.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{FrameHeader, Utf8Bytes};

use crate::ledger::{Entry, LedgerGone, LedgerHandle, MessageKind};
use crate::market::Market;
use crate::supply::TimedMessage;
use crate::transport::Transport;

/// How long the end of a connection may take: enough for a client on the same machine that is alive.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Why nothing more can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The ledger cannot be written: the whole exchange must stop.
    Ledger,
    /// The client is gone.
    Socket(String),
}

impl From<LedgerGone> for Broken {
    fn from(_: LedgerGone) -> Broken {
        Broken::Ledger
    }
}

/// What came from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(Utf8Bytes),
    /// Pings, pongs and binary messages: nothing to do about them.
    Other,
    /// The client closed the connection, with or without saying so.
    Left(String),
}

/// A connection, and what was sent on it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) market: Market,
    /// The session's number in its market; 0 for a connection that is not initialised.
    pub(crate) number: u32,
    /// Data messages sent, and the records in them.
    pub(crate) data_messages: u64,
    pub(crate) data_records: u64,
    texts: u64,
    last_data: Utf8Bytes,
    socket: WebSocketStream<Transport>,
    ledger: Option<LedgerHandle>,
}

impl Session {
    pub(crate) fn new(
        market: Market,
        socket: WebSocketStream<Transport>,
        ledger: Option<LedgerHandle>,
    ) -> Session {
        Session {
            market,
            number: 0,
            data_messages: 0,
            data_records: 0,
            texts: 0,
            last_data: Utf8Bytes::default(),
            socket,
            ledger,
        }
    }

    /// Hands a data message to the socket, which gathers some before it writes them.
    pub(crate) async fn send_data(&mut self, message: TimedMessage) -> Result<(), Broken> {
        self.data_messages += 1;
        self.data_records += u64::from(message.records);
        self.last_data = message.text.clone();
        self.enter(MessageKind::Data, message.records, &message.text)
            .await?;
        self.feed(message.text).await
    }

    /// Sends a message that is no data, and everything before it, at once.
    pub(crate) async fn send(
        &mut self,
        kind: MessageKind,
        records: u32,
        text: impl Into<Utf8Bytes>,
    ) -> Result<(), Broken> {
        let text = text.into();
        self.enter(kind, records, &text).await?;
        self.feed(text).await?;
        self.flush().await
    }

    async fn enter(&mut self, kind: MessageKind, records: u32, text: &Utf8Bytes) -> Result<(), Broken> {
        self.texts += 1;
        if let Some(ledger) = &self.ledger {
            let entry = Entry {
                market: self.market,
                session: self.number,
                number: self.texts,
                kind,
                records,
                text: text.clone(),
            };
            ledger.enter(entry).await?;
        }
        Ok(())
    }

    async fn feed(&mut self, text: Utf8Bytes) -> Result<(), Broken> {
        self.socket
            .feed(Message::Text(text))
            .await
            .map_err(|error| Broken::Socket(error.to_string()))
    }

    /// Writes everything that was gathered.
    pub(crate) async fn flush(&mut self) -> Result<(), Broken> {
        self.socket
            .flush()
            .await
            .map_err(|error| Broken::Socket(error.to_string()))
    }

    /// The next thing that comes from the client. Nothing is lost when it is not awaited to its end.
    pub(crate) async fn hear(&mut self) -> Heard {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Heard::Text(text),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or_else(String::new, |frame| format!(" with code {}", frame.code));
                Heard::Left(format!("closed by the client{code}"))
            }
            Some(Ok(_)) => Heard::Other,
            Some(Err(error)) => Heard::Left(format!("connection lost: {error}")),
            None => Heard::Left("closed".to_owned()),
        }
    }

    /// Asks the ledger to write what it knows of this session.
    pub(crate) async fn flush_ledger(&self) -> Result<(), Broken> {
        if let Some(ledger) = &self.ledger {
            ledger.flush().await?;
        }
        Ok(())
    }

    /// Ends the connection with a close frame. A client that does not answer is not waited for long.
    pub(crate) async fn close(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into(),
        };
        let goodbye = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        // Whether the client said goodbye in time makes no difference: the socket is dropped.
        let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
    }

    /// Ends the connection with a FIN and no close frame.
    pub(crate) async fn hang_up(mut self) {
        let goodbye = async {
            let transport = self.socket.get_mut();
            if transport.shutdown().await.is_ok() {
                // Dropping a socket with unread bytes in it would send a RST instead.
                let mut sink = [0; 4_096];
                while transport.read(&mut sink).await.is_ok_and(|len| len > 0) {}
            }
        };
        let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
    }

    /// Ends the connection with a RST.
    pub(crate) fn reset(self) {
        // Where the system refuses, the connection still ends, only more politely.
        let _ = self.socket.get_ref().reset_on_drop();
    }

    /// Sends the first half of a frame that repeats the last data message: no receiver gets a message.
    pub(crate) async fn send_half(&mut self) -> Result<(), Broken> {
        let half = Utf8Bytes::from(&self.last_data.as_str()[..self.last_data.len() / 2]);
        self.enter(MessageKind::Partial, 0, &half).await?;
        self.flush().await?;
        let header = FrameHeader {
            opcode: OpCode::Data(Data::Text),
            ..FrameHeader::default()
        };
        let mut bytes = Vec::new();
        let whole_len = u64::try_from(self.last_data.len()).unwrap_or(u64::MAX);
        header
            .format(whole_len, &mut bytes)
            .map_err(|error| Broken::Socket(error.to_string()))?;
        bytes.extend_from_slice(half.as_bytes());
        let transport = self.socket.get_mut();
        let written = async {
            transport.write_all(&bytes).await?;
            transport.flush().await
        };
        written.await.map_err(|error| Broken::Socket(error.to_string()))
    }
}
