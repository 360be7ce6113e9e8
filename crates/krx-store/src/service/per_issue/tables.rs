//! The datasets of the per-issue service. Their columns are the fields that krx-protocol decodes, between those that all
//! of them have.

use krx_protocol::per_issue::{Field, FieldKind, Table};

use crate::dataset::{Column, ColumnType, Dataset, DatasetSpec, Encoding};

/// The datasets, in the order of [`Table::ALL`].
pub(super) static TABLES: [Dataset; Table::ALL.len()] = [
    &TICKS,
    &QUOTES,
    &BOOKS,
    &DERIVATIVE_TICKS,
    &DERIVATIVE_QUOTES,
    &DERIVATIVE_BOOKS,
    &INDICES,
    &CHANGES,
];

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $table:ident, $summary:literal;)+) => {$(
        $(#[$doc])*
        pub static $name: DatasetSpec = {
            static COLUMNS: [Column; Table::$table.fields().len() + COMMON.len()] = columns(Table::$table.fields());
            DatasetSpec::new(Table::$table.name(), "feed", $summary, &COLUMNS).sorted_by("code")
        };
    )+};
}

tables! {
    /// Trades of stocks.
    TICKS = Ticks, "Trades of stocks: one row for each push of preset `tick` or `tick10`. Where both are registered, each \
                    trade is here twice.";
    /// Best bid and ask of stocks.
    QUOTES = Quotes, "Best bid and ask of stocks: one row for each push of preset `quote`.";
    /// Ten-level books of stocks.
    BOOKS = Books, "Ten-level books of stocks: one row for each push of preset `quote10`.";
    /// Trades of futures and options.
    DERIVATIVE_TICKS = DerivativeTicks, "Trades of futures and options: one row for each push of preset `tick` or `tick10`.";
    /// Best bid and ask of futures and options.
    DERIVATIVE_QUOTES = DerivativeQuotes, "Best bid and ask of futures and options: one row for each push of preset `quote`.";
    /// Five-level books of futures and options.
    DERIVATIVE_BOOKS = DerivativeBooks, "Five-level books of futures and options: one row for each push of preset `quote10`.";
    /// Sector indices.
    INDICES = Indices, "Sector indices: one row for each push of preset `index`.";
    /// Chosen items.
    CHANGES = Changes, "Chosen items: one row for each item of a push of preset `change`, in the order in which they were \
                        sent.";
}

/// The columns that all of them have: the first before the fields, the others after them.
const COMMON: [Column; 7] = [
    column("code", ColumnType::Code, Encoding::Dictionary, "issue code (`isuSrtCd`) as sent"),
    column(
        "kind",
        ColumnType::Word,
        Encoding::Dictionary,
        "what the row is, in one word: as in `trades` for a message with `trdTm`, `update` for one without, and `snapshot` \
         for the current state that answers a `subscribe`, which is never a trade",
    ),
    column(
        "recv_ts",
        ColumnType::Micros,
        Encoding::Plain,
        "when the frame was read from the socket",
    ),
    column(
        "frame",
        ColumnType::Int64,
        Encoding::Delta,
        "number of the frame, from 1, within feed and date",
    ),
    column(
        "item",
        ColumnType::Int16,
        Encoding::Dictionary,
        "number of the row in its frame, from 0",
    ),
    column(
        "session",
        ColumnType::Int32,
        Encoding::Delta,
        "number of the connection, from 1, within feed and date",
    ),
    column(
        "extra",
        ColumnType::Text,
        Encoding::Dictionary,
        "keys that no column holds, and codes that the guide does not explain, as a JSON object of the bytes that were sent; \
         usually null",
    )
    .or_null(),
];

const fn column(
    name: &'static str,
    column_type: ColumnType,
    encoding: Encoding,
    meaning: &'static str,
) -> Column {
    Column::new(name, column_type, encoding, meaning)
}

const fn columns<const COLUMNS: usize>(fields: &[Field]) -> [Column; COLUMNS] {
    let mut columns = [COMMON[0]; COLUMNS];
    let mut place = 0;
    while place < fields.len() {
        columns[1 + place] = of_field(&fields[place]);
        place += 1;
    }
    let mut common = 1;
    while common < COMMON.len() {
        columns[fields.len() + common] = COMMON[common];
        common += 1;
    }
    columns
}

/// Every field may be null: a snapshot may lack it.
const fn of_field(field: &Field) -> Column {
    let (column_type, encoding) = match field.kind {
        // In order of arrival and sorted by code (docs/adr/0043).
        FieldKind::Integer { .. } if field.quantity => (ColumnType::Int64, Encoding::Plain),
        FieldKind::Integer { .. } => (ColumnType::Int64, Encoding::Dictionary),
        FieldKind::Decimal => (ColumnType::Float64, Encoding::Dictionary),
        FieldKind::TradeTime | FieldKind::OrderTime => (ColumnType::Int32, Encoding::Delta),
        FieldKind::TradeClock | FieldKind::OrderClock => (ColumnType::Millis, Encoding::Delta),
        FieldKind::Word(_) => (ColumnType::Word, Encoding::Dictionary),
        FieldKind::Text => (ColumnType::Text, Encoding::Dictionary),
    };
    column(field.name, column_type, encoding, field.meaning).or_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_its_dataset() {
        for (table, dataset) in Table::ALL.into_iter().zip(TABLES) {
            assert_eq!(dataset.name, table.name());
            let fields = table.fields().iter().map(|field| field.name);
            let names: Vec<_> = ["code"]
                .into_iter()
                .chain(fields)
                .chain(["kind", "recv_ts", "frame", "item", "session", "extra"])
                .collect();
            let columns = dataset.columns.iter().map(|column| column.name);
            assert_eq!(columns.collect::<Vec<_>>(), names, "{dataset}");
        }
    }
}
