//! Rows on their way out: as an Arrow IPC stream, or as a Parquet file that appears when it is whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::batch::schema_with_path;
use crate::dataset::Dataset;

/// The key of a Parquet file's footer that names its dataset.
const DATASET_KEY: &str = "krx.dataset";

/// An Arrow IPC stream.
pub struct ArrowStream<W: Write>(StreamWriter<W>);

fn of_arrow(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, source) => source,
        other => io::Error::other(other),
    }
}

impl<W: Write> ArrowStream<W> {
    /// Begins a stream with its schema.
    ///
    /// # Errors
    /// [`io::Error`], when it cannot be written.
    pub fn begin(out: W, schema: &SchemaRef) -> io::Result<Self> {
        Self::begin_saying(out, schema, HashMap::new())
    }

    /// The same, with metadata in the schema.
    ///
    /// # Errors
    /// As [`ArrowStream::begin`].
    pub fn begin_saying(out: W, schema: &SchemaRef, metadata: HashMap<String, String>) -> io::Result<Self> {
        let schema = schema.as_ref().clone().with_metadata(metadata);
        StreamWriter::try_new(out, &schema).map(Self).map_err(of_arrow)
    }

    /// Writes rows, and hands them on at once.
    ///
    /// # Errors
    /// As [`ArrowStream::begin`].
    pub fn write(&mut self, rows: &RecordBatch) -> io::Result<()> {
        self.0.write(rows).map_err(of_arrow)?;
        self.0.flush().map_err(of_arrow)
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        self.0.get_mut()
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// As [`ArrowStream::begin`].
    pub fn end(&mut self) -> io::Result<()> {
        self.0.finish().map_err(of_arrow)
    }
}

/// A Parquet file in the making: beside its place, under another name.
pub struct ParquetFile {
    /// `None` once it is finished.
    writer: Option<ArrowWriter<File>>,
    partial: PathBuf,
    path: PathBuf,
}

/// An incomplete file is of no use.
impl Drop for ParquetFile {
    fn drop(&mut self) {
        // Finished, it has its own name: then there is nothing to remove.
        let _ = fs::remove_file(&self.partial);
    }
}

impl ParquetFile {
    /// Begins a file of rows with the columns of their path ([`TailBatch::with_path`]). Until [`ParquetFile::finish`] nothing is
    /// at `path`, or what was there before.
    ///
    /// [`TailBatch::with_path`]: super::TailBatch::with_path
    ///
    /// # Errors
    /// [`io::Error`], when it cannot be created.
    pub fn begin(path: &Path, dataset: Dataset) -> io::Result<Self> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it does not name a file"))?;
        let name = format!(".{}.{}.partial", name.to_string_lossy(), std::process::id());
        let partial = path.with_file_name(name);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let file = File::create(&partial)?;
        let mut writer = ArrowWriter::try_new(file, schema_with_path(dataset), Some(properties))
            .map_err(io::Error::other)?;
        writer.append_key_value_metadata(KeyValue::new(DATASET_KEY.to_owned(), dataset.name.to_owned()));
        Ok(Self {
            writer: Some(writer),
            partial,
            path: path.to_owned(),
        })
    }

    /// Writes rows.
    ///
    /// # Errors
    /// [`io::Error`], when they cannot be written.
    pub fn write(&mut self, rows: &RecordBatch) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(rows).map_err(io::Error::other),
            None => Ok(()),
        }
    }

    /// Puts the file in its place, whole and on disk.
    ///
    /// # Errors
    /// [`io::Error`], when it cannot be; what was in its place is then still there.
    pub fn finish(mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let file = writer.into_inner().map_err(io::Error::other)?;
        file.sync_all()?;
        fs::rename(&self.partial, &self.path)
    }
}

/// The name of the dataset whose rows are in a file that [`ParquetFile`] wrote; `None` if another program wrote it.
///
/// # Errors
/// [`io::Error`], when it cannot be read, or is not Parquet.
pub fn dataset_in(path: &Path) -> io::Result<Option<String>> {
    let reader = SerializedFileReader::new(File::open(path)?).map_err(io::Error::other)?;
    let said = reader.metadata().file_metadata().key_value_metadata();
    let of = said.and_then(|said| said.iter().find(|said| said.key == DATASET_KEY));
    Ok(of.and_then(|of| of.value.clone()))
}
