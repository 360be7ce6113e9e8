//! What a recorder has committed of a per-issue feed, segment by segment.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use chrono::NaiveDate;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::FileMetaData;

use super::columns::{DATASETS, Dataset, How, PRIMARY, QUARANTINE, dataset_names};

/// The names of the columns that every dataset has.
const COMMON: [&str; 7] = ["code", "kind", "recv_ts", "frame", "item", "session", "extra"];

/// The files of one segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) date: NaiveDate,
    first_frame: i64,
    pub(super) last_frame: i64,
    /// By dataset.
    files: BTreeMap<&'static str, PathBuf>,
}

/// A segment's rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) tables: Vec<Table>,
    /// Where each row is, in order of frame and item.
    pub(super) order: Vec<Place>,
    /// The sizes of the files, in bytes.
    pub(super) bytes: BTreeMap<&'static str, u64>,
}

/// Where a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) frame: i64,
    /// What is not exactly one record has none, and comes first.
    pub(super) item: Option<i16>,
    pub(super) table: usize,
    pub(super) row: usize,
}

/// The rows of a file.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    pub(super) what: What,
    pub(super) session: Int32Array,
    pub(super) recv_us: Int64Array,
    frame: Int64Array,
    item: Int16Array,
}

/// The columns that only one dataset has.
#[derive(Debug)]
pub(super) enum What {
    Records {
        /// The place in [`DATASETS`].
        dataset: usize,
        code: StringArray,
        kind: StringArray,
        extra: StringArray,
        columns: Vec<Cells>,
    },
    Rejects {
        reason: StringArray,
        raw: BinaryArray,
    },
}

/// A column.
#[derive(Debug)]
pub(super) enum Cells {
    /// Milliseconds since the Unix epoch, too.
    Integer(Int64Array),
    Digits(Int32Array),
    Float(Float64Array),
    Text(StringArray),
}

/// The committed segments of a feed, in order. Their frames adjoin.
///
/// # Errors
/// When files are missing, or there are others.
pub(super) fn segments(data_dir: &Path, feed: &str) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for (date, path) in files(data_dir, PRIMARY, feed)? {
        let (first_frame, last_frame) = frames_of(&path)?;
        segments.push(Segment {
            date,
            first_frame,
            last_frame,
            files: BTreeMap::from([(PRIMARY, path)]),
        });
    }
    segments.sort_by_key(|segment| (segment.date, segment.first_frame));
    let mut last = None;
    for segment in &segments {
        let expected = match last {
            Some((date, frame)) if date == segment.date => frame + 1,
            _ => 1,
        };
        ensure!(
            segment.first_frame == expected,
            "{}: frame {expected} adjoins: frames are lost or covered twice",
            segment.files[PRIMARY].display()
        );
        last = Some((segment.date, segment.last_frame));
    }
    let siblings = dataset_names();
    for dataset in siblings.filter(|name| *name != PRIMARY).chain([QUARANTINE]) {
        for (date, path) in files(data_dir, dataset, feed)? {
            let (first_frame, _) = frames_of(&path)?;
            let owner = segments.iter_mut().find(|segment| {
                let primary = name_of(&segment.files[PRIMARY]).replacen(PRIMARY, dataset, 1);
                (segment.date, segment.first_frame) == (date, first_frame) && primary == name_of(&path)
            });
            let owner =
                owner.with_context(|| format!("{} has no {PRIMARY} file of its name", path.display()))?;
            owner.files.insert(dataset, path);
        }
    }
    Ok(segments)
}

fn files(data_dir: &Path, dataset: &str, feed: &str) -> Result<Vec<(NaiveDate, PathBuf)>> {
    let mut found = Vec::new();
    let partition = crate::tree::partition(dataset, feed);
    for path in crate::tree::files_under(&data_dir.join(dataset))? {
        let dir = path.parent().context("a file has a directory")?;
        if !dir.ends_with(&partition) {
            continue;
        }
        let date = dir.parent().map(name_of).unwrap_or_default();
        let date = date.strip_prefix("date=").and_then(|date| date.parse().ok());
        let date = date.with_context(|| format!("{} is no partition", dir.display()))?;
        found.push((date, path));
    }
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The first and the last frame, by a file's name.
fn frames_of(path: &Path) -> Result<(i64, i64)> {
    let name = name_of(path);
    let mut parts = name
        .strip_suffix(".parquet")
        .unwrap_or_default()
        .rsplit('-')
        .map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(last)), Some(Ok(first))) => Ok((first, last)),
        _ => bail!("{} is not a committed file", path.display()),
    }
}

