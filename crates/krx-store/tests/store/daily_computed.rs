//! What derived datasets must hold, computed from the rows of the others in the plainest way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef};

use crate::daily_days::MINUTE;
use crate::support::{batches, files};

/// A value of a row, as text; empty for null.
fn text(column: &ArrayRef, row: usize) -> String {
    use arrow_schema::DataType;
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Dictionary(..) => {
            let column = column.as_dictionary::<Int32Type>();
            column
                .values()
                .as_string::<i32>()
                .value(column.key(row).unwrap())
                .to_owned()
        }
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, _) => column
            .as_primitive::<TimestampMillisecondType>()
            .value(row)
            .to_string(),
        DataType::Timestamp(..) => column
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .to_string(),
        other => panic!("{other}"),
    }
}

/// Rows as maps of texts.
pub(crate) fn rows(paths: &[PathBuf]) -> Vec<BTreeMap<String, String>> {
    let mut found = Vec::new();
    for batch in paths.iter().flat_map(|path| batches(path)) {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let values = schema.fields().iter().zip(batch.columns());
            found.push(
                values
                    .map(|(field, column)| (field.name().clone(), text(column, row)))
                    .collect(),
            );
        }
    }
    found
}

/// The rows of a feed in a dataset.
fn of_feed(dir: &Path, dataset: &str, feed: &str) -> Vec<BTreeMap<String, String>> {
    let mut paths = files(&dir.join(dataset), "parquet");
    paths.retain(|path| path.to_str().unwrap().contains(&format!("={feed}/")));
    rows(&paths)
}

/// A trade as the rows tell it: its order, time in ms, price and volume.
type Trade = (Vec<i64>, i64, f64, i64);

/// What a feed's rows say of each issue: its trades in order and its official close.
fn told(dir: &Path, dataset: &str, feed: &str) -> BTreeMap<String, (Vec<Trade>, String)> {
    let mut rows = of_feed(dir, dataset, feed);
    let number = |row: &BTreeMap<String, String>, name: &str| row[name].parse::<i64>().unwrap_or(i64::MAX);
    rows.sort_by_key(|row| (number(row, "frame"), number(row, "item")));
    let mut found: BTreeMap<String, (Vec<Trade>, String)> = BTreeMap::new();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let is_double = |row: &BTreeMap<String, String>| row.get("preset").is_some_and(|preset| preset == "tick");
    // tick10 first, so that those of tick that are there already can be left out.
    let (longer, tick): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| !is_double(row));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in longer.iter().chain(&tick) {
        let entry = found.entry(row["code"].clone()).or_default();
        if row["kind"] == "regular_close" && !is_double(row) {
            entry.1 = row["price"].clone();
        }
        if row["kind"] != "trade" {
            continue;
        }
        let total = row.get("acc_volume").cloned().unwrap_or_default();
        let same = [
            &row["code"],
            &row["trade_ts"],
            &row["price"],
            &row["volume"],
            &total,
        ]
        .map(String::as_str)
        .join(" ");
        if row.contains_key("preset") {
            if is_double(row) {
                let nth = counts.entry(same.clone()).or_default();
                *nth += 1;
                if *nth
                    <= seen
                        .get(&(same.clone(), "tick10".to_owned()))
                        .copied()
                        .unwrap_or_default()
                {
                    continue;
                }
            } else {
                *seen.entry((same.clone(), "tick10".to_owned())).or_default() += 1;
            }
        }
        let mut order = vec![number(row, "frame"), number(row, "item")];
        if row.contains_key("preset") {
            order = [
                vec![
                    number(row, "trade_ts"),
                    number(row, "acc_volume"),
                    number(row, "recv_ts"),
                ],
                order,
            ]
            .concat();
        }
        let (price, volume) = (row["price"].parse().unwrap(), number(row, "volume"));
        entry.0.push((order, number(row, "trade_ts"), price, volume));
    }
    for (trades, _) in found.values_mut() {
        trades.sort_by(|one, other| one.0.cmp(&other.0));
    }
    found
}

/// Open, high, low, close, volume, value and records of trades.
fn summed(trades: &[&Trade]) -> Vec<String> {
    let prices: Vec<f64> = trades.iter().map(|trade| trade.2).collect();
    let volume: i64 = trades.iter().map(|trade| trade.3).sum();
    let highest = prices.iter().copied().fold(f64::MIN, f64::max);
    let lowest = prices.iter().copied().fold(f64::MAX, f64::min);
    let ends = [prices[0], highest, lowest, prices[prices.len() - 1]].map(|price| price.to_string());
    // In order of arrival, as the sum of decimals is made.
    let mut by_place: Vec<_> = trades.to_vec();
    by_place.sort_by(|one, other| one.0[one.0.len() - 2..].cmp(&other.0[other.0.len() - 2..]));
    let value: f64 = by_place
        .iter()
        .fold(0.0, |sum, trade| sum + trade.2 * trade.3 as f64);
    [
        ends.to_vec(),
        vec![volume.to_string(), value.to_string(), trades.len().to_string()],
    ]
    .concat()
}

const FIGURES: [&str; 7] = ["open", "high", "low", "close", "volume", "value", "records"];

fn figures(row: &BTreeMap<String, String>) -> Vec<String> {
    FIGURES.map(|name| row[name].clone()).to_vec()
}

