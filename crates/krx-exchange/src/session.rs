//! A WebSocket connection: sends texts, each of which is entered in the transcript first.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::endpoint::Endpoint;
use crate::message::TimedMessage;
use crate::transcript::{Entry, MessageKind, Transcript, TranscriptGone};
use crate::transport::Transport;

/// How long closing a connection may take: enough for a live client on the same machine.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Close code "going away".
pub(crate) const CLOSE_AWAY: u16 = 1001;

/// Close code "policy violation".
pub(crate) const CLOSE_POLICY: u16 = 1008;

/// Why nothing more can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The transcript is no longer read: the whole exchange must stop.
    Transcript,
    /// The client is gone.
    Socket(String),
}

impl From<TranscriptGone> for Broken {
    fn from(_: TranscriptGone) -> Broken {
        Broken::Transcript
    }
}

/// What came from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(Utf8Bytes),
    /// Pings, pongs and binary messages: there is nothing to do about them.
    Other,
    /// The client closed the connection, with or without a close frame.
    Left(String),
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The socket is dropped: the client has already gone.
    None,
    /// A close frame with this code and reason.
    Close(u16, &'static str),
    /// A FIN without a close frame.
    HangUp,
    /// A RST; data in flight may be lost.
    Reset,
}

/// A connection, and what was sent on it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) endpoint: Endpoint,
    /// The session's number at its endpoint; 0 for a connection that is not initialised.
    pub(crate) number: u32,
    /// Data messages sent, and the records in them.
    pub(crate) data_messages: u64,
    pub(crate) data_records: u64,
    texts: u64,
    socket: WebSocketStream<Transport>,
    transcript: Option<Transcript>,
}

impl Session {
    pub(crate) fn new(
        endpoint: Endpoint,
        socket: WebSocketStream<Transport>,
        transcript: Option<Transcript>,
    ) -> Session {
        Session {
            endpoint,
            number: 0,
            data_messages: 0,
            data_records: 0,
            texts: 0,
            socket,
            transcript,
        }
    }

    /// Passes a data message to the socket, which collects some before writing them.
    pub(crate) async fn send_data(&mut self, message: TimedMessage) -> Result<(), Broken> {
        self.data_messages += 1;
        self.data_records += u64::from(message.records);
        self.enter(MessageKind::Data, message.records, &message.text)
            .await?;
        self.feed(message.text).await
    }

    /// Sends a message that is not data, along with everything before it, at once.
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

    /// Writes `bytes` unchanged, after everything before them; `text` goes into the transcript for them.
    pub(crate) async fn write(
        &mut self,
        kind: MessageKind,
        text: &Utf8Bytes,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        self.enter(kind, 0, text).await?;
        self.flush().await?;
        let transport = self.socket.get_mut();
        let written = async {
            transport.write_all(bytes).await?;
            transport.flush().await
        };
        written.await.map_err(|error| Broken::Socket(error.to_string()))
    }

    /// Enters a request that was heard in the transcript.
    pub(crate) async fn note_request(&mut self, text: &Utf8Bytes) -> Result<(), Broken> {
        self.note(MessageKind::Request, 0, text).await
    }

    async fn enter(&mut self, kind: MessageKind, records: u32, text: &Utf8Bytes) -> Result<(), Broken> {
        self.texts += 1;
        self.note(kind, records, text).await
    }

    async fn note(&mut self, kind: MessageKind, records: u32, text: &Utf8Bytes) -> Result<(), Broken> {
        if let Some(transcript) = &self.transcript {
            let entry = Entry {
                endpoint: self.endpoint,
                session: self.number,
                number: self.texts,
                kind,
                records,
                text: text.clone(),
            };
            transcript.enter(entry).await?;
        }
        Ok(())
    }

    async fn feed(&mut self, text: Utf8Bytes) -> Result<(), Broken> {
        self.socket
            .feed(Message::Text(text))
            .await
            .map_err(|error| Broken::Socket(error.to_string()))
    }

    /// Writes everything that was collected.
    pub(crate) async fn flush(&mut self) -> Result<(), Broken> {
        self.socket
            .flush()
            .await
            .map_err(|error| Broken::Socket(error.to_string()))
    }

    /// The next thing that the client sends. Cancelling it loses nothing.
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

    /// Asks for the transcript of this session to be written.
    pub(crate) async fn flush_transcript(&self) -> Result<(), Broken> {
        if let Some(transcript) = &self.transcript {
            transcript.flush().await?;
        }
        Ok(())
    }

    /// Closes the connection.
    pub(crate) async fn end(self, farewell: Farewell) {
        match farewell {
            Farewell::None => drop(self),
            Farewell::Close(code, reason) => self.close(code, reason).await,
            Farewell::HangUp => self.hang_up().await,
            Farewell::Reset => self.reset(),
        }
    }

    /// Closes the connection with a close frame. A client that does not answer is not waited for long.
    async fn close(mut self, code: u16, reason: &'static str) {
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

    /// Closes the connection with a FIN and no close frame.
    async fn hang_up(mut self) {
        let goodbye = async {
            let transport = self.socket.get_mut();
            if transport.shutdown().await.is_ok() {
                // Otherwise, dropping a socket with unread bytes would send a RST.
                let mut sink = [0; 4_096];
                while transport.read(&mut sink).await.is_ok_and(|len| len > 0) {}
            }
        };
        let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
    }

    /// Closes the connection with a RST.
    fn reset(self) {
        // If the system refuses, the connection is still closed, only more politely.
        let _ = self.socket.get_ref().reset_on_drop();
    }
}
