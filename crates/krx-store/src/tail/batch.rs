//! Rows of a tail, and the frames that gave them.

use std::io;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;

use super::cell::{Cell, cell};
use crate::dataset::Dataset;
use crate::feed_name::FeedName;
use crate::moment::Moment;

/// Frames of a date, and their rows in one dataset.
#[derive(Clone, Debug)]
pub struct TailBatch {
    /// The date.
    pub date: NaiveDate,
    /// The first frame that it covers.
    pub first_frame: u64,
    /// The last one; in between none is missing, unless it was lost with damaged journal.
    pub last_frame: u64,
    /// When the last one was received.
    pub last_recv: Moment,
    /// Their rows in order of arrival, with the dataset's columns. Frames of heartbeats have none.
    pub rows: RecordBatch,
}

impl TailBatch {
    /// The rows of these issues only.
    ///
    /// # Panics
    /// Never: a filter has a value for each row.
    #[must_use]
    pub fn of_codes(mut self, codes: &[String]) -> Self {
        let Some(column) = self.rows.column_by_name("code") else {
            return self;
        };
        let texts = column.as_string::<i32>();
        let wanted: BooleanArray = texts
            .iter()
            .map(|code| code.map(|code| codes.iter().any(|wanted| wanted == code)))
            .collect();
        self.rows = arrow_select::filter::filter_record_batch(&self.rows, &wanted)
            .expect("a filter has a value for each row");
        self
    }

    /// Shows each row: the value of each column of `rows`.
    ///
    /// # Errors
    /// The first that `show` gives; the rows after it are not shown.
    pub fn each_row(
        rows: &RecordBatch,
        mut show: impl FnMut(&[Cell<'_>]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut cells = Vec::new();
        for row in 0..rows.num_rows() {
            cells.clear();
            cells.extend(rows.columns().iter().map(|column| cell(column, row)));
            show(&cells)?;
        }
        Ok(())
    }

    /// The rows with the columns that a reader of files gets from their path: `date`, and `market` or `feed`.
    ///
    /// # Panics
    /// Never: all columns have as many rows.
    #[must_use]
    pub fn with_path(&self, dataset: Dataset, feed: &FeedName) -> RecordBatch {
        let rows = self.rows.num_rows();
        let days = self.date - NaiveDate::default();
        let days = i32::try_from(days.num_days()).unwrap_or_default();
        let path: [ArrayRef; 2] = [
            Arc::new(Date32Array::from_value(days, rows)),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                feed.as_str(),
                rows,
            ))),
        ];
        let columns = self.rows.columns().iter().cloned().chain(path).collect();
        RecordBatch::try_new(schema_with_path(dataset), columns).expect("all columns have as many rows")
    }
}

/// A dataset's columns, and those that are in the path of its files.
#[must_use]
pub fn schema_with_path(dataset: Dataset) -> SchemaRef {
    let schema = dataset.schema();
    let path = [
        Field::new("date", DataType::Date32, false),
        Field::new(dataset.partition_key.unwrap_or("feed"), DataType::Utf8, false),
    ];
    let fields = schema.fields().iter().map(|field| field.as_ref().clone());
    Arc::new(Schema::new(fields.chain(path).collect::<Vec<_>>()))
}