/// When the feed was live, and each pair of `registrations` active, microseconds; naive.
fn spans(dir: &Path, feed: &str, code: &str) -> Vec<Vec<(i64, i64)>> {
    let of = |dataset: &str| of_feed(dir, dataset, feed);
    let number = |row: &BTreeMap<String, String>, name: &str| row[name].parse::<i64>().unwrap();
    let live: Vec<_> = of("coverage")
        .into_iter()
        .filter(|row| row["state"] == "live")
        .collect();
    let live: Vec<_> = live
        .iter()
        .map(|row| (number(row, "from_ts"), number(row, "to_ts")))
        .collect();
    let registered = of("registrations");
    if registered.is_empty() {
        return vec![live];
    }
    ["tick", "tick10"]
        .iter()
        .map(|preset| {
            let pair = registered
                .iter()
                .filter(|row| row["preset"] == *preset && row["code"] == code);
            let active = pair.filter(|row| row["state"] == "active");
            let mut parts = Vec::new();
            for row in active {
                for (from, to) in &live {
                    let (from, to) = (number(row, "from_ts").max(*from), number(row, "to_ts").min(*to));
                    if from < to {
                        parts.push((from, to));
                    }
                }
            }
            parts
        })
        .collect()
}

/// How many of a span's milliseconds lie in any of the spans: counted one by one, every 500th.
fn sampled(spans: &[Vec<(i64, i64)>], (from, to): (i64, i64)) -> f64 {
    let (mut found, mut all) = (0_u32, 0_u32);
    for at in (from..to).step_by(100_000) {
        all += 1;
        let is_in = spans.iter().flatten().any(|(from, to)| *from <= at && at < *to);
        found += u32::from(is_in);
    }
    f64::from(found) / f64::from(all)
}

pub(crate) fn compare_daily(dir: &Path, derived: &str, sources: &[(&str, &str)], hours: (i64, i64)) -> usize {
    let found = rows(&files(&dir.join(derived), "parquet"));
    let keys: Vec<_> = found
        .iter()
        .map(|row| (row["feed"].clone(), row["code"].clone()))
        .collect();
    assert!(keys.is_sorted() && keys.iter().collect::<BTreeSet<_>>().len() == keys.len());
    let mut count = 0;
    for (feed, source) in sources {
        for (code, (trades, official)) in told(dir, source, feed) {
            let row = found
                .iter()
                .find(|row| row["feed"] == *feed && row["code"] == code);
            let row = row.unwrap_or_else(|| panic!("{feed} {code} is missing"));
            let ends = hours.1 + 10 * MINUTE;
            let within: Vec<_> = trades
                .iter()
                .filter(|trade| (hours.0..ends).contains(&(trade.1 * 1000)))
                .collect();
            let share = sampled(&spans(dir, feed, &code), hours);
            let said: f64 = row["recorded_share"].parse().unwrap();
            assert!((said - share).abs() < 1e-3, "{feed} {code}: {said} {share}");
            if within.is_empty() {
                let sum = if said >= 1.0 { "0" } else { "" };
                assert_eq!(figures(row), ["", "", "", "", sum, sum, "0"], "{feed} {code}");
                assert_eq!((row["first_ts"].as_str(), row["last_ts"].as_str()), ("", ""));
            } else {
                assert_eq!(figures(row), summed(&within), "{feed} {code}");
                let times = within.iter().map(|trade| trade.1);
                assert_eq!(row["first_ts"], times.clone().min().unwrap().to_string());
                assert_eq!(row["last_ts"], times.max().unwrap().to_string());
            }
            assert_eq!(row["official_close"], official, "{feed} {code}");
            assert_eq!(row["market"], if *source == "trades" { *feed } else { "" });
            count += 1;
        }
    }
    assert_eq!(found.len(), count, "rows of issues that have none");
    count
}

/// How many minutes were not recorded throughout, in how many nothing was traded, and in how many of the former something was.
pub(crate) fn compare_bars(dir: &Path, sources: &[(&str, &str)], (opens, closes): (i64, i64)) -> [usize; 3] {
    let found = rows(&files(&dir.join("bars_1m"), "parquet"));
    let mut by_key: BTreeMap<(String, String, i64), Vec<String>> = BTreeMap::new();
    let minutes = (closes - opens) / MINUTE + 10;
    let (mut incomplete, mut empty, mut partial) = (0, 0, 0);
    for row in &found {
        let key = (
            row["feed"].clone(),
            row["code"].clone(),
            row["ts"].parse().unwrap(),
        );
        let values = [figures(row), vec![row["complete"].clone()]].concat();
        assert!(by_key.insert(key, values).is_none());
    }
    let mut count = 0;
    for (feed, source) in sources {
        for (code, (trades, _)) in told(dir, source, feed) {
            if trades.is_empty() {
                continue;
            }
            let spans = spans(dir, feed, &code);
            for minute in 0..minutes {
                let (from, to) = (opens + minute * MINUTE, opens + (minute + 1) * MINUTE);
                let within: Vec<_> = trades
                    .iter()
                    .filter(|trade| (from..to).contains(&(trade.1 * 1000)))
                    .collect();
                let complete = spans.iter().any(|spans| {
                    let mut at = from;
                    for (begin, end) in spans {
                        if *begin <= at && at < *end {
                            at = *end;
                        }
                    }
                    at >= to
                });
                let key = ((*feed).to_owned(), code.clone(), from);
                incomplete += usize::from(!complete);
                if complete && within.is_empty() {
                    assert!(!by_key.contains_key(&key), "{key:?} says nothing");
                    empty += 1;
                    continue;
                }
                let nothing = || ["", "", "", "", "", "", "0"].map(str::to_owned).to_vec();
                let expected = if within.is_empty() {
                    nothing()
                } else {
                    summed(&within)
                };
                let expected = [expected, vec![complete.to_string()]].concat();
                assert_eq!(by_key.get(&key), Some(&expected), "{key:?}");
                partial += usize::from(!complete && !within.is_empty());
                count += 1;
            }
        }
    }
    assert_eq!(found.len(), count, "bars of issues that did not trade");
    [incomplete, empty, partial]
}
