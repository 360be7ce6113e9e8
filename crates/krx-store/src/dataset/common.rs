//! The datasets that belong to no service alone.

use super::column::{Column, ColumnType, Encoding};
use super::spec::{Dataset, DatasetSpec};

/// All of them.
pub const COMMON: [Dataset; 3] = [&QUARANTINE, &REGISTRATIONS, &COVERAGE];

const fn column(name: &'static str, column_type: ColumnType, meaning: &'static str) -> Column {
    Column::new(name, column_type, Encoding::Dictionary, meaning)
}

/// Everything received that no other dataset has.
pub static QUARANTINE: DatasetSpec = DatasetSpec::new(
    "quarantine",
    "feed",
    "One row for each piece that could not be read as a record.",
    &[
        column(
            "recv_ts",
            ColumnType::Micros,
            "when the frame was read from the socket",
        ),
        column(
            "frame",
            ColumnType::Int64,
            "number of the frame, from 1, within feed and date",
        ),
        column(
            "item",
            ColumnType::Int16,
            "position of the record in its frame, from 0; null when the piece is the whole message or is not exactly one \
             record",
        )
        .or_null(),
        column(
            "session",
            ColumnType::Int32,
            "number of the connection, from 1, within feed and date",
        ),
        column(
            "reason",
            ColumnType::Text,
            "what was wrong, in one word (docs/reading-the-data.md lists the words)",
        ),
        column(
            "detail",
            ColumnType::Text,
            "the key concerned, or the server's error code and its meaning",
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
        column("from_ts", ColumnType::Micros, "start of the interval, exclusive"),
        column("to_ts", ColumnType::Micros, "end of the interval, inclusive"),
        column(
            "state",
            ColumnType::Text,
            "`live`: a session was open. `gap`: none was, in the hours in which data is expected. `idle`: none was, outside \
             these hours",
        ),
        column(
            "reason",
            ColumnType::Text,
            "why the interval began, in one word (docs/reading-the-data.md lists the words)",
        ),
        column(
            "session",
            ColumnType::Int32,
            "number of the connection, from 1, within feed and date; null unless `live`",
        )
        .or_null(),
        column("frames", ColumnType::Int64, "frames received in it"),
        column(
            "rows",
            ColumnType::Int64,
            "rows that these frames gave, in all the feed's datasets",
        ),
        column(
            "detail",
            ColumnType::Text,
            "in words: what the server said; how many attempts to connect failed, and why the last one failed; which frames \
             are lost",
        )
        .or_null(),
    ],
)
.replaced_as_a_whole();

/// In which state each wanted registration was.
pub static REGISTRATIONS: DatasetSpec = DatasetSpec::new(
    "registrations",
    "feed",
    "What a per-issue feed wanted to be sent, and whether the server accepted it. One row for each stretch of time in which \
     a preset of an issue was in one state.",
    &[
        column("preset", ColumnType::Text, "what is registered of the issue"),
        column("code", ColumnType::Text, "the issue code"),
        column("from_ts", ColumnType::Micros, "start of the stretch, exclusive"),
        column("to_ts", ColumnType::Micros, "end of the stretch, inclusive"),
        column(
            "state",
            ColumnType::Text,
            "`requested`: to be asked for, or asked for and not answered yet. `active`: the server accepted it, or pushes what \
             was asked for. `refused`: it refused. `unanswered`: it gave no answer in time. `silent`: it was active, and \
             brought nothing although it should have; it is asked for again",
        ),
        column(
            "session",
            ColumnType::Int32,
            "number of the connection, from 1, within feed and date; null when there was none",
        )
        .or_null(),
        column(
            "detail",
            ColumnType::Text,
            "in words: what the server said; without a session the reason why there was none, as in coverage",
        )
        .or_null(),
    ],
)
.replaced_as_a_whole();
