//! Cutting rows in order of arrival into runs: pure.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};

use crate::read::Columns;

/// How much memory texts that do not repeat, such as `extra`, may take in a run; at that point the run ends early.
const TEXT_BYTES_MAX: usize = 32 << 20;

/// The number of rows of `batch` that still belong to the run: all of them, or those before the first frame that begins
/// when the run is full. Frames are never split, so no frame is in two runs.
pub(super) fn belonging(run: &Columns, batch: &RecordBatch, run_rows: usize) -> usize {
    let frames = batch.column_by_name("frame");
    let Some(frames) = frames.and_then(|column| column.as_primitive_opt::<Int64Type>()) else {
        return batch.num_rows();
    };
    let texts: Vec<_> = run
        .single_texts(batch)
        .filter(|texts| texts.null_count() < texts.len())
        .collect();
    let (mut last, mut text_bytes) = (run.last_frame(), run.single_text_bytes());
    for (row, frame) in frames.values().iter().enumerate() {
        let is_full = run.len() + row >= run_rows || text_bytes >= TEXT_BYTES_MAX;
        if is_full && last.is_some_and(|last| last != *frame) {
            return row;
        }
        last = Some(*frame);
        let valid = texts.iter().filter(|texts| texts.is_valid(row));
        text_bytes += valid.map(|texts| texts.value(row).len()).sum::<usize>();
    }
    batch.num_rows()
}
