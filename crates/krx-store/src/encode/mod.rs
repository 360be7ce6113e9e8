//! Rows into a Parquet file, with the same bytes that arrow-rs's writer gives. Codes, words, integers and times are encoded here, which
//! is much faster; arrow-rs encodes texts, floats, bytes and flags (docs/adr/0054).
//!
//! ```text
//!   RecordBatch ──▶ FileWriter ──▶ Column ──▶ Dictionary   (code, kind, price, …) ──▶ Chunk ──▶ row group ──▶ file
//!                        │            └─────▶ Numbers      (times, frame, volume, …) ──┘  │
//!                        └───────▶ ArrowColumnWriter       (texts, floats, …)  ───────────┘
//! ```

mod bits;
mod chunk;
mod column;
mod delta;
mod dictionary;
mod hybrid;
mod ids;
mod numbers;
mod value;

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescPtr;

use self::chunk::Compression;
use self::column::{Column, Limits, PageEncoder};
use self::dictionary::Dictionary;
use self::numbers::{Number, Numbers};
use self::value::{Code, Word};
use crate::dataset::{self, ColumnType, Dataset, Encoding};

/// A Parquet file being written.
pub(crate) struct FileWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    arrow: ArrowRowGroupWriterFactory,
    dataset: Dataset,
    limits: Limits,
    group_rows_max: usize,
    compression: Compression,
    group: Option<Group>,
    /// After an error, columns may have different numbers of rows.
    is_broken: bool,
}

/// A row group being filled.
struct Group {
    columns: Vec<ColumnWriter>,
    rows: usize,
}

/// A column of a row group.
enum ColumnWriter {
    Codes(Box<Column<Dictionary<Code>>>),
    Words(Box<Column<Dictionary<Word>>>),
    Int64Dictionary(Box<Column<Dictionary<i64>>>),
    /// Those of 16 bits, too: Parquet has no smaller integers.
    Int32Dictionary(Box<Column<Dictionary<i32>>>),
    Int64(Box<Column<Numbers<i64>>>),
    Int32(Box<Column<Numbers<i32>>>),
    Arrow(Box<ArrowColumnWriter>),
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file of a dataset.
    pub(crate) fn new(output: W, dataset: Dataset, properties: WriterProperties) -> Result<Self> {
        let limits = Limits::of(&properties)?;
        let group_rows_max = properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let writer = ArrowWriter::try_new(output, dataset.schema(), Some(properties))?;
        let (file, arrow) = writer.into_serialized_writer()?;
        Ok(Self {
            file,
            arrow,
            dataset,
            limits,
            group_rows_max,
            compression: Compression::new()?,
            group: None,
            is_broken: false,
        })
    }

