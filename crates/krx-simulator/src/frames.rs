//! Writes a day's messages to a file, one per line: the input of benchmarks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use krx_exchange::{Issues, Market, Next, Push, Subscription, TimeOfDay, push_text};
use krx_protocol::per_issue::{Pair, Preset};

use crate::config::{DayConfig, PerIssueConfig};
use crate::day::{Day, DayMessage};
use crate::error::SimulatorError;
use crate::per_issue::FloorIssues;

/// How much is written at once: large enough that system calls do not matter.
const BUFFER_BYTES: usize = 1 << 20;

/// Of how many stocks pushes are written: half of a session's registrations for two presets.
const STOCKS: usize = 100;

/// What was written to a file of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FramesWritten {
    /// Data messages, one per line.
    pub messages: u64,
    /// Records in them.
    pub records: u64,
}

/// Writes the data messages of the day of `markets` to `path`, one per line, in order of time.
///
/// With `records_max`, it stops after the message that reaches that number of records.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_frames(
    path: &Path,
    day: &DayConfig,
    markets: &[Market],
    records_max: Option<u64>,
) -> Result<FramesWritten, SimulatorError> {
    let messages = merged(day, markets).map(|message| (message.text, message.records));
    write(path, messages, records_max)
}

/// What a session gets on a day if it registers some presets of the 100 busiest stocks, and all indices for the preset
/// `index`: one push after another, each with the time at which it is due. With `change` nothing comes, since it has no
/// items.
#[derive(Debug)]
pub struct Pushes {
    issues: FloorIssues,
    pairs: Vec<Pair>,
}

impl Pushes {
    /// Those of the day's beginning come first.
    #[must_use]
    pub fn new(day: &DayConfig, config: PerIssueConfig, presets: &[Preset]) -> Pushes {
        let mut issues = FloorIssues::new(day.clone(), config, false);
        let stocks = day.universe.busiest(STOCKS);
        let stocks: Vec<String> = stocks
            .iter()
            .map(|issue| issue.code.as_str().to_owned())
            .collect();
        let mut pairs = Vec::new();
        for preset in presets {
            let codes = match preset {
                Preset::Index => issues.index_codes(),
                _ => stocks.clone(),
            };
            pairs.extend(codes.into_iter().map(|code| Pair {
                preset: *preset,
                code,
            }));
        }
        for (number, pair) in (1..).zip(&pairs) {
            let subscription = Subscription {
                pair: pair.clone(),
                items: Vec::new(),
            };
            issues.register(number, &subscription);
        }
        Pushes { issues, pairs }
    }

    /// What is registered, in this order.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }
}

impl Iterator for Pushes {
    /// When it is due, and its text.
    type Item = (TimeOfDay, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.issues.next() {
                Next::Message(Push::Of { at, params, .. }) => return Some((at, push_text(&params))),
                Next::Message(Push::Mark(_) | Push::Message(_)) | Next::PassedOver => {}
                Next::NotYet | Next::DayOver { .. } => return None,
            }
        }
    }
}

/// Writes [`Pushes`] to `path`, one per line.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_pushes(
    path: &Path,
    day: &DayConfig,
    config: PerIssueConfig,
    presets: &[Preset],
    records_max: Option<u64>,
) -> Result<FramesWritten, SimulatorError> {
    let pushes = Pushes::new(day, config, presets);
    write(path, pushes.map(|(_, text)| (text, 1)), records_max)
}

/// Writes messages, each with the number of its records.
fn write(
    path: &Path,
    messages: impl Iterator<Item = (impl AsRef<[u8]>, u32)>,
    records_max: Option<u64>,
) -> Result<FramesWritten, SimulatorError> {
    let failed = |source: io::Error| SimulatorError::Frames {
        path: path.to_owned(),
        source,
    };
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(path).map_err(failed)?);
    let mut written = FramesWritten::default();
    for (text, records) in messages {
        if records_max.is_some_and(|most| written.records >= most) {
            break;
        }
        out.write_all(text.as_ref())
            .and_then(|()| out.write_all(b"\n"))
            .map_err(failed)?;
        written.messages += 1;
        written.records += u64::from(records);
    }
    out.flush().map_err(failed)?;
    Ok(written)
}

/// The messages of all `markets` in order of time.
fn merged(config: &DayConfig, markets: &[Market]) -> impl Iterator<Item = DayMessage> {
    let mut days: Vec<(Day, Option<DayMessage>)> = markets
        .iter()
        .map(|&market| {
            let trades = config.universe.share(market, config.trades_per_day);
            let mut day = Day::new(&config.universe, market, config.seed, trades);
            let first = day.next_message();
            (day, first)
        })
        .collect();
    let start = config.start;
    std::iter::from_fn(move || {
        let earliest = days
            .iter_mut()
            .filter(|(_, next)| next.is_some())
            .min_by_key(|(_, next)| next.as_ref().map(|m| m.at));
        let (day, next) = earliest?;
        std::mem::replace(next, day.next_message())
    })
    .skip_while(move |message| message.at <= start)
}
