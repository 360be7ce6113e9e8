//! What a recorder has committed, frame by frame: in the order of the files' names, with a sealed day put back in
//! order.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::ArrowError;
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::take::{take, take_record_batch};
use chrono::{DateTime, FixedOffset, NaiveDate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// How many rows are decoded at a time.
const BATCH_ROWS: usize = 8192;

/// A row of `trades`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradeRow {
    /// Columns of the same names.
    pub code: String,
    /// Milliseconds since the Unix epoch.
    pub trade_ts: Option<i64>,
    /// KRW.
    pub price: i64,
    /// As sent.
    pub volume: i64,
    /// A word.
    pub kind: String,
    /// Digits.
    pub trade_time: i32,
    /// Position in the frame.
    pub item: i16,
    /// Unknown fields.
    pub extra: Option<String>,
}

/// A row of `quarantine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineRow {
    /// Position in the frame; `None` for a whole message.
    pub item: Option<i16>,
    /// A word.
    pub reason: String,
    /// Bytes as received.
    pub raw: Vec<u8>,
}

/// What all rows of a frame share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    frame: i64,
    session: i32,
    recv_us: i64,
}

/// All rows of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The trading date, from the path.
    pub date: NaiveDate,
    /// Its number on that date, from 1.
    pub number: i64,
    /// Its number over all dates, from 1.
    pub position: i64,
    /// The session on that date.
    pub session: i32,
    /// When it was received, µs since the Unix epoch.
    pub recv_us: i64,
    /// Its rows in `trades`.
    pub trades: Vec<TradeRow>,
    /// Its rows in `quarantine`.
    pub quarantine: Vec<QuarantineRow>,
}

/// A committed file of `trades`, and its file of `quarantine`, if any. A sealed day may have several.
#[derive(Clone, Debug)]
struct Segment {
    date: NaiveDate,
    trades: PathBuf,
    quarantine: Vec<PathBuf>,
}

/// A footer's key-values, as far as they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footer {
    date: NaiveDate,
    first_frame: i64,
    last_frame: i64,
    rows: i64,
    quarantined: i64,
    is_day: bool,
}

/// One file, row by row.
struct Rows {
    path: PathBuf,
    reader: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>,
    batch: Option<Batch>,
    row: usize,
    rows: i64,
    footer: Footer,
}

/// A batch's columns; those that the other dataset has are empty.
struct Batch {
    len: usize,
    frame: Int64Array,
    session: Int32Array,
    recv_us: Int64Array,
    item: Int16Array,
    trades: Option<TradeColumns>,
    quarantine: Option<(StringArray, BinaryArray)>,
}

struct TradeColumns {
    code: StringArray,
    trade_ts: Int64Array,
    price: Int64Array,
    volume: Int64Array,
    kind: StringArray,
    trade_time: Int32Array,
    extra: StringArray,
}

/// A market's frames that have rows, in order. Checks what can be checked without the ledger: names, footers, and
/// that the files' frame ranges adjoin.
pub struct Frames {
    left: VecDeque<Segment>,
    open: Option<(Segment, Rows, VecDeque<Rows>)>,
    /// The last frame of the last file, on its date.
    last: Option<(NaiveDate, i64)>,
    /// Frames of all dates before that one.
    base: i64,
    /// Whether frames may be missing between files: the journal was damaged.
    holes: bool,
    /// The last frame of each date so far.
    last_frames: BTreeMap<NaiveDate, i64>,
    /// Files of both datasets so far.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sizes of the `trades` files alone.
    pub trades_bytes: u64,
}

impl Frames {
    /// A market's frames under a data directory.
    ///
    /// # Errors
    /// When a directory contains something other than committed files.
    pub fn open(data_dir: &Path, market: &str) -> Result<Self> {
        Ok(Self {
            left: segments(data_dir, market)?.into(),
            open: None,
            last: None,
            base: 0,
            holes: false,
            last_frames: BTreeMap::new(),
            files: 0,
            bytes: 0,
            trades_bytes: 0,
        })
    }

    /// The frames covered by the files read so far, including those without rows.
    #[must_use]
    pub fn covered(&self) -> i64 {
        self.base + self.last.map_or(0, |(_, frame)| frame)
    }

    /// Accepts files with frames missing between them.
    #[must_use]
    pub fn with_holes(mut self) -> Self {
        self.holes = true;
        self
    }

    /// The last frame of each date that was read so far.
    #[must_use]
    pub fn last_frames(self) -> BTreeMap<NaiveDate, i64> {
        self.last_frames
    }

