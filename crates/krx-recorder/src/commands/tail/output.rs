//! Rows as they are printed.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::ValueEnum;
use krx_store::dataset::Dataset;
use krx_store::tail::{ArrowStream, Cell, ParquetFile, Rows, TailBatch, schema_with_path, write_ndjson};

/// The least width of a column in a table, so that most rows fit those before them.
const WIDTH_MIN: usize = 6;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people.
    Table,
    /// A JSON object on each line.
    Ndjson,
    /// Comma-separated, with a header.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// Where rows go.
pub(super) enum Output {
    Table(Table),
    Ndjson,
    Csv(Box<csv::Writer<io::Stdout>>),
    Arrow(Box<ArrowStream<io::Stdout>>),
    Parquet(Box<ParquetFile>),
}

/// Columns for people; a column gets wider when it must.
pub(super) struct Table {
    /// Its header, until that is printed.
    names: Option<Vec<String>>,
    widths: Vec<usize>,
}

impl Output {
    /// Begins to print, or to write a file.
    pub(super) fn begin(format: Option<Format>, path: Option<&Path>, dataset: Dataset) -> io::Result<Self> {
        if let Some(path) = path {
            return Ok(Self::Parquet(Box::new(ParquetFile::begin(path, dataset)?)));
        }
        let schema = schema_with_path(dataset);
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let format = format.unwrap_or(if io::stdout().is_terminal() {
            Format::Table
        } else {
            Format::Ndjson
        });
        Ok(match format {
            Format::Table => Self::Table(Table {
                widths: names
                    .iter()
                    .map(|name| name.chars().count().max(WIDTH_MIN))
                    .collect(),
                names: Some(names),
            }),
            Format::Ndjson => Self::Ndjson,
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(io::stdout());
                writer.write_record(&names).map_err(of_csv)?;
                Self::Csv(Box::new(writer))
            }
            Format::Arrow => Self::Arrow(Box::new(ArrowStream::begin(io::stdout(), &schema)?)),
        })
    }

    /// Writes rows, and hands them on at once.
    pub(super) fn write(&mut self, rows: &Rows) -> io::Result<()> {
        let mut text = Vec::new();
        match self {
            Self::Arrow(stream) => return stream.write(rows),
            Self::Parquet(file) => return file.write(rows),
            Self::Csv(writer) => {
                TailBatch::each_row(rows, |cells| {
                    writer
                        .write_record(cells.iter().map(ToString::to_string))
                        .map_err(of_csv)
                })?;
                return writer.flush();
            }
            Self::Ndjson => write_ndjson(rows, &mut text)?,
            Self::Table(table) => TailBatch::each_row(rows, |cells| table.row(cells, &mut text))?,
        }
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    }

    /// Ends what was begun.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Table(_) | Self::Ndjson => io::stdout().flush(),
            Self::Csv(mut writer) => writer.flush(),
            Self::Arrow(mut stream) => stream.end(),
            Self::Parquet(file) => file.finish(),
        }
    }
}

fn of_csv(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

impl Table {
    fn row(&mut self, cells: &[Cell<'_>], text: &mut Vec<u8>) -> io::Result<()> {
        if let Some(names) = self.names.take() {
            self.line(names.into_iter().map(|name| (name, false)), text)?;
        }
        let cells = cells.iter().map(|cell| {
            let is_number = matches!(cell, Cell::Integer(_) | Cell::Decimal(_));
            // A text may be anything that came over the wire.
            (crate::sanitize::clean(&cell.to_string()), is_number)
        });
        self.line(cells, text)
    }

    fn line(&mut self, cells: impl Iterator<Item = (String, bool)>, text: &mut Vec<u8>) -> io::Result<()> {
        let mut line = String::new();
        for (width, (cell, is_number)) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
            let width = *width;
            line += &if is_number {
                format!("{cell:>width$}  ")
            } else {
                format!("{cell:<width$}  ")
            };
        }
        writeln!(text, "{}", line.trim_end())
    }
}
