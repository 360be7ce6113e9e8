//! The exporter's thread. Whatever happens to it, the feed and the journal go on (invariant I6).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use krx_store::export::Poison;
use krx_store::progress::seed;
use krx_store::{DataDir, ExportConfig, Exporter, Market, Moment, Progress, StoreError, Tail};
use tracing::{error, warn};

use crate::absence::Absence;
use crate::exit::Failure;
use crate::vitals::Beats;

/// How long the disk is given to come to its senses before the export is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// After so many failures in a row to read the journal, the disk will not read it any more.
const UNREADABLE_AFTER: u32 = 12;

/// How often what is left is tried when nothing more will come: an error that passes must not end in a bad exit code.
const LAST_TRIES: u32 = 3;

/// Exports until the journal is closed and all of it is sealed. A failure is logged, and the export started again
/// behind the last sealed file.
///
/// # Errors
/// The last failure, when it happened after the journal was closed: what is not exported stays in the journal.
pub fn run(
    data: &DataDir,
    market: &Market,
    config: ExportConfig,
    tail: &Arc<Tail>,
    progress: &Arc<Progress>,
    beats: &Beats,
    absence: &Absence,
) -> Result<(), Failure> {
    // On this thread, since only it may wait for the disk, and writes coverage of this feed.
    let yesterday = Moment::now().date().pred_opt().unwrap_or_default();
    if let Err(error) = absence.record(data, market, yesterday) {
        error!(%market, %error, "trading days on which no recorder ran are not on record; the next start tries again");
    }
    // Before the first exporter adds to it.
    if let Err(error) = seed(progress, data, market, Moment::now().date()) {
        warn!(%market, %error, "the status shows the date from this start on only");
    }
    let poison = Arc::new(Poison::default());
    let (mut unreadable, mut last_tries) = (0, 0);
    loop {
        Beats::count(&beats.export);
        let tail_of = Some(Arc::clone(tail));
        let mut exporter =
            Exporter::new(data, market, config, tail_of, Arc::clone(progress)).with_poison(&poison);
        if unreadable >= UNREADABLE_AFTER {
            exporter = exporter.past_unreadable();
        }
        let failure: Failure = match catch_unwind(AssertUnwindSafe(|| exporter.run())) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                unreadable = if is_unreadable_journal(&error) {
                    unreadable + 1
                } else {
                    0
                };
                error.into()
            }
            // The frame is known by now, and is passed over when it does it again.
            Err(_) if poison.panicked() => {
                error!(market = %market, "the exporter panicked over a frame; it goes on behind the last sealed file");
                continue;
            }
            Err(_) => Failure::Bug(format!("the exporter of {market} panicked")),
        };
        if tail.is_closed() {
            last_tries += 1;
            if last_tries >= LAST_TRIES {
                return Err(failure);
            }
            error!(market = %market, error = %failure, "export failed; it is tried again before the recorder ends");
            continue;
        }
        error!(market = %market, error = %failure, retry = ?RETRY_WAIT, "export failed; recording goes on");
        // A stop must not wait for it.
        tail.wait_closed(RETRY_WAIT);
    }
}

fn is_unreadable_journal(error: &StoreError) -> bool {
    const EIO: i32 = 5;
    matches!(error, StoreError::Io { doing, source, .. }
        if *doing == "reading the journal segment" && source.raw_os_error() == Some(EIO))
}
