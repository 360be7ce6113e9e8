//! Trading days made up by the simulator, in a data directory as a recorder leaves it: through the journal's writer
//! and the exporter, with receive times of the day itself. No socket and no waiting: a day takes seconds.
//!
//! ```text
//!   Day, Pushes ─▶ receive time ─▶ Writer ─▶ journal ─▶ Exporter ─▶ trades/, books/, coverage/, …
//!                    └──▶ gap: what falls into it is not received
//! ```

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chrono::NaiveDate;
use krx_calendar::Calendar;
use krx_simulator::{Day, DayConfig, Market, PerIssueConfig, Pushes, TimeOfDay, Universe};
use krx_store::service::{FULL_MARKET, PER_ISSUE};
use serde_json::json;

use crate::journaled::Journaled;
use crate::options::Options;
use crate::pace::Pace;

/// Makes the days, and prints what was made as one JSON line.
pub(crate) fn days(options: &Options) -> Result<()> {
    let dates = &dates(options)?;
    let universe = &Universe::synthetic();
    if let Some(dir) = &options.messages {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("making {}", options.data_dir.display()))?;
    let start = Instant::now();
    let records = if options.pushes.is_empty() {
        markets_days(options, universe, dates)?
    } else {
        pushes_days(options, universe, dates)?
    };
    let seconds = start.elapsed().as_secs_f64();
    let line = json!({
        "days": dates.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "records": records,
        "seconds": seconds,
        "records_per_second": records as f64 / seconds,
    });
    println!("{line}");
    Ok(())
}

/// The trading days, earliest first.
fn dates(options: &Options) -> Result<Vec<NaiveDate>> {
    let calendar = Calendar::default();
    let mut dates: Vec<NaiveDate> = std::iter::successors(Some(options.until), NaiveDate::pred_opt)
        .filter(|date| calendar.is_trading(*date))
        .take(options.days)
        .collect();
    dates.reverse();
    let last = dates.last().copied();
    ensure!(
        last == Some(options.until),
        "{} is no trading day: choose another for --until",
        options.until
    );
    Ok(dates)
}

fn markets_days(options: &Options, universe: &Universe, dates: &[NaiveDate]) -> Result<u64> {
    let records: Vec<Result<u64>> = std::thread::scope(|scope| {
        let markets = Market::ALL;
        let threads =
            markets.map(|market| scope.spawn(move || market_days(options, universe, market, dates)));
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a market's thread does not panic"))
            .collect()
    });
    records.into_iter().sum()
}

fn market_days(options: &Options, universe: &Universe, market: Market, dates: &[NaiveDate]) -> Result<u64> {
    let mut records = 0;
    for (nth, &date) in dates.iter().enumerate() {
        let (trades, seed) = options.trades(nth);
        let day = Day::new(universe, market, seed, universe.share(market, trades));
        records += market_day(options, market, date, day)
            .with_context(|| format!("recording {market} on {date}"))?;
    }
    Ok(records)
}

fn market_day(options: &Options, market: Market, date: NaiveDate, mut day: Day) -> Result<u64> {
    let feed = market.name().parse()?;
    let mut journaled = Journaled::begin(options, &FULL_MARKET, &feed, date, Vec::new())?;
    let mut pace = Pace::new(date);
    while let Some(message) = day.next_message() {
        journaled.frame(pace.receive(message.at), &message.text, message.records)?;
    }
    journaled.end()
}

fn pushes_days(options: &Options, universe: &Universe, dates: &[NaiveDate]) -> Result<u64> {
    let mut records = 0;
    for (nth, &date) in dates.iter().enumerate() {
        let (trades_per_day, seed) = options.trades(nth);
        let day = DayConfig {
            universe: universe.clone(),
            seed,
            trades_per_day,
            ..DayConfig::default()
        };
        records += pushes_day(options, date, &day).with_context(|| format!("recording pushes on {date}"))?;
    }
    Ok(records)
}

fn pushes_day(options: &Options, date: NaiveDate, day: &DayConfig) -> Result<u64> {
    let pushes = Pushes::new(day, PerIssueConfig::default(), &options.pushes);
    let registered = krx_bench::registered(pushes.pairs());
    let mut journaled = Journaled::begin(options, &PER_ISSUE, &options.feed, date, registered)?;
    let mut pace = Pace::new(date);
    for (TimeOfDay(due), text) in pushes {
        journaled.frame(pace.receive_at(i64::try_from(due)?), &text, 1)?;
    }
    journaled.end()
}
