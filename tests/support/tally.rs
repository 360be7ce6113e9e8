//! What a part of the fault tests found: counted as it goes, and told at its end.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Instant;

use anyhow::{Error, Result};

/// How much of the fault tests is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What works anywhere, in a minute.
    Sample,
    /// Everything, as root and with all tools: `KRX_FAULTS=full`.
    Full,
}

impl Extent {
    /// What `$KRX_FAULTS` asks for.
    #[must_use]
    pub fn asked() -> Self {
        match std::env::var("KRX_FAULTS").as_deref() {
            Ok("full") => Self::Full,
            _ => Self::Sample,
        }
    }
}

/// Counts of one part.
#[derive(Debug)]
pub struct Tally {
    name: String,
    started: Instant,
    /// Faults that were made to happen.
    pub tried: u64,
    lost: u64,
    doubled: u64,
    gaps_unreported: u64,
    panics: u64,
    failures: Vec<String>,
    places: BTreeMap<String, u64>,
}

impl Tally {
    /// Begins a part.
    #[must_use]
    pub fn begin(name: &str) -> Self {
        println!("== {name}");
        Self {
            name: name.to_owned(),
            started: Instant::now(),
            tried: 0,
            lost: 0,
            doubled: 0,
            gaps_unreported: 0,
            panics: 0,
            failures: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Tells why something is left out.
    pub fn skip(&self, what: impl Display, why: impl Display) {
        println!("   skipped: {what}: {why}");
    }

    /// Tells something on the way.
    pub fn note(&self, what: impl Display) {
        println!("   {what}");
    }

    /// Where a fault has hit.
    pub fn place(&mut self, place: String) {
        *self.places.entry(place).or_default() += 1;
    }

    /// Keeps a failure for the end: the other faults are still tried. The oracle stops at the first difference, so
    /// the counts of records are lower bounds.
    pub fn failed(&mut self, what: impl Display, error: &Error) {
        let words = format!("{error:#}");
        if words.contains("is there twice") || words.contains("does not rise") {
            self.doubled += 1;
        } else if ["missing", "lost", "differs", "begins no session"]
            .iter()
            .any(|word| words.contains(word))
        {
            self.lost += 1;
        }
        if words.contains("gap") && words.contains("I4") {
            self.gaps_unreported += 1;
        }
        let failure = format!("{what}: {words}");
        println!("   FAILED: {failure}");
        self.failures.push(failure);
    }

    /// Keeps a failure, if there is one.
    pub fn check(&mut self, what: impl Display, result: Result<()>) -> bool {
        match result {
            Ok(()) => true,
            Err(error) => {
                self.failed(what, &error);
                false
            }
        }
    }

    /// Looks for a panic in what a recorder has said.
    pub fn look_at_log(&mut self, what: impl Display, log: &str) {
        if let Some(line) = log
            .lines()
            .find(|line| line.contains("panicked") || line.contains("bug: "))
        {
            self.panics += 1;
            self.failures.push(format!("{what}: {line}"));
            println!("   FAILED: {what}: {line}");
        }
    }

    /// Prints the counts.
    ///
    /// # Panics
    /// When anything failed.
    pub fn finish(self) {
        for (place, count) in &self.places {
            println!("   {count:>6}  {place}");
        }
        println!(
            "== {}: {} faults tried, {} records lost beyond the window, {} records doubled, {} gaps unreported, \
             {} panics, {} failures, {:.1} s",
            self.name,
            self.tried,
            self.lost,
            self.doubled,
            self.gaps_unreported,
            self.panics,
            self.failures.len(),
            self.started.elapsed().as_secs_f64()
        );
        assert!(
            self.failures.is_empty(),
            "{}:\n{}",
            self.name,
            self.failures.join("\n")
        );
    }
}
