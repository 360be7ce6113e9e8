//! Columns of a per-issue dataset being filled.

use std::sync::{Arc, LazyLock};

use arrow_array::builder::StringBuilder;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int16Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::NullBufferBuilder;
use krx_protocol::per_issue::{Field, FieldKind, Row, RowKind, Value};

use crate::dataset::{Dataset, ZONE};
use crate::service::FrameFacts;

static KINDS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(RowKind::ALL.map(RowKind::as_str))));

/// Rows of one dataset.
#[derive(Debug)]
pub(super) struct Columns {
    dataset: Dataset,
    fields: &'static [Field],
    code: StringBuilder,
    values: Vec<Values>,
    kind: Vec<i32>,
    recv_ts: Vec<i64>,
    frame: Vec<i64>,
    item: Vec<i16>,
    session: Vec<i32>,
    extra: StringBuilder,
}

/// The values of one field.
#[derive(Debug)]
enum Values {
    Int64(NullableNumbers<Int64Type>),
    Int32(NullableNumbers<Int32Type>),
    Float64(NullableNumbers<Float64Type>),
    Millis(NullableNumbers<TimestampMillisecondType>),
    /// Places in the field's list of words.
    Word(NullableNumbers<Int32Type>, &'static [&'static str]),
    Text(StringBuilder),
}

impl Values {
    fn of(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Integer { .. } => Self::Int64(NullableNumbers::default()),
            FieldKind::Decimal => Self::Float64(NullableNumbers::default()),
            FieldKind::TradeTime | FieldKind::OrderTime => Self::Int32(NullableNumbers::default()),
            FieldKind::TradeClock | FieldKind::OrderClock => Self::Millis(NullableNumbers::default()),
            FieldKind::Word(words) => Self::Word(NullableNumbers::default(), words),
            FieldKind::Text => Self::Text(StringBuilder::new()),
        }
    }

    /// `midnight_ms` is the trading date's midnight in Korea, in milliseconds since the Unix epoch.
    #[inline]
    fn push(&mut self, value: Value<'_>, midnight_ms: i64) {
        let integer = match value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        };
        match self {
            Self::Int64(numbers) => numbers.push(integer),
            Self::Int32(numbers) => numbers.push(integer.and_then(|integer| i32::try_from(integer).ok())),
            Self::Millis(numbers) => numbers.push(integer.map(|millis| midnight_ms + millis)),
            Self::Float64(numbers) => numbers.push(match value {
                Value::Decimal(decimal) => Some(decimal),
                _ => None,
            }),
            Self::Word(numbers, _) => numbers.push(match value {
                Value::Word(place) => Some(i32::from(place)),
                _ => None,
            }),
            Self::Text(builder) => builder.append_option(match value {
                Value::Text(text) => Some(text),
                _ => None,
            }),
        }
    }

    /// Takes the values so far, and has room for as many again.
    fn take(&mut self) -> ArrayRef {
        match self {
            Self::Int64(numbers) => Arc::new(numbers.take()),
            Self::Int32(numbers) => Arc::new(numbers.take()),
            Self::Float64(numbers) => Arc::new(numbers.take()),
            Self::Millis(numbers) => Arc::new(numbers.take().with_timezone(ZONE)),
            Self::Word(numbers, words) => {
                let words = Arc::new(StringArray::from_iter_values(words.iter()));
                let places = DictionaryArray::try_new(numbers.take(), words);
                Arc::new(places.expect("a word is a place in its list"))
            }
            Self::Text(builder) => Arc::new(take_text(builder)),
        }
    }
}

/// Numbers of a type, some of them null. arrow-rs's builder does the same, but is not inlined here: with it, a book of 45 fields
/// takes a twentieth longer.
#[derive(Debug)]
struct NullableNumbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> Default for NullableNumbers<T> {
    fn default() -> Self {
        Self::with_room_for(0)
    }
}

impl<T: ArrowPrimitiveType> NullableNumbers<T> {
    fn with_room_for(rows: usize) -> Self {
        Self {
            values: Vec::with_capacity(rows),
            nulls: NullBufferBuilder::new(rows),
        }
    }

    #[inline]
    fn push(&mut self, number: Option<T::Native>) {
        self.values.push(number.unwrap_or_default());
        self.nulls.append(number.is_some());
    }

    /// Takes what was pushed, and has room for as much again: without it, a column that is filled anew is copied each time
    /// it doubles.
    fn take(&mut self) -> PrimitiveArray<T> {
        let room = Self::with_room_for(self.values.len());
        let mut taken = std::mem::replace(self, room);
        PrimitiveArray::new(taken.values.into(), taken.nulls.finish())
    }
}

fn take_text(builder: &mut StringBuilder) -> StringArray {
    let array = builder.finish();
    *builder = StringBuilder::with_capacity(array.len(), array.values().len());
    array
}

fn take_all<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

impl Columns {
    /// Without rows.
    pub(super) fn of(dataset: Dataset, fields: &'static [Field]) -> Self {
        Self {
            dataset,
            fields,
            code: StringBuilder::new(),
            values: fields.iter().map(|field| Values::of(field.kind)).collect(),
            kind: Vec::new(),
            recv_ts: Vec::new(),
            frame: Vec::new(),
            item: Vec::new(),
            session: Vec::new(),
            extra: StringBuilder::new(),
        }
    }

    /// The number of rows.
    #[inline]
    pub(super) fn rows(&self) -> usize {
        self.item.len()
    }

    /// Adds a row of the dataset, and of the frame that `facts` are of.
    pub(super) fn push(&mut self, row: &Row<'_>, facts: &FrameFacts) {
        debug_assert_eq!(row.values.len(), self.fields.len(), "{}", self.dataset);
        self.code.append_value(row.code);
        for (column, value) in self.values.iter_mut().zip(row.values) {
            column.push(*value, facts.midnight_ms);
        }
        self.kind
            .push(i32::try_from(row.kind.place()).unwrap_or_default());
        self.recv_ts.push(facts.recv.0);
        self.frame.push(facts.frame);
        self.item.push(row.item);
        self.session.push(facts.session);
        self.extra.append_option(row.extra);
    }

    /// Takes the rows so far.
    pub(super) fn take(&mut self) -> RecordBatch {
        let kind = Int32Array::from(take_all(&mut self.kind));
        let kind = DictionaryArray::try_new(kind, Arc::clone(&KINDS)).expect("a kind is an index into ALL");
        let recv_ts = TimestampMicrosecondArray::from(take_all(&mut self.recv_ts));
        let common: [(&str, ArrayRef); 7] = [
            ("code", Arc::new(take_text(&mut self.code))),
            ("kind", Arc::new(kind)),
            ("recv_ts", Arc::new(recv_ts.with_timezone(ZONE))),
            ("frame", Arc::new(Int64Array::from(take_all(&mut self.frame)))),
            ("item", Arc::new(Int16Array::from(take_all(&mut self.item)))),
            ("session", Arc::new(Int32Array::from(take_all(&mut self.session)))),
            ("extra", Arc::new(take_text(&mut self.extra))),
        ];
        let names = self.fields.iter().map(|field| field.name);
        let values = names.zip(self.values.iter_mut().map(Values::take));
        self.dataset.batch(common.into_iter().chain(values))
    }
}
