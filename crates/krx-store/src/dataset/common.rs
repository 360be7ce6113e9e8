//! The datasets that every service has.

use super::column::{Column, ColumnType, Encoding};
use super::spec::DatasetSpec;

const fn column(name: &'static str, column_type: ColumnType, meaning: &'static str) -> Column {
    Column::new(name, column_type, Encoding::Dictionary, meaning)
}

/// Everything received that no other dataset has.
pub static QUARANTINE: DatasetSpec = DatasetSpec::new(
    "quarantine",
    "feed",
    "One row for each piece that could not be read as a record.",
    &[
        column("recv_ts", ColumnType::Micros, "when the frame was read"),
        column(
            "frame",
            ColumnType::Int64,
            "its number within feed and date, as in `trades`",
        ),
        column(
            "item",
            ColumnType::Int16,
            "the record's position; null when the piece is the whole message, or not a single record",
        )
        .or_null(),
        column("session", ColumnType::Int32, "the connection"),
        column("reason", ColumnType::Text, "one of the words below"),
        column(
            "detail",
            ColumnType::Text,
            "the key concerned (`trdPrc`), or the server's error code and its meaning",
        )
        .or_null(),
        column("raw", ColumnType::Bytes, "the piece's bytes as received"),
    ],
);

/// When a feed was and was not being recorded.
pub static COVERAGE: DatasetSpec = DatasetSpec::new(
    "coverage",
    "feed",
    "When a feed was being recorded, and when and why it was not. One row for each interval of a date.",
    &[
        column(
            "from_ts",
            ColumnType::Micros,
            "where the interval begins: it holds the instants after this one",
        ),
        column("to_ts", ColumnType::Micros, "its last instant"),
        column(
            "state",
            ColumnType::Text,
            "`live`: a session was open. `gap`: none was, in the hours in which data is expected. `idle`: none was, outside \
             of these hours",
        ),
        column(
            "reason",
            ColumnType::Text,
            "why the interval began: one of the words below",
        ),
        column(
            "session",
            ColumnType::Int32,
            "number of the connection, as in `trades`; null unless `live`",
        )
        .or_null(),
        column("frames", ColumnType::Int64, "frames received in it"),
        column(
            "rows",
            ColumnType::Int64,
            "rows of all datasets of the feed that these gave",
        ),
        column(
            "detail",
            ColumnType::Text,
            "in words: what the server said; how many attempts to connect failed, and how the last one did; which frames \
             are lost",
        )
        .or_null(),
    ],
)
.replaced_as_a_whole();
