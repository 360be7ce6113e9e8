//! What a recorder has committed of a per-issue feed, row by row, in words: to compare with what a test expects.

use std::path::Path;

use anyhow::Result;

use super::columns::{DATASETS, Dataset, QUARANTINE};
use super::recorded::{Place, Table, What, segments};
use super::shown::TextRow;

/// A row, of any dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueRow {
    /// The session in which it came.
    pub session: i32,
    /// The frame's number.
    pub frame: i64,
    /// Its place in the frame; none of what is not exactly one record.
    pub item: Option<i16>,
    /// Of a record: the dataset, the code, the kind, and each column that has a value, as
    /// `ticks 005930 trade preset=tick10 trade_ts=09:45:01.550 trade_time=9450155 price=71500 volume=5`. Of what is
    /// quarantined: `quarantine`, the reason, and what was received.
    pub words: String,
}

/// All rows of a feed, in order of frame and item.
///
/// # Errors
/// When files are missing or unsound.
pub fn issue_rows(data_dir: &Path, feed: &str) -> Result<Vec<IssueRow>> {
    let mut found = Vec::new();
    for segment in segments(data_dir, feed)? {
        let rows = segment.read()?;
        for &place in &rows.order {
            let table = &rows.tables[place.table];
            found.push(IssueRow {
                session: table.session.value(place.row),
                frame: place.frame,
                item: place.item,
                words: words(table, place),
            });
        }
    }
    Ok(found)
}

fn words(table: &Table, place: Place) -> String {
    let row = TextRow::of(table, place);
    let What::Records { dataset, .. } = &table.what else {
        let raw = row.values.into_iter().flatten().collect::<String>();
        return format!("{QUARANTINE} {} {raw}", row.code);
    };
    let Dataset { name, columns, .. } = &DATASETS[*dataset];
    let mut words = format!("{name} {} {}", row.code, row.kind);
    let named = columns.iter().map(|column| column.name.as_str()).zip(row.values);
    for (name, value) in named.chain([("extra", row.extra)]) {
        if let Some(value) = value {
            words += &format!(" {name}={value}");
        }
    }
    words
}
