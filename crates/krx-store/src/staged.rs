//! A file on its way into a dataset: built in staging, closed, synced, read back and renamed into place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use parquet::basic::ColumnOrder;
use parquet::column::reader::ColumnReader;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::column_orders::known_orders;
use crate::dataset::{Dataset, Footer};
use crate::disk::{Disk, Output};
use crate::encode::FileWriter;
use crate::error::{StoreError, at, parquet_at};
use crate::layout::{CommittedPath, DataDir};
use crate::lock::hold_still;
use crate::rights;

/// A Parquet file being built in staging.
pub(crate) struct StagedFile {
    writer: FileWriter<Output>,
    dataset: Dataset,
    left_over: LeftOver,
    path: PathBuf,
}

/// Removes a staged file that is abandoned: on a full disk it would be in the way of the next attempt.
pub(crate) struct LeftOver {
    disk: Disk,
    path: PathBuf,
    is_kept: bool,
}

impl LeftOver {
    /// Keeps the file from being removed.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for LeftOver {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.disk.remove_left_over(&self.path);
        }
    }
}

impl StagedFile {
    /// Begins a file, replacing one that a crash or a failure has left.
    pub(crate) fn create(
        disk: &Disk,
        path: PathBuf,
        dataset: Dataset,
        properties: WriterProperties,
    ) -> Result<Self, StoreError> {
        let output = Output::create(disk, &path)?;
        let writer = FileWriter::new(output, dataset, properties).map_err(parquet_at("beginning", &path))?;
        Ok(Self {
            writer,
            dataset,
            left_over: LeftOver {
                disk: disk.clone(),
                path: path.clone(),
                is_kept: false,
            },
            path,
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.writer
            .write(batch)
            .map_err(parquet_at("writing", &self.path))
    }

    /// Ends the row group, so that no more than that is held in memory.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        self.writer.flush().map_err(parquet_at("writing", &self.path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file. It is on disk when this returns, and removed unless it is kept.
    pub(crate) fn close(mut self, footer: &Footer) -> Result<LeftOver, StoreError> {
        for pair in footer.to_key_values(self.dataset) {
            self.writer.append_key_value_metadata(pair);
        }
        let output = self
            .writer
            .into_inner()
            .map_err(parquet_at("closing", &self.path))?;
        let orders = File::open(&self.path)
            .and_then(|file| known_orders(&file, self.dataset.columns.len()))
            .map_err(at("reading the end of", &self.path))?;
        if let Some((orders, offset)) = orders {
            output
                .overwrite(&orders, offset)
                .map_err(at("closing", &self.path))?;
        }
        output.sync()?;
        Ok(self.left_over)
    }

    /// Closes the file, and puts it in place once it is on disk and reads back as `footer` says. Returns its size in
    /// bytes.
    pub(crate) fn commit(
        self,
        data: &DataDir,
        place: &CommittedPath,
        footer: &Footer,
    ) -> Result<u64, StoreError> {
        let (path, target) = (self.path.clone(), data.path().join(place.to_string()));
        let rows = footer.rows_of(self.dataset);
        let left_over = self.close(footer)?;
        read_back(&path, footer, rows)?;
        let bytes = fs::metadata(&path)
            .map_err(at("reading the size of", &path))?
            .len();
        let disk = &left_over.disk;
        let dir = target.parent().unwrap_or(data.path());
        data.create_dir(dir)?;
        rights::as_born_in(&path, dir);
        // The partition may be about to be exchanged for a sealed one (crate::day).
        let _still = hold_still(data)?;
        disk.rename(&path, &target)?;
        Ok(bytes)
    }
}

/// Invariant I2: a committed file opens, and has the rows and frames that its footer says; and old readers can open it.
fn read_back(path: &Path, expected: &Footer, rows: u64) -> Result<(), StoreError> {
    let differs = |what: String| StoreError::ReadBack {
        path: path.to_owned(),
        what,
    };
    let file = File::open(path).map_err(at("opening", path))?;
    let reader = SerializedFileReader::new(file).map_err(parquet_at("reading back the footer of", path))?;
    let metadata = reader.metadata().file_metadata();
    if Footer::read(metadata).as_ref() != Some(expected) {
        return Err(differs("the footer is not the one written".to_owned()));
    }
    let mut orders = metadata.column_orders().into_iter().flatten();
    if !orders.all(|order| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))) {
        return Err(differs(
            "a column has an order that old readers do not know".to_owned(),
        ));
    }
    let column = (0..metadata.schema_descr().num_columns())
        .find(|index| metadata.schema_descr().column(*index).name() == "frame")
        .ok_or_else(|| differs("it has no column `frame`".to_owned()))?;
    let (mut frames, mut batch) = (FrameCheck::new(expected), Vec::new());
    for group in 0..reader.num_row_groups() {
        let group = reader
            .get_row_group(group)
            .map_err(parquet_at("reading back", path))?;
        let ColumnReader::Int64ColumnReader(mut column) = group
            .get_column_reader(column)
            .map_err(parquet_at("reading back", path))?
        else {
            return Err(differs("the column `frame` is not of 64-bit integers".to_owned()));
        };
        loop {
            batch.clear();
            let (_, read, _) = column
                .read_records(READ_BACK_ROWS, None, None, &mut batch)
                .map_err(parquet_at("reading back", path))?;
            if read == 0 {
                break;
            }
            frames.rows(&batch[..read]).map_err(&differs)?;
        }
    }
    if frames.count != rows || metadata.num_rows().cast_unsigned() != rows {
        return Err(differs(format!(
            "it has {} rows, but {rows} were written",
            frames.count
        )));
    }
    Ok(())
}

/// How many values are decoded at a time, so that memory stays small whatever the file's size.
const READ_BACK_ROWS: usize = 16_384;

struct FrameCheck<'a> {
    expected: &'a Footer,
    last: i64,
    count: u64,
}

impl<'a> FrameCheck<'a> {
    fn new(expected: &'a Footer) -> Self {
        Self {
            expected,
            last: expected.first_frame.cast_signed(),
            count: 0,
        }
    }

    fn rows(&mut self, frames: &[i64]) -> Result<(), String> {
        for &frame in frames {
            if frame < self.last || frame > self.expected.last_frame.cast_signed() {
                return Err(format!(
                    "frame {frame} follows frame {} in row {}",
                    self.last, self.count
                ));
            }
            self.last = frame;
            self.count += 1;
        }
        Ok(())
    }
}
