//! Making a feed's date one file, proving that it has the same rows, and putting it in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow_array::RecordBatch;
use chrono::NaiveDate;
use tracing::info;

use super::check::RunOrder;
use super::layout::Layout;
use super::run;
use super::swap::{Placed, Sealing, only_these};
use crate::catalog::{self, read_footer};
use crate::checksums::{Checksums, digest};
use crate::coverage::slice_of;
use crate::dataset::{BATCH_ROWS, Dataset, DayFooter, Footer, GroupOrder};
use crate::error::{StoreError, at, parquet_at};
use crate::feed_name::FeedName;
use crate::layout::{CommittedName, CommittedPath, DataDir};
use crate::read::{self, Arrivals, Columns, Fingerprint, Opened};
use crate::staged::StagedFile;

/// How a seal, or the making of derived rows, is observed and stopped.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Called with the number of rows done: each is written once, and checked once.
    pub rows: &'a (dyn Fn(u64) + Sync),
    /// Stops the seal soon, with nothing changed.
    pub stop: &'a AtomicBool,
}

impl Watch<'static> {
    /// Nobody watches, and nothing stops the work.
    #[must_use]
    pub fn nobody() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self {
            rows: &|_| (),
            stop: &NEVER,
        }
    }
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are no rows of this feed and date.
    Nothing,
    /// The date is one file already.
    AlreadySealed,
    /// It is one file now.
    Sealed(SealedDay),
    /// It was asked to stop; nothing has changed.
    Stopped,
}

/// A date that was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDay {
    /// The file.
    pub name: CommittedName,
    /// Its rows.
    pub rows: u64,
    /// How many files there were before.
    pub files: usize,
    /// Bytes of the files before.
    pub bytes_before: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// How often sealing is repeated when a recorder adds files in the meantime.
const TRIES: usize = 3;

/// How many batches may wait between the reading and the writing thread.
const BATCHES_AHEAD: usize = 2;

/// Seals a feed's date. If it is killed at any point, the date is left as it was, or sealed; [`super::settle`] clears
/// up the leftovers.
///
/// # Errors
/// [`StoreError::Unsound`], when a file is not what was committed, or the rows written are not those that were read:
/// the date is left as it was. Other errors, when the disk refuses.
pub fn seal(
    sealing: &Sealing,
    dataset: Dataset,
    feed: &FeedName,
    date: NaiveDate,
    layout: &Layout,
    watch: Watch<'_>,
) -> Result<Outcome, StoreError> {
    let data = sealing.data();
    for _ in 0..TRIES {
        let plan = Plan::of(data, dataset, feed, date)?;
        match plan.footers.as_slice() {
            [] => return Ok(Outcome::Nothing),
            [only] if only.day.is_some() => return Ok(Outcome::AlreadySealed),
            _ => {}
        }
        sealing.look_for_exchange()?;
        sealing.look_for_room(plan.bytes)?;
        let dir = sealing.make_dir(dataset, feed, date)?;
        let staged = data.sealing_dir(&dir).join("day.partial");
        let Some(footer) = build(data, dataset, &plan, &staged, layout, watch)? else {
            sealing.clear(&dir)?;
            return Ok(Outcome::Stopped);
        };
        let name = CommittedName::day(dataset, date, footer.first_frame, footer.last_frame);
        let sealed = CommittedPath {
            date,
            feed: feed.clone(),
            name,
        };
        let bytes = size(&staged)?;
        let digest = digest(&staged)?;
        match sealing.place(&dir, &staged, name, &plan.names)? {
            Placed::FilesWereAdded => continue,
            Placed::InPlace => {}
        }
        let removed: Vec<_> = plan
            .names
            .iter()
            .filter(|before| **before != name)
            .map(|name| CommittedPath {
                name: *name,
                ..sealed.clone()
            })
            .collect();
        Checksums::of(data, date).record(&[(sealed, digest)], &removed)?;
        sealing.replaced(&dir)?;
        let rows = footer.rows_of(dataset);
        info!(%feed, %date, file = %name, rows, files = plan.names.len(), bytes_before = plan.bytes,
            bytes, "the day is one file");
        return Ok(Outcome::Sealed(SealedDay {
            name,
            rows,
            files: plan.names.len(),
            bytes_before: plan.bytes,
            bytes,
        }));
    }
    Err(StoreError::Busy {
        path: data.partition(dataset, date, feed),
    })
}

/// The files of a date that will become one.
struct Plan {
    names: Vec<CommittedName>,
    paths: Vec<PathBuf>,
    footers: Vec<Footer>,
    bytes: u64,
}

