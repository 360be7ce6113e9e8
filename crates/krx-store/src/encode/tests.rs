//! Files of `FileWriter` beside those of arrow-rs's writer: byte for byte.

#![allow(clippy::cast_possible_truncation, reason = "any value will do")]

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int16Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;

use super::*;
use crate::dataset::{COMMON, ZONE};
use crate::service::SERVICES;

fn datasets() -> Vec<Dataset> {
    let of_services = SERVICES
        .iter()
        .flat_map(|service| service.datasets.iter().copied());
    of_services.chain(COMMON.iter().copied()).collect()
}

const ONE_VALUE: Recipe = Recipe {
    distinct: 1,
    repeat: 1,
    nulls: 0,
    is_extreme: false,
};

/// How the values of a column are made up.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    /// How many different values there are.
    distinct: u64,
    /// How often the same value follows itself.
    repeat: u64,
    /// Of a thousand values so many are null, if the column has nulls.
    nulls: u64,
    /// Numbers are as large and as small as their type allows.
    is_extreme: bool,
}

/// A number that looks random, and is always the same for the same arguments.
fn scattered(seed: u64, place: u64) -> u64 {
    let mixed = (seed ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
}

fn values(column: &dataset::Column, recipe: Recipe, seed: u64, rows: usize) -> ArrayRef {
    let value = |row: usize| scattered(seed, row as u64 / recipe.repeat) % recipe.distinct;
    let is_null = |row: usize| column.nullable && scattered(!seed, row as u64) % 1000 < recipe.nulls;
    let numbers = (0..rows).map(|row| (!is_null(row)).then(|| value(row)));
    let signed = |value: u64| match value % 3 {
        0 if recipe.is_extreme => i64::MIN + value.cast_signed(),
        1 if recipe.is_extreme => i64::MAX - value.cast_signed(),
        _ => (value.cast_signed() - recipe.distinct.cast_signed() / 3) * 1_000_003,
    };
    // Of fewer bits: the extreme ones are as extreme.
    let cut = |value: u64, bits: u32| match value % 3 {
        0 | 1 if recipe.is_extreme => signed(value).wrapping_shr(64 - bits),
        _ => signed(value),
    };
    let text = |value: u64| match value % 5 {
        0 => format!("{value:06}"),
        1 => format!("{value:05}K"),
        2 => format!("J{value:08}"),
        3 => format!("{value:X}"),
        _ => format!("KR{value:010}"),
    };
    match column.column_type {
        ColumnType::Text | ColumnType::Code => {
            Arc::new(numbers.map(|number| number.map(text)).collect::<StringArray>())
        }
        ColumnType::Word => {
            // Not each word of the list is there, and one is twice.
            let words = Arc::new(StringArray::from(vec![
                "trade",
                "update",
                "a_word_of_more_bytes",
                "",
                "trade",
                "긴 낱말",
            ]));
            let keys: Int32Array = numbers
                .map(|number| number.map(|number| (number % 6) as i32))
                .collect();
            Arc::new(DictionaryArray::<Int32Type>::try_new(keys, words).unwrap())
        }
        ColumnType::Bytes => {
            let bytes = numbers.map(|number| number.map(|number| text(number).into_bytes()));
            Arc::new(bytes.collect::<BinaryArray>())
        }
        ColumnType::Int16 => Arc::new(
            numbers
                .map(|number| number.map(|number| cut(number, 16) as i16))
                .collect::<Int16Array>(),
        ),
        ColumnType::Int32 => {
            let numbers = numbers.map(|number| number.map(|number| cut(number, 32) as i32));
            Arc::new(numbers.collect::<Int32Array>())
        }
        ColumnType::Int64 => Arc::new(numbers.map(|number| number.map(signed)).collect::<Int64Array>()),
        ColumnType::Float64 => {
            let numbers = numbers.map(|number| number.map(|number| signed(number) as f64 / 100.0));
            Arc::new(numbers.collect::<Float64Array>())
        }
        ColumnType::Bool => Arc::new(
            numbers
                .map(|number| number.map(|number| number % 2 == 0))
                .collect::<BooleanArray>(),
        ),
        ColumnType::Millis => {
            let numbers: TimestampMillisecondArray = numbers.map(|number| number.map(signed)).collect();
            Arc::new(numbers.with_timezone(ZONE))
        }
        ColumnType::Micros => {
            let numbers: TimestampMicrosecondArray = numbers.map(|number| number.map(signed)).collect();
            Arc::new(numbers.with_timezone(ZONE))
        }
    }
}

/// What is done with a writer: batches of so many rows, and 0 to end the row group.
type Script = Vec<usize>;

fn batch(dataset: Dataset, recipes: &[Recipe], seed: u64, rows: usize) -> RecordBatch {
    let columns = dataset.columns.iter().zip(recipes.iter().cycle()).enumerate();
    let columns = columns.map(|(place, (column, recipe))| {
        (
            column.name,
            values(column, *recipe, seed.wrapping_add(place as u64 * 7919), rows),
        )
    });
    dataset.batch(columns)
}

/// The files of both.
fn files(dataset: Dataset, properties: &WriterProperties, batches: &[RecordBatch]) -> (Vec<u8>, Vec<u8>) {
    let mut ours = FileWriter::new(Vec::new(), dataset, properties.clone()).unwrap();
    let mut arrow = ArrowWriter::try_new(Vec::new(), dataset.schema(), Some(properties.clone())).unwrap();
    for batch in batches {
        if batch.num_rows() == 0 {
            ours.flush().unwrap();
            arrow.flush().unwrap();
        }
        ours.write(batch).unwrap();
        arrow.write(batch).unwrap();
    }
    let pair = || KeyValue::new("krx.test".to_owned(), "말".to_owned());
    ours.append_key_value_metadata(pair());
    arrow.append_key_value_metadata(pair());
    (ours.into_inner().unwrap(), arrow.into_inner().unwrap())
}

fn small_pages(builder: WriterPropertiesBuilder, page_rows: usize, batch_rows: usize) -> WriterProperties {
    builder
        .set_data_page_row_count_limit(page_rows)
        .set_write_batch_size(batch_rows)
        .build()
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let distinct = prop_oneof![Just(1_u64), 2..5_u64, 5..300_u64, 300..100_000_u64];
    let repeat = prop_oneof![Just(1_u64), 2..9_u64, 9..700_u64, Just(1_000_000)];
    let nulls = prop_oneof![Just(0_u64), Just(1000), 1..30_u64, 30..970_u64, 970..1000_u64];
    let is_extreme = prop::bool::weighted(0.2);
    (distinct, repeat, nulls, is_extreme).prop_map(|(distinct, repeat, nulls, is_extreme)| Recipe {
        distinct,
        repeat,
        nulls,
        is_extreme,
    })
}

fn script() -> impl Strategy<Value = Script> {
    prop::collection::vec(
        prop_oneof![1 => Just(0_usize), 4 => 1..40_usize, 4 => 40..900_usize],
        0..9,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn files_are_those_of_arrow(
        dataset in prop::sample::select(datasets()),
        recipes in prop::collection::vec(recipe(), 1..6),
        script in script(),
        seed in any::<u64>(),
        page_rows in 1..500_usize,
        batch_rows in 1..300_usize,
        group_rows in 1..2500_u64,
        cut in 0..7_usize,
    ) {
        let properties = small_pages(
            dataset.properties_builder(group_rows).set_max_row_group_row_count(Some(group_rows as usize)),
            page_rows,
            batch_rows,
        );
        let batches: Vec<_> = (0..).zip(&script).map(|(nth, rows)| {
            let whole = batch(dataset, &recipes, seed.wrapping_add(nth), rows + cut.min(*rows));
            // Arrays may be parts of others.
            whole.slice(whole.num_rows() - rows, *rows)
        }).collect();
        let (ours, arrow) = files(dataset, &properties, &batches);
        prop_assert!(ours == arrow, "{dataset}: {} and {} bytes", ours.len(), arrow.len());
    }
}

/// With the limits that files have: some pages in each row group.
#[test]
fn large_files_are_those_of_arrow() {
    let recipes = [
        (4400, 1, 0),
        (12_000, 1, 3),
        (50, 1, 0),
        (3, 900, 500),
        (1, 1, 1000),
    ]
    .map(|(distinct, repeat, nulls)| Recipe {
        distinct,
        repeat,
        nulls,
        is_extreme: false,
    });
    for dataset in datasets() {
        let batches: Vec<_> = [8192, 8231, 8210, 8192, 30_000, 0, 8200, 12]
            .into_iter()
            .zip(0..)
            .map(|(rows, seed)| batch(dataset, &recipes, seed, rows))
            .collect();
        let (ours, arrow) = files(dataset, &dataset.properties(1_000_000), &batches);
        assert!(
            ours == arrow,
            "{dataset}: {} and {} bytes",
            ours.len(),
            arrow.len()
        );
    }
}

/// Rows of `trades` with these values in one column.
fn with_column(name: &str, values: impl Array + 'static) -> RecordBatch {
    let dataset = &crate::service::TRADES;
    let batch = batch(dataset, &[ONE_VALUE], 1, values.len());
    let mut columns = batch.columns().to_vec();
    columns[dataset.index_of(name).unwrap()] = Arc::new(values);
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

#[test]
fn what_does_not_fit_is_an_error_and_no_panic() {
    let dataset = &crate::service::TRADES;
    let mut writer = FileWriter::new(Vec::new(), dataset, dataset.properties(100)).unwrap();
    let long = with_column("code", StringArray::from(vec!["KR7005930003XXXX"; 10]));
    let error = writer.write(&long).unwrap_err().to_string();
    assert!(
        error.contains("an issue code has at most 15 bytes, but this one has 16"),
        "{error}"
    );
    // The columns before it have its rows already.
    let good = with_column("code", StringArray::from(vec!["005930"; 10]));
    let error = writer.write(&good).unwrap_err().to_string();
    assert!(error.contains("a write has failed before"), "{error}");
    let error = writer.into_inner().unwrap_err().to_string();
    assert!(error.contains("a write has failed before"), "{error}");
}

#[test]
fn values_of_another_type_are_an_error_and_no_other_time() {
    let dataset = &crate::service::TRADES;
    let good = with_column("price", Int64Array::from(vec![1; 10]));
    let place = dataset.index_of("recv_ts").unwrap();
    let mut columns = good.columns().to_vec();
    let millis = TimestampMillisecondArray::from(vec![1; 10]).with_timezone(ZONE);
    columns[place] = Arc::new(millis);
    let mut fields = good.schema().fields().to_vec();
    fields[place] = Arc::new(
        fields[place]
            .as_ref()
            .clone()
            .with_data_type(columns[place].data_type().clone()),
    );
    let batch = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).unwrap();
    let mut writer = FileWriter::new(Vec::new(), dataset, dataset.properties(100)).unwrap();
    let error = writer.write(&batch).unwrap_err().to_string();
    assert!(error.contains("the column recv_ts is of Timestamp(µs"), "{error}");
    assert!(error.contains("its values of Timestamp(ms"), "{error}");
}

#[test]
fn a_null_where_none_may_be_is_an_error() {
    let dataset = &crate::service::TRADES;
    let good = with_column("price", Int64Array::from(vec![1; 3]));
    let mut columns = good.columns().to_vec();
    columns[dataset.index_of("price").unwrap()] = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let fields = good
        .schema()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect::<Vec<_>>();
    let batch = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).unwrap();
    let mut writer = FileWriter::new(Vec::new(), dataset, dataset.properties(100)).unwrap();
    let error = writer.write(&batch).unwrap_err().to_string();
    assert!(
        error.contains("the column price has a null, and must not have one"),
        "{error}"
    );
}

/// arrow-rs ends a page that has this many bytes, too.
#[test]
fn pages_that_may_be_too_large_are_an_error() {
    let dataset = &crate::service::TRADES;
    let properties = |bytes| {
        small_pages(
            dataset.properties_builder(100).set_data_page_size_limit(bytes),
            60,
            40,
        )
    };
    let error = FileWriter::new(Vec::new(), dataset, properties(959))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("pages of 120 rows can be larger than a page may be"),
        "{error}"
    );
    assert!(FileWriter::new(Vec::new(), dataset, properties(960)).is_ok());
}