    /// The next frame that has rows.
    ///
    /// # Errors
    /// When a file contradicts its name, its footer or its neighbour.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator of results is more to write for each caller"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            let Some((segment, trades, quarantine)) = &mut self.open else {
                match self.left.pop_front() {
                    Some(segment) => self.open_segment(segment)?,
                    None => return Ok(None),
                }
                continue;
            };
            let rejected = match quarantine.front_mut() {
                Some(rows) => match rows.peek()? {
                    Some(head) => Some(head),
                    None => {
                        rows.finish(rows.footer.rows)?;
                        quarantine.pop_front();
                        continue;
                    }
                },
                None => None,
            };
            let heads = [trades.peek()?, rejected];
            let Some(head) = heads.into_iter().flatten().min_by_key(|head| head.frame) else {
                trades.finish(trades.footer.rows)?;
                self.open = None;
                continue;
            };
            let mut frame = Frame {
                date: segment.date,
                number: head.frame,
                position: self.base + head.frame,
                session: head.session,
                recv_us: head.recv_us,
                trades: Vec::new(),
                quarantine: Vec::new(),
            };
            trades.take_frame(head, &mut frame)?;
            if let Some(quarantine) = quarantine.front_mut() {
                quarantine.take_frame(head, &mut frame)?;
            }
            return Ok(Some(frame));
        }
    }

    fn open_segment(&mut self, segment: Segment) -> Result<()> {
        let trades = Rows::open(&segment.trades)?;
        let footer = trades.footer;
        let path = segment.trades.display();
        ensure!(footer.date == segment.date, "{path}: krx.date is {}", footer.date);
        let expected = match self.last {
            Some((date, last)) if date == segment.date => last + 1,
            Some((_, last)) => {
                self.base += last;
                1
            }
            None => 1,
        };
        ensure!(
            footer.first_frame == expected || (self.holes && footer.first_frame > expected),
            "{path}: krx.first_frame is {} where {expected} adjoins: frames are lost or covered twice",
            footer.first_frame
        );
        ensure!(
            footer.last_frame >= footer.first_frame,
            "{path}: krx.last_frame is before krx.first_frame"
        );
        self.last = Some((segment.date, footer.last_frame));
        self.last_frames.insert(segment.date, footer.last_frame);
        let quarantine: VecDeque<_> = segment
            .quarantine
            .iter()
            .map(|path| Rows::open(path))
            .collect::<Result<_>>()?;
        if let (false, Some(quarantine)) = (footer.is_day, quarantine.front()) {
            ensure!(
                Footer {
                    rows: footer.rows,
                    ..quarantine.footer
                } == footer,
                "{path}: its quarantine's footer differs"
            );
        }
        let quarantined: i64 = quarantine.iter().map(|rows| rows.footer.quarantined).sum();
        ensure!(
            footer.quarantined == quarantined,
            "{path}: its quarantine is missing"
        );
        for file in [&segment.trades].into_iter().chain(&segment.quarantine) {
            self.files += 1;
            self.bytes += fs::metadata(file)?.len();
        }
        self.trades_bytes += fs::metadata(&segment.trades)?.len();
        self.open = Some((segment, trades, quarantine));
        Ok(())
    }
}

/// The committed files of a market: `trades` in order of date and first frame, each with its `quarantine`.
fn segments(data_dir: &Path, market: &str) -> Result<Vec<Segment>> {
    let mut segments: Vec<_> = files(data_dir, "trades", market)?
        .into_iter()
        .map(|(date, trades)| Segment {
            date,
            trades,
            quarantine: Vec::new(),
        })
        .collect();
    for (date, path) in files(data_dir, "quarantine", market)? {
        let name =
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .replacen("quarantine-", "trades-", 1);
        let mut owner = segments
            .iter()
            .position(|segment| segment.date == date && segment.trades.ends_with(&name));
        if owner.is_none() {
            let footer = Rows::open(&path)?.footer;
            for (index, segment) in segments
                .iter()
                .enumerate()
                .filter(|(_, segment)| segment.date == date)
            {
                let day = Rows::open(&segment.trades)?.footer;
                let is_inside = day.first_frame <= footer.first_frame && footer.last_frame <= day.last_frame;
                if day.is_day && is_inside {
                    owner = Some(index);
                }
            }
        }
        match owner.map(|owner| &mut segments[owner]) {
            Some(segment) => segment.quarantine.push(path),
            None => bail!("{} has no trades file of its name", path.display()),
        }
    }
    Ok(segments)
}

