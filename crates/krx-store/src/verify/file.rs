//! One committed file, read from its first byte to its last.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::FileMetaData;

use super::finding::{Fault, Kind};
use crate::checksums::{Digest, digest};
use crate::coverage::{self, Slice};
use crate::dataset::{Dataset, Footer, REGISTRATIONS, Rows, value_of};
use crate::day::RunOrder;
use crate::error::{StoreError, at};
use crate::layout::{CommittedPath, DataDir};
use crate::moment::Moment;
use crate::registrations;

/// Rows decoded at a time, so that memory stays small whatever the file's size.
const VERIFIED_ROWS: usize = 8192;

/// What reading a file found.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
    pub(crate) content: Result<Content, Fault>,
}

/// The content of a sound file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// Rows read.
    pub(crate) rows: u64,
    /// What its footer says; `None` for a coverage file.
    pub(crate) footer: Option<Footer>,
    /// The intervals of a coverage file whose reason is `damage`.
    pub(crate) damage: Vec<(Moment, Moment)>,
    /// Rows by session; empty for coverage.
    pub(crate) sessions: BTreeMap<u32, u64>,
}

/// Reads a file; `expected` is the digest that its list has for it. A file with another digest is not decoded: whatever
/// is in it is not what was committed.
///
/// # Errors
/// [`StoreError::Io`], when the disk does not give it back.
pub(crate) fn look(
    data: &DataDir,
    committed: &CommittedPath,
    expected: Option<Digest>,
) -> Result<Facts, StoreError> {
    let path = data.path().join(committed.to_string());
    let bytes = std::fs::metadata(&path)
        .map_err(at("reading the size of", &path))?
        .len();
    let digest = digest(&path)?;
    // What is still being replaced has no line, but a checksum of its own.
    let is_alone = expected.is_none() && committed.name.dataset.rows == Rows::OfTheDate;
    let content = match expected {
        Some(expected) if expected != digest => Err(Fault::new(
            Kind::Digest,
            format!(
                "its SHA-256 is {digest}, but its list says {expected}: one of the two has changed since the file was committed"
            ),
        )),
        // Our code never panics on bad input, but the Parquet library makes no such promise for damaged files.
        _ => catch_unwind(AssertUnwindSafe(|| {
            let content = read(&path, committed, data.is_primary(committed.name.dataset))?;
            if is_alone && !is_as_written(committed, &path) {
                let detail = "it does not match the checksum in its footer".to_owned();
                return Err(Fault::new(Kind::Digest, detail));
            }
            Ok(content)
        }))
        .unwrap_or_else(|_| {
            Err(Fault::new(
                Kind::Decode,
                "the Parquet library panicked while reading it".to_owned(),
            ))
        }),
    };
    Ok(Facts {
        bytes,
        digest,
        content,
    })
}

fn is_as_written(committed: &CommittedPath, path: &Path) -> bool {
    if committed.name.dataset == &REGISTRATIONS {
        return registrations::is_as_written(path, committed.date);
    }
    coverage::is_as_written(path, committed.date)
}

