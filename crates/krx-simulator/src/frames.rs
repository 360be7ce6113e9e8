//! Writes a day's messages to a file, one per line: the input of benchmarks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use krx_exchange::Market;

use crate::config::DayConfig;
use crate::day::{Day, DayMessage};
use crate::error::SimulatorError;

/// How much is written at once: large enough that system calls do not matter.
const BUFFER_BYTES: usize = 1 << 20;

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
    let failed = |source: io::Error| SimulatorError::Frames {
        path: path.to_owned(),
        source,
    };
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(path).map_err(failed)?);
    let mut written = FramesWritten::default();
    for message in merged(day, markets) {
        if records_max.is_some_and(|most| written.records >= most) {
            break;
        }
        out.write_all(message.text.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .map_err(failed)?;
        written.messages += 1;
        written.records += u64::from(message.records);
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
