//! Rows in short are those of the whole rows, and each issue's come in order, from the files of a day or from one.

use krx_protocol::per_issue::{Preset, RegistrationState, Table, Value};
use krx_store::read::{Push, PushedQuote, PushedTrade, Pushes, Record, Records, registrations};
use krx_store::service::{FULL_MARKET, PER_ISSUE};
use krx_store::{DataDir, Moment, feed_service};

use crate::per_issue::{ROUNDS, WANTED, issues, recorded, seal_all};
use crate::support::{config, date};

/// What is compared of a row.
type Short = (
    Preset,
    String,
    String,
    Moment,
    u64,
    Option<i64>,
    Option<i64>,
    Option<PushedTrade>,
    Option<PushedQuote>,
);

fn of_push(push: &Push<'_>) -> Short {
    assert_eq!(push.session, 1);
    (
        push.preset,
        push.code.to_owned(),
        push.kind.to_owned(),
        push.recv,
        push.frame,
        push.trade_ts,
        push.acc_volume,
        push.trade,
        push.quote,
    )
}

fn of_record(record: &Record<'_>) -> Short {
    let value = |name: &str| {
        let place = record.table.fields().iter().position(|field| field.name == name);
        place.map(|place| record.values[place])
    };
    let integer = |name: &str| match value(name) {
        Some(Value::Integer(integer)) => Some(integer),
        _ => None,
    };
    let price = |name: &str| match value(name) {
        Some(Value::Integer(integer)) => Some(integer as f64),
        Some(Value::Decimal(decimal)) => Some(decimal),
        _ => None,
    };
    let trade = (record.table == Table::Ticks).then(|| PushedTrade {
        trade_time: i32::try_from(integer("trade_time").unwrap()).unwrap(),
        price: integer("price").unwrap(),
        volume: integer("volume").unwrap(),
    });
    let quote = match record.table {
        Table::Quotes | Table::DerivativeQuotes => Some(("ask_price", "bid_price")),
        Table::Books | Table::DerivativeBooks => Some(("ask_price_01", "bid_price_01")),
        _ => None,
    };
    (
        record.preset,
        record.code.to_owned(),
        record.kind.to_owned(),
        record.recv,
        record.frame,
        integer("trade_ts"),
        integer("acc_volume"),
        trade,
        quote.map(|(ask, bid)| PushedQuote {
            ask: price(ask),
            bid: price(bid),
        }),
    )
}

fn by_issue(mut rows: Vec<Short>) -> Vec<Short> {
    rows.sort_by(|one, other| one.1.cmp(&other.1));
    rows
}

fn in_short(data: &DataDir, table: Table) -> Vec<Short> {
    let mut pushes = Pushes::open(data, table, &issues(), date()).unwrap();
    let mut found = Vec::new();
    let rows = pushes.rows();
    while let Some(batch) = pushes.next_batch().unwrap() {
        assert_eq!(batch.is_empty(), batch.rows().next().is_none());
        found.extend(batch.rows().map(|push| of_push(&push)));
    }
    assert_eq!(found.len() as u64, rows);
    by_issue(found)
}

fn whole(data: &DataDir, table: Table) -> Vec<Short> {
    let mut records = Records::open(data, table, &issues(), date()).unwrap();
    let mut found = Vec::new();
    while let Some(batch) = records.next_batch().unwrap() {
        found.extend((0..batch.len()).map(|index| of_record(&batch.row(index))));
    }
    by_issue(found)
}

#[test]
fn rows_in_short_say_what_the_rows_say() {
    let dir = tempfile::tempdir().unwrap();
    let data = recorded(dir.path(), config(300, 100));
    let expected = Table::ALL.map(|table| whole(&data, table));
    assert_eq!(expected[0].len(), usize::try_from(ROUNDS).unwrap());
    assert!(expected[0].iter().all(|row| row.7.is_some() && row.5.is_some()));
    for (table, expected) in Table::ALL.into_iter().zip(&expected) {
        assert_eq!(in_short(&data, table), *expected, "{}", table.name());
    }
    seal_all(&data);
    for (table, expected) in Table::ALL.into_iter().zip(&expected) {
        assert_eq!(in_short(&data, table), *expected, "{}, sealed", table.name());
    }
}

#[test]
fn registrations_are_told_and_a_damaged_file_tells_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = recorded(dir.path(), config(300, 100));
    let stretches = registrations(&data, &issues(), date()).unwrap().unwrap();
    let active: Vec<_> = stretches
        .iter()
        .filter(|stretch| stretch.state == RegistrationState::Active)
        .map(|stretch| (stretch.pair.preset.as_str(), stretch.pair.code.as_str()))
        .collect();
    let mut wanted = WANTED.map(|(preset, code, _)| (preset, code)).to_vec();
    wanted.sort_by_key(|(preset, code)| (preset.parse::<Preset>().unwrap(), *code));
    assert_eq!(active, wanted);

    let folder = dir
        .path()
        .join(format!("registrations/date={}/feed={}", date(), issues()));
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, b"no parquet").unwrap();
    assert_eq!(registrations(&data, &issues(), date()).unwrap(), None);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(registrations(&data, &issues(), date()).unwrap(), None);
}

#[test]
fn a_dates_service_is_known_by_whatever_is_left_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = recorded(dir.path(), config(300, 100));
    let service = || feed_service::of_date(&data, &issues(), date()).unwrap().name;
    assert_eq!(service(), PER_ISSUE.name);
    for dataset in PER_ISSUE.datasets {
        let folder = dir.path().join(dataset.name);
        if folder.is_dir() {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
    let journal = data.journal(&issues());
    let aside = dir.path().join("aside");
    std::fs::rename(&journal, &aside).unwrap();
    assert_eq!(service(), PER_ISSUE.name, "by its registrations");
    std::fs::remove_dir_all(dir.path().join("registrations")).unwrap();
    assert_eq!(service(), FULL_MARKET.name, "nothing says otherwise");
    std::fs::rename(&aside, &journal).unwrap();
    assert_eq!(service(), PER_ISSUE.name, "by its journal");
}
