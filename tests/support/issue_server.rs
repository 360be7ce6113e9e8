//! A server of the per-issue service that a test scripts message by message, good or bad.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;

use serde_json::Value;

use crate::hostile::{PING, PONG, Peer, TEXT, frame};

/// A request of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `subscribe` or `unsubscribe`.
    pub method: String,
    /// Its number.
    pub id: u64,
    /// Preset and code, as `tick10:005930`.
    pub pair: String,
}

impl Asked {
    /// `None` if it is no such request, as a heartbeat.
    fn of(text: &[u8]) -> Option<Self> {
        let request: Value = serde_json::from_slice(text).ok()?;
        let params = &request["params"];
        Some(Self {
            method: request["method"].as_str()?.to_owned(),
            id: request["id"].as_u64()?,
            pair: format!("{}:{}", params["preset"].as_str()?, params["isuSrtCd"].as_str()?),
        })
    }
}

/// The server's end of a session.
pub struct IssueSession {
    peer: Peer,
    asked: VecDeque<Asked>,
}

impl IssueSession {
    /// A good handshake, and an answer to the `init` that follows it.
    ///
    /// # Errors
    /// When the client leaves, as for everything below.
    pub fn begin(tcp: TcpStream) -> io::Result<Self> {
        let mut peer = Peer::plain(tcp)?;
        peer.begin()?;
        Self::of(peer)
    }

    /// The same, after the handshake and the `init`.
    ///
    /// # Errors
    /// When the answer cannot be sent.
    pub fn of(peer: Peer) -> io::Result<Self> {
        let mut session = Self {
            peer,
            asked: VecDeque::new(),
        };
        session.ok(1)?;
        Ok(session)
    }

    /// Says something, as a text.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(TEXT, text.as_bytes())
    }

    /// Sends a frame that begins with this byte.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn send(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        self.peer.send(&frame(first, payload))
    }

    /// Accepts a request.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn ok(&mut self, id: u64) -> io::Result<()> {
        self.say(&ok(id))
    }

    /// The next requests.
    ///
    /// # Errors
    /// When they do not come.
    pub fn next_of(&mut self, count: usize) -> io::Result<Vec<Asked>> {
        while self.asked.len() < count {
            self.hear()?;
        }
        Ok(self.asked.drain(..count).collect())
    }

    /// The next request, if it was read already.
    pub fn waiting(&mut self) -> Option<Asked> {
        self.asked.pop_front()
    }

    /// Waits until everything said has been read, which the client's pong proves.
    ///
    /// # Errors
    /// When the pong does not come.
    pub fn delivered(&mut self) -> io::Result<()> {
        const PAYLOAD: &[u8] = b"all of it?";
        self.send(PING, PAYLOAD)?;
        while self.hear()?.as_deref() != Some(PAYLOAD) {}
        Ok(())
    }

    /// Answers pings, and nothing else, until the client leaves.
    ///
    /// # Errors
    /// When it has left.
    pub fn live(&mut self) -> io::Result<()> {
        self.peer.live()
    }

    /// Takes a frame of the client; gives the payload of a pong.
    fn hear(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.peer.frame()? {
            (PING, payload) => self.send(PONG, &payload)?,
            (PONG, payload) => return Ok(Some(payload)),
            (TEXT, text) => self.asked.extend(Asked::of(&text)),
            _ => {}
        }
        Ok(None)
    }
}

/// An acknowledgement.
#[must_use]
pub fn ok(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"message":"ok"}}}}"#)
}

/// A state that answers a request.
#[must_use]
pub fn state(id: u64, fields: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{{fields}}}}}"#)
}

/// An error that answers a request.
#[must_use]
pub fn refusal(id: u64, code: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"message":"종목 없음","code":{code}}}}}"#)
}

/// A push of these fields.
#[must_use]
pub fn push(fields: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"push","params":{{{fields}}}}}"#)
}

/// A trade, and the words of its row.
#[must_use]
pub fn tick10(code: &str, price: i64) -> (String, String) {
    let fields =
        format!(r#""preset":"tick10","isuSrtCd":"{code}","trdPrc":{price},"trdvol":5,"trdTm":9450155"#);
    let words = format!(
        "ticks {code} trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price={price} volume=5"
    );
    (push(&fields), words)
}

/// A book, and the words of its row.
#[must_use]
pub fn quote10(code: &str, price: i64) -> (String, String) {
    let fields = format!(r#""preset":"quote10","isuSrtCd":"{code}","askStep1BstordPrc":{price}"#);
    (push(&fields), format!("books {code} update ask_price_01={price}"))
}
