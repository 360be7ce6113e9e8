//! A feed's day on its way into the journal, and from there into files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use krx_protocol::per_issue::RegistrationEvent;
use krx_store::journal::{GapReason, What};
use krx_store::service::Service;
use krx_store::{
    DataDir, DateRules, Entry, Event, ExportConfig, Exporter, FeedName, JournalConfig, Moment, Writer,
};

use crate::options::{Gap, Options};
use crate::pace::at;

/// When the recorder starts and connects, and when it stops, as with the schedule's defaults (seconds of the day).
const OPEN_S: i64 = 8 * 3600 + 20 * 60;
const CLOSE_S: i64 = 20 * 3600 + 10 * 60;
const SECOND_US: i64 = 1_000_000;

/// Messages that are journaled with one write.
const BATCH: usize = 256;

/// The rows with which a file ends, as by default.
const ROWS_MAX: u64 = 1_000_000;

/// The recorder's defaults, but without a reserve of disk space.
pub(crate) const EXPORT: ExportConfig = ExportConfig {
    rotate_interval: Duration::from_secs(300),
    rows_max: ROWS_MAX,
    keep_days: 0,
    reserve_bytes: 0,
};

/// A feed's day on its way into the journal.
pub(crate) struct Journaled {
    data: DataDir,
    feed: FeedName,
    /// `None` leaves it in the journal.
    export: Option<ExportConfig>,
    writer: Writer,
    batch: Vec<Entry<Vec<u8>>>,
    date: NaiveDate,
    /// Those still to come, the next one last.
    gaps: Vec<Gap>,
    in_gap: bool,
    /// What each session registers.
    registrations: Vec<RegistrationEvent>,
    records: u64,
    messages: Option<BufWriter<File>>,
}

impl Journaled {
    /// In a data directory, with a session that has just begun, and these registrations in force.
    pub(crate) fn begin(
        options: &Options,
        service: &'static Service,
        feed: &FeedName,
        date: NaiveDate,
        registrations: Vec<RegistrationEvent>,
    ) -> Result<Self> {
        let data = DataDir::new(&options.data_dir);
        let config = JournalConfig {
            sync_interval: Duration::from_millis(50),
            segment_bytes: 64 << 20,
        };
        let rotate_us = i64::try_from(options.rotate_interval().as_micros())?;
        let rules = move |date| DateRules {
            expected: Some((at(date, OPEN_S * SECOND_US), at(date, CLOSE_S * SECOND_US))),
            rotate_us,
            rows_max: ROWS_MAX,
        };
        let of_day = |gap: &&Gap| gap.date == date && gap.market == feed.as_str();
        let messages = |dir: &PathBuf| {
            let path = dir.join(format!("{date}-{feed}.jsonl"));
            create(&path)
        };
        let mut journaled = Self {
            writer: krx_store::open_writer(&data, feed, config, Arc::default())?
                .of_service(service)
                .with_rules(Box::new(rules)),
            data,
            feed: feed.clone(),
            export: (!options.journal_only).then(|| ExportConfig {
                rotate_interval: options.rotate_interval(),
                ..EXPORT
            }),
            batch: Vec::with_capacity(BATCH),
            date,
            gaps: options.gap.iter().filter(of_day).rev().cloned().collect(),
            in_gap: false,
            registrations,
            records: 0,
            messages: options.messages.as_ref().map(messages).transpose()?,
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        journaled.event((OPEN_S - 60) * SECOND_US, Event::Start { version })?;
        journaled.connected(at(date, OPEN_S * SECOND_US + 80_000))?;
        Ok(journaled)
    }

    /// A session begins, and registers what is wanted.
    fn connected(&mut self, at: Moment) -> Result<()> {
        let url = "ws://127.0.0.1/".to_owned();
        self.entry(at, What::Event(Event::Connected { url }))?;
        for registration in self.registrations.clone() {
            self.entry(at, What::Event(Event::Registration(registration)))?;
        }
        Ok(())
    }

    fn disconnected(&mut self, at: Moment, reason: GapReason) -> Result<()> {
        let detail = "simulated".to_owned();
        self.entry(at, What::Event(Event::Disconnected { reason, detail }))
    }

    /// Journals a message with this many records, unless it falls into a gap.
    pub(crate) fn frame(&mut self, received: Moment, text: &str, records: u32) -> Result<()> {
        self.pass_gaps(received)?;
        if self.in_gap {
            return Ok(());
        }
        self.records += u64::from(records);
        if let Some(file) = &mut self.messages {
            file.write_all(text.as_bytes())
                .and_then(|()| file.write_all(b"\n"))
                .context("writing the messages")?;
        }
        self.entry(received, What::Frame(text.as_bytes().to_vec()))
    }

    /// Journals the beginnings and ends of gaps up to `now`.
    fn pass_gaps(&mut self, now: Moment) -> Result<()> {
        while let Some(gap) = self.gaps.last().cloned() {
            if !self.in_gap && now > gap.from {
                self.disconnected(gap.from, GapReason::Reset)?;
                self.in_gap = true;
            }
            if !self.in_gap || now <= gap.to {
                break;
            }
            self.connected(gap.to)?;
            self.in_gap = false;
            self.gaps.pop();
        }
        Ok(())
    }

    fn event(&mut self, micros_of_day: i64, event: Event) -> Result<()> {
        self.entry(at(self.date, micros_of_day), What::Event(event))
    }

    fn entry(&mut self, at: Moment, what: What<Vec<u8>>) -> Result<()> {
        self.batch.push(Entry { at, what });
        if self.batch.len() >= BATCH {
            self.writer.append(&self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }

    /// Ends the day and exports it, unless it stays in the journal; gives the records that were received.
    pub(crate) fn end(mut self) -> Result<u64> {
        let close = at(self.date, CLOSE_S * SECOND_US);
        self.pass_gaps(close)?;
        if !self.in_gap {
            self.disconnected(close, GapReason::Shutdown)?;
        }
        self.event(CLOSE_S * SECOND_US, Event::SessionEnd)?;
        self.event((CLOSE_S + 1) * SECOND_US, Event::Stop)?;
        self.writer.append(&self.batch)?;
        self.writer.close()?;
        if let Some(file) = &mut self.messages {
            file.flush().context("writing the messages")?;
        }
        if let Some(config) = self.export {
            Exporter::new(&self.data, &self.feed, config, None, Arc::default()).run()?;
        }
        Ok(self.records)
    }
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}
