//! Values of rows as they are printed, for callers without Arrow.

use std::borrow::Cow;
use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use chrono::{NaiveDate, SecondsFormat, TimeDelta};

use crate::moment::Moment;

/// A value. Instants are RFC 3339 in Korean time, as exact as the column; dates are `2026-11-20`.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Not sent, or null.
    Null,
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Decimal(f64),
    /// A text, an instant or a date. Bytes that are no text are replaced: Arrow and Parquet have them exactly.
    Text(Cow<'a, str>),
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Integer(integer) => integer.fmt(f),
            Self::Decimal(decimal) => decimal.fmt(f),
            Self::Text(text) => f.pad(text),
        }
    }
}

/// The value of a row in a column.
pub(super) fn cell(column: &ArrayRef, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::Null;
    }
    let text = |text| Cell::Text(Cow::Borrowed(text));
    match column.data_type() {
        DataType::Int16 => Cell::Integer(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Cell::Integer(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Decimal(column.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let ms = column.as_primitive::<TimestampMillisecondType>().value(row);
            instant(ms.saturating_mul(1000), SecondsFormat::Millis)
        }
        DataType::Timestamp(..) => {
            let us = column.as_primitive::<TimestampMicrosecondType>().value(row);
            instant(us, SecondsFormat::Micros)
        }
        DataType::Dictionary(..) => {
            let column = column.as_dictionary::<Int32Type>();
            let key = column.keys().value(row);
            text(
                column
                    .values()
                    .as_string::<i32>()
                    .value(usize::try_from(key).unwrap_or_default()),
            )
        }
        DataType::Binary => Cell::Text(String::from_utf8_lossy(column.as_binary::<i32>().value(row))),
        _ => text(column.as_string::<i32>().value(row)),
    }
}

fn date(days: i32) -> Cell<'static> {
    let date = NaiveDate::default().checked_add_signed(TimeDelta::days(days.into()));
    Cell::Text(date.unwrap_or_default().to_string().into())
}

fn instant(us: i64, digits: SecondsFormat) -> Cell<'static> {
    Cell::Text(Moment(us).korean().to_rfc3339_opts(digits, false).into())
}
