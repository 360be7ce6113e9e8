//! The columns of each per-issue dataset: their names, the keys they are read from, and what kind of value each holds.
//!
//! A column is *required* where a record without it says nothing that can be used: price, volume and time of a trade,
//! value and time of an index. A push without one of them is quarantined as `missing_key`, or as `null_value` if it is
//! null. Any other column is null where the message has no value for it. The guide allows any field to be absent or null,
//! and a book with nine levels, or without its totals, is still a true book. A snapshot may lack all but the code, so
//! every column is nullable in the files.

use super::meanings::meaning_of;

/// What a column holds, and how its value is read. Every number may come as a JSON number or as a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A whole number of 63 bits and a sign: KRW, shares, contracts, orders.
    Integer {
        /// Whether a sign is allowed; where it is not, a value with one is quarantined as `sign`.
        may_be_negative: bool,
    },
    /// A decimal number, with either sign: index points, prices of futures and options. At most 15 significant digits,
    /// so that a double gives back exactly what was sent; more are quarantined as `overflow`.
    Decimal,
    /// The digits of `trdTm` (see [`crate::TradeTime`]), `HHMMSScc`, as a number.
    TradeTime,
    /// Milliseconds of the day in Korea Standard Time: the next column's [`FieldKind::TradeTime`], null when it is not a
    /// time.
    TradeClock,
    /// The digits of `ordAcptTm`, when an order was accepted: `HHMMSScc` as a number.
    OrderTime,
    /// Milliseconds of the day in Korea Standard Time: the next column's [`FieldKind::OrderTime`], null when it is not a
    /// time.
    OrderClock,
    /// One of these words, sent as its place in the list, from 1. Any other value is kept in `extra`.
    Word(&'static [&'static str]),
    /// Text.
    Text,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The column's name.
    pub name: &'static str,
    /// The keys of a message that it is read from, as Koscom spells them. The decoder itself fills a column without any.
    pub sources: &'static [&'static str],
    /// What it holds.
    pub kind: FieldKind,
    /// Whether a push without it is quarantined.
    pub required: bool,
    /// Whether it is an amount of shares, contracts or KRW, which seldom repeats; a price often does.
    pub quantity: bool,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

