//! The rows that trades are taken from: one feed's rows in a dataset, with the columns that matter.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, PrimitiveArray, RecordBatch};
use krx_protocol::Kind;
use krx_protocol::per_issue::{Preset, RowKind};
use parquet::arrow::ProjectionMask;

use super::candle::{NO_TIME, NO_TOTAL, Order, place};
use super::price::Price;
use crate::dataset::Dataset;
use crate::day::Watch;
use crate::error::StoreError;
use crate::feed_name::FeedName;
use crate::read::{READ_ROWS, Texts, builder, undecodable};

/// Why a date's rows were not made.
#[derive(Debug)]
pub(super) enum Halt {
    /// The caller asked it to stop.
    Stopped,
    /// A file could not be read.
    Failed(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// A feed's committed files of a dataset with trades.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) dataset: Dataset,
    pub(super) feed: FeedName,
    pub(super) paths: Vec<PathBuf>,
}

/// What kind of row it is, as far as that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Trade,
    RegularClose,
    /// The state that answers a registration.
    Snapshot,
    Other,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<P> {
    pub(super) what: What,
    /// Whether it was pushed for `tick`: the same trade may have been pushed for `tick10`.
    pub(super) is_tick: bool,
    /// When it was traded, ms since 1970; [`NO_TIME`] for a signal.
    pub(super) ts: i64,
    pub(super) order: Order,
    /// Price and volume; `None` unless both were sent.
    pub(super) deal: Option<(P, i64)>,
}

impl<P: Copy> Row<P> {
    /// When it was traded, ms since 1970, with price and volume; `None` for any row but a trade.
    pub(super) fn trade(&self) -> Option<(i64, P, i64)> {
        let (price, volume) = self.deal?;
        let is_trade = self.what == What::Trade && self.ts != NO_TIME;
        is_trade.then_some((self.ts, price, volume))
    }
}

/// Gives the place of a code in the caller's list; `None` for an issue that does not matter.
pub(super) type Index<'a> = &'a mut dyn FnMut(&str) -> Option<usize>;

impl Source {
    /// Whether its rows are of the per-issue service.
    pub(super) fn is_per_issue(&self) -> bool {
        self.dataset.index_of("preset").is_some()
    }

    /// Shows all rows of the issues that matter, in the order of the files.
    pub(super) fn scan<P: Price>(
        &self,
        watch: Watch<'_>,
        index: Index<'_>,
        show: &mut dyn FnMut(usize, &Row<P>),
    ) -> Result<(), Halt> {
        let mut columns = vec!["code", "kind", "trade_ts", "price", "volume", "frame", "item"];
        if self.is_per_issue() {
            columns.extend(["preset", "acc_volume", "recv_ts"]);
        }
        self.batches(watch, &columns, &mut |batch| {
            let rows = Rows::<P>::of(batch);
            each_known(batch, index, |row, place| show(place, &rows.row(row)));
        })
    }

    /// Shows the preset of each row of the issues that matter.
    pub(super) fn presets(
        &self,
        watch: Watch<'_>,
        index: Index<'_>,
        show: &mut dyn FnMut(usize, bool),
    ) -> Result<(), Halt> {
        self.batches(watch, &["code", "preset"], &mut |batch| {
            let presets = Presets::of(batch);
            each_known(batch, index, |row, place| show(place, presets.is_tick(row)));
        })
    }