#[test]
fn a_null_among_words_is_an_error_and_no_empty_word() {
    let dataset = &crate::service::TRADES;
    let mut writer = FileWriter::new(Vec::new(), dataset, dataset.properties(100)).unwrap();
    let words = Arc::new(StringArray::from(vec![Some("trade"), None]));
    let kinds = DictionaryArray::<Int32Type>::try_new(Int32Array::from(vec![0, 1]), words).unwrap();
    let error = writer.write(&with_column("kind", kinds)).unwrap_err().to_string();
    assert!(
        error.contains("the column kind has a null among its words"),
        "{error}"
    );
}

/// arrow-rs cuts statistics at 64 bytes; no word is that long.
#[test]
fn words_are_short() {
    use krx_protocol::per_issue::{FieldKind, Table};

    let fields = Table::ALL.iter().flat_map(|table| table.fields());
    let of_fields = fields.filter_map(|field| match field.kind {
        FieldKind::Word(words) => Some(words),
        _ => None,
    });
    let kinds = krx_protocol::Kind::ALL.map(krx_protocol::Kind::as_str);
    assert!(of_fields.flatten().chain(&kinds).all(|word| word.len() < 64));
}

/// The longest code that is one, and an empty one, are no special cases.
#[test]
fn codes_of_any_length_are_those_of_arrow() {
    let dataset = &crate::service::TRADES;
    let codes = [
        "",
        "0",
        "00",
        "000000",
        "0000000",
        "KR4101S60003",
        "KR4101S60003XYZ",
    ];
    let batch = with_column("code", StringArray::from(codes.to_vec()));
    let (ours, arrow) = files(dataset, &dataset.properties(100), &[batch]);
    assert!(ours == arrow);
}