impl Field {
    const fn new(name: &'static str, sources: &'static [&'static str], kind: FieldKind) -> Self {
        Self {
            name,
            sources,
            kind,
            required: false,
            quantity: false,
            meaning: meaning_of(name),
        }
    }

    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// A whole number that is never negative.
const fn whole(name: &'static str, sources: &'static [&'static str]) -> Field {
    let kind = FieldKind::Integer {
        may_be_negative: false,
    };
    Field::new(name, sources, kind)
}

/// A whole number that may be negative.
const fn signed(name: &'static str, sources: &'static [&'static str]) -> Field {
    Field::new(
        name,
        sources,
        FieldKind::Integer {
            may_be_negative: true,
        },
    )
}

/// An amount of shares, contracts or KRW.
const fn quantity(name: &'static str, sources: &'static [&'static str]) -> Field {
    Field {
        quantity: true,
        ..whole(name, sources)
    }
}

/// A decimal number.
const fn decimal(name: &'static str, sources: &'static [&'static str]) -> Field {
    Field::new(name, sources, FieldKind::Decimal)
}

/// Codes 1 to 9 of `cmpprevddTpCd`.
const CHANGE_KINDS: [&str; 9] = [
    "upper_limit",
    "up",
    "flat",
    "lower_limit",
    "down",
    "quoted_upper_limit",
    "quoted_up",
    "quoted_lower_limit",
    "quoted_down",
];

/// Codes 1 and 2 of `lstAskbidTpCd`.
const SIDES: [&str; 2] = ["sell", "buy"];

/// The presets' words, in the order of [`crate::per_issue::Preset::ALL`].
const PRESETS: [&str; 6] = ["tick", "quote", "tick10", "quote10", "index", "change"];

const PRESET: Field = Field::new("preset", &[], FieldKind::Word(&PRESETS));
const TRADE_TS: Field = Field::new("trade_ts", &["trdTm"], FieldKind::TradeClock);
const TRADE_TIME: Field = Field::new("trade_time", &["trdTm"], FieldKind::TradeTime).required();
/// The guide spells it `trdvol` on this service, and `trdVol` elsewhere.
const VOLUME: Field = quantity("volume", &["trdvol", "trdVol"]).required();
const ACC_VOLUME: Field = quantity("acc_volume", &["accTrdvol"]);
const ACC_VALUE: Field = quantity("acc_value", &["accTrdval"]);
const CHANGE_KIND: Field = Field::new("change_kind", &["cmpprevddTpCd"], FieldKind::Word(&CHANGE_KINDS));
/// A derivatives sample spells it `lstTrdTpCd`.
const SIDE: Field = Field::new("side", &["lstAskbidTpCd", "lstTrdTpCd"], FieldKind::Word(&SIDES));
/// The guide spells the totals in one way for stocks, and in another for derivatives.
const ASK_TOTAL_SIZE: Field = quantity("ask_total_size", &["askordTotRqty", "askTotOrdRqty"]);
const BID_TOTAL_SIZE: Field = quantity("bid_total_size", &["bidordTotRqty", "bidTotOrdRqty"]);

pub(super) const TICKS: [Field; 15] = [
    PRESET,
    TRADE_TS,
    TRADE_TIME,
    whole("price", &["trdPrc"]).required(),
    VOLUME,
    ACC_VOLUME,
    ACC_VALUE,
    whole("open", &["opnprc"]),
    whole("high", &["hgprc"]),
    whole("low", &["lwprc"]),
    signed("change", &["cmpprevddPrc"]),
    CHANGE_KIND,
    SIDE,
    whole("ask_price", &["askordPrc_1"]),
    whole("bid_price", &["bidordPrc_1"]),
];

pub(super) const DERIVATIVE_TICKS: [Field; 20] = [
    PRESET,
    TRADE_TS,
    TRADE_TIME,
    decimal("price", &["trdPrc"]).required(),
    VOLUME,
    ACC_VOLUME,
    // A spread may trade at negative prices, and so for a negative value.
    Field {
        quantity: true,
        ..signed("acc_value", &["accTrdval"])
    },
    decimal("open", &["opnprc"]),
    decimal("high", &["hgprc"]),
    decimal("low", &["lwprc"]),
    decimal("change", &["cmpprevddPrc"]),
    CHANGE_KIND,
    SIDE,
    decimal("ask_price", &["askordPrc_1"]),
    decimal("bid_price", &["bidordPrc_1"]),
    quantity("block_acc_volume", &["negoBlkAccTrdvol"]),
    decimal("upper_limit_price", &["realtmUplmtprc"]),
    decimal("lower_limit_price", &["realtmLwlmtprc"]),
    decimal("near_leg_price", &["fstmmAgndaContrtPrc"]),
    decimal("far_leg_price", &["futrmmAgndaContrtPrc"]),
];

pub(super) const QUOTES: [Field; 5] = [
    ACC_VOLUME,
    whole("ask_price", &["askStep1BstordPrc"]),
    quantity("ask_size", &["askStep1BstordRqty"]),
    whole("bid_price", &["bidStep1BstordPrc"]),
    quantity("bid_size", &["bidStep1BstordRqty"]),
];

pub(super) const DERIVATIVE_QUOTES: [Field; 5] = [
    ACC_VOLUME,
    decimal("ask_price", &["askStep1BstordPrc"]),
    quantity("ask_size", &["askStep1BstordRqty"]),
    decimal("bid_price", &["bidStep1BstordPrc"]),
    quantity("bid_size", &["bidStep1BstordRqty"]),
];

/// The ten levels of a stock's book, each with its number as in the key and as in the column.
macro_rules! books {
    ($($key:literal $column:literal),+) => {
        [
            ACC_VOLUME,
            $(whole(concat!("ask_price_", $column), &[concat!("askStep", $key, "BstordPrc")]),)+
            $(quantity(concat!("ask_size_", $column), &[concat!("askStep", $key, "BstordRqty")]),)+
            $(whole(concat!("bid_price_", $column), &[concat!("bidStep", $key, "BstordPrc")]),)+
            $(quantity(concat!("bid_size_", $column), &[concat!("bidStep", $key, "BstordRqty")]),)+
            ASK_TOTAL_SIZE,
            BID_TOTAL_SIZE,
            quantity("after_hours_ask_total_size", &["pstoffhrAskTotOrdRqty"]),
            quantity("after_hours_bid_total_size", &["pstoffhrBidTotOrdRqty"]),
            whole("expected_price", &["deemTrdPrc"]),
            quantity("expected_volume", &["deemTrdvol"]),
            quantity("expected_acc_volume", &["deemAccTrdvol"]),
        ]
    };
}

pub(super) const BOOKS: [Field; 48] = books!(
    "1" "01", "2" "02", "3" "03", "4" "04", "5" "05", "6" "06", "7" "07", "8" "08", "9" "09", "10" "10"
);

/// The five levels of a derivative's book, with the number of orders in each.
macro_rules! derivative_books {
    ($($key:literal $column:literal),+) => {
        [
            $(decimal(concat!("ask_price_", $column), &[concat!("askStep", $key, "BstordPrc")]),)+
            $(quantity(concat!("ask_size_", $column), &[concat!("askStep", $key, "BstordRqty")]),)+
            $(whole(concat!("ask_orders_", $column), &[concat!("askStep", $key, "BstordCnt")]),)+
            $(decimal(concat!("bid_price_", $column), &[concat!("bidStep", $key, "BstordPrc")]),)+
            $(quantity(concat!("bid_size_", $column), &[concat!("bidStep", $key, "BstordRqty")]),)+
            $(whole(concat!("bid_orders_", $column), &[concat!("bidStep", $key, "BstordCnt")]),)+
            ASK_TOTAL_SIZE,
            BID_TOTAL_SIZE,
            whole("ask_total_orders", &["askValidOrdCnt"]),
            whole("bid_total_orders", &["bidValidOrdCnt"]),
            Field::new("order_ts", &["ordAcptTm"], FieldKind::OrderClock),
            Field::new("order_time", &["ordAcptTm"], FieldKind::OrderTime),
            decimal("expected_price", &["deemTrdPrc"]),
        ]
    };
}

pub(super) const DERIVATIVE_BOOKS: [Field; 37] =
    derivative_books!("1" "01", "2" "02", "3" "03", "4" "04", "5" "05");

pub(super) const INDICES: [Field; 7] = [
    TRADE_TS,
    TRADE_TIME,
    decimal("value", &["trdPrc"]).required(),
    decimal("change", &["cmpprevddPrc"]),
    CHANGE_KIND,
    ACC_VOLUME,
    ACC_VALUE,
];

/// One row for each item that was sent: its key, and its value's text.
pub(super) const CHANGES: [Field; 2] = [
    Field::new("field", &[], FieldKind::Text).required(),
    Field::new("value", &[], FieldKind::Text),
];

/// The most columns that a table has.
pub(super) const FIELDS_MAX: usize = BOOKS.len();
