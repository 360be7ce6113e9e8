//! Tests of the tables: the columns and keys that the documentation promises.

use std::collections::BTreeSet;

use super::*;
use crate::per_issue::fields::FieldKind;

#[test]
fn each_table_has_its_place_and_its_columns_names_of_their_own() {
    for (place, table) in Table::ALL.into_iter().enumerate() {
        assert_eq!(table as usize, place);
        let fields = table.fields();
        assert!(fields.len() <= Table::FIELDS_MAX);
        let names: BTreeSet<_> = fields.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), fields.len(), "{}", table.name());
    }
}

#[test]
fn the_columns_are_in_their_published_order() {
    let names = |table: Table| {
        table
            .fields()
            .iter()
            .map(|field| field.name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names(Table::Ticks),
        "preset trade_ts trade_time price volume acc_volume acc_value open high low change change_kind side ask_price \
         bid_price"
    );
    assert_eq!(
        names(Table::DerivativeTicks),
        names(Table::Ticks)
            + " block_acc_volume upper_limit_price lower_limit_price near_leg_price far_leg_price"
    );
    let quotes = "acc_volume ask_price ask_size bid_price bid_size";
    assert_eq!(names(Table::Quotes), quotes);
    assert_eq!(names(Table::DerivativeQuotes), quotes);
    let levels = |columns: &[&str], count: usize| {
        let of = |column: &&str| {
            (1..=count)
                .map(|level| format!("{column}_{level:02} "))
                .collect::<String>()
        };
        columns.iter().map(of).collect::<String>()
    };
    assert_eq!(
        names(Table::Books),
        format!(
            "acc_volume {}ask_total_size bid_total_size after_hours_ask_total_size after_hours_bid_total_size \
             expected_price expected_volume expected_acc_volume",
            levels(&["ask_price", "ask_size", "bid_price", "bid_size"], 10)
        )
    );
    let columns = [
        "ask_price",
        "ask_size",
        "ask_orders",
        "bid_price",
        "bid_size",
        "bid_orders",
    ];
    assert_eq!(
        names(Table::DerivativeBooks),
        format!(
            "{}ask_total_size bid_total_size ask_total_orders bid_total_orders order_ts order_time expected_price",
            levels(&columns, 5)
        )
    );
    assert_eq!(
        names(Table::Indices),
        "trade_ts trade_time value change change_kind acc_volume acc_value"
    );
    assert_eq!(names(Table::Changes), "field value");
}

#[test]
fn a_key_fills_one_column_and_a_clock_the_one_before_its_digits() {
    for table in Table::ALL {
        let mut keys = BTreeSet::new();
        for (place, field) in table.fields().iter().enumerate() {
            let digits = match field.kind {
                FieldKind::TradeClock => FieldKind::TradeTime,
                FieldKind::OrderClock => FieldKind::OrderTime,
                FieldKind::TradeTime | FieldKind::OrderTime => {
                    assert!(place > 0 && table.fields()[place - 1].sources == field.sources);
                    continue;
                }
                _ => {
                    let new = field.sources.iter().all(|key| keys.insert(*key));
                    assert!(new, "{} of {}", field.name, table.name());
                    continue;
                }
            };
            assert_eq!(
                table.fields()[place + 1].kind,
                digits,
                "{} of {}",
                field.name,
                table.name()
            );
        }
    }
}

#[test]
fn only_what_makes_a_record_is_required() {
    let required = |table: Table| {
        table
            .fields()
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(required(Table::Ticks), ["trade_time", "price", "volume"]);
    assert_eq!(
        required(Table::DerivativeTicks),
        ["trade_time", "price", "volume"]
    );
    assert_eq!(required(Table::Indices), ["trade_time", "value"]);
    assert_eq!(required(Table::Changes), ["field"]);
    for table in [
        Table::Quotes,
        Table::Books,
        Table::DerivativeQuotes,
        Table::DerivativeBooks,
    ] {
        assert_eq!(required(table), [""; 0], "{}", table.name());
    }
}

#[test]
fn a_presets_word_is_its_place() {
    let FieldKind::Word(words) = Table::Ticks.fields()[0].kind else {
        panic!("a dictionary")
    };
    assert_eq!(words, Preset::ALL.map(Preset::as_str));
}

#[test]
fn presets_and_instruments_decide_the_table() {
    use Instruments::{Derivatives, Indices, Stocks};
    for (preset, instruments, table) in [
        (Preset::Tick, Stocks, Some(Table::Ticks)),
        (Preset::Tick10, Stocks, Some(Table::Ticks)),
        (Preset::Quote, Stocks, Some(Table::Quotes)),
        (Preset::Quote10, Stocks, Some(Table::Books)),
        (Preset::Tick, Derivatives, Some(Table::DerivativeTicks)),
        (Preset::Tick10, Derivatives, Some(Table::DerivativeTicks)),
        (Preset::Quote, Derivatives, Some(Table::DerivativeQuotes)),
        (Preset::Quote10, Derivatives, Some(Table::DerivativeBooks)),
        (Preset::Index, Indices, Some(Table::Indices)),
        (Preset::Index, Stocks, Some(Table::Indices)),
        (Preset::Change, Stocks, Some(Table::Changes)),
        (Preset::Change, Derivatives, Some(Table::Changes)),
        (Preset::Tick, Indices, None),
        (Preset::Quote10, Indices, None),
    ] {
        assert_eq!(Table::of(preset, instruments), table, "{preset} {instruments:?}");
    }
}
