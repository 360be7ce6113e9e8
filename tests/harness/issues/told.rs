//! What a recorder has committed of a per-issue feed, row by row, in words: to compare with what a test expects.

use std::path::Path;

use anyhow::Result;
use arrow_array::Array;

use super::columns::{DATASETS, Dataset, How};
use super::recorded::{Cells, Place, Table, What, segments};

/// Milliseconds.
const DAY: i64 = 86_400_000;
const KOREA: i64 = 9 * 3_600_000;

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
    /// `ticks 005930 trade preset=tick10 trade_ts=35101550 trade_time=9450155 price=71500 volume=5`. Clocks are in
    /// milliseconds of the day in Korea. Of what is quarantined: `quarantine`, the reason, and what was received.
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
        for &Place {
            frame,
            item,
            table,
            row,
        } in &rows.order
        {
            let table = &rows.tables[table];
            found.push(IssueRow {
                session: table.session.value(row),
                frame,
                item,
                words: words(table, row),
            });
        }
    }
    Ok(found)
}

fn words(table: &Table, row: usize) -> String {
    match &table.what {
        What::Rejects { reason, raw } => {
            let raw = String::from_utf8_lossy(raw.value(row));
            format!("quarantine {} {raw}", reason.value(row))
        }
        What::Records {
            dataset,
            code,
            kind,
            extra,
            columns,
        } => {
            let Dataset {
                name,
                columns: described,
                ..
            } = &DATASETS[*dataset];
            let mut words = format!("{name} {} {}", code.value(row), kind.value(row));
            for (column, cells) in described.iter().zip(columns) {
                if cells.is_valid(row) {
                    let value = match cells {
                        Cells::Integer(cells) if column.how == How::Clock => {
                            (cells.value(row) + KOREA).rem_euclid(DAY).to_string()
                        }
                        Cells::Integer(cells) => cells.value(row).to_string(),
                        Cells::Digits(cells) => cells.value(row).to_string(),
                        Cells::Float(cells) => cells.value(row).to_string(),
                        Cells::Text(cells) => cells.value(row).to_owned(),
                    };
                    words += &format!(" {}={value}", column.name);
                }
            }
            if extra.is_valid(row) {
                words += &format!(" extra={}", extra.value(row));
            }
            words
        }
    }
}
