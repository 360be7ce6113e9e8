//! Rows of a dataset as plain columns that can be reordered.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, DictionaryArray, Int32Array, PrimitiveArray, RecordBatch,
    StringArray,
};

use crate::dataset::{ColumnType, Dataset, ZONE};

/// Rows of one feed and date, of a dataset that is sealed. A row of `trades` takes some 60 bytes, plus its `extra`.
#[derive(Debug)]
pub(crate) struct Columns {
    dataset: Dataset,
    columns: Vec<Values>,
    frame: usize,
    item: usize,
    rows: usize,
}

/// The values of one column.
#[derive(Debug)]
enum Values {
    Int16(Numbers<Int16Type>),
    Int32(Numbers<Int32Type>),
    Int64(Numbers<Int64Type>),
    Float64(Numbers<Float64Type>),
    Millis(Numbers<TimestampMillisecondType>),
    Micros(Numbers<TimestampMicrosecondType>),
    /// Texts that repeat.
    Repeated(Repeated),
    /// Texts that do not repeat, or are normally null.
    Single(Single),
}

impl Values {
    /// `None` for a type that cannot be reordered.
    fn of(column_type: ColumnType, nullable: bool) -> Option<Self> {
        Some(match column_type {
            ColumnType::Int16 => Self::Int16(Numbers::default()),
            ColumnType::Int32 => Self::Int32(Numbers::default()),
            ColumnType::Int64 => Self::Int64(Numbers::default()),
            ColumnType::Float64 => Self::Float64(Numbers::default()),
            ColumnType::Millis => Self::Millis(Numbers::default()),
            ColumnType::Micros => Self::Micros(Numbers::default()),
            ColumnType::Word => Self::Repeated(Repeated::default()),
            ColumnType::Text if nullable => Self::Single(Single::default()),
            ColumnType::Text | ColumnType::Code => Self::Repeated(Repeated::default()),
            ColumnType::Bytes | ColumnType::Bool => return None,
        })
    }

    fn reserve(&mut self, rows: usize) {
        match self {
            Self::Int16(numbers) => numbers.values.reserve(rows),
            Self::Int32(numbers) => numbers.values.reserve(rows),
            Self::Int64(numbers) => numbers.values.reserve(rows),
            Self::Float64(numbers) => numbers.values.reserve(rows),
            Self::Millis(numbers) => numbers.values.reserve(rows),
            Self::Micros(numbers) => numbers.values.reserve(rows),
            Self::Repeated(texts) => texts.numbers.reserve(rows),
            Self::Single(_) => {}
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Int16(numbers) => numbers.clear(),
            Self::Int32(numbers) => numbers.clear(),
            Self::Int64(numbers) => numbers.clear(),
            Self::Float64(numbers) => numbers.clear(),
            Self::Millis(numbers) => numbers.clear(),
            Self::Micros(numbers) => numbers.clear(),
            Self::Repeated(texts) => texts.clear(),
            Self::Single(texts) => *texts = Single::default(),
        }
    }

    fn push(&mut self, column: &ArrayRef, before: usize) -> Option<()> {
        match self {
            Self::Int16(numbers) => numbers.push(column.as_primitive_opt()?),
            Self::Int32(numbers) => numbers.push(column.as_primitive_opt()?),
            Self::Int64(numbers) => numbers.push(column.as_primitive_opt()?),
            Self::Float64(numbers) => numbers.push(column.as_primitive_opt()?),
            Self::Millis(numbers) => numbers.push(column.as_primitive_opt()?),
            Self::Micros(numbers) => numbers.push(column.as_primitive_opt()?),
            Self::Repeated(texts) => return texts.push(column),
            Self::Single(texts) => return texts.push(column.as_string_opt()?, before),
        }
        Some(())
    }

    fn take(&self, rows: &[u32], column_type: ColumnType) -> ArrayRef {
        match self {
            Self::Int16(numbers) => Arc::new(numbers.take(rows)),
            Self::Int32(numbers) => Arc::new(numbers.take(rows)),
            Self::Int64(numbers) => Arc::new(numbers.take(rows)),
            Self::Float64(numbers) => Arc::new(numbers.take(rows)),
            Self::Millis(numbers) => Arc::new(numbers.take(rows).with_timezone(ZONE)),
            Self::Micros(numbers) => Arc::new(numbers.take(rows).with_timezone(ZONE)),
            Self::Repeated(texts) => texts.take(rows, column_type == ColumnType::Word),
            Self::Single(texts) => texts.take(rows),
        }
    }
}

