//! The journal's thread: takes what the feed has queued, and appends it.

use krx_store::{StoreError, Writer};

use crate::queue::QueueReader;

/// At most this many entries are one write: about a megabyte of full messages.
const ENTRIES_MAX: usize = 256;

/// Journals until all feeds have let go of the queue, then closes the journal.
///
/// # Errors
/// [`StoreError`], when the disk refuses. Feeds then find the queue closed.
pub fn run(mut writer: Writer, mut entries: QueueReader) -> Result<(), StoreError> {
    let mut batch = Vec::with_capacity(ENTRIES_MAX);
    while entries.take(&mut batch, ENTRIES_MAX) {
        writer.append(&batch)?;
        entries.journaled(&batch);
        batch.clear();
    }
    writer.close()
}
