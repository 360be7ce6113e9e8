//! The ledger of everything that was sent: the oracle against which recordings are checked.
//!
//! One JSON object per line, in the order of sending within each endpoint:
//!
//! ```json
//! {"market":"KOSPI","session":1,"number":1,"sent_us":1763596800000000,"kind":"data","records":50,"sha256":"…","text":"…"}
//! {"service":"per_issue","session":1,"number":7,"sent_us":1763596800000000,"kind":"data","records":1,"sha256":"…","text":"…"}
//! ```
//!
//! * The first member is the endpoint: the market of a full-market feed, or the per-issue service.
//! * `session` counts the initialised sessions of the endpoint from 1; 0 stands for a connection that was refused before
//!   that. Sessions with different keys are counted together.
//! * `number` counts all text messages that are sent in the session from 1.
//! * `sent_us` is Unix time in microseconds.
//! * `kind` is one of these, and whatever a fault sends has a kind of its own:
//!
//!   | kind | is |
//!   |---|---|
//!   | `reply` | the answer to `init` |
//!   | `data` | records of the full-market service, or one push of the per-issue service, or several that a fault put together |
//!   | `heartbeat` | the exchange's own, or the answer to the client's |
//!   | `error` | a refusal |
//!   | `answer` | per-issue: the answer to a request, `ok` |
//!   | `snapshot` | per-issue: the answer to a `subscribe` that is the state of what it registers |
//!   | `request` | per-issue: a `subscribe` or `unsubscribe` that was **heard**. It is not sent, and its `number` is that of the last text before it. With these lines a reader knows what each `id` stands for, and from when on |
//!
//! * `records` is the number of good records in the text: objects that a recorder should find and keep.
//! * `sha256` is that of the text's bytes.
//!
//! A message is entered before it is given to the socket: what a client received in a session is a prefix of the
//! ledger's entries for it, apart from partial messages and requests.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use krx_exchange::{Entry, Note};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::error::SimulatorError;

/// How much the thread writes at once: large enough that system calls do not matter.
const BUFFER_BYTES: usize = 1 << 20;

/// The ledger and the thread that writes it.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    thread: JoinHandle<io::Result<()>>,
}

impl Ledger {
    /// Starts a ledger of `notes` at `path`, replacing any existing one.
    pub(crate) fn create(path: &Path, notes: mpsc::Receiver<Note>) -> Result<Ledger, SimulatorError> {
        let failed = |source| SimulatorError::Ledger {
            path: path.to_owned(),
            source,
        };
        let file = File::create(path).map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write(file, notes))
            .map_err(failed)?;
        Ok(Ledger {
            path: path.to_owned(),
            thread,
        })
    }

    /// Waits until everything is written. Every clone of the transcript must be gone, or this waits for them too.
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

fn write(file: File, mut notes: mpsc::Receiver<Note>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut line = Vec::new();
    while let Some(note) = notes.blocking_recv() {
        match note {
            Note::Flush => out.flush()?,
            Note::Sent { entry, sent_us } => {
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
        endpoint,
        session,
        number,
        kind,
        records,
        text,
    } = entry;
    let (member, name) = endpoint.member();
    write!(
        line,
        "{{\"{member}\":\"{name}\",\"session\":{session},\"number\":{number},\"sent_us\":{sent_us},\
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
    use krx_exchange::{Endpoint, Market, MessageKind};

    use super::*;

    #[test]
    fn a_line_has_the_documented_form() {
        let entry = Entry {
            endpoint: Endpoint::FullMarket(Market::Kospi),
            session: 1,
            number: 2,
            kind: MessageKind::Scripted("garbage"),
            records: 0,
            text: "abc\"".into(),
        };
        let line = |entry: &Entry| {
            let mut line = Vec::new();
            format_line(entry, 1_763_596_800_000_000, &mut line).unwrap();
            String::from_utf8(line).unwrap()
        };
        assert_eq!(
            line(&entry),
            concat!(
                r#"{"market":"KOSPI","session":1,"number":2,"sent_us":1763596800000000,"kind":"garbage","#,
                r#""records":0,"sha256":"f36ae92b12fde378f4be9f5b08f290200d709e9391c02387c3cc3dd2cba36921","#,
                r#""text":"abc\""}"#,
                "\n"
            )
        );
        let entry = Entry {
            endpoint: Endpoint::PerIssue,
            kind: MessageKind::Snapshot,
            ..entry
        };
        let head =
            r#"{"service":"per_issue","session":1,"number":2,"sent_us":1763596800000000,"kind":"snapshot","#;
        assert!(line(&entry).starts_with(head), "{}", line(&entry));
    }
}