impl Plan {
    fn of(data: &DataDir, dataset: Dataset, feed: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        let dir = data.partition(dataset, date, feed);
        let names = catalog::files_in(&dir, dataset)?;
        let paths: Vec<_> = names.iter().map(|name| dir.join(name.to_string())).collect();
        // Usually all dates but the last are sealed: their one file need not be read to find that out.
        if paths.len() != 1 || read_footer(&paths[0])?.day.is_none() {
            check_digests(data, feed, date, &names, &paths)?;
        }
        if !names.is_empty() {
            only_these(&dir, &names)?;
        }
        let footers: Result<Vec<_>, _> = paths.iter().map(|path| read_footer(path)).collect();
        let footers = footers?;
        for ((name, path), footer) in names.iter().zip(&paths).zip(&footers) {
            if footer.is_newer_than(dataset) {
                return Err(dataset.newer(path, footer.schema_version));
            }
            let is_of_here = footer.feed == feed.as_str()
                && footer.date == date
                && (footer.first_frame, footer.last_frame) == (name.first_frame, name.last_frame);
            if !is_of_here {
                return Err(StoreError::Unsound {
                    path: path.clone(),
                    what: "its footer names another feed, date or frames than its path".to_owned(),
                });
            }
        }
        let bytes: Result<Vec<_>, _> = paths.iter().map(|path| size(path)).collect();
        Ok(Self {
            footers,
            bytes: bytes?.iter().sum(),
            names,
            paths,
        })
    }
}

/// A file that has changed since it was committed must not become part of another that looks sound.
fn check_digests(
    data: &DataDir,
    feed: &FeedName,
    date: NaiveDate,
    names: &[CommittedName],
    paths: &[PathBuf],
) -> Result<(), StoreError> {
    let list = Checksums::of(data, date).read()?;
    for (name, path) in names.iter().zip(paths) {
        let sealed = CommittedPath {
            date,
            feed: feed.clone(),
            name: *name,
        };
        let expected = list.digests.get(&sealed.to_string());
        if let Some(expected) = expected
            && digest(path)? != *expected
        {
            return Err(StoreError::Unsound {
                path: path.clone(),
                what: "its SHA-256 is not the one in its list".to_owned(),
            });
        }
    }
    Ok(())
}

fn size(path: &Path) -> Result<u64, StoreError> {
    Ok(fs::metadata(path).map_err(at("reading the size of", path))?.len())
}

/// What the one file covers: all that the files covered. The primary dataset's day vouches for all files of its frames,
/// another dataset's for its own rows only.
fn footer_of(data: &DataDir, dataset: Dataset, footers: &[Footer]) -> Option<Footer> {
    let mut whole = footers.first()?.clone();
    let mut day = DayFooter::default();
    whole.files.clear();
    for footer in footers {
        whole.last_frame = whole.last_frame.max(footer.last_frame);
        whole.last_recv = footer.last_recv;
        whole.last_session = whole.last_session.max(footer.last_session);
        for (name, rows) in &footer.files {
            if data.is_primary(dataset) || name == dataset.name {
                *whole.files.entry(name.clone()).or_default() += rows;
            }
        }
        for (first, last) in footer.frames() {
            match day.frames.last_mut() {
                Some(before) if before.1 + 1 == first => before.1 = last,
                _ => day.frames.push((first, last)),
            }
        }
    }
    whole.schema_version = dataset.schema_version;
    whole.day = Some(day);
    whole.slice = slice_of(whole.date, footers).map(|slice| slice.to_json());
    Some(whole)
}

/// Writes the file and reads it back; returns its footer, or `None` when it was asked to stop.
fn build(
    data: &DataDir,
    dataset: Dataset,
    plan: &Plan,
    target: &Path,
    layout: &Layout,
    watch: Watch<'_>,
) -> Result<Option<Footer>, StoreError> {
    let Some(mut footer) = footer_of(data, dataset, &plan.footers) else {
        return Ok(None);
    };
    let properties = layout.properties(dataset);
    let file = StagedFile::create(data.disk(), target.to_owned(), dataset, properties)?;
    let (send, receive) = sync_channel(BATCHES_AHEAD);
    let written = std::thread::scope(|scope| {
        let arrivals = Arrivals::new(dataset, plan.paths.clone());
        let reading = std::thread::Builder::new()
            .name("seal-read".into())
            .spawn_scoped(scope, move || read(arrivals, &send, watch.stop))
            .map_err(at("starting a thread to read", target))?;
        let written = write(file, dataset, &receive, layout, watch);
        // A reader that still waits for room stops now.
        drop(receive);
        let read = reading.join().unwrap_or_else(|_| {
            Err(StoreError::Unsound {
                path: target.to_owned(),
                what: "the Parquet library panicked while the files of the date were read".to_owned(),
            })
        });
        // The reader's error says more than that the run could not be written.
        let fingerprint = read?;
        written.map(|(file, runs)| (file, runs, fingerprint))
    });
    let (file, runs, fingerprint) = written?;
    if watch.stop.load(Relaxed) {
        return Ok(None);
    }
    if let Some(day) = &mut footer.day {
        day.runs = runs;
    }
    let kept = file.close(&footer)?;
    if !check(dataset, target, &footer, fingerprint, watch)? {
        return Ok(None);
    }
    kept.keep();
    Ok(Some(footer))
}

