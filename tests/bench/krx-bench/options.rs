//! What `krx-bench days` is told.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::{NaiveDate, NaiveTime};
use clap::Args;
use krx_simulator::Preset;
use krx_store::{FeedName, Moment};

use crate::pace::at;

/// What `krx-bench days` is told.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The data directory; what is in it must not be of the same dates.
    pub(crate) data_dir: PathBuf,
    /// Trading days.
    #[arg(long, default_value_t = 20)]
    pub(crate) days: usize,
    /// The last of them.
    #[arg(long, default_value = "2026-11-20")]
    pub(crate) until: NaiveDate,
    /// Trades a day, of both markets together.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// Trades of the last day.
    #[arg(long, default_value_t = 12_000_000)]
    pub(crate) records_last: u64,
    /// The first day's; each day has the next one.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Length of the files' time partitions, minutes.
    #[arg(long, default_value_t = 5)]
    pub(crate) rotate_minutes: i64,
    /// A stretch without a session, DATE,MARKET,FROM,TO: 2026-11-20,KOSPI,10:00:30,10:02:00. Repeatable, in order.
    #[arg(long)]
    pub(crate) gap: Vec<Gap>,
    /// Leave the days in the journal, for `export`.
    #[arg(long)]
    pub(crate) journal_only: bool,
    /// Write what was received to DIR too, one message a line: DIR/DATE-MARKET.jsonl.
    #[arg(long, value_name = "DIR")]
    pub(crate) messages: Option<PathBuf>,
    /// Record the per-issue service instead: the pushes of these presets for the 100 busiest stocks.
    #[arg(long, value_name = "PRESET,…", value_delimiter = ',', value_parser = preset)]
    pub(crate) pushes: Vec<Preset>,
    /// The name of that service's feed.
    #[arg(long, default_value = "ISSUES")]
    pub(crate) feed: FeedName,
}

fn preset(word: &str) -> Result<Preset, String> {
    word.parse().map_err(|()| format!("{word} is not a preset"))
}

impl Options {
    /// The length of a time partition.
    pub(crate) fn rotate_interval(&self) -> Duration {
        Duration::from_secs(self.rotate_minutes.max(1).unsigned_abs() * 60)
    }

    /// The `nth` day, from 0, of the service's trades in both markets together, and its seed.
    pub(crate) fn trades(&self, nth: usize) -> (u64, u64) {
        let is_last = nth + 1 == self.days;
        let trades = if is_last { self.records_last } else { self.records };
        (trades, self.seed + nth as u64)
    }
}

/// A stretch in which nothing was received.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) date: NaiveDate,
    pub(crate) market: String,
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

impl FromStr for Gap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let [date, market, from, to] = parts[..] else {
            return Err("a gap is DATE,MARKET,FROM,TO".to_owned());
        };
        let date: NaiveDate = date.parse().map_err(|error| format!("{date}: {error}"))?;
        let moment = |text: &str| {
            let time: NaiveTime = text.parse().map_err(|error| format!("{text}: {error}"))?;
            Ok::<_, String>(at(date, (time - NaiveTime::MIN).num_microseconds().unwrap_or(0)))
        };
        Ok(Self {
            date,
            market: market.to_owned(),
            from: moment(from)?,
            to: moment(to)?,
        })
    }
}