    fn batches(
        &self,
        watch: Watch<'_>,
        columns: &[&str],
        show: &mut dyn FnMut(&RecordBatch),
    ) -> Result<(), Halt> {
        for path in &self.paths {
            let (_, builder) = builder(self.dataset, path)?;
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            let reader = builder
                .with_projection(mask)
                .with_batch_size(READ_ROWS)
                .build()
                .map_err(undecodable(path))?;
            for batch in reader {
                if watch.stop.load(Relaxed) {
                    return Err(Halt::Stopped);
                }
                let batch = batch
                    .map_err(parquet::errors::ParquetError::from)
                    .map_err(undecodable(path))?;
                show(&batch);
                (watch.rows)(batch.num_rows() as u64);
            }
        }
        Ok(())
    }
}

/// Shows each row of an issue that matters, with the place of its code. Each code is looked up once in a batch.
fn each_known(batch: &RecordBatch, index: Index<'_>, mut show: impl FnMut(usize, usize)) {
    let codes = column(batch, "code").as_dictionary::<Int32Type>();
    let texts = codes.values().as_string::<i32>();
    let mut known: Vec<Option<Option<usize>>> = vec![None; texts.len()];
    for (row, key) in codes.keys().values().iter().enumerate() {
        let key = usize::try_from(*key).unwrap_or(usize::MAX);
        let Some(known) = known.get_mut(key) else { continue };
        if let Some(place) = *known.get_or_insert_with(|| index(texts.value(key))) {
            show(row, place);
        }
    }
}

/// A column that [`builder`] has checked.
fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a arrow_array::ArrayRef {
    batch.column_by_name(name).unwrap_or_else(|| &batch.columns()[0])
}

/// The column `preset`, if there is one.
struct Presets<'a>(Option<(&'a arrow_array::ArrayRef, Texts<'a>)>);

impl<'a> Presets<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        let column = batch.column_by_name("preset");
        Self(column.map(|column| (column, Texts::of(column))))
    }

    /// A row without a preset counts as `tick10`.
    fn is_tick(&self, row: usize) -> bool {
        let known = self.0.as_ref().filter(|(column, _)| column.is_valid(row));
        known.is_some_and(|(_, texts)| texts.value(row) == Preset::Tick.as_str())
    }
}

/// The columns by type.
struct Rows<'a, P: Price> {
    kind: Texts<'a>,
    presets: Presets<'a>,
    trade_ts: &'a PrimitiveArray<TimestampMillisecondType>,
    price: &'a PrimitiveArray<P::Arrow>,
    volume: &'a PrimitiveArray<Int64Type>,
    frame: &'a PrimitiveArray<Int64Type>,
    item: &'a PrimitiveArray<Int16Type>,
    /// Accumulated volume and time of receipt; only in the per-issue service.
    told: Option<(
        &'a PrimitiveArray<Int64Type>,
        &'a PrimitiveArray<TimestampMicrosecondType>,
    )>,
}

impl<'a, P: Price> Rows<'a, P> {
    fn of(batch: &'a RecordBatch) -> Self {
        let total = batch.column_by_name("acc_volume");
        let recv = batch.column_by_name("recv_ts");
        Self {
            kind: Texts::of(column(batch, "kind")),
            presets: Presets::of(batch),
            trade_ts: column(batch, "trade_ts").as_primitive(),
            price: column(batch, "price").as_primitive(),
            volume: column(batch, "volume").as_primitive(),
            frame: column(batch, "frame").as_primitive(),
            item: column(batch, "item").as_primitive(),
            told: total
                .zip(recv)
                .map(|(total, recv)| (total.as_primitive(), recv.as_primitive())),
        }
    }

    fn row(&self, row: usize) -> Row<P> {
        let place = place(self.frame.value(row), self.item.value(row));
        let ts = match self.trade_ts.is_valid(row) {
            true => self.trade_ts.value(row),
            false => NO_TIME,
        };
        let order = match self.told {
            // The order in the full-market feed is the place in it.
            None => Order {
                place,
                ..Order::default()
            },
            Some((total, recv)) => Order {
                ts,
                total: if total.is_valid(row) {
                    total.value(row)
                } else {
                    NO_TOTAL
                },
                recv: recv.value(row),
                place,
            },
        };
        let has_deal = self.price.is_valid(row) && self.volume.is_valid(row);
        let deal = has_deal.then(|| (self.price.value(row), self.volume.value(row)));
        Row {
            what: what(self.kind.value(row)),
            is_tick: self.presets.is_tick(row),
            ts,
            order,
            deal,
        }
    }
}

fn what(kind: &str) -> What {
    match kind {
        kind if kind == Kind::Trade.as_str() => What::Trade,
        kind if kind == Kind::RegularClose.as_str() => What::RegularClose,
        kind if kind == RowKind::Snapshot.as_str() => What::Snapshot,
        _ => What::Other,
    }
}