impl Segment {
    /// Reads its files.
    ///
    /// # Errors
    /// When one cannot be read, or their footers do not agree with them.
    pub(super) fn read(&self) -> Result<Rows> {
        let mut rows = Rows::default();
        let mut counts = BTreeMap::new();
        let mut told = None;
        for (&dataset, path) in &self.files {
            let context = || format!("reading {}", path.display());
            let (table, footer) = Table::read(dataset, path).with_context(context)?;
            self.check(&footer, table.frame.len()).with_context(context)?;
            ensure!(
                *told.get_or_insert_with(|| footer.files.clone()) == footer.files,
                "{}: its footer names other files than its siblings'",
                path.display()
            );
            counts.insert(dataset.to_owned(), footer.rows);
            rows.bytes.insert(dataset, fs::metadata(path)?.len());
            for row in 0..table.frame.len() {
                rows.order.push(Place {
                    frame: table.frame.value(row),
                    item: table.item.is_valid(row).then(|| table.item.value(row)),
                    table: rows.tables.len(),
                    row,
                });
            }
            rows.tables.push(table);
        }
        let told = told.unwrap_or_default();
        ensure!(
            told == counts,
            "{}: its footer says {told:?} where {counts:?} are there",
            self.files[PRIMARY].display()
        );
        rows.order.sort_unstable();
        Ok(rows)
    }

    fn check(&self, footer: &Footer, rows: usize) -> Result<()> {
        let frames = (footer.first_frame, footer.last_frame);
        ensure!(
            (footer.date, frames) == (self.date, (self.first_frame, self.last_frame)),
            "its footer says {} and frames {frames:?}",
            footer.date
        );
        ensure!(
            footer.rows == i64::try_from(rows)?,
            "it has {rows} rows, its footer says {}",
            footer.rows
        );
        Ok(())
    }
}

/// A footer's key-values, as far as they are checked.
struct Footer {
    date: NaiveDate,
    first_frame: i64,
    last_frame: i64,
    rows: i64,
    files: BTreeMap<String, i64>,
}

impl Footer {
    fn of(metadata: &FileMetaData) -> Result<Self> {
        let value = |key: &str| {
            let pairs = metadata.key_value_metadata().into_iter().flatten();
            let mut pairs = pairs.filter(|pair| pair.key.strip_prefix("krx.") == Some(key));
            let value = pairs.next().and_then(|pair| pair.value.as_deref());
            value.with_context(|| format!("the footer has no krx.{key}"))
        };
        let files = value("files")?.split(',').map(|file| {
            let (name, rows) = file.split_once('=').context("a file has a number of rows")?;
            Ok((name.to_owned(), rows.parse()?))
        });
        Ok(Self {
            date: value("date")?.parse()?,
            first_frame: value("first_frame")?.parse()?,
            last_frame: value("last_frame")?.parse()?,
            rows: value("rows")?.parse()?,
            files: files.collect::<Result<_>>()?,
        })
    }
}

