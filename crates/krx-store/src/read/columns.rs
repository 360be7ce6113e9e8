//! Rows of `trades` as plain columns, which can be put into another order.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray, TimestampMillisecondBuilder,
};
use arrow::datatypes::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType};
use krx_protocol::Kind;

use crate::export::{KINDS, TRADES_SCHEMA, ZONE};

/// Stands for a null `trade_ts`: no time of day gives it.
const NO_TIME: i64 = i64::MIN;

/// Rows of one market and date. A row takes some 55 bytes, and what its `extra` takes.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// The distinct issue codes, by number; the numbers of the column's values.
    codes: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    code: Vec<u32>,
    trade_ts: Vec<i64>,
    price: Vec<i64>,
    volume: Vec<i64>,
    kind: Vec<u8>,
    trade_time: Vec<i32>,
    recv_ts: Vec<i64>,
    frame: Vec<i64>,
    item: Vec<i16>,
    session: Vec<i32>,
    /// The rows that have one, rising.
    extra: Vec<(u32, Box<str>)>,
    extra_bytes: usize,
}

impl Columns {
    /// Makes room once: columns that grow are in memory twice.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.code.reserve(rows);
        self.trade_ts.reserve(rows);
        self.price.reserve(rows);
        self.volume.reserve(rows);
        self.kind.reserve(rows);
        self.trade_time.reserve(rows);
        self.recv_ts.reserve(rows);
        self.frame.reserve(rows);
        self.item.reserve(rows);
        self.session.reserve(rows);
    }

    pub(crate) fn clear(&mut self) {
        self.codes.clear();
        self.numbers.clear();
        self.code.clear();
        self.trade_ts.clear();
        self.price.clear();
        self.volume.clear();
        self.kind.clear();
        self.trade_time.clear();
        self.recv_ts.clear();
        self.frame.clear();
        self.item.clear();
        self.session.clear();
        self.extra.clear();
        self.extra_bytes = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.frame.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frame.is_empty()
    }

    /// Of the last row.
    pub(crate) fn last_frame(&self) -> Option<i64> {
        self.frame.last().copied()
    }

    /// What the `extra` of all rows take.
    pub(crate) fn extra_bytes(&self) -> usize {
        self.extra_bytes
    }

    /// Adds the rows of a batch that was read by [`super::Arrivals`], or what is wrong with them.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let before = self.len();
        let [
            code,
            trade_ts,
            price,
            volume,
            kind,
            trade_time,
            recv_ts,
            frame,
            item,
            session,
            extra,
        ] = batch.columns()
        else {
            return Err("it has not the columns of trades".to_owned());
        };
        self.push_codes(code)?;
        let trade_ts = trade_ts.as_primitive::<TimestampMillisecondType>();
        if trade_ts.null_count() == 0 {
            self.trade_ts.extend_from_slice(trade_ts.values());
        } else {
            let times = trade_ts.iter().map(|time| time.unwrap_or(NO_TIME));
            self.trade_ts.extend(times);
        }
        self.price
            .extend_from_slice(price.as_primitive::<Int64Type>().values());
        self.volume
            .extend_from_slice(volume.as_primitive::<Int64Type>().values());
        self.push_kinds(kind)?;
        self.trade_time
            .extend_from_slice(trade_time.as_primitive::<Int32Type>().values());
        self.recv_ts
            .extend_from_slice(recv_ts.as_primitive::<TimestampMicrosecondType>().values());
        self.frame
            .extend_from_slice(frame.as_primitive::<Int64Type>().values());
        self.item
            .extend_from_slice(item.as_primitive::<Int16Type>().values());
        self.session
            .extend_from_slice(session.as_primitive::<Int32Type>().values());
        let extra = extra.as_string::<i32>();
        if extra.null_count() < extra.len() {
            for row in (0..extra.len()).filter(|row| extra.is_valid(*row)) {
                let number = u32::try_from(before + row).map_err(|_| "it has too many rows".to_owned())?;
                self.extra_bytes += extra.value(row).len();
                self.extra.push((number, extra.value(row).into()));
            }
        }
        Ok(())
    }

    fn push_codes(&mut self, column: &ArrayRef) -> Result<(), String> {
        if let Some(texts) = column.as_string_opt::<i32>() {
            for row in 0..texts.len() {
                let number = self.number_of(texts.value(row));
                self.code.push(number);
            }
            return Ok(());
        }
        let column = column.as_dictionary::<Int32Type>();
        let values = column.values().as_string::<i32>();
        let numbers: Vec<u32> = (0..values.len())
            .map(|index| self.number_of(values.value(index)))
            .collect();
        let number = |key: &i32| numbers.get(usize::try_from(*key).ok()?).copied();
        for key in column.keys().values() {
            self.code
                .push(number(key).ok_or("its issue codes cannot be looked up")?);
        }
        Ok(())
    }

    fn number_of(&mut self, code: &str) -> u32 {
        if let Some(number) = self.numbers.get(code) {
            return *number;
        }
        let number = u32::try_from(self.codes.len()).unwrap_or(u32::MAX);
        self.codes.push(code.into());
        self.numbers.insert(code.into(), number);
        number
    }

    fn push_kinds(&mut self, column: &ArrayRef) -> Result<(), String> {
        let column = column.as_dictionary::<Int32Type>();
        let values = column.values().as_string::<i32>();
        let numbers: Vec<Option<u8>> = (0..values.len())
            .map(|index| {
                let known = Kind::ALL
                    .iter()
                    .position(|kind| kind.as_str() == values.value(index))?;
                u8::try_from(known).ok()
            })
            .collect();
        for key in column.keys().values() {
            let number = usize::try_from(*key)
                .ok()
                .and_then(|key| numbers.get(key).copied());
            let number = number.ok_or("its kinds cannot be looked up")?;
            self.kind
                .push(number.ok_or("it has a kind that this version does not know")?);
        }
        Ok(())
    }

    /// The rows by issue code, and in the order that they have here within each.
    pub(crate) fn by_code(&self) -> Vec<u32> {
        let mut sorted: Vec<usize> = (0..self.codes.len()).collect();
        sorted.sort_unstable_by(|a, b| self.codes[*a].cmp(&self.codes[*b]));
        // Counted: where each code's rows begin.
        let mut counts = vec![0_usize; self.codes.len()];
        for number in &self.code {
            counts[*number as usize] += 1;
        }
        let (mut begins, mut begin) = (vec![0_usize; self.codes.len()], 0);
        for number in sorted {
            begins[number] = begin;
            begin += counts[number];
        }
        let mut order = vec![0_u32; self.len()];
        for (row, number) in self.code.iter().enumerate() {
            let place = &mut begins[*number as usize];
            order[*place] = u32::try_from(row).unwrap_or(u32::MAX);
            *place += 1;
        }
        order
    }

    /// The rows in order of arrival.
    pub(crate) fn by_arrival(&self) -> Vec<u32> {
        let rows = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..rows).collect();
        order.sort_unstable_by_key(|row| (self.frame[*row as usize], self.item[*row as usize]));
        order
    }

    /// These rows, in this order, as a batch of the dataset's schema.
    ///
    /// # Panics
    /// When there is no such row.
    pub(crate) fn take(&self, rows: &[u32]) -> RecordBatch {
        fn gather<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|row| values[*row as usize]).collect()
        }
        let codes = rows
            .iter()
            .map(|row| &*self.codes[self.code[*row as usize] as usize]);
        let mut times = TimestampMillisecondBuilder::with_capacity(rows.len());
        for row in rows {
            let time = self.trade_ts[*row as usize];
            times.append_option((time != NO_TIME).then_some(time));
        }
        let kinds = rows.iter().map(|row| i32::from(self.kind[*row as usize]));
        let kinds = DictionaryArray::try_new(Int32Array::from_iter_values(kinds), Arc::clone(&KINDS));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(codes)),
            Arc::new(times.finish().with_timezone(ZONE)),
            Arc::new(Int64Array::from(gather(&self.price, rows))),
            Arc::new(Int64Array::from(gather(&self.volume, rows))),
            Arc::new(kinds.expect("a kind is an index into ALL")),
            Arc::new(Int32Array::from(gather(&self.trade_time, rows))),
            Arc::new(TimestampMicrosecondArray::from(gather(&self.recv_ts, rows)).with_timezone(ZONE)),
            Arc::new(Int64Array::from(gather(&self.frame, rows))),
            Arc::new(Int16Array::from(gather(&self.item, rows))),
            Arc::new(Int32Array::from(gather(&self.session, rows))),
            self.take_extra(rows),
        ];
        RecordBatch::try_new(Arc::clone(&TRADES_SCHEMA), columns)
            .expect("all columns have a value for each row")
    }

    fn take_extra(&self, rows: &[u32]) -> ArrayRef {
        if self.extra.is_empty() {
            return Arc::new(StringArray::new_null(rows.len()));
        }
        let mut extra = StringBuilder::new();
        for row in rows {
            let found = self.extra.binary_search_by_key(row, |(row, _)| *row);
            extra.append_option(found.ok().map(|index| &*self.extra[index].1));
        }
        Arc::new(extra.finish())
    }
}
