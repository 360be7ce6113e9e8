//! A journal that nobody has exported yet.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use krx_store::{DataDir, ExportConfig, Exporter, catalog};

use crate::journaled::EXPORT;

/// Exports every feed's journal.
pub(crate) fn export(data_dir: &Path, keep_days: u32) -> Result<()> {
    let data = DataDir::new(data_dir);
    let config = ExportConfig { keep_days, ..EXPORT };
    let feeds = catalog::journal_feeds(&data)?;
    ensure!(!feeds.is_empty(), "{} has no journal", data_dir.display());
    std::thread::scope(|scope| {
        let threads: Vec<_> = feeds
            .iter()
            .map(|feed| scope.spawn(|| Exporter::new(&data, feed, config, None, Arc::default()).run()))
            .collect();
        for (feed, thread) in feeds.iter().zip(threads) {
            let exported = thread.join().expect("an exporter does not panic");
            exported.with_context(|| format!("exporting {feed}"))?;
        }
        Ok(())
    })
}
