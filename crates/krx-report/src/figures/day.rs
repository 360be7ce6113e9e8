//! The day's figures: what `--json` prints and the page shows.
//!
//! JSON uses the names of these fields. A published name keeps its meaning; more may be added.

use std::path::PathBuf;

use chrono::NaiveDate;
use krx_store::Moment;
use serde::Serialize;

use super::clock::ClockFacts;
use super::exchange::ExchangeDay;
use super::feed::FeedFacts;
use super::market::MarketFacts;
use super::oddities::Oddity;
use super::quotes::QuoteFacts;
use super::received::Received;
use super::shares::SharesFacts;
use super::trd_vol::TrdVolFacts;
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
    /// The version that made it.
    pub version: &'static str,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Whether it is complete.
    pub verdict: Verdict,
    /// Whether its time stamps can be trusted.
    pub clock: ClockFacts,
    /// Whether the day is still in progress: then all figures cover only what is committed.
    pub goes_on: bool,
    /// KRX's day.
    pub exchange: ExchangeDay,
    /// The figures of each market's full-market feed.
    pub markets: Vec<MarketFacts>,
    /// The figures of each per-issue feed.
    pub feeds: Vec<FeedFacts>,
    /// Spreads of the issues of these.
    pub quotes: QuoteFacts,
    /// How many of the shares that were traded the files have.
    pub shares: SharesFacts,
    /// The meaning of `trdVol`, judged over the issues of all markets.
    pub volume: VolumeFacts,
    /// The same by comparison with trades that were pushed; `None` without any.
    pub trd_vol: Option<TrdVolFacts>,
    /// Every kind of oddity, whether or not any were found.
    pub oddities: Vec<Oddity>,
    /// The earlier dates with which this date's issues were compared.
    pub issues_compared_with: ComparedWith,
}

impl DayFacts {
    /// Each feed's day in outline, those of the markets first.
    pub(crate) fn received(&self) -> impl Iterator<Item = &Received> {
        all_received(&self.markets, &self.feeds)
    }
}

/// Each feed's day in outline, those of the markets first.
pub(crate) fn all_received<'a>(
    markets: &'a [MarketFacts],
    feeds: &'a [FeedFacts],
) -> impl Iterator<Item = &'a Received> {
    let markets = markets.iter().map(|market| &market.received);
    markets.chain(feeds.iter().map(|feed| &feed.received))
}

/// Dates whose issues were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ComparedWith {
    /// How many.
    pub dates: usize,
    /// The first.
    pub from: Option<NaiveDate>,
    /// The last.
    pub to: Option<NaiveDate>,
}
