//! The per-issue service: trades, quotes, books, indices and chosen items of registered issues.

mod columns;
mod tables;

use arrow_array::RecordBatch;
use krx_protocol::per_issue::{FieldKind, PerIssueDecoder, Row, RowKind, RowSink, Table, Value};
use krx_protocol::{Kind, Reason};

use self::columns::Columns;
use self::tables::TABLES;
pub use self::tables::{
    BOOKS, CHANGES, DERIVATIVE_BOOKS, DERIVATIVE_QUOTES, DERIVATIVE_TICKS, INDICES, QUOTES, TICKS,
};
use super::spec::{FrameDecoder, FrameFacts, FrameRows, Rejects, Service};
use crate::dataset::Dataset;
use crate::event::{Event, InForce};
use crate::lag::{Lags, RecvTime};

/// The per-issue service.
pub static PER_ISSUE: Service = Service {
    name: "per_issue",
    datasets: &[
        &QUOTES,
        &BOOKS,
        &DERIVATIVE_TICKS,
        &DERIVATIVE_QUOTES,
        &DERIVATIVE_BOOKS,
        &INDICES,
        &CHANGES,
        &TICKS,
    ],
    has_registrations: true,
    decoder: || Box::new(PerIssue::new()),
};

/// The dataset of a table.
pub(crate) fn dataset_of(table: Table) -> Dataset {
    TABLES[table as usize]
}

struct PerIssue {
    decoder: PerIssueDecoder,
    in_force: InForce,
    /// In the order of [`Table::ALL`].
    tables: [Columns; Table::ALL.len()],
    /// The place in `tables` of each of the service's datasets.
    places: [usize; Table::ALL.len()],
}

impl PerIssue {
    fn new() -> Self {
        Self {
            decoder: PerIssueDecoder::default(),
            in_force: InForce::default(),
            tables: std::array::from_fn(|place| Columns::of(TABLES[place], Table::ALL[place].fields())),
            places: std::array::from_fn(|index| {
                let place = TABLES
                    .iter()
                    .position(|table| *table == PER_ISSUE.datasets[index]);
                place.expect("each dataset of the service is a table")
            }),
        }
    }
}

impl FrameDecoder for PerIssue {
    fn event(&mut self, event: &Event) {
        self.in_force.apply(event);
    }

    fn decode(&mut self, facts: &FrameFacts, payload: &[u8], rejects: &mut dyn Rejects) -> FrameRows {
        let mut sink = Sink {
            tables: &mut self.tables,
            rejects,
            facts,
            rows: 0,
            recv: RecvTime::of(facts.recv),
            lags: Lags::default(),
        };
        self.decoder.decode(payload, self.in_force.book(), &mut sink);
        FrameRows {
            rows: sink.rows,
            // The guide names no limit.
            is_oversized: false,
            lags: sink.lags,
        }
    }

    fn waiting(&self, dataset: usize) -> usize {
        self.tables[self.places[dataset]].rows()
    }

    fn take(&mut self, dataset: usize) -> RecordBatch {
        self.tables[self.places[dataset]].take()
    }
}

/// Where the pieces of a frame go.
struct Sink<'a> {
    tables: &'a mut [Columns; Table::ALL.len()],
    rejects: &'a mut dyn Rejects,
    facts: &'a FrameFacts,
    rows: u64,
    recv: RecvTime,
    lags: Lags,
}

impl RowSink for Sink<'_> {
    #[inline]
    fn row(&mut self, row: &Row<'_>) {
        self.tables[row.table as usize].push(row, self.facts);
        self.rows += 1;
        // Never of a snapshot, which has the time of a trade that is over.
        if row.kind == RowKind::Traded(Kind::Trade)
            && let Some(trade_ms) = trade_ms_of(row)
        {
            self.lags.add(self.recv, trade_ms);
        }
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.rejects.reject(item, reason, detail, raw);
    }
}

/// When a row's trade was made, ms of the day.
fn trade_ms_of(row: &Row<'_>) -> Option<i32> {
    let place = TRADE_CLOCKS[row.table as usize]?;
    match row.values.get(place)? {
        Value::Integer(millis) => i32::try_from(*millis).ok(),
        _ => None,
    }
}

/// The place of each table's field with the time of a trade, in the order of [`Table::ALL`].
const TRADE_CLOCKS: [Option<usize>; Table::ALL.len()] = {
    let mut places = [None; Table::ALL.len()];
    let mut table = 0;
    while table < places.len() {
        let fields = Table::ALL[table].fields();
        let mut field = 0;
        while field < fields.len() {
            if matches!(fields[field].kind, FieldKind::TradeClock) {
                places[table] = Some(field);
            }
            field += 1;
        }
        table += 1;
    }
    places
};

#[cfg(test)]
mod tests {
    use krx_protocol::per_issue::Preset;

    use super::*;
    use crate::moment::Moment;

    struct Nothing;

    impl Rejects for Nothing {
        fn reject(&mut self, _: Option<i16>, reason: Reason, detail: &str, _: &[u8]) {
            panic!("{reason:?}: {detail}");
        }
    }

    /// The lags of a row of this kind, with its time at the place where the table has it.
    fn lags(table: Table, kind: RowKind) -> Lags {
        let mut service = PerIssue::new();
        let midnight = Moment::midnight(chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap());
        let facts = FrameFacts::new(midnight, Moment(midnight.0 + 36_000_250_000), 1, 1);
        let mut values = vec![Value::Null; table.fields().len()];
        if let Some(place) = TRADE_CLOCKS[table as usize] {
            values[place] = Value::Integer(36_000_000);
        }
        let mut sink = Sink {
            tables: &mut service.tables,
            rejects: &mut Nothing,
            facts: &facts,
            rows: 0,
            recv: RecvTime::of(facts.recv),
            lags: Lags::default(),
        };
        sink.row(&Row {
            table,
            preset: Preset::Tick,
            code: "005930",
            kind,
            item: 0,
            values: &values,
            extra: None,
        });
        sink.lags
    }

    #[test]
    fn a_trade_has_a_lag_and_a_snapshot_or_a_book_has_none() {
        let lag = Lags {
            newest: Some(250),
            newest_due: Some(250),
        };
        for table in [Table::Ticks, Table::DerivativeTicks, Table::Indices] {
            assert_eq!(lags(table, RowKind::Traded(Kind::Trade)), lag, "{table:?}");
            assert!(lags(table, RowKind::Snapshot).is_empty(), "{table:?}");
        }
        for table in [
            Table::Quotes,
            Table::Books,
            Table::DerivativeBooks,
            Table::Changes,
        ] {
            assert!(lags(table, RowKind::Update).is_empty(), "{table:?}");
        }
    }
}
