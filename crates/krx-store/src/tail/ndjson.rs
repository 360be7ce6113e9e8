//! Rows as lines of JSON.

use std::io;

use arrow_array::RecordBatch;
use serde::ser::{SerializeMap, Serializer};

use super::batch::TailBatch;
use super::cell::Cell;

/// Appends each row as a JSON object on a line of its own. Instants are RFC 3339 in Korean time.
///
/// # Errors
/// [`io::Error`], which a `Vec` never gives.
pub fn write_ndjson(rows: &RecordBatch, text: &mut Vec<u8>) -> io::Result<()> {
    let schema = rows.schema();
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    TailBatch::each_row(rows, |cells| object(&names, cells, text))
}

fn object(names: &[&str], cells: &[Cell<'_>], text: &mut Vec<u8>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::new(&mut *text);
    let mut map = serializer.serialize_map(Some(cells.len()))?;
    for (name, cell) in names.iter().zip(cells) {
        match cell {
            Cell::Null => map.serialize_entry(name, &())?,
            Cell::Integer(integer) => map.serialize_entry(name, integer)?,
            Cell::Decimal(decimal) => map.serialize_entry(name, decimal)?,
            Cell::Text(value) => map.serialize_entry(name, value)?,
        }
    }
    SerializeMap::end(map)?;
    text.push(b'\n');
    Ok(())
}
