//! The per-issue datasets, row by row.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use chrono::NaiveDate;
use krx_protocol::per_issue::{FieldKind, Preset, RowKind, Table, Value};

use super::arrivals::Arrivals;
use super::texts::Texts;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::layout::DataDir;
use crate::moment::Moment;
use crate::service::dataset_of;

/// A row of a per-issue dataset; what each column means is in docs/reading-the-data.md.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// The dataset.
    pub table: Table,
    /// What was registered, as far as the row says it: a trade whose `preset` is null is taken for one of `tick10`.
    pub preset: Preset,
    /// The issue code as sent.
    pub code: &'a str,
    /// The kind's word, such as `trade`.
    pub kind: &'a str,
    /// The values, one for each of [`Table::fields`]. Clock times are in milliseconds since the Unix epoch.
    pub values: Vec<Value<'a>>,
    /// When the frame was received.
    pub recv: Moment,
    /// The frame's number, from 1.
    pub frame: u64,
    /// The position in the frame, from 0.
    pub item: i16,
    /// The keys that no column holds, as a JSON object.
    pub extra: Option<&'a str>,
}

impl Record<'_> {
    /// Whether it is the state that answered a registration.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        self.kind == RowKind::Snapshot.as_str()
    }
}

/// The rows of a per-issue dataset of one feed and date in order of arrival, whether in one file or many.
pub struct Records {
    table: Table,
    arrivals: Arrivals,
    rows: u64,
}

impl Records {
    /// Opens what is committed now. Without any file there are no rows.
    ///
    /// # Errors
    /// [`StoreError`], when the partition cannot be listed, or a footer cannot be read.
    pub fn open(data: &DataDir, table: Table, feed: &FeedName, date: NaiveDate) -> Result<Self, StoreError> {
        let (arrivals, rows) = Arrivals::of(data, dataset_of(table), feed, date)?;
        Ok(Self {
            table,
            arrivals,
            rows,
        })
    }

    /// The number of rows in all files, according to their footers.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`], when a file cannot be read, or is not what its footer says. If the day is sealed into one file in
    /// the meantime, a file vanishes: open it again.
    pub fn next_batch(&mut self) -> Result<Option<RecordRows>, StoreError> {
        let batch = self.arrivals.advance()?;
        Ok(batch.map(|batch| RecordRows::new(self.table, batch)))
    }
}

/// A batch of rows from [`Records`].
#[derive(Clone, Debug)]
pub struct RecordRows {
    table: Table,
    batch: RecordBatch,
    places: Places,
}

/// Where the columns are.
#[derive(Clone, Debug)]
struct Places {
    code: usize,
    kind: usize,
    recv_ts: usize,
    frame: usize,
    item: usize,
    extra: usize,
    /// Those of [`Table::fields`].
    fields: Vec<usize>,
}

impl Places {
    fn of(table: Table) -> Self {
        let dataset = dataset_of(table);
        let place = |name: &str| dataset.index_of(name).unwrap_or_default();
        Self {
            code: place("code"),
            kind: place("kind"),
            recv_ts: place("recv_ts"),
            frame: place("frame"),
            item: place("item"),
            extra: place("extra"),
            fields: table.fields().iter().map(|field| place(field.name)).collect(),
        }
    }
}

impl RecordRows {
    /// Rows with all columns of the table's dataset, by types that [`super::open`] has checked.
    pub(super) fn new(table: Table, batch: RecordBatch) -> Self {
        Self {
            table,
            batch,
            places: Places::of(table),
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame, the position in it, and the time of receipt of a row.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn place(&self, index: usize) -> (u64, i16, Moment) {
        let columns = self.batch.columns();
        let frame = columns[self.places.frame].as_primitive::<Int64Type>();
        let item = columns[self.places.item].as_primitive::<Int16Type>();
        let recv = columns[self.places.recv_ts].as_primitive::<TimestampMicrosecondType>();
        (
            frame.value(index).cast_unsigned(),
            item.value(index),
            Moment(recv.value(index)),
        )
    }

    /// A row.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, index: usize) -> Record<'_> {
        let (frame, item, recv) = self.place(index);
        let columns = self.batch.columns();
        let fields = self.table.fields().iter().zip(&self.places.fields);
        let values: Vec<_> = fields
            .map(|(field, place)| value(&columns[*place], field.kind, index))
            .collect();
        let extra = columns[self.places.extra].as_string::<i32>();
        Record {
            table: self.table,
            preset: preset_of(self.table, values.first()),
            code: Texts::of(&columns[self.places.code]).value(index),
            kind: Texts::of(&columns[self.places.kind]).value(index),
            values,
            recv,
            frame,
            item,
            extra: extra.is_valid(index).then(|| extra.value(index)),
        }
    }
}

/// The preset of a row of a table, given its first value.
fn preset_of(table: Table, first: Option<&Value<'_>>) -> Preset {
    match (table, first) {
        (Table::Ticks | Table::DerivativeTicks, Some(Value::Word(place))) => {
            let preset = Preset::ALL.get(usize::from(*place));
            preset.copied().unwrap_or_else(|| only_preset(table))
        }
        _ => only_preset(table),
    }
}

/// The preset of a table's rows that do not say it.
pub(super) fn only_preset(table: Table) -> Preset {
    match table {
        Table::Ticks | Table::DerivativeTicks => Preset::Tick10,
        Table::Quotes | Table::DerivativeQuotes => Preset::Quote,
        Table::Books | Table::DerivativeBooks => Preset::Quote10,
        Table::Indices => Preset::Index,
        Table::Changes => Preset::Change,
    }
}

fn value(column: &ArrayRef, kind: FieldKind, index: usize) -> Value<'_> {
    if column.is_null(index) {
        return Value::Null;
    }
    match kind {
        FieldKind::Integer { .. } => Value::Integer(column.as_primitive::<Int64Type>().value(index)),
        FieldKind::Decimal => Value::Decimal(column.as_primitive::<Float64Type>().value(index)),
        FieldKind::TradeTime | FieldKind::OrderTime => {
            Value::Integer(column.as_primitive::<Int32Type>().value(index).into())
        }
        FieldKind::TradeClock | FieldKind::OrderClock => {
            Value::Integer(column.as_primitive::<TimestampMillisecondType>().value(index))
        }
        FieldKind::Word(words) => {
            let word = Texts::of(column).value(index);
            let place = words.iter().position(|known| *known == word);
            place
                .and_then(|place| u8::try_from(place).ok())
                .map_or(Value::Null, Value::Word)
        }
        FieldKind::Text => Value::Text(Texts::of(column).value(index)),
    }
}