/// arrow-rs gives a dictionary up at 8 MiB (docs/adr/0054).
#[test]
fn a_dictionary_is_never_given_up() {
    const CODES: usize = 600_000;
    let dataset = &crate::service::TRADES;
    let mut writer = FileWriter::new(Vec::new(), dataset, dataset.properties(1_000_000)).unwrap();
    let code = |number: usize| format!("{number:012}");
    for start in (0..CODES).step_by(50_000) {
        let codes = StringArray::from_iter_values((start..start + 50_000).map(code));
        writer.write(&with_column("code", codes)).unwrap();
    }
    let file = bytes::Bytes::from(writer.into_inner().unwrap());
    let pages = SerializedFileReader::new(file.clone()).unwrap();
    let pages = pages.get_row_group(0).unwrap().get_column_page_reader(0).unwrap();
    let encodings: Vec<_> = pages.map(|page| page.unwrap().encoding()).collect();
    assert_eq!(encodings[0], basic::Encoding::PLAIN, "the dictionary");
    assert!(
        encodings[1..]
            .iter()
            .all(|encoding| *encoding == basic::Encoding::RLE_DICTIONARY)
    );
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut expected = (0..CODES).map(code);
    for batch in reader.with_batch_size(100_000).build().unwrap() {
        let batch = batch.unwrap();
        for found in batch.column(0).as_string::<i32>().iter() {
            assert_eq!(found, expected.next().as_deref());
        }
    }
    assert_eq!(expected.next(), None);
}