impl Table {
    fn read(dataset: &'static str, path: &Path) -> Result<(Self, Footer)> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
        let footer = Footer::of(builder.metadata().file_metadata())?;
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
        let batch = concat_batches(&schema, &batches)?;
        for name in ["recv_ts", "frame", "session", "code", "kind", "reason", "raw"] {
            let nulls = batch.column_by_name(name).map_or(0, |column| column.null_count());
            ensure!(nulls == 0, "{nulls} rows have no {name}");
        }
        let recv = column(&batch, "recv_ts")?;
        let recv = recv.as_primitive_opt::<TimestampMicrosecondType>();
        let recv = recv.filter(|recv| recv.timezone() == Some("Asia/Seoul"));
        let table = Self {
            path: path.to_owned(),
            what: What::of(dataset, &batch)?,
            session: typed(&batch, "session", &DataType::Int32)?
                .as_primitive::<Int32Type>()
                .clone(),
            recv_us: recv
                .context("recv_ts is not in microseconds of Korean time")?
                .reinterpret_cast::<Int64Type>(),
            frame: typed(&batch, "frame", &DataType::Int64)?
                .as_primitive::<Int64Type>()
                .clone(),
            item: typed(&batch, "item", &DataType::Int16)?
                .as_primitive::<Int16Type>()
                .clone(),
        };
        Ok((table, footer))
    }
}

impl What {
    fn of(dataset: &str, batch: &RecordBatch) -> Result<Self> {
        let Some(place) = DATASETS.iter().position(|known| known.name == dataset) else {
            return Ok(Self::Rejects {
                reason: text(batch, "reason")?,
                raw: typed(batch, "raw", &DataType::Binary)?.as_binary::<i32>().clone(),
            });
        };
        let Dataset { columns, .. } = &DATASETS[place];
        let known = |name: &str| COMMON.contains(&name) || columns.iter().any(|column| column.name == name);
        for field in batch.schema().fields() {
            ensure!(known(field.name()), "there is a column {}", field.name());
        }
        let cells = columns
            .iter()
            .map(|column| Cells::of(batch, &column.name, column.how));
        Ok(Self::Records {
            dataset: place,
            code: text(batch, "code")?,
            kind: text(batch, "kind")?,
            extra: text(batch, "extra")?,
            columns: cells.collect::<Result<_>>()?,
        })
    }
}

impl Cells {
    /// Whether a row has a value.
    pub(super) fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::Integer(cells) => cells.is_valid(row),
            Self::Digits(cells) => cells.is_valid(row),
            Self::Float(cells) => cells.is_valid(row),
            Self::Text(cells) => cells.is_valid(row),
        }
    }

    fn of(batch: &RecordBatch, name: &str, how: How) -> Result<Self> {
        Ok(match how {
            How::Integer => {
                let cells = typed(batch, name, &DataType::Int64)?;
                Self::Integer(cells.as_primitive::<Int64Type>().clone())
            }
            How::Digits => {
                let cells = typed(batch, name, &DataType::Int32)?;
                Self::Digits(cells.as_primitive::<Int32Type>().clone())
            }
            How::Decimal => {
                let cells = typed(batch, name, &DataType::Float64)?;
                Self::Float(cells.as_primitive::<Float64Type>().clone())
            }
            How::Clock => {
                let cells = column(batch, name)?;
                let cells = cells.as_primitive_opt::<TimestampMillisecondType>();
                let cells = cells.filter(|cells| cells.timezone() == Some("Asia/Seoul"));
                let cells = cells.with_context(|| format!("{name} is not in milliseconds of Korean time"))?;
                Self::Integer(cells.reinterpret_cast::<Int64Type>())
            }
            How::Word(_) | How::Preset | How::Text => Self::Text(text(batch, name)?),
        })
    }
}

fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef> {
    let column = batch.column_by_name(name).cloned();
    column.with_context(|| format!("there is no column {name}"))
}

fn typed(batch: &RecordBatch, name: &str, wanted: &DataType) -> Result<ArrayRef> {
    let column = column(batch, name)?;
    ensure!(
        column.data_type() == wanted,
        "{name} is of type {}",
        column.data_type()
    );
    Ok(column)
}

/// Strings may be read as dictionaries: that is the reader's affair.
fn text(batch: &RecordBatch, name: &str) -> Result<StringArray> {
    let mut column = column(batch, name)?;
    if let Some(dictionary) = column.as_any_dictionary_opt() {
        column = take(dictionary.values(), dictionary.keys(), None)?;
    }
    let text = column.as_string_opt::<i32>();
    text.cloned()
        .with_context(|| format!("{name} is of type {}", column.data_type()))
}
