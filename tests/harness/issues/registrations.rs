//! What a recorder has on record of a per-issue feed's registrations: its dataset, without the recorder's code.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::tree::files_under;

/// The states that the dataset knows.
const STATES: [&str; 5] = ["requested", "active", "refused", "unanswered", "silent"];

/// A row of `registrations`: after `from_us`, up to and including `to_us`, a pair was in one state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// As in `tick10:005930`.
    pub pair: String,
    /// The trading date.
    pub date: NaiveDate,
    /// When it began, µs since the Unix epoch.
    pub from_us: i64,
    /// When it ended.
    pub to_us: i64,
    /// The state.
    pub state: String,
    /// The session, if there was one.
    pub session: Option<i32>,
    /// In words.
    pub detail: Option<String>,
}

/// The stretches of a feed in a data directory, in order of pair and time. Each is sound, and none overlaps another one
/// of its pair (I11).
///
/// # Errors
/// When a file cannot be read, or is not as it should be.
pub fn stretches(data_dir: &Path, feed: &str) -> Result<Vec<Stretch>> {
    let mut found = Vec::new();
    for path in files_under(&data_dir.join("registrations"))? {
        let place = path.to_string_lossy();
        if !place.contains(&format!("/feed={feed}/")) {
            continue;
        }
        let date = place.split("/date=").nth(1).and_then(|rest| rest.get(..10));
        let date = date.context("its path has no date")?.parse()?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path)?)?.build()?;
        for batch in reader {
            let rows = rows(&batch?, date).with_context(|| format!("the columns of {place}"))?;
            found.extend(rows);
        }
    }
    found.sort();
    for stretch in &found {
        ensure!(stretch.from_us < stretch.to_us, "it is empty: {stretch:?}");
        ensure!(STATES.contains(&stretch.state.as_str()), "{stretch:?}");
        ensure!(
            stretch.session.is_some() || (stretch.state == "requested" && stretch.detail.is_some()),
            "without a session it is to be asked for, and the reason is known: {stretch:?}"
        );
    }
    for (first, next) in of_one_pair(&found) {
        ensure!(first.to_us <= next.from_us, "I11: {first:?} overlaps {next:?}");
    }
    Ok(found)
}

/// Checks that each pair has no hole from when it was first wanted, as where a list never changes, and that all go on to
/// the same instant (I11).
///
/// # Errors
/// The first hole.
pub fn without_holes(stretches: &[Stretch]) -> Result<()> {
    ensure!(!stretches.is_empty(), "I11: nothing is on record");
    for (first, next) in of_one_pair(stretches) {
        ensure!(
            first.to_us == next.from_us,
            "I11: nothing is known between {first:?} and {next:?}"
        );
    }
    let ends: BTreeMap<_, _> = stretches
        .iter()
        .map(|stretch| (&stretch.pair, stretch.to_us))
        .collect();
    let last = ends.values().max().copied();
    for (pair, end) in ends {
        ensure!(Some(end) == last, "I11: {pair} is not known up to the end");
    }
    Ok(())
}

/// The last state of each pair while there was a session.
#[must_use]
pub fn last_states(stretches: &[Stretch]) -> BTreeMap<&str, &str> {
    let with_session = stretches.iter().filter(|stretch| stretch.session.is_some());
    with_session
        .map(|stretch| (stretch.pair.as_str(), stretch.state.as_str()))
        .collect()
}

fn of_one_pair(stretches: &[Stretch]) -> impl Iterator<Item = (&Stretch, &Stretch)> {
    let next = stretches.iter().skip(1);
    stretches
        .iter()
        .zip(next)
        .filter(|(first, next)| first.pair == next.pair)
}

fn rows(batch: &RecordBatch, date: NaiveDate) -> Option<Vec<Stretch>> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let time = |name: &str| {
        batch
            .column_by_name(name)?
            .as_primitive_opt::<TimestampMicrosecondType>()
    };
    let (preset, code, state, detail) = (text("preset")?, text("code")?, text("state")?, text("detail")?);
    let (from, to) = (time("from_ts")?, time("to_ts")?);
    let session = batch.column_by_name("session")?.as_primitive_opt::<Int32Type>()?;
    let rows = (0..batch.num_rows()).map(|row| Stretch {
        pair: format!("{}:{}", preset.value(row), code.value(row)),
        date,
        from_us: from.value(row),
        to_us: to.value(row),
        state: state.value(row).to_owned(),
        session: session.is_valid(row).then(|| session.value(row)),
        detail: detail.is_valid(row).then(|| detail.value(row).to_owned()),
    });
    Some(rows.collect())
}
