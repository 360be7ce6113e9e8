//! The description of a service, and what decodes its frames.

use std::sync::Arc;

use arrow_array::RecordBatch;
use krx_protocol::Reason;

use crate::dataset::{Dataset, QUARANTINE};
use crate::event::Event;
use crate::lag::Lags;
use crate::moment::Moment;
use crate::traded::Traded;

/// A kind of conversation with the server.
#[derive(Debug)]
pub struct Service {
    /// Its name: what `service` says in the configuration and, unless it is the full-market service, in the journal.
    pub name: &'static str,
    /// Its datasets, in the order in which a segment's files are committed. The last one is the primary dataset: it has
    /// a file for each segment, which is the commit record for the others.
    pub datasets: &'static [Dataset],
    /// Whether a session of it registers what it is sent.
    pub has_registrations: bool,
    /// Makes a decoder of its frames.
    pub decoder: fn() -> Box<dyn FrameDecoder>,
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Service {}

impl Service {
    /// Whether its frames may have rows in a dataset: in one of its own, or in `quarantine`, as those of any service.
    #[must_use]
    pub fn fills(&self, dataset: Dataset) -> bool {
        dataset == &QUARANTINE || self.datasets.contains(&dataset)
    }

    /// The dataset that has a file for each segment.
    ///
    /// # Panics
    /// When the service has no dataset.
    #[must_use]
    pub fn primary(&self) -> Dataset {
        self.datasets.last().expect("a service has a dataset")
    }
}

/// Decodes the frames of a service into rows of its datasets.
pub trait FrameDecoder: Send {
    /// Takes a journaled event, before the frames that follow it.
    fn event(&mut self, event: &Event) {
        let _ = event;
    }

    /// Has trades of watched issues counted as they are decoded: by a service that shows all trades, and by no other.
    fn count_trades(&mut self, traded: &Arc<Traded>) {
        let _ = traded;
    }

    /// Decodes a frame. Its rows wait in the decoder; what cannot be read as a record goes to `rejects`.
    fn decode(&mut self, facts: &FrameFacts, payload: &[u8], rejects: &mut dyn Rejects) -> FrameRows;

    /// How many rows wait for a dataset, given by its position in the service.
    fn waiting(&self, dataset: usize) -> usize;

    /// Takes the waiting rows, in order of arrival.
    fn take(&mut self, dataset: usize) -> RecordBatch;
}

/// What all rows of a frame share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFacts {
    /// When it was read.
    pub recv: Moment,
    /// Its number.
    pub frame: i64,
    /// The connection's number.
    pub session: i32,
    /// The trading date's midnight in Korea, ms since the Unix epoch.
    pub midnight_ms: i64,
}

impl FrameFacts {
    /// The context of a frame of the date that began at `midnight`.
    #[must_use]
    pub fn new(midnight: Moment, recv: Moment, frame: u64, session: u32) -> Self {
        Self {
            recv,
            frame: frame.cast_signed(),
            session: i32::try_from(session).unwrap_or(i32::MAX),
            midnight_ms: midnight.0 / 1000,
        }
    }
}

/// What a frame gave, apart from what was rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameRows {
    /// Rows across all datasets.
    pub rows: u64,
    /// Whether it holds more records than the guide allows.
    pub is_oversized: bool,
    /// How long after their trades the records came that are trades.
    pub lags: Lags,
}

/// Takes what cannot be read as a record.
pub trait Rejects {
    /// One record (`item`), or the message or a piece of it (`None`). `raw` is as received.
    fn reject(&mut self, item: Option<i16>, reason: Reason, detail: &str, raw: &[u8]);
}
