//! The per-issue service: trades, quotes, books, indices and chosen items of registered issues.

mod columns;
mod tables;

use arrow_array::RecordBatch;
use krx_protocol::Reason;
use krx_protocol::per_issue::{PerIssueDecoder, Row, RowSink, Table};

use self::columns::Columns;
use self::tables::TABLES;
pub use self::tables::{
    BOOKS, CHANGES, DERIVATIVE_BOOKS, DERIVATIVE_QUOTES, DERIVATIVE_TICKS, INDICES, QUOTES, TICKS,
};
use super::spec::{FrameDecoder, FrameFacts, FrameRows, Rejects, Service};
use crate::dataset::Dataset;
use crate::event::{Event, InForce};

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
        };
        self.decoder.decode(payload, self.in_force.book(), &mut sink);
        FrameRows {
            rows: sink.rows,
            // The guide names no limit.
            is_oversized: false,
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
}

impl RowSink for Sink<'_> {
    #[inline]
    fn row(&mut self, row: &Row<'_>) {
        self.tables[row.table as usize].push(row, self.facts);
        self.rows += 1;
    }

    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]) {
        self.rejects.reject(item, reason, detail, raw);
    }
}
