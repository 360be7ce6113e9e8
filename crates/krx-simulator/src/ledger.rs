//! The ledger of everything that was sent: the oracle that recordings are checked against.
//!
//! One JSON object a line, in the order of sending within each market:
//!
//! ```json
//! {"market":"KOSPI","session":1,"number":1,"sent_us":1763596800000000,"kind":"data","records":50,"sha256":"…","text":"…"}
//! ```
//!
//! `session` counts the initialised sessions of the market from 1; 0 stands for a connection that was
//! refused before it became one. `number` counts all text messages of the session from 1. `sent_us` is Unix
//! time in microseconds. `sha256` is that of the text's bytes.
//!
//! A message is entered before it is given to the socket: what a client received in a session is a prefix
//! of what the ledger says of it, partial messages left out.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::SimulatorError;
use crate::market::Market;

/// Entries that wait for the ledger's thread: 16 MB of full messages. Past it, sending waits for the disk.
const ENTRIES_MAX: usize = 4_096;

/// What the thread writes at once: large enough that system calls do not count.
const BUFFER_BYTES: usize = 1 << 20;

/// What kind of text message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Data,
    Reply,
    Heartbeat,
    Error,
    Garbage,
    /// Half a message: no receiver ever gets it.
    Partial,
}

impl MessageKind {
    fn name(self) -> &'static str {
        match self {
            MessageKind::Data => "data",
            MessageKind::Reply => "reply",
            MessageKind::Heartbeat => "heartbeat",
            MessageKind::Error => "error",
            MessageKind::Garbage => "garbage",
            MessageKind::Partial => "partial",
        }
    }
}

/// One text message that is about to be sent.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) market: Market,
    pub(crate) session: u32,
    pub(crate) number: u64,
    pub(crate) kind: MessageKind,
    pub(crate) records: u32,
    pub(crate) text: Utf8Bytes,
}

enum Order {
    Write { entry: Entry, sent_us: u128 },
    Flush,
}

/// The ledger could not be written and its thread is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerGone;

/// Where entries are handed in.
#[derive(Debug, Clone)]
pub(crate) struct LedgerHandle(mpsc::Sender<Order>);

impl LedgerHandle {
    /// Hands in an entry, as sent now; waits while the ledger's thread is behind.
    pub(crate) async fn enter(&self, entry: Entry) -> Result<(), LedgerGone> {
        let sent_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros());
        self.0
            .send(Order::Write { entry, sent_us })
            .await
            .map_err(|_| LedgerGone)
    }

    /// Asks for everything handed in so far to be written to the file.
    pub(crate) async fn flush(&self) -> Result<(), LedgerGone> {
        self.0.send(Order::Flush).await.map_err(|_| LedgerGone)
    }

    /// Like [`flush`](Self::flush), but a ledger that is behind is left to it.
    pub(crate) fn flush_soon(&self) -> Result<(), LedgerGone> {
        match self.0.try_send(Order::Flush) {
            Err(mpsc::error::TrySendError::Closed(_)) => Err(LedgerGone),
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
        }
    }
}

/// The ledger and the thread that writes it.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    thread: JoinHandle<io::Result<()>>,
}

impl Ledger {
    /// Begins a ledger at `path`; one that was there is replaced.
    pub(crate) fn create(path: &Path) -> Result<(Ledger, LedgerHandle), SimulatorError> {
        let failed = |source| SimulatorError::Ledger {
            path: path.to_owned(),
            source,
        };
        let file = File::create(path).map_err(failed)?;
        let (sender, receiver) = mpsc::channel(ENTRIES_MAX);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write(file, receiver))
            .map_err(failed)?;
        Ok((
            Ledger {
                path: path.to_owned(),
                thread,
            },
            LedgerHandle(sender),
        ))
    }

    /// Waits until everything is written; every handle must be gone, or it waits for them too.
    pub(crate) async fn finish(self) -> Result<(), SimulatorError> {
        let path = self.path;
        let result = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match result {
            Ok(Ok(written)) => written.map_err(|source| SimulatorError::Ledger { path, source }),
            Ok(Err(_)) | Err(_) => Err(SimulatorError::Ledger {
                path,
                source: io::Error::other("the ledger's thread ended early"),
            }),
        }
    }
}

fn write(file: File, mut orders: mpsc::Receiver<Order>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut line = Vec::new();
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Flush => out.flush()?,
            Order::Write { entry, sent_us } => {
                line.clear();
                format_line(&entry, sent_us, &mut line)?;
                out.write_all(&line)?;
            }
        }
    }
    out.flush()
}

fn format_line(entry: &Entry, sent_us: u128, line: &mut Vec<u8>) -> io::Result<()> {
    let Entry {
        market,
        session,
        number,
        kind,
        records,
        text,
    } = entry;
    write!(
        line,
        "{{\"market\":\"{market}\",\"session\":{session},\"number\":{number},\"sent_us\":{sent_us},\
         \"kind\":\"{}\",\"records\":{records},\"sha256\":\"",
        kind.name()
    )?;
    for byte in Sha256::digest(text.as_str()) {
        write!(line, "{byte:02x}")?;
    }
    line.extend_from_slice(b"\",\"text\":");
    serde_json::to_writer(&mut *line, text.as_str())?;
    line.extend_from_slice(b"}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_documented_form() {
        let entry = Entry {
            market: Market::Kospi,
            session: 1,
            number: 2,
            kind: MessageKind::Garbage,
            records: 0,
            text: "abc\"".into(),
        };
        let mut line = Vec::new();
        format_line(&entry, 1_763_596_800_000_000, &mut line).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"{"market":"KOSPI","session":1,"number":2,"sent_us":1763596800000000,"kind":"garbage","#,
                r#""records":0,"sha256":"f36ae92b12fde378f4be9f5b08f290200d709e9391c02387c3cc3dd2cba36921","#,
                r#""text":"abc\""}"#,
                "\n"
            )
        );
    }
}