/// Numbers, and which rows have none.
#[derive(Debug)]
struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    /// Whether each row has a value; empty while all do.
    valid: Vec<bool>,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            valid: Vec::new(),
        }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    fn clear(&mut self) {
        self.values.clear();
        self.valid.clear();
    }

    fn push(&mut self, column: &PrimitiveArray<T>) {
        if column.null_count() > 0 {
            self.valid.resize(self.values.len(), true);
            self.valid
                .extend((0..column.len()).map(|row| column.is_valid(row)));
        } else if !self.valid.is_empty() {
            self.valid.resize(self.values.len() + column.len(), true);
        }
        self.values.extend_from_slice(column.values());
    }

    fn take(&self, rows: &[u32]) -> PrimitiveArray<T> {
        let value = |row: &u32| self.values[*row as usize];
        if self.valid.is_empty() {
            return PrimitiveArray::from_iter_values(rows.iter().map(value));
        }
        rows.iter()
            .map(|row| self.valid[*row as usize].then(|| value(row)))
            .collect()
    }
}

/// Stands for a null.
const NO_TEXT: u32 = u32::MAX;

/// Texts by number.
#[derive(Debug, Default)]
struct Repeated {
    texts: Vec<Box<str>>,
    known: HashMap<Box<str>, u32>,
    /// Of each row.
    numbers: Vec<u32>,
}

impl Repeated {
    fn clear(&mut self) {
        self.texts.clear();
        self.known.clear();
        self.numbers.clear();
    }

    fn number_of(&mut self, text: &str) -> u32 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(NO_TEXT);
        self.texts.push(text.into());
        self.known.insert(text.into(), number);
        number
    }

    fn push(&mut self, column: &ArrayRef) -> Option<()> {
        if let Some(texts) = column.as_string_opt::<i32>() {
            for text in texts {
                let number = text.map_or(NO_TEXT, |text| self.number_of(text));
                self.numbers.push(number);
            }
            return Some(());
        }
        let column = column.as_dictionary_opt::<Int32Type>()?;
        let values = column.values().as_string_opt::<i32>()?;
        let numbers: Vec<u32> = (0..values.len())
            .map(|index| self.number_of(values.value(index)))
            .collect();
        if column.null_count() == 0 {
            for key in column.keys().values() {
                self.numbers.push(*numbers.get(usize::try_from(*key).ok()?)?);
            }
            return Some(());
        }
        for row in 0..column.len() {
            let number = match column.key(row) {
                Some(key) => *numbers.get(key)?,
                None => NO_TEXT,
            };
            self.numbers.push(number);
        }
        Some(())
    }

    fn text(&self, number: u32) -> Option<&str> {
        self.texts.get(number as usize).map(AsRef::as_ref)
    }

    fn take(&self, rows: &[u32], as_dictionary: bool) -> ArrayRef {
        let numbers = rows.iter().map(|row| self.numbers[*row as usize]);
        if !as_dictionary {
            return Arc::new(numbers.map(|number| self.text(number)).collect::<StringArray>());
        }
        let keys: Int32Array = numbers.map(|number| i32::try_from(number).ok()).collect();
        let words = StringArray::from_iter_values(&self.texts);
        Arc::new(DictionaryArray::try_new(keys, Arc::new(words)).expect("a number is the place of a text"))
    }

    /// The rows ordered by text, and in their present order within each.
    fn order(&self) -> Vec<u32> {
        let mut sorted: Vec<usize> = (0..self.texts.len()).collect();
        sorted.sort_unstable_by(|a, b| self.texts[*a].cmp(&self.texts[*b]));
        // Counting sort: where each text's rows begin. Rows without one come last.
        let place = |number: u32| (number as usize).min(self.texts.len());
        let mut counts = vec![0_usize; self.texts.len() + 1];
        for number in &self.numbers {
            counts[place(*number)] += 1;
        }
        let (mut begins, mut begin) = (vec![0_usize; counts.len()], 0);
        for number in sorted.into_iter().chain([self.texts.len()]) {
            begins[number] = begin;
            begin += counts[number];
        }
        let mut order = vec![0_u32; self.numbers.len()];
        for (row, number) in self.numbers.iter().enumerate() {
            let place = &mut begins[place(*number)];
            order[*place] = u32::try_from(row).unwrap_or(u32::MAX);
            *place += 1;
        }
        order
    }
}

/// The rows that have a text, in rising order.
#[derive(Debug, Default)]
struct Single {
    texts: Vec<(u32, Box<str>)>,
    bytes: usize,
}

