//! Rows of `quarantine`, built into Arrow arrays.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use krx_protocol::Reason;

use crate::dataset::{QUARANTINE, ZONE};
use crate::service::FrameFacts;

/// Columns being filled.
#[derive(Debug, Default)]
pub(crate) struct QuarantineColumns {
    recv_ts: TimestampMicrosecondBuilder,
    frame: Int64Builder,
    item: Int16Builder,
    session: Int32Builder,
    reason: StringBuilder,
    detail: StringBuilder,
    raw: BinaryBuilder,
    rows: usize,
    raw_bytes: usize,
}

impl QuarantineColumns {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of `raw` waiting for [`QuarantineColumns::take`].
    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    pub(crate) fn push(
        &mut self,
        facts: FrameFacts,
        item: Option<i16>,
        reason: Reason,
        detail: &str,
        raw: &[u8],
    ) {
        self.recv_ts.append_value(facts.recv.0);
        self.frame.append_value(facts.frame);
        self.item.append_option(item);
        self.session.append_value(facts.session);
        self.reason.append_value(reason.as_str());
        self.detail.append_option((!detail.is_empty()).then_some(detail));
        self.raw.append_value(raw);
        self.rows += 1;
        self.raw_bytes += raw.len();
    }

    /// Takes the rows so far, as Arrow arrays.
    pub(crate) fn take(&mut self) -> RecordBatch {
        (self.rows, self.raw_bytes) = (0, 0);
        let columns: [(&str, ArrayRef); 7] = [
            ("recv_ts", Arc::new(self.recv_ts.finish().with_timezone(ZONE))),
            ("frame", Arc::new(self.frame.finish())),
            ("item", Arc::new(self.item.finish())),
            ("session", Arc::new(self.session.finish())),
            ("reason", Arc::new(self.reason.finish())),
            ("detail", Arc::new(self.detail.finish())),
            ("raw", Arc::new(self.raw.finish())),
        ];
        QUARANTINE.batch(columns)
    }
}