fn files(data_dir: &Path, dataset: &str, market: &str) -> Result<Vec<(NaiveDate, PathBuf)>> {
    let mut found = Vec::new();
    let root = data_dir.join(dataset);
    for date_dir in list(&root)? {
        let name = date_dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let date = name
            .strip_prefix("date=")
            .and_then(|date| date.parse::<NaiveDate>().ok());
        let date = date.with_context(|| format!("{} is no partition", date_dir.display()))?;
        for path in list(&date_dir.join(crate::tree::partition(dataset, market)))? {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let first_frame = name
                .strip_prefix(&format!("{dataset}-"))
                .and_then(|rest| rest.strip_suffix(".parquet"))
                .and_then(|rest| rest.split('-').nth(1)?.parse::<i64>().ok());
            let first_frame =
                first_frame.with_context(|| format!("{} is not a committed file", path.display()))?;
            found.push((date, first_frame, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(date, _, path)| (date, path)).collect())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

impl Rows {
    fn open(path: &Path) -> Result<Self> {
        let context = || format!("opening {}", path.display());
        let file = File::open(path).with_context(context)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).with_context(context)?;
        let footer = Footer::read(builder.metadata().file_metadata()).with_context(context)?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let range = format!("-{:012}-{:012}", footer.first_frame, footer.last_frame);
        ensure!(
            name.ends_with(&range),
            "{}: its footer says {range}",
            path.display()
        );
        let schema = Arc::clone(builder.schema());
        let reader = builder
            .with_batch_size(BATCH_ROWS)
            .build()
            .with_context(context)?;
        let reader: Box<dyn Iterator<Item = _>> = if footer.is_day {
            let rows: Vec<_> = reader.collect::<Result<_, _>>().with_context(context)?;
            let rows = concat_batches(&schema, &rows).with_context(context)?;
            Box::new([Ok(in_order(&rows).with_context(context)?)].into_iter())
        } else {
            Box::new(reader)
        };
        Ok(Self {
            path: path.to_owned(),
            reader,
            batch: None,
            row: 0,
            rows: 0,
            footer,
        })
    }

    fn peek(&mut self) -> Result<Option<Head>> {
        while self.batch.as_ref().is_none_or(|batch| self.row == batch.len) {
            let Some(batch) = self.reader.next() else {
                return Ok(None);
            };
            let batch = batch.with_context(|| format!("reading {}", self.path.display()))?;
            self.batch = Some(Batch::of(&batch).with_context(|| format!("reading {}", self.path.display()))?);
            self.row = 0;
        }
        let batch = self.batch.as_ref().context("a batch was read")?;
        Ok(Some(Head {
            frame: batch.frame.value(self.row),
            session: batch.session.value(self.row),
            recv_us: batch.recv_us.value(self.row),
        }))
    }

    /// Moves all rows that begin here and belong to `head`'s frame into `frame`.
    fn take_frame(&mut self, head: Head, frame: &mut Frame) -> Result<()> {
        while let Some(next) = self.peek()? {
            let path = self.path.display();
            ensure!(
                (self.footer.first_frame..=self.footer.last_frame).contains(&next.frame),
                "{path}: frame {} is not of this file",
                next.frame
            );
            ensure!(
                next.frame >= head.frame,
                "{path}: frame {} follows frame {}",
                next.frame,
                head.frame
            );
            if next.frame > head.frame {
                break;
            }
            ensure!(
                next == head,
                "{path}: the rows of frame {} differ in session or recv_ts",
                head.frame
            );
            let batch = self.batch.as_ref().context("a batch was read")?;
            batch.row(self.row, frame);
            self.row += 1;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(&self, expected: i64) -> Result<()> {
        let Self { path, rows, .. } = self;
        ensure!(
            *rows == expected,
            "{}: it has {rows} rows, its footer says {expected}",
            path.display()
        );
        Ok(())
    }
}

/// All rows, by frame and item.
fn in_order(rows: &RecordBatch) -> Result<RecordBatch> {
    let frame = rows
        .column_by_name("frame")
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .context("no column frame")?;
    let item = rows
        .column_by_name("item")
        .and_then(|column| column.as_primitive_opt::<Int16Type>())
        .context("no column item")?;
    let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows())?).collect();
    order.sort_by_key(|row| {
        let row = *row as usize;
        (frame.value(row), item.is_valid(row).then(|| item.value(row)))
    });
    Ok(take_record_batch(rows, &UInt32Array::from(order))?)
}

impl Footer {
    fn read(metadata: &parquet::file::metadata::FileMetaData) -> Result<Self> {
        let value = |key: &str| {
            let pairs = metadata.key_value_metadata()?;
            pairs.iter().find(|pair| pair.key == key)?.value.clone()
        };
        let number = |key: &str| -> Result<i64> {
            value(key)
                .and_then(|text| text.parse().ok())
                .with_context(|| format!("the footer's {key}"))
        };
        Ok(Self {
            date: value("krx.date")
                .and_then(|text| text.parse().ok())
                .context("the footer's krx.date")?,
            first_frame: number("krx.first_frame")?,
            last_frame: number("krx.last_frame")?,
            rows: number("krx.rows")?,
            quarantined: number("krx.quarantined")?,
            is_day: value("krx.runs").is_some(),
        })
    }
}

impl Batch {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .cloned()
                .with_context(|| format!("no column {name}"))
        };
        let typed = |name: &str, wanted: &DataType| -> Result<ArrayRef> {
            let column = column(name)?;
            ensure!(
                column.data_type() == wanted,
                "{name} is of type {}",
                column.data_type()
            );
            Ok(column)
        };
        // Strings may be read as dictionaries: that is the reader's affair.
        let text = |name: &str| -> Result<StringArray> {
            let mut column = column(name)?;
            if let Some(dictionary) = column.as_any_dictionary_opt() {
                column = take(dictionary.values(), dictionary.keys(), None)?;
            }
            let text = column.as_string_opt::<i32>();
            text.cloned()
                .with_context(|| format!("{name} is of type {}", column.data_type()))
        };
        let int64 = |name: &str| {
            Ok::<_, anyhow::Error>(typed(name, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        let recv = column("recv_ts")?;
        let Some(recv) = recv.as_primitive_opt::<TimestampMicrosecondType>() else {
            bail!("recv_ts is of type {}", recv.data_type())
        };
        ensure!(
            recv.timezone() == Some("Asia/Seoul"),
            "recv_ts is not in Korean time"
        );
        let trades = if batch.column_by_name("price").is_some() {
            let trade_ts = column("trade_ts")?;
            let Some(trade_ts) = trade_ts.as_primitive_opt::<TimestampMillisecondType>() else {
                bail!("trade_ts is of type {}", trade_ts.data_type())
            };
            ensure!(
                trade_ts.timezone() == Some("Asia/Seoul"),
                "trade_ts is not in Korean time"
            );
            Some(TradeColumns {
                code: text("code")?,
                trade_ts: trade_ts.reinterpret_cast::<Int64Type>(),
                price: int64("price")?,
                volume: int64("volume")?,
                kind: text("kind")?,
                trade_time: typed("trade_time", &DataType::Int32)?
                    .as_primitive::<Int32Type>()
                    .clone(),
                extra: text("extra")?,
            })
        } else {
            None
        };
        let quarantine = match trades {
            Some(_) => None,
            None => Some((
                text("reason")?,
                typed("raw", &DataType::Binary)?.as_binary::<i32>().clone(),
            )),
        };
        Ok(Self {
            len: batch.num_rows(),
            frame: int64("frame")?,
            session: typed("session", &DataType::Int32)?
                .as_primitive::<Int32Type>()
                .clone(),
            recv_us: recv.reinterpret_cast::<Int64Type>(),
            item: typed("item", &DataType::Int16)?
                .as_primitive::<Int16Type>()
                .clone(),
            trades,
            quarantine,
        })
    }

    fn row(&self, row: usize, frame: &mut Frame) {
        if let Some(columns) = &self.trades {
            frame.trades.push(TradeRow {
                code: columns.code.value(row).to_owned(),
                trade_ts: columns
                    .trade_ts
                    .is_valid(row)
                    .then(|| columns.trade_ts.value(row)),
                price: columns.price.value(row),
                volume: columns.volume.value(row),
                kind: columns.kind.value(row).to_owned(),
                trade_time: columns.trade_time.value(row),
                item: self.item.value(row),
                extra: columns
                    .extra
                    .is_valid(row)
                    .then(|| columns.extra.value(row).to_owned()),
            });
        }
        if let Some((reason, raw)) = &self.quarantine {
            frame.quarantine.push(QuarantineRow {
                item: self.item.is_valid(row).then(|| self.item.value(row)),
                reason: reason.value(row).to_owned(),
                raw: raw.value(row).to_owned(),
            });
        }
    }
}

/// The date in Korea at an instant in µs since the Unix epoch.
#[must_use]
pub fn korean_date(us: i64) -> Option<NaiveDate> {
    let korea = FixedOffset::east_opt(9 * 3600)?;
    Some(
        DateTime::from_timestamp_micros(us)?
            .with_timezone(&korea)
            .date_naive(),
    )
}