impl Single {
    fn push(&mut self, column: &StringArray, before: usize) -> Option<()> {
        if column.null_count() == column.len() {
            return Some(());
        }
        for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
            let number = u32::try_from(before + row).ok()?;
            self.bytes += column.value(row).len();
            self.texts.push((number, column.value(row).into()));
        }
        Some(())
    }

    fn take(&self, rows: &[u32]) -> ArrayRef {
        if self.texts.is_empty() {
            return Arc::new(StringArray::new_null(rows.len()));
        }
        let mut taken = StringBuilder::new();
        for row in rows {
            let found = self.texts.binary_search_by_key(row, |(row, _)| *row);
            taken.append_option(found.ok().map(|index| &*self.texts[index].1));
        }
        Arc::new(taken.finish())
    }
}

impl Columns {
    /// Without rows. `None` for a dataset whose rows cannot be put into another order: it has a column of bytes, or no
    /// `frame` and `item`.
    pub(crate) fn of(dataset: Dataset) -> Option<Self> {
        let columns = dataset.columns.iter();
        let values = columns.map(|column| Values::of(column.column_type, column.nullable));
        Some(Self {
            frame: dataset.index_of("frame")?,
            item: dataset.index_of("item")?,
            dataset,
            columns: values.collect::<Option<_>>()?,
            rows: 0,
        })
    }

    /// Reserves room once: a column that grows is in memory twice.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|values| values.reserve(rows));
    }

    pub(crate) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Values::clear);
        self.rows = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn frames(&self) -> &[i64] {
        match &self.columns[self.frame] {
            Values::Int64(frames) => &frames.values,
            _ => &[],
        }
    }

    fn items(&self) -> &[i16] {
        match &self.columns[self.item] {
            Values::Int16(items) => &items.values,
            _ => &[],
        }
    }

    /// The place of the last row.
    pub(crate) fn last_frame(&self) -> Option<i64> {
        self.frames().last().copied()
    }

    /// How many bytes texts that do not repeat take.
    pub(crate) fn single_text_bytes(&self) -> usize {
        let bytes = self.columns.iter().map(|values| match values {
            Values::Single(texts) => texts.bytes,
            _ => 0,
        });
        bytes.sum()
    }

    /// The columns of a batch whose texts count for [`Columns::single_text_bytes`].
    pub(crate) fn single_texts<'a>(
        &'a self,
        batch: &'a RecordBatch,
    ) -> impl Iterator<Item = &'a StringArray> {
        let columns = self.columns.iter().zip(batch.columns());
        columns
            .filter(|(values, _)| matches!(values, Values::Single(_)))
            .filter_map(|(_, column)| column.as_string_opt::<i32>())
    }

    /// Adds the rows of a batch read by [`super::Arrivals`]; otherwise returns what is wrong with them.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), String> {
        if batch.num_columns() != self.columns.len() {
            return Err(format!("its columns are not those of {}", self.dataset.name));
        }
        for (place, (values, column)) in self.columns.iter_mut().zip(batch.columns()).enumerate() {
            let name = self.dataset.columns[place].name;
            values
                .push(column, self.rows)
                .ok_or_else(|| format!("its column {name} cannot be read"))?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// The rows ordered by a column of texts, and in their present order within each.
    pub(crate) fn by(&self, column: &str) -> Vec<u32> {
        let values = self.dataset.index_of(column).map(|index| &self.columns[index]);
        match values {
            Some(Values::Repeated(texts)) => texts.order(),
            _ => (0..u32::try_from(self.rows).unwrap_or(u32::MAX)).collect(),
        }
    }

    /// The rows in order of arrival.
    pub(crate) fn by_arrival(&self) -> Vec<u32> {
        let (frames, items) = (self.frames(), self.items());
        let mut order: Vec<u32> = (0..u32::try_from(self.rows).unwrap_or(u32::MAX)).collect();
        order.sort_unstable_by_key(|row| (frames[*row as usize], items[*row as usize]));
        order
    }

    /// These rows, in this order, as a batch with the dataset's schema.
    ///
    /// # Panics
    /// When there is no such row.
    pub(crate) fn take(&self, rows: &[u32]) -> RecordBatch {
        let specs = self.dataset.columns.iter();
        let columns = self.columns.iter().zip(specs);
        let columns = columns.map(|(values, spec)| values.take(rows, spec.column_type));
        RecordBatch::try_new(self.dataset.schema(), columns.collect())
            .expect("all columns have a value for each row")
    }
}
