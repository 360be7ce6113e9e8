//! Whether a recorded row is the one that was sent.

use anyhow::{Context, Result, bail, ensure};
use arrow_array::Array;

use super::columns::{DATASETS, How};
use super::expected::{Row, Value};
use super::recorded::{Cells, Place, Table, What};

/// Whether a row of `quarantine` has this item, reason and text.
///
/// # Errors
/// What is different.
pub(super) fn same_reject(
    (item, reason, raw): (Option<i16>, &str, &str),
    table: &Table,
    place: Place,
) -> Result<()> {
    let What::Rejects {
        reason: reasons,
        raw: raws,
    } = &table.what
    else {
        bail!("it is a record")
    };
    let found = (place.item, reasons.value(place.row), raws.value(place.row));
    ensure!(
        found == (item, reason, raw.as_bytes()),
        "it is {:?} {} {:?}",
        found.0,
        found.1,
        String::from_utf8_lossy(found.2)
    );
    Ok(())
}

/// Whether a row is this one. `midnight_ms` is its date's midnight in Korea, in milliseconds since the Unix epoch.
///
/// # Errors
/// What is different.
pub(super) fn same_row(row: &Row<'_>, table: &Table, place: Place, midnight_ms: i64) -> Result<()> {
    let What::Records {
        dataset,
        code,
        kind,
        extra,
        columns,
    } = &table.what
    else {
        bail!("it is in quarantine")
    };
    let at = place.row;
    let found_extra = extra.is_valid(at).then(|| extra.value(at));
    let found = (*dataset, place.item, code.value(at), kind.value(at), found_extra);
    let wanted = (
        row.dataset,
        Some(row.item),
        row.code,
        row.kind,
        row.extra.as_deref(),
    );
    ensure!(found == wanted, "it is {found:?}");
    let known = &DATASETS[row.dataset].columns;
    for ((column, cells), value) in known.iter().zip(columns).zip(&row.values) {
        let is_clock = column.how == How::Clock;
        let same = same_value(*value, cells, at, if is_clock { midnight_ms } else { 0 });
        same.with_context(|| format!("column {}", column.name))?;
    }
    Ok(())
}

fn same_value(value: Value<'_>, cells: &Cells, row: usize, offset: i64) -> Result<()> {
    match (cells, value) {
        (Cells::Integer(cells), Value::Integer(wanted)) if cells.is_valid(row) => {
            let found = cells.value(row);
            ensure!(found == wanted + offset, "it is {found}");
        }
        (Cells::Digits(cells), Value::Integer(wanted)) if cells.is_valid(row) => {
            let found = cells.value(row);
            ensure!(i64::from(found) == wanted, "it is {found}");
        }
        (Cells::Float(cells), Value::Decimal(text)) if cells.is_valid(row) => {
            let found = cells.value(row);
            ensure!(
                text.parse() == Ok(found) && found.to_string() == shortest(text),
                "it is {found}"
            );
        }
        (Cells::Text(cells), Value::Text(wanted)) if cells.is_valid(row) => {
            let found = cells.value(row);
            ensure!(found == wanted, "it is {found}");
        }
        (cells, Value::Null) if !cells.is_valid(row) => {}
        (cells, _) if !cells.is_valid(row) => bail!("it is null"),
        _ => bail!("it is there where it was not sent, or of another type"),
    }
    Ok(())
}

/// A decimal's text without trailing zeros, and without a point that nothing follows.
fn shortest(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}