/// Reads all files in order of arrival; returns the fingerprint of their rows as read.
fn read(
    mut arrivals: Arrivals,
    batches: &SyncSender<RecordBatch>,
    stop: &AtomicBool,
) -> Result<Fingerprint, StoreError> {
    while let Some(batch) = arrivals.advance()? {
        if stop.load(Relaxed) || batches.send(batch).is_err() {
            break;
        }
    }
    Ok(arrivals.fingerprint())
}

/// Writes rows run by run; returns the number of rows in each.
fn write(
    mut file: StagedFile,
    dataset: Dataset,
    batches: &Receiver<RecordBatch>,
    layout: &Layout,
    watch: Watch<'_>,
) -> Result<(StagedFile, Vec<u64>), StoreError> {
    // A test looks at every dataset that is sealed.
    let mut columns = Columns::of(dataset).expect("a sealed dataset's rows can be reordered");
    let mut runs = Vec::new();
    for batch in batches {
        if watch.stop.load(Relaxed) {
            break;
        }
        if columns.is_empty() {
            columns.reserve(layout.run_rows.min(RUN_ROWS_RESERVED) + batch.num_rows());
        }
        let mut rest = batch;
        while rest.num_rows() > 0 {
            let rows = run::belonging(&columns, &rest, layout.run_rows);
            columns
                .push(&rest.slice(0, rows))
                .map_err(|what| StoreError::Unsound {
                    path: file.path().to_owned(),
                    what,
                })?;
            rest = rest.slice(rows, rest.num_rows() - rows);
            if rest.num_rows() > 0 {
                write_run(&mut file, dataset, &mut columns, layout, &mut runs)?;
            }
            (watch.rows)(rows as u64);
        }
    }
    write_run(&mut file, dataset, &mut columns, layout, &mut runs)?;
    Ok((file, runs))
}

/// The most memory that is reserved in advance.
const RUN_ROWS_RESERVED: usize = 4 << 20;

/// Writes a run in row groups of equal size, each with a range of the codes that divide the day.
fn write_run(
    file: &mut StagedFile,
    dataset: Dataset,
    columns: &mut Columns,
    layout: &Layout,
    runs: &mut Vec<u64>,
) -> Result<(), StoreError> {
    if columns.is_empty() {
        return Ok(());
    }
    let mut order = columns.by(dataset.sealed_by.unwrap_or_default());
    let groups = order.len().div_ceil(layout.row_group_rows.max(1));
    let group_rows = order.len().div_ceil(groups);
    for group in order.chunks_mut(group_rows) {
        if dataset.group_order == GroupOrder::Arrival {
            // The rows lie in order of arrival, so the index is the order; times and frames then rise, and take little
            // space.
            group.sort_unstable();
        }
        for rows in group.chunks(BATCH_ROWS) {
            file.write(&columns.take(rows))?;
        }
        file.flush()?;
    }
    runs.push(order.len() as u64);
    columns.clear();
    Ok(())
}

/// Reads the file back, and checks that it is complete and has the rows that were written, in their order.
fn check(
    dataset: Dataset,
    path: &Path,
    expected: &Footer,
    fingerprint: Fingerprint,
    watch: Watch<'_>,
) -> Result<bool, StoreError> {
    let differs = |what: String| StoreError::Unsound {
        path: path.to_owned(),
        what: format!("it was just written, but reads back differently: {what}"),
    };
    let Opened {
        footer,
        groups,
        reader,
    } = read::open(dataset, path, read::READ_ROWS)?;
    if footer != *expected {
        return Err(differs("the footer is not the one written".to_owned()));
    }
    let day = footer.day.unwrap_or_default();
    let (mut found, mut order) = (Fingerprint::default(), RunOrder::new(dataset, &day, &groups));
    for batch in reader {
        let batch = batch
            .map_err(parquet::errors::ParquetError::from)
            .map_err(parquet_at("reading back", path))?;
        if watch.stop.load(Relaxed) {
            return Ok(false);
        }
        found.add(&batch);
        order.rows(&batch).map_err(differs)?;
        (watch.rows)(batch.num_rows() as u64);
    }
    order.end().map_err(differs)?;
    let rows = expected.rows_of(dataset);
    if found.rows() != rows || found != fingerprint {
        let found = found.rows();
        return Err(differs(format!(
            "its {found} rows are not the {rows} that were read"
        )));
    }
    Ok(!watch.stop.load(Relaxed))
}
