//! The day's figures: what `--json` prints and what the page is made of.
//!
//! Names in JSON are those of the fields here. A name, once published, keeps its meaning; others may join them.

use std::path::PathBuf;

use chrono::NaiveDate;
use krx_store::Moment;
use serde::Serialize;

use super::exchange::ExchangeDay;
use super::market::MarketFacts;
use super::oddities::Oddity;
use super::verdict::Verdict;
use super::volume::VolumeFacts;
use crate::time;

/// A date.
#[derive(Clone, Debug, Serialize)]
pub struct DayFacts {
    /// The date, in Korea.
    pub date: NaiveDate,
    /// When the report was made.
    #[serde(serialize_with = "time::as_rfc3339")]
    pub made_at: Option<Moment>,
    /// By which version.
    pub version: &'static str,
    /// Of which data.
    pub data_dir: PathBuf,
    /// Whether it is complete.
    pub verdict: Verdict,
    /// Whether the day still goes on: all figures are of what is committed.
    pub goes_on: bool,
    /// KRX's day.
    pub exchange: ExchangeDay,
    /// Each market's part.
    pub markets: Vec<MarketFacts>,
    /// The meaning of `trdVol`, over the issues of all markets.
    pub volume: VolumeFacts,
    /// What is odd, of each kind, whether or not there is any.
    pub oddities: Vec<Oddity>,
    /// The earlier dates that this date's issues were held against.
    pub issues_compared_with: ComparedWith,
}

/// Dates whose issues were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComparedWith {
    /// How many.
    pub dates: usize,
    /// The first.
    pub from: Option<NaiveDate>,
    /// The last.
    pub to: Option<NaiveDate>,
}
