//! The datasets with one file per date, of all feeds or of the recorder itself.

use super::column::{Column, ColumnType, Encoding};
use super::derived::{BARS_1M, DAILY, DAILY_DERIVATIVES};
use super::spec::{Dataset, DatasetSpec};

/// All datasets with one file per date.
pub const WHOLE_DATE: [Dataset; 4] = [&CLOCK, &DAILY, &DAILY_DERIVATIVES, &BARS_1M];

const fn column(name: &'static str, column_type: ColumnType, meaning: &'static str) -> Column {
    Column::new(name, column_type, Encoding::Dictionary, meaning)
}

/// What the kernel said about the clock by which everything was stamped.
pub static CLOCK: DatasetSpec = DatasetSpec::of_all_feeds(
    "clock",
    "What the kernel said about its clock, by which every frame is stamped. One row for each minute of recording.",
    &[
        column("ts", ColumnType::Micros, "when the kernel was asked, by its clock"),
        column(
            "synchronised",
            ColumnType::Bool,
            "whether the kernel says that its clock is kept in step with a source of time; null when it did not say",
        )
        .or_null(),
        column(
            "offset_us",
            ColumnType::Int64,
            "by how much the clock is still being put right, µs; null when not known",
        )
        .or_null(),
        column(
            "max_error_us",
            ColumnType::Int64,
            "the most that the clock may be wrong by, as estimated by what keeps it in step, µs; null when not known",
        )
        .or_null(),
        column(
            "source",
            ColumnType::Text,
            "where these figures are from: `kernel` (adjtimex), or why they are not known",
        ),
    ],
);
