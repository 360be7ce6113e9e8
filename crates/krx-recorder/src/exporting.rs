//! The exporter's thread. Whatever happens to it, the feed and the journal go on (invariant I6).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use krx_store::{DataDir, ExportConfig, Exporter, Market, Progress, Tail};
use tracing::error;

use crate::exit::Failure;

/// How long the disk is given to come to its senses before the export is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(5);

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
) -> Result<(), Failure> {
    loop {
        let exporter = Exporter::new(data, market, config, Some(Arc::clone(tail)), Arc::clone(progress));
        let failure: Failure = match catch_unwind(AssertUnwindSafe(|| exporter.run())) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.into(),
            Err(_) => Failure::Bug(format!("the exporter of {market} panicked")),
        };
        if tail.is_closed() {
            return Err(failure);
        }
        error!(market = %market, error = %failure, retry = ?RETRY_WAIT, "export failed; recording goes on");
        std::thread::sleep(RETRY_WAIT);
    }
}
