//! Files of trades for tests: with only the columns that derived rows are made of.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Int16Array, Int64Array, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use chrono::NaiveDate;
use krx_protocol::Kind;
use krx_protocol::per_issue::Preset;
use parquet::arrow::ArrowWriter;

use super::source::Source;
use crate::dataset::{Column, ColumnType, DatasetSpec, Encoding, Footer, ZONE};
use crate::moment::Moment;

const fn column(name: &'static str, column_type: ColumnType) -> Column {
    Column::new(name, column_type, Encoding::Dictionary, "")
}

static TICKS: DatasetSpec = DatasetSpec::new(
    "ticks",
    "feed",
    "",
    &[
        column("code", ColumnType::Text),
        column("preset", ColumnType::Text),
        column("kind", ColumnType::Text),
        column("trade_ts", ColumnType::Millis),
        column("price", ColumnType::Int64),
        column("volume", ColumnType::Int64),
        column("acc_volume", ColumnType::Int64),
        column("recv_ts", ColumnType::Micros),
        column("frame", ColumnType::Int64),
        column("item", ColumnType::Int16),
    ],
)
.sealed_by("code");

/// A trade: its code, its preset, and when it was made, ms since 1970. Its price and volume are 1.
pub(super) type Trade<'a> = (&'a str, Preset, i64);

/// A per-issue feed with a file of these trades, one in each frame from 1. The accumulated volume is their time.
pub(super) fn ticks(dir: &Path, trades: &[Trade<'_>]) -> Source {
    let count = i64::try_from(trades.len()).unwrap();
    let texts = |of: &dyn Fn(&Trade<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(trades.iter().map(of)))
    };
    let times = || trades.iter().map(|trade| trade.2);
    let ones = || -> ArrayRef { Arc::new(Int64Array::from_iter_values(times().map(|_| 1))) };
    let batch = TICKS.batch([
        ("code", texts(&|trade| trade.0.to_owned())),
        ("preset", texts(&|trade| trade.1.as_str().to_owned())),
        ("kind", texts(&|_| Kind::Trade.as_str().to_owned())),
        (
            "trade_ts",
            Arc::new(TimestampMillisecondArray::from_iter_values(times()).with_timezone(ZONE)),
        ),
        ("price", ones()),
        ("volume", ones()),
        ("acc_volume", Arc::new(Int64Array::from_iter_values(times()))),
        (
            "recv_ts",
            Arc::new(TimestampMicrosecondArray::from_iter_values(1..=count).with_timezone(ZONE)),
        ),
        ("frame", Arc::new(Int64Array::from_iter_values(1..=count))),
        ("item", Arc::new(Int16Array::from_iter_values(times().map(|_| 0)))),
    ]);
    let feed = "ISSUES".parse().unwrap();
    let footer = Footer::new(
        &feed,
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
        1,
        Moment(0),
    );
    let path = dir.join("ticks.parquet");
    let file = File::create(&path).unwrap();
    let properties = TICKS.properties(1 << 20);
    let mut writer = ArrowWriter::try_new(file, TICKS.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    for pair in footer.to_key_values(&TICKS) {
        writer.append_key_value_metadata(pair);
    }
    writer.close().unwrap();
    Source {
        dataset: &TICKS,
        feed,
        paths: vec![path],
    }
}
