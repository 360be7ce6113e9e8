//! The datasets made of others once a date is sealed: one row for each issue of a date, and minute bars.

use super::column::{Column, ColumnType, Encoding};
use super::spec::DatasetSpec;

const fn column(name: &'static str, column_type: ColumnType, meaning: &'static str) -> Column {
    Column::new(name, column_type, Encoding::Dictionary, meaning)
}

const FEED: Column = column(
    "feed",
    ColumnType::Text,
    "the feed whose files the row is made of",
);
const MARKET: Column = column(
    "market",
    ColumnType::Text,
    "the market; null for a per-issue feed",
)
.or_null();
const CODE: Column = column("code", ColumnType::Text, "issue code as sent");

/// The columns of a row for an issue and date, with prices of a type.
const fn of_a_date(price: ColumnType) -> [Column; 14] {
    [
        FEED,
        MARKET,
        CODE,
        column(
            "open",
            price,
            "price of the first trade of the regular session; null without one",
        )
        .or_null(),
        column("high", price, "highest price of the session's trades").or_null(),
        column("low", price, "lowest price of the session's trades").or_null(),
        column(
            "close",
            price,
            "price of the last trade of the session, usually that of the closing auction",
        )
        .or_null(),
        column(
            "official_close",
            price,
            "the closing price by KRX: that of the last `regular_close` signal; null if none was received",
        )
        .or_null(),
        Column::new(
            "volume",
            ColumnType::Int64,
            Encoding::Plain,
            "sum of `volume` of the session's trades. Null if nothing was traded while recorded and not all of the session \
             was recorded, or if the sum exceeds 64 bits",
        )
        .or_null(),
        Column::new(
            "value",
            price,
            Encoding::Plain,
            "sum of `price` × `volume` of the session's trades; null as `volume`",
        )
        .or_null(),
        column("records", ColumnType::Int64, "number of the session's trades that were recorded"),
        Column::new(
            "first_ts",
            ColumnType::Millis,
            Encoding::Plain,
            "the earliest `trade_ts` of these",
        )
        .or_null(),
        Column::new(
            "last_ts",
            ColumnType::Millis,
            Encoding::Plain,
            "the latest `trade_ts` of these",
        )
        .or_null(),
        column(
            "recorded_share",
            ColumnType::Float64,
            "which share of the time from the opening to the close was recorded, from 0 to 1: the feed was live, and of a \
             per-issue feed `tick` or `tick10` of the issue active. Null if not known, or if KRX was closed",
        )
        .or_null(),
    ]
}

static DAILY_COLUMNS: [Column; 14] = of_a_date(ColumnType::Int64);
static DAILY_DERIVATIVES_COLUMNS: [Column; 14] = of_a_date(ColumnType::Float64);

/// The regular session of stocks, one row an issue.
pub static DAILY: DatasetSpec = DatasetSpec::of_all_feeds(
    "daily",
    "The regular session of each stock. One row for each feed and issue of a date, made of `trades`, `ticks` and `coverage` \
     when the date is sealed.",
    &DAILY_COLUMNS,
);

/// The regular session of futures and options, one row an issue.
pub static DAILY_DERIVATIVES: DatasetSpec = DatasetSpec::of_all_feeds(
    "daily_derivatives",
    "The same of futures and options, made of `derivative_ticks`. Prices are decimal, in the unit of quotation.",
    &DAILY_DERIVATIVES_COLUMNS,
);

/// Minute bars of stocks.
pub static BARS_1M: DatasetSpec = DatasetSpec::of_all_feeds(
    "bars_1m",
    "Minute bars of stocks, with `[seal] bars = \"1m\"`. One row for each minute of the regular session in which an issue \
     traded or, if it traded on the date at all, in which it was not recorded throughout. A minute without a row was recorded, \
     and nothing was traded.",
    &[
        FEED,
        MARKET,
        CODE,
        column("ts", ColumnType::Micros, "start of the minute; the end is excluded"),
        column("open", ColumnType::Int64, "price of the first trade, KRW; null if none was recorded").or_null(),
        column("high", ColumnType::Int64, "highest price, KRW; null as `open`").or_null(),
        column("low", ColumnType::Int64, "lowest price, KRW; null as `open`").or_null(),
        column("close", ColumnType::Int64, "price of the last trade, KRW; null as `open`").or_null(),
        Column::new(
            "volume",
            ColumnType::Int64,
            Encoding::Plain,
            "sum of `volume` of the trades that were recorded; null if none was, or if the sum exceeds 64 bits",
        )
        .or_null(),
        Column::new(
            "value",
            ColumnType::Int64,
            Encoding::Plain,
            "sum of `price` × `volume`, KRW; null as `volume`",
        )
        .or_null(),
        column("records", ColumnType::Int64, "number of trades that were recorded"),
        column(
            "complete",
            ColumnType::Bool,
            "whether all of the minute was recorded: the feed was live, and of a per-issue feed one of `tick` and `tick10` of \
             the issue active. If not, there may have been more trades",
        ),
    ],
);
