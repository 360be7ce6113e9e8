//! A committed file, opened for its rows.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use crate::dataset::{Dataset, Footer};
use crate::error::{StoreError, at};

/// Rows read at a time.
pub(crate) const READ_ROWS: usize = 32_768;

/// The dataset's schema, except that the column that divides a sealed day is read as the dictionary in which it is
/// stored.
fn reading_schema(dataset: Dataset) -> SchemaRef {
    let fields = dataset.schema();
    let fields = fields.fields().iter().map(|field| {
        if Some(field.name().as_str()) != dataset.sealed_by {
            return Arc::clone(field);
        }
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(Field::new(field.name(), dictionary, field.is_nullable()))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A file of a dataset.
pub(crate) struct Opened {
    pub(crate) footer: Footer,
    /// The rows of each row group.
    pub(crate) groups: Vec<u64>,
    /// The rows in the order in which they lie in the file.
    pub(crate) reader: ParquetRecordBatchReader,
}

/// Opens a dataset's file, to be read this many rows at a time.
pub(crate) fn open(dataset: Dataset, path: &Path, batch_rows: usize) -> Result<Opened, StoreError> {
    let (footer, builder) = builder(dataset, path)?;
    let groups = builder.metadata().row_groups().iter();
    let groups = groups.map(|group| group.num_rows().cast_unsigned()).collect();
    let reader = builder
        .with_batch_size(batch_rows)
        .build()
        .map_err(undecodable(path))?;
    Ok(Opened {
        footer,
        groups,
        reader,
    })
}

/// A dataset's file, about to be read with the schema of [`reading_schema`], and its footer.
pub(crate) fn builder(
    dataset: Dataset,
    path: &Path,
) -> Result<(Footer, ParquetRecordBatchReaderBuilder<File>), StoreError> {
    let file = File::open(path).map_err(at("opening", path))?;
    let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(undecodable(path))?;
    let footer = Footer::read(plain.metadata().file_metadata())
        .ok_or_else(|| not_ours(path, "its footer does not say what it covers"))?;
    // Before its columns are checked: those of a newer recorder are not damage.
    if footer.is_newer_than(dataset) {
        return Err(dataset.newer(path, footer.schema_version));
    }
    let options = ArrowReaderOptions::new().with_schema(reading_schema(dataset));
    let metadata =
        ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options).map_err(undecodable(path))?;
    Ok((
        footer,
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata),
    ))
}

/// The Parquet library's error, for a file that was sound when it was committed.
pub(crate) fn undecodable(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Unsound {
        path,
        what: error.to_string(),
    }
}

/// A file whose contents are not those of a committed file.
pub(super) fn not_ours(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Unsound {
        path: path.to_owned(),
        what: what.into(),
    }
}