fn read(path: &Path, committed: &CommittedPath, is_primary: bool) -> Result<Content, Fault> {
    let undecodable = |error: &dyn std::fmt::Display| Fault::new(Kind::Decode, error.to_string());
    let file = File::open(path).map_err(|error| undecodable(&error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| Fault::new(Kind::Footer, format!("its footer cannot be read: {error}")))?
        .with_batch_size(VERIFIED_ROWS);
    let footer = check_footer(builder.metadata().file_metadata(), committed, is_primary)?;
    check_schema(committed.name.dataset, builder.schema())?;
    let stated = value_of(builder.metadata().file_metadata(), "rows").and_then(|rows| rows.parse().ok());
    let stated: u64 =
        stated.ok_or_else(|| Fault::new(Kind::Footer, "its footer has no krx.rows".to_owned()))?;
    let footer = footer.filter(|_| committed.name.dataset.rows == Rows::OfFrames);
    let groups = builder.metadata().row_groups().iter();
    let groups: Vec<_> = groups.map(|group| group.num_rows().cast_unsigned()).collect();
    let reader = builder.build().map_err(|error| undecodable(&error))?;
    let (mut rows, mut damage, mut order) = (0, Vec::new(), Order::default());
    let mut sessions = BTreeMap::new();
    let mut runs = footer
        .as_ref()
        .and_then(|footer| footer.day.as_ref())
        .map(|day| RunOrder::new(committed.name.dataset, day, &groups));
    let disorder = |detail: String| Fault::new(Kind::Frames, detail);
    for batch in reader {
        let batch = batch.map_err(|error| undecodable(&error))?;
        match (&mut runs, &footer) {
            (Some(runs), _) => runs.rows(&batch).map_err(disorder)?,
            (None, Some(footer)) => order.check(&batch, footer, rows)?,
            (None, None) => damage.extend(damage_in(&batch)),
        }
        if footer.is_some() {
            count_sessions(&batch, &mut sessions);
        }
        rows += batch.num_rows() as u64;
    }
    if let Some(runs) = runs {
        runs.end().map_err(disorder)?;
    }
    if rows != stated {
        let detail = format!("it has {rows} rows, but its footer says {stated}");
        return Err(Fault::new(Kind::Rows, detail));
    }
    Ok(Content {
        rows,
        footer,
        damage,
        sessions,
    })
}

fn count_sessions(batch: &RecordBatch, sessions: &mut BTreeMap<u32, u64>) {
    let column = batch
        .column_by_name("session")
        .and_then(|column| column.as_primitive_opt::<Int32Type>());
    // Sessions follow one another, so each stretch is counted in one go.
    for stretch in column
        .iter()
        .flat_map(|column| column.values().chunk_by(|a, b| a == b))
    {
        if let Some(session) = stretch.first() {
            *sessions.entry(session.cast_unsigned()).or_default() += stretch.len() as u64;
        }
    }
}

/// The footer, if it agrees with the file's name and directories. For coverage only feed and date are compared: it
/// covers the whole day and has no frames of its own.
fn check_footer(
    metadata: &FileMetaData,
    file: &CommittedPath,
    is_primary: bool,
) -> Result<Option<Footer>, Fault> {
    let differs = |what: &str, says: &str, path: &str| {
        let detail = format!("its footer says {what} {says}, but its path says {path}");
        Err(Fault::new(Kind::Footer, detail))
    };
    let (feed, date) = (file.feed.to_string(), file.date.to_string());
    for (key, path) in [("feed", &feed), ("date", &date)] {
        let says = value_of(metadata, key).unwrap_or("nothing");
        if says != path {
            return differs(key, says, path);
        }
    }
    let dataset = file.name.dataset;
    let footer = Footer::read(metadata).ok_or_else(|| {
        let detail = "its footer lacks a krx. value, or has one from another version of the recorder";
        Fault::new(Kind::Footer, detail.to_owned())
    })?;
    if footer.is_newer_than(dataset) {
        let detail = format!(
            "a newer krx-recorder wrote it, with version {} of the {dataset} columns; this one reads version {}",
            footer.schema_version, dataset.schema_version
        );
        return Err(Fault::new(Kind::Newer, detail));
    }
    if dataset.rows == Rows::OfTheDate {
        return Ok(Some(footer));
    }
    let frames = |first: u64, last: u64| format!("{first} to {last}");
    let says = frames(footer.first_frame, footer.last_frame);
    let path = frames(file.name.first_frame, file.name.last_frame);
    if says != path {
        return differs("frames", &says, &path);
    }
    if is_primary && Slice::of(&footer).is_none() {
        let detail =
            "its footer does not say when its frames were recorded, or not the way this version does";
        return Err(Fault::new(Kind::Footer, detail.to_owned()));
    }
    Ok(Some(footer))
}

fn check_schema(dataset: Dataset, found: &SchemaRef) -> Result<(), Fault> {
    // Coverage rows are not checked here; only those that report damage are collected.
    if dataset.rows == Rows::OfTheDate || found.fields() == dataset.schema().fields() {
        return Ok(());
    }
    let detail = format!("its columns are not those of {dataset}");
    Err(Fault::new(Kind::Footer, detail))
}

/// A row's place in the order of arrival. A piece of a message without a position comes after those that have one.
type Place = (i64, i32);

fn places(batch: &RecordBatch) -> Option<impl Iterator<Item = Place> + use<'_>> {
    let frames = batch.column_by_name("frame")?.as_primitive_opt::<Int64Type>()?;
    let items = batch.column_by_name("item")?.as_primitive_opt::<Int16Type>()?;
    Some((0..batch.num_rows()).map(|row| {
        let item = if items.is_valid(row) {
            i32::from(items.value(row))
        } else {
            i32::MAX
        };
        (frames.value(row), item)
    }))
}

/// (`frame`, `item`) rises from row to row, within the footer's frames, so no two rows are the same.
#[derive(Default)]
struct Order {
    last: Option<Place>,
}

