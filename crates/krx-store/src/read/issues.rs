//! What a per-issue feed has of a date: its pairs, and the states that answered registrations. They are found without
//! reading most columns of most rows.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::ArrowError;
use chrono::NaiveDate;
use krx_protocol::per_issue::{Pair, RegistrationState, RowKind, Table};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};

use super::file::{builder, not_ours, undecodable};
use super::records::{Record, RecordRows, only_preset};
use super::texts::Texts;
use crate::catalog;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::registrations::{self, Stretch};
use crate::service::dataset_of;

/// Rows of snapshots that are read at a time: a date has a few hundred, in files of millions of rows.
const SNAPSHOT_ROWS: usize = 256;

/// The pairs that have rows in a dataset of a feed and date.
///
/// # Errors
/// [`StoreError`], when a file cannot be read or is not one of the dataset's. If the day is sealed into one file in the
/// meantime, a file vanishes: ask again.
pub fn pairs(
    data: &DataDir,
    table: Table,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<BTreeSet<Pair>, StoreError> {
    let mut found = BTreeSet::new();
    for path in catalog::paths(data, dataset_of(table), feed, date)? {
        let (_, builder) = builder(dataset_of(table), &path)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), ["code", "preset"]);
        let reader = builder
            .with_projection(mask)
            .build()
            .map_err(undecodable(&path))?;
        for batch in reader {
            add_pairs(&read(batch, &path)?, table, &path, &mut found)?;
        }
    }
    Ok(found)
}

/// In which state each wanted pair was on a date, as far as its file goes; `None` if that is missing or damaged, which
/// `verify` reports.
///
/// # Errors
/// [`StoreError`], when the file cannot be read.
pub fn registrations(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
) -> Result<Option<Vec<Stretch>>, StoreError> {
    let log = match registrations::load(data, feed, date) {
        Err(StoreError::ReadBack { .. }) => None,
        other => other?,
    };
    Ok(log.map(|log| log.stretches()))
}

/// The pairs that were active at any time on a date, according to its registrations. Empty if these are not known.
///
/// # Errors
/// As [`fn@registrations`].
pub fn active_pairs(data: &DataDir, feed: &FeedName, date: NaiveDate) -> Result<BTreeSet<Pair>, StoreError> {
    let stretches = registrations(data, feed, date)?.unwrap_or_default();
    let active = stretches
        .into_iter()
        .filter(|stretch| stretch.state == RegistrationState::Active);
    Ok(active.map(|stretch| stretch.pair).collect())
}

/// Adds those of a batch of the columns `code` and, where the table has it, `preset`.
fn add_pairs(
    batch: &RecordBatch,
    table: Table,
    path: &Path,
    found: &mut BTreeSet<Pair>,
) -> Result<(), StoreError> {
    let keyed = |name: &str| {
        Some(
            batch
                .column_by_name(name)?
                .as_dictionary_opt::<Int32Type>()?
                .keys(),
        )
    };
    let codes = keyed("code").ok_or_else(|| not_ours(path, "its issue codes are not text"))?;
    let presets = keyed("preset");
    let preset_of = |row: usize| {
        let word = batch
            .column_by_name("preset")
            .filter(|column| column.is_valid(row));
        word.and_then(|column| Texts::of(column).value(row).parse().ok())
            .unwrap_or_else(|| only_preset(table))
    };
    let mut seen = HashSet::new();
    for row in 0..batch.num_rows() {
        let preset = presets
            .filter(|keys| keys.is_valid(row))
            .map(|keys| keys.value(row));
        if seen.insert((codes.value(row), preset)) {
            found.insert(Pair {
                preset: preset_of(row),
                code: Texts::of(&batch.columns()[0]).value(row).to_owned(),
            });
        }
    }
    Ok(())
}

/// Shows the snapshots in a dataset of a feed and date, in any order.
///
/// # Errors
/// As [`pairs`].
pub fn snapshots(
    data: &DataDir,
    table: Table,
    feed: &FeedName,
    date: NaiveDate,
    show: &mut dyn FnMut(&Record<'_>),
) -> Result<(), StoreError> {
    for path in catalog::paths(data, dataset_of(table), feed, date)? {
        let (_, builder) = builder(dataset_of(table), &path)?;
        let kind = ProjectionMask::columns(builder.parquet_schema(), ["kind"]);
        let filter = RowFilter::new(vec![Box::new(ArrowPredicateFn::new(kind, |batch| {
            are_snapshots(&batch)
        }))]);
        let reader = builder
            .with_row_filter(filter)
            .with_batch_size(SNAPSHOT_ROWS)
            .build()
            .map_err(undecodable(&path))?;
        for batch in reader {
            let rows = RecordRows::new(table, read(batch, &path)?);
            for index in 0..rows.len() {
                show(&rows.row(index));
            }
        }
    }
    Ok(())
}

fn are_snapshots(kinds: &RecordBatch) -> Result<BooleanArray, ArrowError> {
    let word = RowKind::Snapshot.as_str();
    let texts = Texts::of(&kinds.columns()[0]);
    Ok((0..kinds.num_rows())
        .map(|row| Some(texts.value(row) == word))
        .collect())
}

fn read(batch: Result<RecordBatch, ArrowError>, path: &Path) -> Result<RecordBatch, StoreError> {
    batch
        .map_err(parquet::errors::ParquetError::from)
        .map_err(undecodable(path))
}
