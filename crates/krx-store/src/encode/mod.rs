//! Rows into a Parquet file, with the same bytes that arrow-rs's writer gives. Columns that are stored as dictionaries are
//! encoded here, because arrow-rs hashes and compares the bytes of each value. arrow-rs writes the others (docs/adr/0054).
//!
//! ```text
//!   RecordBatch ──▶ FileWriter ──▶ DictionaryColumn   (code, kind, price, …) ──▶ row group ──▶ file
//!                        └───────▶ ArrowColumnWriter  (all others)           ──┘
//! ```

mod chunk;
mod dictionary;
mod hybrid;
mod ids;
mod value;

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::Field;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use zstd::bulk::Compressor;

use self::dictionary::{DictionaryColumn, Limits};
use self::value::{Code, Word};
use crate::dataset::{COMPRESSION_LEVEL, Column, ColumnType, Dataset, Encoding};

/// A Parquet file being written.
pub(crate) struct FileWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    arrow: ArrowRowGroupWriterFactory,
    dataset: Dataset,
    limits: Limits,
    group_rows_max: usize,
    compressor: Compressor<'static>,
    group: Option<Group>,
}

/// A row group being filled.
struct Group {
    columns: Vec<ColumnWriter>,
    rows: usize,
}

/// A column of a row group.
enum ColumnWriter {
    Codes(Box<DictionaryColumn<Code>>),
    Words(Box<DictionaryColumn<Word>>),
    Int64(Box<DictionaryColumn<i64>>),
    /// Those of 16 bits, too: Parquet has no smaller integers.
    Int32(Box<DictionaryColumn<i32>>),
    Arrow(Box<ArrowColumnWriter>),
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file of a dataset.
    pub(crate) fn new(output: W, dataset: Dataset, properties: WriterProperties) -> Result<Self> {
        let limits = Limits::of(&properties);
        let group_rows_max = properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let writer = ArrowWriter::try_new(output, dataset.schema(), Some(properties))?;
        let (file, arrow) = writer.into_serialized_writer()?;
        Ok(Self {
            file,
            arrow,
            dataset,
            limits,
            group_rows_max,
            compressor: Compressor::new(COMPRESSION_LEVEL)?,
            group: None,
        })
    }