impl Order {
    fn check(&mut self, batch: &RecordBatch, footer: &Footer, rows_before: u64) -> Result<(), Fault> {
        let fault = |detail: String| Fault::new(Kind::Frames, detail);
        let places = places(batch).ok_or_else(|| fault("it has no columns frame and item".to_owned()))?;
        let frames = footer.first_frame.cast_signed()..=footer.last_frame.cast_signed();
        for (row, place) in places.enumerate() {
            let row = rows_before + row as u64;
            if !frames.contains(&place.0) {
                return Err(fault(format!(
                    "row {row} belongs to frame {}, which the file does not cover",
                    place.0
                )));
            }
            if self.last.is_some_and(|last| last >= place) {
                return Err(fault(format!(
                    "row {row}, of frame {}, does not come after the row before it",
                    place.0
                )));
            }
            self.last = Some(place);
        }
        Ok(())
    }
}

fn damage_in(batch: &RecordBatch) -> Vec<(Moment, Moment)> {
    let times = |name: &str| {
        batch
            .column_by_name(name)?
            .as_primitive_opt::<TimestampMicrosecondType>()
    };
    let reason = batch
        .column_by_name("reason")
        .and_then(|column| column.as_string_opt::<i32>());
    let (Some(from), Some(to), Some(reason)) = (times("from_ts"), times("to_ts"), reason) else {
        return Vec::new();
    };
    (0..batch.num_rows())
        .filter(|row| reason.is_valid(*row) && reason.value(*row) == "damage")
        .map(|row| (Moment(from.value(row)), Moment(to.value(row))))
        .collect()
}

/// A record that is both in a primary file and in the quarantine file of the same frames.
pub(super) fn double(root: &Path, primary: &CommittedPath, quarantine: &CommittedPath) -> Result<(), Fault> {
    let (mut left, mut right) = (Places::open(root, primary)?, Places::open(root, quarantine)?);
    let (mut a, mut b) = (left.next()?, right.next()?);
    while let (Some(trade), Some(rejected)) = (a, b) {
        match trade.cmp(&rejected) {
            std::cmp::Ordering::Less => a = left.next()?,
            std::cmp::Ordering::Greater => b = right.next()?,
            std::cmp::Ordering::Equal => {
                let detail = format!("item {} of frame {} is also in {primary}", trade.1, trade.0);
                return Err(Fault::new(Kind::Frames, detail));
            }
        }
    }
    Ok(())
}

/// The same for a sealed day and the quarantine files of its frames, whose places are held in memory.
pub(super) fn double_in_day(
    root: &Path,
    primary: &CommittedPath,
    quarantine: &[&CommittedPath],
) -> Result<(), Fault> {
    let mut rejected = HashSet::new();
    for committed in quarantine {
        let mut places = Places::open(root, committed)?;
        while let Some(place) = places.next()? {
            rejected.insert(place);
        }
    }
    if rejected.is_empty() {
        return Ok(());
    }
    let mut places = Places::open(root, primary)?;
    while let Some(place) = places.next()? {
        if rejected.contains(&place) {
            let detail = format!("item {} of frame {} is also in quarantine", place.1, place.0);
            return Err(Fault::new(Kind::Frames, detail));
        }
    }
    Ok(())
}

/// The places of a file's rows, read batch by batch.
struct Places {
    reader: ParquetRecordBatchReader,
    left: std::vec::IntoIter<Place>,
}

impl Places {
    fn open(root: &Path, committed: &CommittedPath) -> Result<Self, Fault> {
        let fault = |error: &dyn std::fmt::Display| Fault::new(Kind::Decode, error.to_string());
        let file = File::open(root.join(committed.to_string())).map_err(|error| fault(&error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fault(&error))?;
        let columns = ProjectionMask::columns(builder.parquet_schema(), ["frame", "item"]);
        let builder = builder.with_projection(columns).with_batch_size(VERIFIED_ROWS);
        Ok(Self {
            reader: builder.build().map_err(|error| fault(&error))?,
            left: Vec::new().into_iter(),
        })
    }

    fn next(&mut self) -> Result<Option<Place>, Fault> {
        loop {
            if let Some(place) = self.left.next() {
                return Ok(Some(place));
            }
            let Some(batch) = self.reader.next() else {
                return Ok(None);
            };
            let batch = batch.map_err(|error| Fault::new(Kind::Decode, error.to_string()))?;
            let places: Vec<_> = places(&batch).map(Iterator::collect).unwrap_or_default();
            self.left = places.into_iter();
        }
    }
}
