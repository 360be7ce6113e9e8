//! A file without rows of each dataset, so that a reader's pattern always matches something.
//!
//! ```text
//!   DATA/.krx/date=0001-01-01/feed=none/ticks-1.parquet      the version of its columns
//! ```
//!
//! DuckDB rejects a pattern that matches no file, even in a view that is only created. Patterns such as
//! `[.t][ki][rc][xk]*/date=*/feed=*/ticks-*.parquet` match these files and those of the dataset (docs/adr/0045).

use parquet::arrow::ArrowWriter;

use crate::dataset::Dataset;
use crate::disk::Output;
use crate::error::{StoreError, parquet_at};
use crate::layout::DataDir;

/// Writes what is missing; it is on disk when this returns.
///
/// # Errors
/// [`StoreError`], when the disk refuses.
pub fn settle(data: &DataDir) -> Result<(), StoreError> {
    for dataset in data.datasets() {
        let path = data.empty_file(dataset);
        if !path.exists() {
            data.create_dir(path.parent().unwrap_or(data.path()))?;
            let staged = path.with_extension("partial");
            write(Output::create(data.disk(), &staged)?, dataset)
                .map_err(parquet_at("writing", &staged))?
                .sync()?;
            data.disk().rename(&staged, &path)?;
        }
    }
    Ok(())
}

fn write(output: Output, dataset: Dataset) -> parquet::errors::Result<Output> {
    ArrowWriter::try_new(output, dataset.schema(), Some(dataset.properties(1)))?.into_inner()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn each_dataset_has_a_file_with_its_columns_and_no_rows() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        settle(&data).unwrap();
        for dataset in data.datasets() {
            let path = data.empty_file(dataset);
            let file = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
            assert_eq!(file.schema().fields(), dataset.schema().fields(), "{dataset}");
            assert_eq!(file.metadata().file_metadata().num_rows(), 0);
            // It is no committed file, and no day.
            let path = path.strip_prefix(dir.path()).unwrap();
            assert_eq!(data.parse(path.to_str().unwrap()), None);
        }
        let path = data.empty_file(data.datasets()[0]);
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        settle(&data).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
    }
}
