//! What was sent to a per-issue feed, text by text, each with what was registered when it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::expected::{Piece, as_json, pieces};
use super::registered::Registered;
use crate::ledger::{Ledger, Sent};

/// A reader of the ledger that hears the requests on its way.
pub(super) struct Sendings<'l> {
    ledger: Ledger,
    /// As they were when the next text was sent.
    registered: Registered<'l>,
    /// The next text; it is JSON.
    next: Option<Sent>,
    session: u32,
    /// The requests of each session, in words.
    pub(super) requests: BTreeMap<u32, Vec<String>>,
}

impl<'l> Sendings<'l> {
    /// At the beginning. These codes are derivatives.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn open(ledger: &Path, derivatives: BTreeSet<&'l str>) -> Result<Self> {
        let mut sendings = Self {
            ledger: Ledger::open_per_issue(ledger)?,
            registered: Registered::new(derivatives),
            next: None,
            session: 0,
            requests: BTreeMap::new(),
        };
        sendings.advance()?;
        Ok(sendings)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = loop {
            let Some(mut sent) = self.ledger.pop()? else {
                break None;
            };
            if sent.session != self.session {
                self.session = sent.session;
                self.registered.clear();
            }
            if sent.is_request {
                let words = self.registered.hear(&sent.text)?;
                self.requests.entry(sent.session).or_default().push(words);
                continue;
            }
            if let std::borrow::Cow::Owned(json) = as_json(&sent.text) {
                sent.text = json;
            }
            break Some(sent);
        };
        Ok(())
    }

    /// The next text.
    pub(super) fn peek(&self) -> Option<&Sent> {
        self.next.as_ref()
    }

    /// What it must become.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        self.pieces_and_records().0
    }

    /// The same, and how many good records it has.
    pub(super) fn pieces_and_records(&self) -> (Vec<Piece<'_>>, u32) {
        let next = self.next.as_ref();
        next.map_or_else(Default::default, |sent| pieces(&sent.text, &self.registered))
    }

    /// Takes the next text.
    ///
    /// # Errors
    /// When what comes after it cannot be read, or is not as the programs write it.
    pub(super) fn pop(&mut self) -> Result<Option<Sent>> {
        let sent = self.next.take();
        self.advance()?;
        Ok(sent)
    }
}

/// When each session of the per-issue service began, µs since the Unix epoch.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) fn beginnings(ledger: &Path) -> Result<BTreeMap<u32, i64>> {
    let mut beginnings = BTreeMap::new();
    let mut ledger = Ledger::open_per_issue(ledger)?;
    while let Some(sent) = ledger.pop()? {
        beginnings.entry(sent.session).or_insert(sent.sent_us);
    }
    Ok(beginnings)
}
