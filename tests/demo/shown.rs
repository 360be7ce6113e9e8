//! What the demonstration shows of its recording, and how to read the same with other programs.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::DateTime;
use krx_harness::IssueList;
use krx_harness::issues::first_rows;
use krx_harness::oracle::Report;
use krx_harness::output::say;
use krx_harness::recorded::{Frames, TradeRow};

/// Rows of one issue that are shown.
const SHOWN: usize = 5;

/// Shows the first rows of the issue that was traded most, and how to read them. Returns its code.
pub(crate) fn trades(data_dir: &Path, report: &Report) -> Result<String> {
    let (market, _) = report
        .markets
        .iter()
        .max_by_key(|(_, report)| report.trades)
        .context("a market")?;
    let (mut counts, mut first) = (
        HashMap::<String, usize>::new(),
        HashMap::<String, Vec<TradeRow>>::new(),
    );
    let (mut frames, mut date) = (Frames::open(data_dir, market)?, None);
    while let Some(frame) = frames.next()? {
        date = date.or(Some(frame.date));
        for row in frame.trades.into_iter().filter(|row| row.kind == "trade") {
            *counts.entry(row.code.clone()).or_default() += 1;
            let rows = first.entry(row.code.clone()).or_default();
            if rows.len() < SHOWN {
                rows.push(row);
            }
        }
    }
    let (code, count) = counts
        .iter()
        .max_by_key(|(code, count)| (**count, *code))
        .context("a trade")?;
    say(format_args!(
        "{code}, the issue traded most in {market} ({count} trades), begins so:\n"
    ))?;
    say(format_args!(
        "{:<8} {:<23} {:>9} {:>7}",
        "code", "trade_ts", "price", "volume"
    ))?;
    for row in &first[code] {
        let at = row
            .trade_ts
            .and_then(DateTime::from_timestamp_millis)
            .context("a trade has a time")?;
        let at = at.naive_utc() + chrono::TimeDelta::hours(9);
        say(format_args!(
            "{:<8} {:<23} {:>9} {:>7}",
            row.code,
            at.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
            row.price,
            row.volume
        ))?;
    }
    let date = date.context("a date")?;
    show_queries(data_dir, &date.to_string(), market, code)?;
    Ok(code.clone())
}

/// How to read the same rows with other programs.
fn show_queries(data_dir: &Path, date: &str, market: &str, code: &str) -> Result<()> {
    let trades = data_dir.join("trades");
    let trades = trades.display();
    say(format_args!(
        "
The same in DuckDB:

  SET TimeZone = 'Asia/Seoul';
  SELECT code, trade_ts, price, volume
  FROM read_parquet('{trades}/**/*.parquet', hive_partitioning = true)
  WHERE date = '{date}' AND market = '{market}' AND code = '{code}' AND kind = 'trade'
  ORDER BY frame, item LIMIT {SHOWN};

and in pandas:

  import pandas as pd
  trades = pd.read_parquet('{trades}', filters=[
      ('date', '==', '{date}'), ('market', '==', '{market}'),
      ('code', '==', '{code}'), ('kind', '==', 'trade'),
  ])
  print(trades.sort_values(['frame', 'item'])[['code', 'trade_ts', 'price', 'volume']].head({SHOWN}))
"
    ))?;
    Ok(())
}

/// Shows the first trades and books of a stock of the per-issue feed, and how to read each trade with the book before it.
pub(crate) fn issue(data_dir: &Path, list: &IssueList, code: &str) -> Result<()> {
    say(format_args!(
        "The per-issue feed has each trade behind those records, and the book after each change. {code} begins so:\n"
    ))?;
    let ticks = ["trade_ts", "price", "volume", "acc_volume", "side"];
    table(
        &ticks,
        &first_rows(data_dir, list.feed, ("ticks", code, "trade"), &ticks, SHOWN)?,
    )?;
    let books = [
        "bid_size_02",
        "bid_price_02",
        "bid_size_01",
        "bid_price_01",
        "ask_price_01",
        "ask_size_01",
        "ask_price_02",
        "ask_size_02",
    ];
    table(
        &books,
        &first_rows(data_dir, list.feed, ("books", code, "update"), &books, SHOWN)?,
    )?;
    let data = data_dir.display();
    say(format_args!(
        "Each trade with the best prices right before it, in DuckDB:

  SELECT t.trade_ts, t.price, t.volume, t.side, b.bid_price_01, b.ask_price_01
  FROM read_parquet('{data}/ticks/**/*.parquet', hive_partitioning = true) t
  ASOF JOIN read_parquet('{data}/books/**/*.parquet', hive_partitioning = true) b
    ON t.date = b.date AND t.feed = b.feed AND t.code = b.code AND t.frame > b.frame
  WHERE t.code = '{code}' AND t.kind = 'trade' ORDER BY t.frame LIMIT {SHOWN};
"
    ))?;
    Ok(())
}

/// Columns under their names, each as wide as it must be.
fn table(names: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
        cells.max().unwrap_or(0).max(names[column].len())
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .enumerate()
            .map(|(column, cell)| format!("{cell:>0$}", width(column)));
        padded.collect::<Vec<_>>().join("  ")
    };
    say(format_args!("{}", line(&mut names.iter().copied())))?;
    for row in rows {
        say(format_args!("{}", line(&mut row.iter().map(String::as_str))))?;
    }
    say(format_args!(""))?;
    Ok(())
}

/// Where the data are, and how to remove them.
pub(crate) fn farewell(data_dir: &Path) -> Result<()> {
    say(format_args!(
        "The data stay in {}; remove them with: rm -r {}",
        data_dir.display(),
        data_dir.parent().unwrap_or(data_dir).display()
    ))?;
    Ok(())
}