    /// Adds rows. A row group ends when it is full.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.unless_broken(|file| file.write_rows(batch))
    }

    fn write_rows(&mut self, batch: &RecordBatch) -> Result<()> {
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
                column.write(field, values, &mut self.compression)?;
            }
            group.rows += rows;
            start += rows;
            if group.rows == self.group_rows_max {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Ends the row group.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.unless_broken(Self::end_group)
    }

    /// After an error nothing more is written, and the file cannot be ended.
    fn unless_broken(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.is_broken {
            return Err(ParquetError::General("a write has failed before".to_owned()));
        }
        self.is_broken = true;
        work(self)?;
        self.is_broken = false;
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let mut written = self.file.next_row_group()?;
        for column in group.columns {
            column.end(&mut written, &mut self.compression)?;
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
    fn column(&self, place: usize, column: &dataset::Column) -> Option<ColumnWriter> {
        let descriptor = self.file.schema_descr().column(place);
        let (limits, encoding) = (self.limits, column.encoding);
        match column.column_type {
            ColumnType::Int64 | ColumnType::Millis | ColumnType::Micros => Some(integers(
                descriptor,
                limits,
                encoding,
                ColumnWriter::Int64Dictionary,
                ColumnWriter::Int64,
            )),
            ColumnType::Int16 | ColumnType::Int32 => Some(integers(
                descriptor,
                limits,
                encoding,
                ColumnWriter::Int32Dictionary,
                ColumnWriter::Int32,
            )),
            ColumnType::Code if encoding == Encoding::Dictionary => {
                let column = Column::boxed(descriptor, limits, Dictionary::new());
                Some(ColumnWriter::Codes(column))
            }
            ColumnType::Word if encoding == Encoding::Dictionary => {
                let column = Column::boxed(descriptor, limits, Dictionary::new());
                Some(ColumnWriter::Words(column))
            }
            // A text has no bound, so its dictionary may have to be given up. Floats have no total order. Bytes and flags are rare,
            // and codes and words always have a dictionary.
            ColumnType::Text
            | ColumnType::Float64
            | ColumnType::Bytes
            | ColumnType::Bool
            | ColumnType::Code
            | ColumnType::Word => None,
        }
    }
}

/// A column of integers in the encoding that its dataset asks for.
fn integers<V: Number>(
    descriptor: ColumnDescPtr,
    limits: Limits,
    encoding: Encoding,
    dictionary: fn(Box<Column<Dictionary<V>>>) -> ColumnWriter,
    numbers: fn(Box<Column<Numbers<V>>>) -> ColumnWriter,
) -> ColumnWriter {
    match encoding {
        Encoding::Dictionary => dictionary(Column::boxed(descriptor, limits, Dictionary::new())),
        Encoding::Plain => numbers(Column::boxed(descriptor, limits, Numbers::plain())),
        Encoding::Delta => numbers(Column::boxed(descriptor, limits, Numbers::differences())),
    }
}

impl ColumnWriter {
    fn write(&mut self, field: &Arc<Field>, values: &ArrayRef, compression: &mut Compression) -> Result<()> {
        let (rows, nulls) = (values.len(), values.nulls());
        if field.data_type() != values.data_type() {
            let (name, wanted, found) = (field.name(), field.data_type(), values.data_type());
            let what = format!("the column {name} is of {wanted}, and its values of {found}");
            return Err(ParquetError::General(what));
        }
        match self {
            Self::Codes(column) => {
                let codes = values.as_string::<i32>();
                column.write(rows, nulls, compression, |dictionary, rows| {
                    dictionary.try_extend(rows, |ids, row| Ok(ids.of(Code::new(codes.value(row))?)))
                })
            }
            Self::Words(column) => {
                let words = values.as_dictionary::<Int32Type>();
                let texts = words.values().as_string::<i32>();
                if texts.null_count() > 0 {
                    let what = format!("the column {} has a null among its words", field.name());
                    return Err(ParquetError::General(what));
                }
                let keys = words.keys().values();
                // A word is looked up once in a batch.
                let mut known: Vec<Option<u32>> = vec![None; texts.len()];
                column.write(rows, nulls, compression, |dictionary, rows| {
                    dictionary.try_extend(keys[rows].iter(), |ids, key| {
                        // An array's keys are places among its values.
                        let key = usize::try_from(*key).unwrap_or(usize::MAX);
                        Ok(*known[key].get_or_insert_with(|| ids.of(Word::new(texts.value(key)))))
                    })
                })
            }
            Self::Int64Dictionary(column) => write_int64s(column, values, compression),
            Self::Int64(column) => write_int64s(column, values, compression),
            Self::Int32Dictionary(column) => write_int32s(column, values, compression),
            Self::Int32(column) => write_int32s(column, values, compression),
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
        compression: &mut Compression,
    ) -> Result<()> {
        match self {
            Self::Codes(column) => column.end(group, compression),
            Self::Words(column) => column.end(group, compression),
            Self::Int64Dictionary(column) => column.end(group, compression),
            Self::Int32Dictionary(column) => column.end(group, compression),
            Self::Int64(column) => column.end(group, compression),
            Self::Int32(column) => column.end(group, compression),
            Self::Arrow(writer) => writer.close()?.append_to_row_group(group),
        }
    }
}

fn write_int64s<E: PageEncoder<Value = i64>>(
    column: &mut Column<E>,
    values: &ArrayRef,
    compression: &mut Compression,
) -> Result<()> {
    let numbers = match values.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            values.as_primitive::<TimestampMillisecondType>().values()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            values.as_primitive::<TimestampMicrosecondType>().values()
        }
        _ => values.as_primitive::<Int64Type>().values(),
    };
    column.write(values.len(), values.nulls(), compression, |encoder, rows| {
        encoder.extend(numbers[rows].iter().copied());
        Ok(())
    })
}

fn write_int32s<E: PageEncoder<Value = i32>>(
    column: &mut Column<E>,
    values: &ArrayRef,
    compression: &mut Compression,
) -> Result<()> {
    let (rows, nulls) = (values.len(), values.nulls());
    if let Some(numbers) = values.as_primitive_opt::<Int16Type>() {
        let numbers = numbers.values();
        return column.write(rows, nulls, compression, |encoder, rows| {
            encoder.extend(numbers[rows].iter().copied().map(i32::from));
            Ok(())
        });
    }
    let numbers = values.as_primitive::<Int32Type>().values();
    column.write(rows, nulls, compression, |encoder, rows| {
        encoder.extend(numbers[rows].iter().copied());
        Ok(())
    })
}

#[cfg(test)]
mod tests;
