//! Rows of a per-issue feed as text: to be shown, or to compare two recordings.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use arrow_array::Array;

use super::columns::{DATASETS, QUARANTINE};
use super::recorded::{Cells, Place, Table, What, segments};

/// Milliseconds that Korean time is ahead.
const KOREA_MS: i64 = 9 * 3_600_000;

/// What a row says, without when and in which frame and session it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextRow {
    /// The issue code; of what is in quarantine, the reason.
    pub code: String,
    /// The kind; of what is in quarantine, none.
    pub kind: String,
    /// The position in the frame.
    pub item: Option<i16>,
    /// The values in the order of the dataset's own columns; of what is in quarantine, the bytes. A time is that of the day
    /// in Korea.
    pub values: Vec<Option<String>>,
    /// The other members.
    pub extra: Option<String>,
}

/// All rows of a dataset of a per-issue feed, or of its quarantine, in order of arrival.
///
/// # Errors
/// When files cannot be read.
pub fn text_rows(data_dir: &Path, feed: &str, dataset: &str) -> Result<Vec<TextRow>> {
    let mut rows = Vec::new();
    each_row(data_dir, feed, dataset, &mut |row| {
        rows.push(row);
        true
    })?;
    Ok(rows)
}

/// Columns of the first rows of a kind and of an issue in a dataset of a per-issue feed, in order of arrival. What is null is
/// empty.
///
/// # Errors
/// When files cannot be read, or there is no such dataset or column.
pub fn first_rows(
    data_dir: &Path,
    feed: &str,
    (dataset, code, kind): (&str, &str, &str),
    columns: &[&str],
    count: usize,
) -> Result<Vec<Vec<String>>> {
    let known = DATASETS.iter().find(|known| known.name == dataset);
    let known = known.with_context(|| format!("there is no dataset {dataset}"))?;
    let find = |name: &&str| {
        let found = known.columns.iter().position(|column| column.name == *name);
        found.with_context(|| format!("{dataset} has no column {name}"))
    };
    let wanted = columns.iter().map(find).collect::<Result<Vec<_>>>()?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    each_row(data_dir, feed, dataset, &mut |row| {
        if (row.code.as_str(), row.kind.as_str()) == (code, kind) {
            let cell = |column: &usize| row.values[*column].clone().unwrap_or_default();
            rows.push(wanted.iter().map(cell).collect());
        }
        rows.len() < count
    })?;
    Ok(rows)
}

/// How long after the first row of a per-issue feed the last was received.
///
/// # Errors
/// When files cannot be read, or there are no rows.
pub fn span(data_dir: &Path, feed: &str) -> Result<Duration> {
    let mut times = Vec::new();
    for segment in segments(data_dir, feed)? {
        let read = segment.read()?;
        times.extend(
            read.tables
                .iter()
                .flat_map(|table| table.recv_us.values())
                .copied(),
        );
    }
    let first = times.iter().min().context("there are no rows")?;
    let last = times.iter().max().context("there are no rows")?;
    Ok(Duration::from_micros(u64::try_from(last - first)?))
}

/// Shows rows until one is enough.
fn each_row(data_dir: &Path, feed: &str, dataset: &str, show: &mut dyn FnMut(TextRow) -> bool) -> Result<()> {
    let wanted = DATASETS.iter().position(|known| known.name == dataset);
    for segment in segments(data_dir, feed)? {
        let read = segment.read()?;
        for place in read.order {
            let table = &read.tables[place.table];
            let is_wanted = match &table.what {
                What::Records { dataset, .. } => Some(*dataset) == wanted,
                What::Rejects { .. } => dataset == QUARANTINE,
            };
            if is_wanted && !show(TextRow::of(table, place)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl TextRow {
    /// A row of a file.
    pub(super) fn of(table: &Table, place: Place) -> Self {
        let (item, at) = (place.item, place.row);
        match &table.what {
            What::Records {
                dataset,
                code,
                kind,
                extra,
                columns,
            } => {
                let known = &DATASETS[*dataset].columns;
                let cells = columns.iter().zip(known);
                Self {
                    code: code.value(at).to_owned(),
                    kind: kind.value(at).to_owned(),
                    item,
                    values: cells
                        .map(|(cells, column)| cells.shown(at, column.is_clock()))
                        .collect(),
                    extra: extra.is_valid(at).then(|| extra.value(at).to_owned()),
                }
            }
            What::Rejects { reason, raw } => Self {
                code: reason.value(at).to_owned(),
                kind: String::new(),
                item,
                values: vec![Some(String::from_utf8_lossy(raw.value(at)).into_owned())],
                extra: None,
            },
        }
    }
}

impl Cells {
    fn shown(&self, row: usize, is_clock: bool) -> Option<String> {
        self.is_valid(row).then(|| match self {
            Self::Integer(cells) if is_clock => time(cells.value(row)),
            Self::Integer(cells) => cells.value(row).to_string(),
            Self::Digits(cells) => cells.value(row).to_string(),
            Self::Float(cells) => cells.value(row).to_string(),
            Self::Text(cells) => cells.value(row).to_owned(),
        })
    }
}

/// A time of day in Korea. `at_ms` is in milliseconds since the Unix epoch.
fn time(at_ms: i64) -> String {
    let of_day = (at_ms + KOREA_MS).rem_euclid(24 * 3_600_000);
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    format!(
        "{:02}:{:02}:{:02}.{millis:03}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}
