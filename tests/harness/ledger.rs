//! The simulator's ledger: what was sent in one market, or of the per-issue service, in order.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::tree::hex;

/// Large enough that system calls do not matter.
const BUFFER_BYTES: usize = 1 << 20;

/// One text message, as the simulator entered it just before it sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The session, numbered over the whole life of the exchange.
    pub session: u32,
    /// The text's number in its session, from 1; of a request that of the last text before it.
    pub number: u64,
    /// When, µs since the Unix epoch.
    pub sent_us: i64,
    /// Whether it is a data message.
    pub is_data: bool,
    /// Whether it was not sent but heard: a request of the per-issue service.
    pub is_request: bool,
    /// How many records it has, by the simulator's own count.
    pub records: u32,
    /// The text.
    pub text: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    session: u32,
    number: u64,
    sent_us: i64,
    kind: &'a str,
    records: u32,
    sha256: &'a str,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// A reader of one endpoint's entries. It skips connections that were refused (session 0) and halves of messages, which
/// no client ever gets.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    prefix: String,
    lines: BufReader<File>,
    line: Vec<u8>,
    line_number: u64,
    last: Option<(u32, u64)>,
    ahead: Option<Sent>,
}

impl Ledger {
    /// Opens a ledger, which the simulator must have finished, for a market's entries.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(path: &Path, market: &str) -> Result<Self> {
        Self::of_endpoint(path, format!("{{\"market\":\"{market}\","))
    }

    /// The same for the entries of the per-issue service.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open_per_issue(path: &Path) -> Result<Self> {
        Self::of_endpoint(path, "{\"service\":\"per_issue\",".to_owned())
    }

    fn of_endpoint(path: &Path, prefix: String) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening the ledger {}", path.display()))?;
        let mut ledger = Self {
            path: path.to_owned(),
            prefix,
            lines: BufReader::with_capacity(BUFFER_BYTES, file),
            line: Vec::new(),
            line_number: 0,
            last: None,
            ahead: None,
        };
        ledger.ahead = ledger.read()?;
        Ok(ledger)
    }

    /// The next entry.
    #[must_use]
    pub fn peek(&self) -> Option<&Sent> {
        self.ahead.as_ref()
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// When the entry after it cannot be read, or is not the simulator's.
    pub fn pop(&mut self) -> Result<Option<Sent>> {
        let next = self.read()?;
        Ok(std::mem::replace(&mut self.ahead, next))
    }

    fn read(&mut self) -> Result<Option<Sent>> {
        loop {
            self.line.clear();
            if self.lines.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.line_number += 1;
            if !self.line.starts_with(self.prefix.as_bytes()) {
                continue;
            }
            let entry: Line<'_> = serde_json::from_slice(&self.line)
                .with_context(|| format!("line {} of {}", self.line_number, self.path.display()))?;
            if entry.session == 0 || entry.kind == "partial" {
                continue;
            }
            let is_request = entry.kind == "request";
            let step = u64::from(!is_request);
            let expected = match self.last {
                Some((session, number)) if session == entry.session => number + step,
                Some((session, _)) => {
                    ensure!(
                        entry.session > session,
                        "the ledger goes back to session {}",
                        entry.session
                    );
                    step
                }
                None => step,
            };
            ensure!(
                entry.number == expected,
                "the ledger's session {} has no text {expected}",
                entry.session
            );
            let digest = hex(&Sha256::digest(entry.text.as_bytes()));
            ensure!(
                entry.sha256 == digest,
                "line {} of the ledger is not what its SHA-256 says",
                self.line_number
            );
            self.last = Some((entry.session, entry.number));
            return Ok(Some(Sent {
                session: entry.session,
                number: entry.number,
                sent_us: entry.sent_us,
                is_data: entry.kind == "data",
                is_request,
                records: entry.records,
                text: entry.text.into_owned(),
            }));
        }
    }
}