    /// Adds rows. A row group ends when it is full.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = self.dataset.schema();
        let mut start = 0;
        while start < batch.num_rows() {
            let group = match &mut self.group {
                Some(group) => group,
                None => self.group.insert(Group {
                    columns: self.columns()?,
                    rows: 0,
                }),
            };
            let rows = (batch.num_rows() - start).min(self.group_rows_max - group.rows);
            let part = batch.slice(start, rows);
            for ((column, field), values) in group.columns.iter_mut().zip(schema.fields()).zip(part.columns())
            {
                column.write(field, values, &mut self.compressor)?;
            }
            group.rows += rows;
            start += rows;
            if group.rows == self.group_rows_max {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the row group.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let mut written = self.file.next_row_group()?;
        for column in group.columns {
            column.end(&mut written, &mut self.compressor)?;
        }
        written.close()?;
        Ok(())
    }

    /// Adds to the file's own words about itself.
    pub(crate) fn append_key_value_metadata(&mut self, pair: KeyValue) {
        self.file.append_key_value_metadata(pair);
    }

    /// Ends the file.
    pub(crate) fn into_inner(mut self) -> Result<W> {
        self.flush()?;
        self.file.into_inner()
    }

    fn columns(&self) -> Result<Vec<ColumnWriter>> {
        let arrow = self
            .arrow
            .create_column_writers(self.file.flushed_row_groups().len())?;
        let columns = arrow.into_iter().zip(self.dataset.columns).enumerate();
        Ok(columns
            .map(|(place, (arrow, column))| {
                self.column(place, column)
                    .unwrap_or_else(|| ColumnWriter::Arrow(Box::new(arrow)))
            })
            .collect())
    }

    /// The column at a place, if it is one of ours.
    fn column(&self, place: usize, column: &Column) -> Option<ColumnWriter> {
        let descriptor = self.file.schema_descr().column(place);
        let limits = self.limits;
        if column.encoding != Encoding::Dictionary {
            return None;
        }
        match column.column_type {
            ColumnType::Code => Some(ColumnWriter::Codes(DictionaryColumn::boxed(descriptor, limits))),
            ColumnType::Word => Some(ColumnWriter::Words(DictionaryColumn::boxed(descriptor, limits))),
            ColumnType::Int64 => Some(ColumnWriter::Int64(DictionaryColumn::boxed(descriptor, limits))),
            ColumnType::Int16 | ColumnType::Int32 => {
                Some(ColumnWriter::Int32(DictionaryColumn::boxed(descriptor, limits)))
            }
            // A text has no bound, so its dictionary may have to be given up. Floats have no total order.
            ColumnType::Text
            | ColumnType::Float64
            | ColumnType::Bytes
            | ColumnType::Bool
            | ColumnType::Millis
            | ColumnType::Micros => None,
        }
    }
}

impl ColumnWriter {
    fn write(
        &mut self,
        field: &Arc<Field>,
        values: &ArrayRef,
        compressor: &mut Compressor<'_>,
    ) -> Result<()> {
        let (rows, nulls) = (values.len(), values.nulls());
        let another =
            || ParquetError::General(format!("the column {} has values of another type", field.name()));
        match self {
            Self::Codes(column) => {
                let codes = values.as_string_opt::<i32>().ok_or_else(another)?;
                column.write(rows, nulls, compressor, |ids, row| {
                    Ok(ids.of(Code::new(codes.value(row))?))
                })
            }
            Self::Words(column) => {
                let words = values.as_dictionary_opt::<Int32Type>().ok_or_else(another)?;
                let texts = words.values().as_string_opt::<i32>().ok_or_else(another)?;
                if texts.null_count() > 0 {
                    let what = format!("the column {} has a null among its words", field.name());
                    return Err(ParquetError::General(what));
                }
                let keys = words.keys().values();
                // A word is looked up once in a batch.
                let mut known: Vec<Option<u32>> = vec![None; texts.len()];
                column.write(rows, nulls, compressor, |ids, row| {
                    let key = usize::try_from(keys[row]).unwrap_or(usize::MAX);
                    let id = known.get_mut(key).ok_or_else(another)?;
                    Ok(*id.get_or_insert_with(|| ids.of(Word::new(texts.value(key)))))
                })
            }
            Self::Int64(column) => {
                let numbers = values
                    .as_primitive_opt::<Int64Type>()
                    .ok_or_else(another)?
                    .values();
                column.write(rows, nulls, compressor, |ids, row| Ok(ids.of(numbers[row])))
            }
            Self::Int32(column) => {
                if let Some(numbers) = values.as_primitive_opt::<Int16Type>() {
                    let numbers = numbers.values();
                    return column.write(rows, nulls, compressor, |ids, row| {
                        Ok(ids.of(i32::from(numbers[row])))
                    });
                }
                let numbers = values
                    .as_primitive_opt::<Int32Type>()
                    .ok_or_else(another)?
                    .values();
                column.write(rows, nulls, compressor, |ids, row| Ok(ids.of(numbers[row])))
            }
            Self::Arrow(writer) => {
                for leaf in compute_leaves(field, values)? {
                    writer.write(&leaf)?;
                }
                Ok(())
            }
        }
    }

    fn end<W: Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        compressor: &mut Compressor<'_>,
    ) -> Result<()> {
        match self {
            Self::Codes(column) => column.end(group, compressor),
            Self::Words(column) => column.end(group, compressor),
            Self::Int64(column) => column.end(group, compressor),
            Self::Int32(column) => column.end(group, compressor),
            Self::Arrow(writer) => writer.close()?.append_to_row_group(group),
        }
    }
}

#[cfg(test)]
mod tests;
