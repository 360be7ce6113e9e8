//! Cutting rows in order of arrival into runs: pure.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use crate::read::Columns;

/// What the `extra` of a run may take in memory; with that a run ends early.
const EXTRA_BYTES_MAX: usize = 32 << 20;

/// The rows of `batch` that still belong to the run: all of them, or those before the first frame that begins when
/// the run is full. Frames are never cut, so the runs' frames are apart.
pub(super) fn belonging(run: &Columns, batch: &RecordBatch, run_rows: usize) -> usize {
    let frames = batch.column(7).as_primitive::<Int64Type>().values();
    let extra = batch.column(10).as_string::<i32>();
    let has_extra = extra.null_count() < extra.len();
    let (mut last, mut extra_bytes) = (run.last_frame(), run.extra_bytes());
    for (row, frame) in frames.iter().enumerate() {
        let is_full = run.len() + row >= run_rows || extra_bytes >= EXTRA_BYTES_MAX;
        if is_full && last.is_some_and(|last| last != *frame) {
            return row;
        }
        last = Some(*frame);
        if has_extra && extra.is_valid(row) {
            extra_bytes += extra.value(row).len();
        }
    }
    frames.len()
}
